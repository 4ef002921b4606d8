//! The audit log.

use super::figures::{AuditEntry, Verified};
use super::models::List;
use super::request::{Answer, Asked, ListAsked, id, page};
use crate::auth::Caller;
use app::audit;
use app::rows::AuditFilter;
use axum::Json;
use axum::extract::Path;

/// Entries that a list goes back.
const ENTRIES_MAX: i64 = 1_000;

/// Lists the newest 1,000 entries at an organisation and below.
#[utoipa::path(
    get,
    path = "/v1/orgs/{org}/audit",
    params(ListAsked),
    responses((status = 200, body = List<AuditEntry>))
)]
pub(super) async fn list_audit(
    Caller(me): Caller,
    Path(org): Path<String>,
    Asked(asked): Asked<ListAsked>,
) -> Answer<List<AuditEntry>> {
    let found = audit::list(&me.cx, id(&org, "organisation")?, 0, &AuditFilter::default(), ENTRIES_MAX).await?;
    let rows = found.into_iter().map(AuditEntry::from).collect();
    Ok(Json(page(rows, &asked, |entry| entry.seq.to_string())?))
}

/// Checks the whole chain of the realm.
#[utoipa::path(get, path = "/v1/audit/verify", responses((status = 200, body = Verified)))]
pub(super) async fn verify_audit(Caller(me): Caller) -> Answer<Verified> {
    let verified = match audit::verify(&me.cx).await? {
        Ok(entries) => Verified { sound: true, entries: Some(entries), first_bad: None },
        Err(first_bad) => Verified { sound: false, entries: None, first_bad: Some(first_bad) },
    };
    Ok(Json(verified))
}

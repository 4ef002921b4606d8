//! The audit log.

use super::figures::{AuditEntry, Verified};
use super::idempotent::Change;
use super::models::List;
use super::request::{Answer, Asked, Refused, cut, id, instant, page_limit, parsed};
use crate::auth::Caller;
use app::audit;
use app::rows::AuditFilter;
use axum::Json;
use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use papers::text_cell;
use serde::Deserialize;

/// Which entries. What is left out fits all.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct AuditAsked {
    /// `user.remove`.
    action: Option<String>,
    /// A user's id, or `system`.
    actor: Option<String>,
    /// A thing's id.
    target: Option<String>,
    /// `allow` or `deny`.
    outcome: Option<String>,
    /// Not before this instant.
    since: Option<String>,
    /// Rows of a page: 50 if left out, 1,000 at most.
    limit: Option<usize>,
    /// `next_cursor` of the page before: the number of an entry; only older ones are listed.
    cursor: Option<String>,
}

/// Lists entries at an organisation and below, newest first.
#[utoipa::path(
    get,
    path = "/v1/orgs/{org}/audit",
    params(AuditAsked),
    responses((status = 200, body = List<AuditEntry>))
)]
pub(super) async fn list_audit(
    Caller(me): Caller,
    Path(org): Path<String>,
    Asked(asked): Asked<AuditAsked>,
) -> Answer<List<AuditEntry>> {
    let before: i64 = asked.cursor.as_deref().map(|text| parsed("cursor", text)).transpose()?.unwrap_or(0);
    let limit = page_limit(asked.limit);
    let filter = filter(asked.action, asked.actor, asked.target, asked.outcome, &asked.since)?;
    let found = audit::list(&me.cx, id(&org, "organisation")?, before, &filter, limit as i64 + 1).await?;
    let rows = found.into_iter().map(AuditEntry::from).collect();
    Ok(Json(cut(rows, limit, |entry: &AuditEntry| entry.seq.to_string())))
}

fn filter(
    action: Option<String>,
    actor: Option<String>,
    target: Option<String>,
    outcome: Option<String>,
    since: &Option<String>,
) -> Result<AuditFilter, Refused> {
    Ok(AuditFilter {
        action: action.unwrap_or_default(),
        actor: actor.unwrap_or_default(),
        target: target.unwrap_or_default(),
        outcome: outcome.unwrap_or_default(),
        since_us: instant("since", since)?.unwrap_or(0),
    })
}

/// What is exported, and how. What is left out fits all.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExportBody {
    /// `jsonl` or `csv`; JSON lines if left out.
    format: Option<String>,
    action: Option<String>,
    actor: Option<String>,
    target: Option<String>,
    outcome: Option<String>,
    /// Not before this instant.
    since: Option<String>,
}

/// Exports entries at an organisation and below, newest first, 100,000 at most.
///
/// The export is an entry of the log itself: it is a change, and each call makes one.
#[utoipa::path(
    post,
    path = "/v1/orgs/{org}/audit/export",
    request_body = ExportBody,
    responses((status = 200, description = "JSON lines or CSV.", body = String, content_type = "application/x-ndjson"))
)]
pub(super) async fn export_audit(Path(org): Path<String>, change: Change) -> Result<Response, Refused> {
    let org = id(&org, "organisation")?;
    let body: ExportBody = change.json()?;
    let format = body.format.as_deref().unwrap_or("jsonl");
    if !["jsonl", "csv"].contains(&format) {
        return Err(app::Failure::invalid("format", format, "is not jsonl or csv").into());
    }
    let filter = filter(body.action, body.actor, body.target, body.outcome, &body.since)?;
    let found = audit::export(change.cx(), org, &filter).await?;
    let rows: Vec<AuditEntry> = found.into_iter().map(AuditEntry::from).collect();
    let (media, text) = match format {
        "csv" => ("text/csv; charset=utf-8", csv(&rows)),
        _ => ("application/x-ndjson", json_lines(&rows)?),
    };
    Ok(([(header::CONTENT_TYPE, media)], text).into_response())
}

fn json_lines(rows: &[AuditEntry]) -> Result<String, serde_json::Error> {
    let mut out = String::new();
    for row in rows {
        out.push_str(&serde_json::to_string(row)?);
        out.push('\n');
    }
    Ok(out)
}

/// No cell is read as a formula: names and targets are other people's texts.
fn csv(rows: &[AuditEntry]) -> String {
    let mut out = String::from("seq,at,actor,org,action,target,outcome,reason,detail,context,prev_hash,hash\n");
    for row in rows {
        let (detail, context) = (row.detail.to_string(), row.context.to_string());
        let cells = [
            &row.at,
            &row.actor,
            &row.org,
            &row.action,
            &row.target,
            &row.outcome,
            &row.reason,
            &detail,
            &context,
            &row.prev_hash,
            &row.hash,
        ];
        out.push_str(&row.seq.to_string());
        for cell in cells {
            out.push(',');
            out.push_str(&text_cell(cell));
        }
        out.push('\n');
    }
    out
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

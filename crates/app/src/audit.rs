//! The audit log: hash-chained, in the transaction of the act.

use crate::cx::Cx;
use crate::failure::Failure;
use access::{Action, Ask, Denied, Place, decide_job};
use base::{OrgId, UserId};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Mutex;
use store::audit::{AuditEvent, AuditFilter};
use store::{Tx, audit, orgs};

/// Refusals of one user that are written in a minute; more are counted only.
const REFUSALS_MAX: u32 = 100;
const REFUSALS_US: i64 = 60_000_000;
/// Entries of one page at most.
const PAGE_MAX: i64 = 1_000;
/// Entries of one export at most.
const EXPORT_MAX: i64 = 100_000;

fn hash_of(event: &AuditEvent) -> String {
    let mut hasher = Sha256::new();
    for part in [
        &*event.seq.to_string(),
        &*event.at_us.to_string(),
        &event.actor,
        &*event.org.to_string(),
        &event.action,
        &event.target,
        &event.outcome,
        &event.detail_json,
        &event.prev_hash,
    ] {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    if event.form >= 2 {
        for part in [&event.path, &event.reason, &event.context_json] {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
    }
    hex::encode(hasher.finalize())
}

/// What happened.
struct Act<'a> {
    org: OrgId,
    path: String,
    action: &'a str,
    target: &'a str,
    outcome: &'a str,
    reason: String,
    detail: serde_json::Value,
}

/// Writes an act into the log, in its own transaction. `detail` never holds a secret.
pub(crate) async fn note(
    cx: &Cx,
    tx: &mut Tx,
    org: OrgId,
    action: &str,
    target: &str,
    detail: serde_json::Value,
) -> Result<(), Failure> {
    let path = crate::s3_session::path_text(&orgs::path(tx, org).await?);
    let act = Act { org, path, action, target, outcome: "allow", reason: String::new(), detail };
    append(&Doer::of(cx), tx, act).await
}

/// Writes what the operator did at the machine itself, where nobody is signed in.
pub(crate) async fn note_of_operator(
    tx: &mut Tx,
    now_us: i64,
    org: OrgId,
    (action, target): (&str, &str),
    detail: serde_json::Value,
) -> Result<(), Failure> {
    let path = crate::s3_session::path_text(&orgs::path(tx, org).await?);
    let doer = Doer { at_us: now_us, actor: "operator".to_owned(), context: serde_json::json!({}) };
    let act = Act { org, path, action, target, outcome: "allow", reason: String::new(), detail };
    append(&doer, tx, act).await
}

/// Who acts, when, and from where.
struct Doer {
    at_us: i64,
    actor: String,
    context: serde_json::Value,
}

impl Doer {
    fn of(cx: &Cx) -> Self {
        Self { at_us: cx.now_us(), actor: cx.doer(), context: context_of(cx) }
    }
}

async fn append(doer: &Doer, tx: &mut Tx, act: Act<'_>) -> Result<(), Failure> {
    let newest = audit::newest(tx).await?;
    let mut event = AuditEvent {
        seq: newest.as_ref().map_or(1, |event| event.seq + 1),
        at_us: doer.at_us,
        actor: doer.actor.clone(),
        org: act.org,
        action: act.action.to_owned(),
        target: act.target.to_owned(),
        outcome: act.outcome.to_owned(),
        detail_json: act.detail.to_string(),
        prev_hash: newest.map_or_else(String::new, |event| event.hash),
        hash: String::new(),
        form: 2,
        path: act.path,
        reason: act.reason,
        context_json: doer.context.to_string(),
    };
    event.hash = hash_of(&event);
    Ok(audit::insert(tx, &event).await?)
}

fn context_of(cx: &Cx) -> serde_json::Value {
    let mut context = serde_json::Map::new();
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            context.insert(name.to_owned(), value.into());
        }
    };
    add("ip", cx.context.ip.map(|ip| ip.to_string()));
    add("agent", Some(cx.origin.agent.chars().take(200).collect()));
    add("session", cx.origin.session.map(|id| id.to_string()));
    add("token", cx.origin.token.map(|id| id.to_string()));
    context.into()
}

/// How many refusals of each user were written in the running minute.
#[derive(Default)]
pub(crate) struct Refusals(Mutex<BTreeMap<UserId, (i64, u32)>>);

impl Refusals {
    /// Whether one more may be written.
    fn count(&self, user: UserId, now_us: i64) -> bool {
        let Ok(mut seen) = self.0.lock() else { return true };
        seen.retain(|_, (since, _)| *since + REFUSALS_US > now_us);
        let (_, count) = seen.entry(user).or_insert((now_us, 0));
        *count += 1;
        *count <= REFUSALS_MAX
    }
}

/// Writes a refused act into the log of the place, in a transaction of its own.
pub(crate) async fn refused(cx: &Cx, ask: &Ask<'_>, place: &Place, denied: &Denied) -> Result<(), Failure> {
    let user = cx.user()?;
    tracing::info!(%user, action = ask.action.code(), org = %place.org(), %denied, "refused");
    if !cx.app.refusals.count(user, cx.now_us()) {
        return Ok(());
    }
    let mut tx = cx.app.store.write(&decide_job(cx.realm, place.org())).await?;
    let act = Act {
        org: place.org(),
        path: crate::s3_session::path_text(&place.path),
        action: ask.action.code(),
        target: ask.resource,
        outcome: "deny",
        reason: denied.to_string(),
        detail: serde_json::json!({}),
    };
    append(&Doer::of(cx), &mut tx, act).await?;
    Ok(tx.commit().await?)
}

/// Entries at `org` and below, older than `before` (a number; 0 for the newest), newest first.
///
/// # Errors
/// [`Failure`].
pub async fn list(
    cx: &Cx,
    org: OrgId,
    before: i64,
    filter: &AuditFilter,
    limit: i64,
) -> Result<Vec<AuditEvent>, Failure> {
    let grant = cx.allow(Action::AuditRead, org).await?;
    let mut tx = cx.app.store.read(&grant).await?;
    let before = if before > 0 { before } else { i64::MAX };
    Ok(audit::below(&mut tx, org, before, filter, limit.clamp(1, PAGE_MAX)).await?)
}

/// Whether a user belongs above `org`: whoever reads the log there is not told more of him.
///
/// # Errors
/// [`Failure`].
pub async fn stands_above(cx: &Cx, org: OrgId, user: UserId) -> Result<bool, Failure> {
    let grant = cx.allow(Action::AuditRead, org).await?;
    let place = cx.place(org).await?;
    let mut tx = cx.app.store.read(&grant).await?;
    let actor = store::actors::load_held(&mut tx, user).await?;
    Ok(actor.memberships().iter().any(|member| *member != org && place.is_at_or_below(*member)))
}

/// Entries as CSV: what people wrote is never read as a formula.
#[must_use]
pub fn csv(events: &[AuditEvent]) -> String {
    let mut out = String::from("seq,at,actor,organisation,path,action,target,outcome,reason,context,detail,hash\n");
    for event in events {
        let at = base::period::format_instant(event.at_us);
        let org = event.org.to_string();
        let texts = [&event.actor, &org, &event.path, &event.action, &event.target, &event.outcome];
        let more = [&event.reason, &event.context_json, &event.detail_json, &event.hash];
        let cells: Vec<String> = texts.into_iter().chain(more).map(|text| papers::text_cell(text)).collect();
        out.push_str(&format!("{},{at},{}\n", event.seq, cells.join(",")));
    }
    out
}

/// Everything at `org` and below that fits the filter, newest first, for a file.
///
/// # Errors
/// [`Failure`].
pub async fn export(cx: &Cx, org: OrgId, filter: &AuditFilter) -> Result<Vec<AuditEvent>, Failure> {
    let grant = cx.allow(Action::AuditExport, org).await?;
    let mut tx = cx.app.store.write(&grant).await?;
    let found = audit::below(&mut tx, org, i64::MAX, filter, EXPORT_MAX).await?;
    note(cx, &mut tx, org, "audit.export", &org.to_string(), serde_json::json!({ "entries": found.len() })).await?;
    tx.commit().await?;
    Ok(found)
}

/// Checks the whole chain of the realm. `Ok(n)` entries are sound, or the number of the first bad one.
///
/// # Errors
/// [`Failure`] when the log cannot be read.
pub async fn verify(cx: &Cx) -> Result<Result<u64, i64>, Failure> {
    let grant = cx.allow(Action::AuditRead, cx.realm.root()).await?;
    let mut tx = cx.app.store.read(&grant).await?;
    let (mut seq, mut prev, mut count) = (0, String::new(), 0_u64);
    loop {
        let page = audit::chain(&mut tx, seq, 1_000).await?;
        if page.is_empty() {
            return Ok(Ok(count));
        }
        for event in page {
            if event.seq != seq + 1 || event.prev_hash != prev || event.hash != hash_of(&event) {
                return Ok(Err(seq + 1));
            }
            (seq, prev, count) = (event.seq, event.hash, count + 1);
        }
    }
}

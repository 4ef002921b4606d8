//! The audit log as people read it: pages, files, the check of its chain. `authority::log` writes it.

use crate::authority::log::hash_of;
use crate::authority::{Cx, Operator, Span};
use crate::failure::{Failure, Kind};
use access::Action;
use base::{OrgId, UserId};
use store::audit::{AuditEvent, AuditFilter};
use store::{Tx, audit};

/// Entries of one page at most.
const PAGE_MAX: i64 = 1_000;
/// Entries of one export at most.
const EXPORT_MAX: i64 = 100_000;

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
    let (grant, span) = cx.span(Action::AuditRead, org).await?;
    let mut tx = cx.read_with(&grant).await?;
    let before = if before > 0 { before } else { i64::MAX };
    seen(&mut tx, org, before, filter, limit.clamp(1, PAGE_MAX), &span).await
}

/// Entries that the caller sees: pages are read on until there are enough of them.
async fn seen(
    tx: &mut Tx,
    org: OrgId,
    mut before: i64,
    filter: &AuditFilter,
    limit: i64,
    span: &Span,
) -> Result<Vec<AuditEvent>, Failure> {
    let wanted = usize::try_from(limit).unwrap_or(0);
    let mut found: Vec<AuditEvent> = Vec::new();
    loop {
        let page = audit::below(tx, org, before, filter, limit).await?;
        let is_last = page.len() < wanted;
        before = page.last().map_or(0, |event| event.seq);
        found.extend(page.into_iter().filter(|event| span.has(event.org)));
        if is_last || found.len() >= wanted {
            found.truncate(wanted);
            return Ok(found);
        }
    }
}

/// Whether a user belongs above `org`: whoever reads the log there is not told more of him.
///
/// # Errors
/// [`Failure`].
pub async fn stands_above(cx: &Cx, org: OrgId, user: UserId) -> Result<bool, Failure> {
    let grant = cx.allow(Action::AuditRead, org).await?;
    let place = cx.place(org).await?;
    let mut tx = cx.read_with(&grant).await?;
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
    let (grant, span) = cx.span(Action::AuditExport, org).await?;
    let mut tx = cx.change_with(&grant).await?;
    let found = seen(&mut tx, org, i64::MAX, filter, EXPORT_MAX, &span).await?;
    tx.done(org, "audit.export", &org.to_string(), serde_json::json!({ "entries": found.len() })).await?;
    Ok(found)
}

/// Checks the whole chain of the realm. `Ok(n)` entries are sound, or the number of the first bad one.
///
/// # Errors
/// [`Failure`] when the log cannot be read.
pub async fn verify(cx: &Cx) -> Result<Result<u64, i64>, Failure> {
    let mut tx = cx.read(Action::AuditRead, cx.realm.root()).await?;
    chain_of(&mut tx).await
}

/// What an installation holds that proves itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Proved {
    /// Trees.
    pub trees: u64,
    /// Entries of their audit logs.
    pub entries: u64,
    /// Entries of their ledgers.
    pub ledger_entries: i64,
}

/// Checks the chains and the ledgers of all trees, for the operator.
///
/// # Errors
/// [`Failure`] naming the tree and the first entry that is wrong.
pub async fn verify_by_operator(operator: &Operator) -> Result<Proved, Failure> {
    let mut proved = Proved::default();
    for (realm, _) in store::across::realms(operator.store()).await? {
        let mut tx = operator.read(realm).await?;
        let entries = chain_of(&mut tx).await?;
        let wrong = |what: String| Failure::new(Kind::Internal, format!("{realm}: {what}"));
        proved.entries += entries.map_err(|seq| wrong(format!("entry {seq} of the audit log is not in its chain")))?;
        let (ledger, unbalanced) = store::entries::count(&mut tx).await?;
        if unbalanced > 0 {
            return Err(wrong(format!("{unbalanced} entries of the ledger are not balanced")));
        }
        (proved.trees, proved.ledger_entries) = (proved.trees + 1, proved.ledger_entries + ledger);
    }
    Ok(proved)
}

async fn chain_of(tx: &mut Tx) -> Result<Result<u64, i64>, Failure> {
    let (mut seq, mut prev, mut count) = (0, String::new(), 0_u64);
    loop {
        let page = audit::chain(tx, seq, 1_000).await?;
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

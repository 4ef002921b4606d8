//! The audit log: hash-chained, in the transaction of the act.

use crate::cx::Cx;
use crate::failure::Failure;
use access::Action;
use base::OrgId;
use sha2::{Digest, Sha256};
use store::audit::AuditEvent;
use store::{Tx, audit};

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
    hex::encode(hasher.finalize())
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
    let newest = audit::newest(tx).await?;
    let mut event = AuditEvent {
        seq: newest.as_ref().map_or(1, |event| event.seq + 1),
        at_us: cx.now_us(),
        actor: cx.actor.as_ref().map_or_else(|| "system".to_owned(), |actor| actor.user.to_string()),
        org,
        action: action.to_owned(),
        target: target.to_owned(),
        outcome: "allow".to_owned(),
        detail_json: detail.to_string(),
        prev_hash: newest.map_or_else(String::new, |event| event.hash),
        hash: String::new(),
    };
    event.hash = hash_of(&event);
    Ok(audit::insert(tx, &event).await?)
}

/// The newest entries at `org` and below.
///
/// # Errors
/// [`Failure`].
pub async fn list(cx: &Cx, org: OrgId, limit: i64) -> Result<Vec<AuditEvent>, Failure> {
    let grant = cx.allow(Action::ReadAudit, org).await?;
    let mut tx = cx.app.store.read(&grant).await?;
    Ok(audit::below(&mut tx, org, limit.clamp(1, 1_000)).await?)
}

/// Checks the whole chain of the realm. `Ok(n)` entries are sound, or the number of the first bad one.
///
/// # Errors
/// [`Failure`] when the log cannot be read.
pub async fn verify(cx: &Cx) -> Result<Result<u64, i64>, Failure> {
    let grant = cx.allow(Action::ReadAudit, cx.realm.root()).await?;
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

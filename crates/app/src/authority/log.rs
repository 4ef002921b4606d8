//! Writing the audit log: hash-chained, in the transaction of the act.

use super::Cx;
use crate::failure::Failure;
use base::{OrgId, UserId};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Mutex;
use store::audit::{self, AuditEvent};
use store::{Tx, orgs};

/// Refusals of one user that are written in a minute; more are counted only.
const REFUSALS_MAX: u32 = 100;
const REFUSALS_US: i64 = 60_000_000;

/// The hash of an entry, over the one before it.
pub(crate) fn hash_of(event: &AuditEvent) -> String {
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

/// `/org_a/org_b/`.
pub(crate) fn path_text(path: &[OrgId]) -> String {
    path.iter().fold("/".to_owned(), |text, org| format!("{text}{org}/"))
}

/// Who acts, when, and from where.
#[derive(Clone)]
pub(super) struct Doer {
    pub(super) at_us: i64,
    pub(super) actor: String,
    pub(super) context: serde_json::Value,
}

impl Doer {
    /// Nobody who is signed in: `system`, `operator`, or the person whose secret was shown.
    pub(super) fn named(actor: &str, at_us: i64) -> Self {
        Self { at_us, actor: actor.to_owned(), context: serde_json::json!({}) }
    }

    pub(super) fn of(cx: &Cx) -> Self {
        Self { at_us: cx.now_us(), actor: cx.doer(), context: context_of(cx) }
    }
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

/// What happened.
pub(super) struct Act<'a> {
    pub(super) org: OrgId,
    pub(super) action: &'a str,
    pub(super) target: &'a str,
    pub(super) outcome: &'a str,
    pub(super) reason: String,
    pub(super) detail: serde_json::Value,
}

/// Writes an act into the log, in its own transaction. `detail` never holds a secret.
pub(super) async fn append(doer: &Doer, tx: &mut Tx, act: Act<'_>) -> Result<(), Failure> {
    let path = path_text(&orgs::path(tx, act.org).await?);
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
        path,
        reason: act.reason,
        context_json: doer.context.to_string(),
    };
    event.hash = hash_of(&event);
    Ok(audit::insert(tx, &event).await?)
}

/// How many refusals of each user were written in the running minute.
#[derive(Default)]
pub(crate) struct Refusals(Mutex<BTreeMap<UserId, (i64, u32)>>);

impl Refusals {
    /// Whether one more may be written.
    pub(super) fn count(&self, user: UserId, now_us: i64) -> bool {
        let Ok(mut seen) = self.0.lock() else { return true };
        seen.retain(|_, (since, _)| *since + REFUSALS_US > now_us);
        let (_, count) = seen.entry(user).or_insert((now_us, 0));
        *count += 1;
        *count <= REFUSALS_MAX
    }
}

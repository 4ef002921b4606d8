//! The audit log: a hash chain for each realm, written in the transaction of the act.

use crate::sql::{Row, StoreError, Tx, params, scoped};
use base::{OrgId, UserId};
use serde::Serialize;

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditEvent {
    /// From 1, without gap.
    pub seq: i64,
    /// When.
    pub at_us: i64,
    /// User id, or `system`.
    pub actor: String,
    /// Where.
    pub org: OrgId,
    /// What: `price.set`.
    pub action: String,
    /// On what.
    pub target: String,
    /// `allow` or `deny`.
    pub outcome: String,
    /// More, without secrets.
    pub detail_json: String,
    /// Hash of the entry before.
    pub prev_hash: String,
    /// Hash of this entry.
    pub hash: String,
    /// Which fields the hash covers: 1 those above `form`, 2 all.
    pub form: i64,
    /// The organisation's path at that time: `/org_a/org_b/`.
    pub path: String,
    /// The reason of a refusal.
    pub reason: String,
    /// Address, client, session or token, request.
    pub context_json: String,
}

fn from_row(row: &Row) -> Result<AuditEvent, StoreError> {
    Ok(AuditEvent {
        seq: row.int("seq")?,
        at_us: row.int("at_us")?,
        actor: row.text("actor")?,
        org: row.parsed("org_id")?,
        action: row.text("action")?,
        target: row.text("target")?,
        outcome: row.text("outcome")?,
        detail_json: row.text("detail_json")?,
        prev_hash: row.text("prev_hash")?,
        hash: row.text("hash")?,
        form: row.int("form")?,
        path: row.text("path")?,
        reason: row.text("reason")?,
        context_json: row.text("context_json")?,
    })
}

/// The newest entry. Called under the realm's own lock row, so that the chain cannot fork.
pub async fn newest(tx: &mut Tx) -> Result<Option<AuditEvent>, StoreError> {
    let lock = scoped!(
        "insert into org_lock (realm_id, org_id, version)
         values ($1, 'audit', 1)
         on conflict (realm_id, org_id) do update set version = org_lock.version + 1"
    );
    tx.execute(lock, params![]).await?;
    let sql = scoped!(
        "select seq, at_us, actor, org_id, action, target, outcome, detail_json, prev_hash, hash, form, path, reason,
                context_json
           from audit_event
          where realm_id = $1
          order by seq desc
          limit 1"
    );
    tx.fetch_optional(sql, params![], from_row).await
}

/// Adds an entry.
pub async fn insert(tx: &mut Tx, event: &AuditEvent) -> Result<(), StoreError> {
    let sql = scoped!(
        "insert into audit_event (realm_id, seq, at_us, actor, org_id, action, target, outcome, detail_json, prev_hash,
                                  hash, form, path, reason, context_json)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)"
    );
    let values = params![
        event.seq,
        event.at_us,
        event.actor.as_str(),
        event.org,
        event.action.as_str(),
        event.target.as_str(),
        event.outcome.as_str(),
        event.detail_json.as_str(),
        event.prev_hash.as_str(),
        event.hash.as_str(),
        event.form,
        event.path.as_str(),
        event.reason.as_str(),
        event.context_json.as_str(),
    ];
    tx.execute(sql, values).await?;
    tx.note();
    Ok(())
}

/// Entries at `org` or below that are older than `before_seq`, newest first. An empty filter fits all.
pub async fn below(
    tx: &mut Tx,
    org: OrgId,
    before_seq: i64,
    filter: &AuditFilter,
    limit: i64,
) -> Result<Vec<AuditEvent>, StoreError> {
    let sql = scoped!(
        "select e.seq, e.at_us, e.actor, e.org_id, e.action, e.target, e.outcome, e.detail_json, e.prev_hash, e.hash,
                e.form, e.path, e.reason, e.context_json
           from audit_event e
           join org_above a on a.realm_id = e.realm_id and a.org_id = e.org_id
          where e.realm_id = $1 and a.ancestor_id = $2 and e.seq < $3
            and ($4 = '' or e.action = $4) and ($5 = '' or e.actor = $5) and ($6 = '' or e.target = $6)
            and ($7 = '' or e.outcome = $7) and e.at_us >= $8
          order by e.seq desc
          limit $9"
    );
    let values = params![
        org,
        before_seq,
        filter.action.as_str(),
        filter.actor.as_str(),
        filter.target.as_str(),
        filter.outcome.as_str(),
        filter.since_us,
        limit,
    ];
    tx.fetch_all(sql, values, from_row).await
}

/// Entries that somebody caused or is the target of, older than `before_seq`, newest first.
pub async fn of_person(tx: &mut Tx, user: UserId, before_seq: i64, limit: i64) -> Result<Vec<AuditEvent>, StoreError> {
    let sql = scoped!(
        "select seq, at_us, actor, org_id, action, target, outcome, detail_json, prev_hash, hash, form, path, reason,
                context_json
           from audit_event
          where realm_id = $1 and (actor = $2 or target = $2) and seq < $3
          order by seq desc
          limit $4"
    );
    tx.fetch_all(sql, params![user, before_seq, limit], from_row).await
}

/// What to look for in the log. Empty fields fit everything.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// `user.remove`.
    pub action: String,
    /// Id of a user.
    pub actor: String,
    /// Id of a thing.
    pub target: String,
    /// `allow` or `deny`.
    pub outcome: String,
    /// Not before.
    pub since_us: i64,
}

/// The whole chain from `after_seq` on, oldest first, at most `limit`: for verification.
pub async fn chain(tx: &mut Tx, after_seq: i64, limit: i64) -> Result<Vec<AuditEvent>, StoreError> {
    let sql = scoped!(
        "select seq, at_us, actor, org_id, action, target, outcome, detail_json, prev_hash, hash, form, path, reason,
                context_json
           from audit_event
          where realm_id = $1 and seq > $2
          order by seq
          limit $3"
    );
    tx.fetch_all(sql, params![after_seq, limit], from_row).await
}

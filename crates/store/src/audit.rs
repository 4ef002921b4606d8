//! The audit log: a hash chain for each realm, written in the transaction of the act.

use crate::sql::{Row, StoreError, Tx, params, scoped};
use base::OrgId;
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
        "select seq, at_us, actor, org_id, action, target, outcome, detail_json, prev_hash, hash
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
                                  hash)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
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
    ];
    tx.execute(sql, values).await?;
    Ok(())
}

/// Entries at `org` or below, newest first.
pub async fn below(tx: &mut Tx, org: OrgId, limit: i64) -> Result<Vec<AuditEvent>, StoreError> {
    let sql = scoped!(
        "select e.seq, e.at_us, e.actor, e.org_id, e.action, e.target, e.outcome, e.detail_json, e.prev_hash, e.hash
           from audit_event e
           join org_above a on a.realm_id = e.realm_id and a.org_id = e.org_id
          where e.realm_id = $1 and a.ancestor_id = $2
          order by e.seq desc
          limit $3"
    );
    tx.fetch_all(sql, params![org, limit], from_row).await
}

/// The whole chain from `after_seq` on, oldest first, at most `limit`: for verification.
pub async fn chain(tx: &mut Tx, after_seq: i64, limit: i64) -> Result<Vec<AuditEvent>, StoreError> {
    let sql = scoped!(
        "select seq, at_us, actor, org_id, action, target, outcome, detail_json, prev_hash, hash
           from audit_event
          where realm_id = $1 and seq > $2
          order by seq
          limit $3"
    );
    tx.fetch_all(sql, params![after_seq, limit], from_row).await
}

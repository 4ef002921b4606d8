//! Answers kept for retried API writes.

use crate::sql::{StoreError, Tx, params, scoped};

/// A kept answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Hash of method, path and body.
    pub request_hash: String,
    /// Status of the answer.
    pub status: i64,
    /// Body of the answer.
    pub body: String,
}

/// The answer kept for a caller's key.
pub async fn get(tx: &mut Tx, caller: &str, key: &str) -> Result<Option<Kept>, StoreError> {
    let sql = scoped!(
        "select request_hash, status, body
           from idempotency
          where realm_id = $1 and caller = $2 and idempotency_key = $3"
    );
    tx.fetch_optional(sql, params![caller, key], |row| {
        Ok(Kept { request_hash: row.text("request_hash")?, status: row.int("status")?, body: row.text("body")? })
    })
    .await
}

/// Keeps an answer. Two callers with one key: the second is a conflict and must look again.
pub async fn insert(tx: &mut Tx, caller: &str, key: &str, kept: &Kept, now_us: i64) -> Result<(), StoreError> {
    let sql = scoped!(
        "insert into idempotency (realm_id, caller, idempotency_key, request_hash, status, body, created_us)
         values ($1, $2, $3, $4, $5, $6, $7)"
    );
    let values = params![caller, key, kept.request_hash.as_str(), kept.status, kept.body.as_str(), now_us];
    tx.execute(sql, values).await?;
    Ok(())
}

//! What waits for its second half, and challenges that were used. Each is good once and ends soon.

use crate::sql::{Row, StoreError, Tx, params, scoped};

/// One attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Hash of the secret that the browser holds.
    pub secret_hash: String,
    /// `half` (a password was right), `oidc` (gone to a provider), `spent` (a challenge that was answered).
    pub kind: String,
    /// What was begun.
    pub payload_json: String,
    /// When it ends.
    pub expires_us: i64,
}

fn from_row(row: &Row) -> Result<Attempt, StoreError> {
    Ok(Attempt {
        secret_hash: row.text("secret_hash")?,
        kind: row.text("kind")?,
        payload_json: row.text("payload_json")?,
        expires_us: row.int("expires_us")?,
    })
}

/// Adds an attempt; one with this secret is a conflict.
pub async fn insert(tx: &mut Tx, attempt: &Attempt) -> Result<(), StoreError> {
    let sql = scoped!(
        "insert into attempt (realm_id, secret_hash, kind, payload_json, expires_us)
         values ($1, $2, $3, $4, $5)"
    );
    let values = params![
        attempt.secret_hash.as_str(),
        attempt.kind.as_str(),
        attempt.payload_json.as_str(),
        attempt.expires_us,
    ];
    tx.execute(sql, values).await?;
    Ok(())
}

/// The attempt of this kind with this secret, if it has not ended.
pub async fn get(tx: &mut Tx, kind: &str, secret_hash: &str, now_us: i64) -> Result<Option<Attempt>, StoreError> {
    let sql = scoped!(
        "select secret_hash, kind, payload_json, expires_us
           from attempt
          where realm_id = $1 and secret_hash = $2 and kind = $3 and expires_us > $4"
    );
    tx.fetch_optional(sql, params![secret_hash, kind, now_us], from_row).await
}

/// Changes what was begun.
pub async fn update(tx: &mut Tx, secret_hash: &str, payload_json: &str) -> Result<u64, StoreError> {
    let sql = scoped!("update attempt set payload_json = $3 where realm_id = $1 and secret_hash = $2");
    tx.execute(sql, params![secret_hash, payload_json]).await
}

/// Ends an attempt. No row touched: somebody else ended it before.
pub async fn delete(tx: &mut Tx, secret_hash: &str) -> Result<u64, StoreError> {
    let sql = scoped!("delete from attempt where realm_id = $1 and secret_hash = $2");
    tx.execute(sql, params![secret_hash]).await
}

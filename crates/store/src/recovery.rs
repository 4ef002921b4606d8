//! Recovery codes: hashes only, each good once.

use crate::sql::{StoreError, Tx, params, scoped};
use base::UserId;

/// Puts a new set in the place of the old one.
pub async fn replace(tx: &mut Tx, user: UserId, hashes: &[String]) -> Result<(), StoreError> {
    delete(tx, user).await?;
    let sql = scoped!(
        "insert into recovery_code (realm_id, user_id, code_hash)
         values ($1, $2, $3)"
    );
    for hash in hashes {
        tx.execute(sql, params![user, hash.as_str()]).await?;
    }
    Ok(())
}

/// Forgets all codes of a user.
pub async fn delete(tx: &mut Tx, user: UserId) -> Result<(), StoreError> {
    let sql = scoped!("delete from recovery_code where realm_id = $1 and user_id = $2");
    tx.execute(sql, params![user]).await?;
    Ok(())
}

/// Hashes of the codes that were not used yet.
pub async fn unused(tx: &mut Tx, user: UserId) -> Result<Vec<String>, StoreError> {
    let sql = scoped!(
        "select code_hash
           from recovery_code
          where realm_id = $1 and user_id = $2 and used_us is null
          order by code_hash"
    );
    tx.fetch_all(sql, params![user], |row| row.text("code_hash")).await
}

/// Uses a code up. No row touched: it was used before.
pub async fn spend(tx: &mut Tx, user: UserId, hash: &str, now_us: i64) -> Result<u64, StoreError> {
    let sql = scoped!(
        "update recovery_code
            set used_us = $4
          where realm_id = $1 and user_id = $2 and code_hash = $3 and used_us is null"
    );
    tx.execute(sql, params![user, hash, now_us]).await
}

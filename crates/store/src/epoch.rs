//! The realm's epoch: a number that grows with every change of who may do what.
//!
//! [`bump`] is the first statement of each such change. It is a lock of the whole realm, so that two changes
//! never judge the same state, and it makes every process forget what it had worked out before.

use crate::sql::{StoreError, Tx, params, scoped};

/// Makes the realm's next epoch; held until the transaction ends.
pub async fn bump(tx: &mut Tx) -> Result<(), StoreError> {
    let sql = scoped!("update realm set epoch = epoch + 1 where realm_id = $1");
    tx.execute(sql, params![]).await?;
    Ok(())
}

/// The realm's epoch; `None` when there is no such realm.
pub async fn get(tx: &mut Tx) -> Result<Option<i64>, StoreError> {
    let sql = scoped!("select epoch from realm where realm_id = $1");
    tx.fetch_optional(sql, params![], |row| row.int("epoch")).await
}

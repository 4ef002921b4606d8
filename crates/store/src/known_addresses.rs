//! Addresses from which somebody signed in: what happens elsewhere delays nobody there.

use crate::sql::{StoreError, Tx, params, scoped};
use base::UserId;

/// Addresses that are kept of one account.
const KEPT_MAX: i64 = 50;

/// Whether somebody signed in from an address at `since_us` or later.
pub async fn is_known(tx: &mut Tx, user: UserId, address: &str, since_us: i64) -> Result<bool, StoreError> {
    let sql = scoped!(
        "select 1 as found
           from known_address
          where realm_id = $1 and user_id = $2 and address = $3 and seen_us >= $4"
    );
    let found = tx.fetch_optional(sql, params![user, address, since_us], |row| row.int("found")).await?;
    Ok(found.is_some())
}

/// Whether anything is known of an account yet: its first address is no news.
pub async fn has_any(tx: &mut Tx, user: UserId) -> Result<bool, StoreError> {
    let sql = scoped!("select 1 as found from known_address where realm_id = $1 and user_id = $2 limit 1");
    Ok(tx.fetch_optional(sql, params![user], |row| row.int("found")).await?.is_some())
}

/// Notes a sign-in. Of very many addresses the oldest are forgotten.
pub async fn touch(tx: &mut Tx, user: UserId, address: &str, now_us: i64) -> Result<(), StoreError> {
    let sql = scoped!(
        "insert into known_address (realm_id, user_id, address, seen_us)
         values ($1, $2, $3, $4)
         on conflict (realm_id, user_id, address) do update set seen_us = excluded.seen_us"
    );
    tx.execute(sql, params![user, address, now_us]).await?;
    let surplus = scoped!(
        "delete from known_address
          where realm_id = $1 and user_id = $2
            and address not in (select address
                                  from known_address
                                 where realm_id = $1 and user_id = $2
                                 order by seen_us desc, address
                                 limit $3)"
    );
    tx.execute(surplus, params![user, KEPT_MAX]).await?;
    Ok(())
}

/// Forgets them all: the account was shut, or its owner does not trust them any more.
pub async fn forget(tx: &mut Tx, user: UserId) -> Result<u64, StoreError> {
    let sql = scoped!("delete from known_address where realm_id = $1 and user_id = $2");
    tx.execute(sql, params![user]).await
}

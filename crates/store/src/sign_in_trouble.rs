//! Failed tries to sign in: one row for each account, address and hour, until it is in the audit log.

use crate::sql::{Row, StoreError, Tx, params, scoped};
use base::UserId;
use serde::Serialize;

/// What went wrong within one hour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// Whose account.
    pub user: UserId,
    /// From where: an address, or a v6 network.
    pub address: String,
    /// When the hour began.
    pub hour_us: i64,
    /// Wrong passwords.
    pub passwords: i64,
    /// Wrong codes.
    pub codes: i64,
    /// How often a delay was met for the first time.
    pub delays: i64,
    /// The first try.
    pub first_us: i64,
    /// The last one.
    pub last_us: i64,
}

/// What is added to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A wrong password.
    Password,
    /// A wrong code.
    Code,
    /// A delay was met.
    Delay,
}

fn from_row(row: &Row) -> Result<Trouble, StoreError> {
    Ok(Trouble {
        user: row.parsed("user_id")?,
        address: row.text("address")?,
        hour_us: row.int("hour_us")?,
        passwords: row.int("passwords")?,
        codes: row.int("codes")?,
        delays: row.int("delays")?,
        first_us: row.int("first_us")?,
        last_us: row.int("last_us")?,
    })
}

/// Counts one more.
pub async fn add(
    tx: &mut Tx,
    (user, address): (UserId, &str),
    kind: Kind,
    (hour_us, now_us): (i64, i64),
) -> Result<(), StoreError> {
    let sql = scoped!(
        "insert into sign_in_trouble (realm_id, user_id, address, hour_us, passwords, codes, delays, first_us, last_us,
                                      noted, answered)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $8, 0, 0)
         on conflict (realm_id, user_id, address, hour_us) do update
            set passwords = sign_in_trouble.passwords + excluded.passwords,
                codes = sign_in_trouble.codes + excluded.codes,
                delays = sign_in_trouble.delays + excluded.delays,
                last_us = excluded.last_us, answered = 0"
    );
    let one = |is: Kind| i64::from(kind == is);
    let (password, code, delay) = (one(Kind::Password), one(Kind::Code), one(Kind::Delay));
    tx.execute(sql, params![user, address, hour_us, password, code, delay, now_us]).await?;
    Ok(())
}

/// Whether a delay was met for an account within this hour, from wherever.
pub async fn is_delayed(tx: &mut Tx, user: UserId, hour_us: i64) -> Result<bool, StoreError> {
    let sql = scoped!(
        "select 1 as found
           from sign_in_trouble
          where realm_id = $1 and user_id = $2 and hour_us = $3 and delays > 0
          limit 1"
    );
    Ok(tx.fetch_optional(sql, params![user, hour_us], |row| row.int("found")).await?.is_some())
}

/// Rows of hours that began at `hour_us` or before and are not in the audit log, the oldest first.
pub async fn unnoted(tx: &mut Tx, hour_us: i64, limit: i64) -> Result<Vec<Trouble>, StoreError> {
    let sql = scoped!(
        "select user_id, address, hour_us, passwords, codes, delays, first_us, last_us
           from sign_in_trouble
          where realm_id = $1 and noted = 0 and hour_us <= $2
          order by hour_us, user_id, address
          limit $3"
    );
    tx.fetch_all(sql, params![hour_us, limit], from_row).await
}

/// Says that a row is in the audit log. 0 when another process was faster.
pub async fn set_noted(tx: &mut Tx, row: &Trouble) -> Result<u64, StoreError> {
    let sql = scoped!(
        "update sign_in_trouble
            set noted = 1
          where realm_id = $1 and user_id = $2 and address = $3 and hour_us = $4 and noted = 0"
    );
    tx.execute(sql, params![row.user, row.address.as_str(), row.hour_us]).await
}

/// What is known of an account's troubles since an instant, the newest first.
pub async fn of_user(tx: &mut Tx, user: UserId, since_us: i64) -> Result<Vec<Trouble>, StoreError> {
    let sql = scoped!(
        "select user_id, address, hour_us, passwords, codes, delays, first_us, last_us
           from sign_in_trouble
          where realm_id = $1 and user_id = $2 and last_us >= $3
          order by last_us desc, address
          limit 200"
    );
    tx.fetch_all(sql, params![user, since_us], from_row).await
}

/// Forgets the troubles of an account, and from where they came.
pub async fn delete_of(tx: &mut Tx, user: UserId) -> Result<u64, StoreError> {
    tx.execute(scoped!("delete from sign_in_trouble where realm_id = $1 and user_id = $2"), params![user]).await
}

/// Takes what went wrong since the last sign-in: the next one is not told of it again.
pub async fn answer(tx: &mut Tx, user: UserId, since_us: i64) -> Result<Vec<Trouble>, StoreError> {
    let sql = scoped!(
        "select user_id, address, hour_us, passwords, codes, delays, first_us, last_us
           from sign_in_trouble
          where realm_id = $1 and user_id = $2 and answered = 0 and last_us >= $3
          order by last_us desc, address"
    );
    let found = tx.fetch_all(sql, params![user, since_us], from_row).await?;
    if !found.is_empty() {
        let done = scoped!("update sign_in_trouble set answered = 1 where realm_id = $1 and user_id = $2");
        tx.execute(done, params![user]).await?;
    }
    Ok(found)
}

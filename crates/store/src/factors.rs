//! Second factors: authenticator apps and passkeys.

use crate::sql::{Row, StoreError, Tx, params, scoped};
use access::tree::MfaPolicy;
use base::{FactorId, UserId};

/// A second factor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Factor {
    /// Its id.
    pub id: FactorId,
    /// Whose.
    pub user: UserId,
    /// `totp` or `passkey`.
    pub kind: String,
    /// What its owner calls it.
    pub name: String,
    /// The shared secret of an authenticator app, sealed; empty for a passkey.
    pub secret_sealed: String,
    /// Public parts of a passkey.
    pub public_json: String,
    /// Hash of a passkey's credential id; empty for an authenticator app.
    pub credential_hash: String,
    /// Whether its owner showed that it works.
    pub confirmed: bool,
    /// Last step used of an authenticator app, counter of a passkey.
    pub counter: i64,
    /// When it was made.
    pub created_us: i64,
    /// When it was last used.
    pub last_used_us: Option<i64>,
}

pub(crate) fn from_row(row: &Row) -> Result<Factor, StoreError> {
    Ok(Factor {
        id: row.parsed("factor_id")?,
        user: row.parsed("user_id")?,
        kind: row.text("kind")?,
        name: row.text("name")?,
        secret_sealed: row.text("secret_sealed")?,
        public_json: row.text("public_json")?,
        credential_hash: row.text("credential_hash")?,
        confirmed: row.int("confirmed")? == 1,
        counter: row.int("counter")?,
        created_us: row.int("created_us")?,
        last_used_us: row.opt_int("last_used_us")?,
    })
}

/// Adds a factor.
pub async fn insert(tx: &mut Tx, factor: &Factor) -> Result<(), StoreError> {
    let sql = scoped!(
        "insert into second_factor (realm_id, factor_id, user_id, kind, name, secret_sealed, public_json, credential_hash,
                                    confirmed, counter, created_us, last_used_us)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
    );
    let values = params![
        factor.id,
        factor.user,
        factor.kind.as_str(),
        factor.name.as_str(),
        factor.secret_sealed.as_str(),
        factor.public_json.as_str(),
        factor.credential_hash.as_str(),
        i64::from(factor.confirmed),
        factor.counter,
        factor.created_us,
        factor.last_used_us,
    ];
    tx.execute(sql, values).await?;
    Ok(())
}

/// Factors of a user, the oldest first.
pub async fn of_user(tx: &mut Tx, user: UserId) -> Result<Vec<Factor>, StoreError> {
    let sql = scoped!(
        "select factor_id, user_id, kind, name, secret_sealed, public_json, credential_hash, confirmed, counter, created_us,
                last_used_us
           from second_factor
          where realm_id = $1 and user_id = $2
          order by created_us, factor_id"
    );
    tx.fetch_all(sql, params![user], from_row).await
}

/// Notes that a factor was used, and with what counter: only if the counter is still the one that was looked
/// at. No row touched means that somebody else used the same thing in the same moment.
pub async fn advance(tx: &mut Tx, factor: FactorId, from: i64, to: i64, now_us: i64) -> Result<u64, StoreError> {
    let sql = scoped!(
        "update second_factor
            set counter = $4, last_used_us = $5, confirmed = 1
          where realm_id = $1 and factor_id = $2 and counter = $3"
    );
    tx.execute(sql, params![factor, from, to, now_us]).await
}

/// Removes a factor.
pub async fn delete(tx: &mut Tx, user: UserId, factor: FactorId) -> Result<u64, StoreError> {
    crate::watch::user(tx, user).await?;
    let sql = scoped!("delete from second_factor where realm_id = $1 and user_id = $2 and factor_id = $3");
    tx.execute(sql, params![user, factor]).await
}

/// Removes all of a user; says how many there were.
pub async fn delete_of(tx: &mut Tx, user: UserId) -> Result<u64, StoreError> {
    crate::watch::user(tx, user).await?;
    let sql = scoped!("delete from second_factor where realm_id = $1 and user_id = $2");
    tx.execute(sql, params![user]).await
}

/// Removes what its owner began to set up and never confirmed.
pub async fn delete_unconfirmed(tx: &mut Tx, user: UserId) -> Result<u64, StoreError> {
    let sql = scoped!("delete from second_factor where realm_id = $1 and user_id = $2 and confirmed = 0");
    tx.execute(sql, params![user]).await
}

/// How a user stands to second factors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The strictest rule of the organisations he belongs to, and of those above them.
    pub policy: MfaPolicy,
    /// Whether he has a confirmed factor.
    pub has_factor: bool,
}

/// How a user stands to second factors.
pub async fn standing(tx: &mut Tx, user: UserId) -> Result<Standing, StoreError> {
    let rules = scoped!(
        "select distinct o.mfa_policy
           from org o
          where o.realm_id = $1
            and o.org_id in (select a.ancestor_id
                               from org_above a
                              where a.realm_id = $1
                                and a.org_id in (select m.org_id
                                                   from membership m
                                                  where m.realm_id = $1 and m.user_id = $2 and m.state = 'active'))"
    );
    let read = |row: &Row| {
        let value = row.text("mfa_policy")?;
        MfaPolicy::from_code(&value).ok_or(StoreError::Corrupt { column: "mfa_policy".to_owned(), value })
    };
    let policy = tx.fetch_all(rules, params![user], read).await?.into_iter().max().unwrap_or(MfaPolicy::Off);
    let factors = scoped!(
        "select count(*) as factors
           from second_factor
          where realm_id = $1 and user_id = $2 and confirmed = 1"
    );
    let count = tx.fetch_one("count", factors, params![user], |row| row.int("factors")).await?;
    Ok(Standing { policy, has_factor: count > 0 })
}

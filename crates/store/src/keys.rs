//! Virtual S3 access keys. The secret is sealed, since signatures are verified with it.

use crate::sql::{Row, StoreError, Tx, params, scoped};
use base::{OrgId, UserId};
use serde::Serialize;

/// A virtual access key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AccessKey {
    /// The public id that clients send.
    pub key_id: String,
    /// Who is charged.
    pub org: OrgId,
    /// Who uses it.
    pub user: UserId,
    /// What it is for.
    pub name: String,
    /// The sealed secret.
    #[serde(skip)]
    pub secret_sealed: String,
    /// When it was made.
    pub created_us: i64,
    /// When it was revoked.
    pub revoked_us: Option<i64>,
}

pub(crate) fn from_row(row: &Row) -> Result<AccessKey, StoreError> {
    Ok(AccessKey {
        key_id: row.text("key_id")?,
        org: row.parsed("org_id")?,
        user: row.parsed("user_id")?,
        name: row.text("name")?,
        secret_sealed: row.text("secret_sealed")?,
        created_us: row.int("created_us")?,
        revoked_us: row.opt_int("revoked_us")?,
    })
}

/// Adds a key.
pub async fn insert(tx: &mut Tx, key: &AccessKey) -> Result<(), StoreError> {
    let sql = scoped!(
        "insert into access_key (realm_id, key_id, org_id, user_id, name, secret_sealed, created_us, revoked_us)
         values ($1, $2, $3, $4, $5, $6, $7, $8)"
    );
    let values = params![
        key.key_id.as_str(),
        key.org,
        key.user,
        key.name.as_str(),
        key.secret_sealed.as_str(),
        key.created_us,
        key.revoked_us,
    ];
    tx.execute(sql, values).await?;
    Ok(())
}

/// One key.
pub async fn get(tx: &mut Tx, key_id: &str) -> Result<AccessKey, StoreError> {
    let sql = scoped!(
        "select key_id, org_id, user_id, name, secret_sealed, created_us, revoked_us
           from access_key
          where realm_id = $1 and key_id = $2"
    );
    tx.fetch_one("access key", sql, params![key_id], from_row).await
}

/// Keys of one user.
pub async fn of_user(tx: &mut Tx, user: UserId) -> Result<Vec<AccessKey>, StoreError> {
    let sql = scoped!(
        "select key_id, org_id, user_id, name, secret_sealed, created_us, revoked_us
           from access_key
          where realm_id = $1 and user_id = $2
          order by created_us desc, key_id"
    );
    tx.fetch_all(sql, params![user], from_row).await
}

/// Keys charged to `org` or below.
pub async fn below(tx: &mut Tx, org: OrgId) -> Result<Vec<AccessKey>, StoreError> {
    let sql = scoped!(
        "select k.key_id, k.org_id, k.user_id, k.name, k.secret_sealed, k.created_us, k.revoked_us
           from access_key k
           join org_above a on a.realm_id = k.realm_id and a.org_id = k.org_id
          where k.realm_id = $1 and a.ancestor_id = $2
          order by k.created_us desc, k.key_id"
    );
    tx.fetch_all(sql, params![org], from_row).await
}

/// Revokes a key.
pub async fn revoke(tx: &mut Tx, key_id: &str, now_us: i64) -> Result<u64, StoreError> {
    let sql = scoped!(
        "update access_key
            set revoked_us = $3
          where realm_id = $1 and key_id = $2 and revoked_us is null"
    );
    tx.execute(sql, params![key_id, now_us]).await
}

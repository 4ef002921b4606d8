//! People.

use crate::sql::{Row, StoreError, Tx, params, scoped};
use base::{OrgId, UserId};
use serde::Serialize;

/// A person. Exists once per realm, whatever he may do where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct User {
    /// His id.
    pub id: UserId,
    /// Where he was made.
    pub home_org: OrgId,
    /// Address as he wrote it.
    pub email: String,
    /// Name as shown.
    pub display_name: String,
    /// argon2id hash; empty when he has no password.
    #[serde(skip)]
    pub password_hash: String,
    /// `active` or `suspended`.
    pub state: String,
    /// When he was made.
    pub created_us: i64,
}

pub(crate) fn from_row(row: &Row) -> Result<User, StoreError> {
    Ok(User {
        id: row.parsed("user_id")?,
        home_org: row.parsed("home_org_id")?,
        email: row.text("email")?,
        display_name: row.text("display_name")?,
        password_hash: row.text("password_hash")?,
        state: row.text("state")?,
        created_us: row.int("created_us")?,
    })
}

/// The form in which two addresses are compared: trimmed and lower case.
#[must_use]
pub fn email_key(email: &str) -> String {
    email.trim().to_lowercase()
}

/// One user.
pub async fn get(tx: &mut Tx, user: UserId) -> Result<User, StoreError> {
    let sql = scoped!(
        "select user_id, home_org_id, email, display_name, password_hash, state, created_us
           from user_account
          where realm_id = $1 and user_id = $2"
    );
    tx.fetch_one("user", sql, params![user], from_row).await
}

/// The user with this address, if the realm has one.
pub async fn by_email(tx: &mut Tx, email: &str) -> Result<Option<User>, StoreError> {
    let sql = scoped!(
        "select user_id, home_org_id, email, display_name, password_hash, state, created_us
           from user_account
          where realm_id = $1 and email_key = $2"
    );
    tx.fetch_optional(sql, params![email_key(email)], from_row).await
}

/// People with a role at `org` or below, by name.
pub async fn below(tx: &mut Tx, org: OrgId) -> Result<Vec<User>, StoreError> {
    let sql = scoped!(
        "select u.user_id, u.home_org_id, u.email, u.display_name, u.password_hash, u.state, u.created_us
           from user_account u
          where u.realm_id = $1
            and exists (select 1
                          from binding b
                          join org_above a on a.realm_id = b.realm_id and a.org_id = b.scope_org_id
                         where b.realm_id = u.realm_id and b.user_id = u.user_id and a.ancestor_id = $2)
          order by u.email_key"
    );
    tx.fetch_all(sql, params![org], from_row).await
}

/// Adds a user.
pub async fn insert(tx: &mut Tx, user: &User) -> Result<(), StoreError> {
    let sql = scoped!(
        "insert into user_account (realm_id, user_id, home_org_id, email, email_key, display_name, password_hash, state,
                                   created_us)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
    );
    let values = params![
        user.id,
        user.home_org,
        user.email.trim(),
        email_key(&user.email),
        user.display_name.as_str(),
        user.password_hash.as_str(),
        user.state.as_str(),
        user.created_us,
    ];
    tx.execute(sql, values).await?;
    Ok(())
}

/// Sets a new password hash.
pub async fn set_password(tx: &mut Tx, user: UserId, password_hash: &str) -> Result<(), StoreError> {
    let sql = scoped!("update user_account set password_hash = $3 where realm_id = $1 and user_id = $2");
    tx.execute(sql, params![user, password_hash]).await?;
    Ok(())
}

//! API tokens. Only a hash is stored; the secret is shown once.

use crate::sql::{Row, StoreError, Tx, params, scoped};
use base::{TokenId, UserId};
use serde::Serialize;

/// A personal token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Token {
    /// Its id.
    pub id: TokenId,
    /// Whose rights it carries.
    pub user: UserId,
    /// Hash of the secret.
    #[serde(skip)]
    pub secret_hash: String,
    /// What it is for.
    pub name: String,
    /// When it was made.
    pub created_us: i64,
    /// When it ends.
    pub expires_us: i64,
    /// When it was revoked.
    pub revoked_us: Option<i64>,
}

fn from_row(row: &Row) -> Result<Token, StoreError> {
    Ok(Token {
        id: row.parsed("token_id")?,
        user: row.parsed("user_id")?,
        secret_hash: row.text("secret_hash")?,
        name: row.text("name")?,
        created_us: row.int("created_us")?,
        expires_us: row.int("expires_us")?,
        revoked_us: row.opt_int("revoked_us")?,
    })
}

/// Adds a token.
pub async fn insert(tx: &mut Tx, token: &Token) -> Result<(), StoreError> {
    let sql = scoped!(
        "insert into api_token (realm_id, token_id, user_id, secret_hash, name, created_us, expires_us, revoked_us)
         values ($1, $2, $3, $4, $5, $6, $7, $8)"
    );
    let values = params![
        token.id,
        token.user,
        token.secret_hash.as_str(),
        token.name.as_str(),
        token.created_us,
        token.expires_us,
        token.revoked_us,
    ];
    tx.execute(sql, values).await?;
    Ok(())
}

/// The token with this secret, live or not.
pub async fn by_secret(tx: &mut Tx, secret_hash: &str) -> Result<Option<Token>, StoreError> {
    let sql = scoped!(
        "select token_id, user_id, secret_hash, name, created_us, expires_us, revoked_us
           from api_token
          where realm_id = $1 and secret_hash = $2"
    );
    tx.fetch_optional(sql, params![secret_hash], from_row).await
}

/// All tokens of a user, newest first.
pub async fn of_user(tx: &mut Tx, user: UserId) -> Result<Vec<Token>, StoreError> {
    let sql = scoped!(
        "select token_id, user_id, secret_hash, name, created_us, expires_us, revoked_us
           from api_token
          where realm_id = $1 and user_id = $2
          order by token_id desc"
    );
    tx.fetch_all(sql, params![user], from_row).await
}

/// Revokes one token of a user.
pub async fn revoke(tx: &mut Tx, user: UserId, token: TokenId, now_us: i64) -> Result<u64, StoreError> {
    let sql = scoped!(
        "update api_token
            set revoked_us = $4
          where realm_id = $1 and user_id = $2 and token_id = $3 and revoked_us is null"
    );
    tx.execute(sql, params![user, token, now_us]).await
}

/// Revokes all tokens of a user.
pub async fn revoke_of(tx: &mut Tx, user: UserId, now_us: i64) -> Result<u64, StoreError> {
    let sql = scoped!(
        "update api_token
            set revoked_us = $3
          where realm_id = $1 and user_id = $2 and revoked_us is null"
    );
    tx.execute(sql, params![user, now_us]).await
}

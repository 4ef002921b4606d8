//! API tokens. Only a hash is stored; the secret is shown once.

use crate::sql::{Row, StoreError, Tx, params, scoped, to_json};
use base::{OrgId, TokenId, UserId};
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
    /// `personal`, `programmatic` or `scim`.
    pub kind: String,
    /// Only there and below; everywhere if `None`.
    pub scope_org: Option<OrgId>,
    /// Patterns of actions.
    pub actions: Vec<String>,
    /// Its first characters, by which people know it again.
    pub prefix: String,
    /// When its maker had proved who he is, if it was made by a sign-in.
    pub proved_us: Option<i64>,
    /// When it was last used, to the minute.
    pub last_used_us: Option<i64>,
    /// Why it was revoked.
    pub revoke_reason: String,
    /// Who made it.
    pub created_by: String,
}

pub(crate) fn from_row(row: &Row) -> Result<Token, StoreError> {
    Ok(Token {
        id: row.parsed("token_id")?,
        user: row.parsed("user_id")?,
        secret_hash: row.text("secret_hash")?,
        name: row.text("name")?,
        created_us: row.int("created_us")?,
        expires_us: row.int("expires_us")?,
        revoked_us: row.opt_int("revoked_us")?,
        kind: row.text("kind")?,
        scope_org: row.opt_parsed("scope_org_id")?,
        actions: row.json("actions_json")?,
        prefix: row.text("prefix")?,
        proved_us: row.opt_int("proved_us")?,
        last_used_us: row.opt_int("last_used_us")?,
        revoke_reason: row.text("revoke_reason")?,
        created_by: row.text("created_by")?,
    })
}

/// Adds a token.
pub async fn insert(tx: &mut Tx, token: &Token) -> Result<(), StoreError> {
    let sql = scoped!(
        "insert into api_token (realm_id, token_id, user_id, secret_hash, name, created_us, expires_us, revoked_us,
                                kind, scope_org_id, actions_json, prefix, proved_us, created_by)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)"
    );
    let values = params![
        token.id,
        token.user,
        token.secret_hash.as_str(),
        token.name.as_str(),
        token.created_us,
        token.expires_us,
        token.revoked_us,
        token.kind.as_str(),
        token.scope_org,
        to_json(&token.actions),
        token.prefix.as_str(),
        token.proved_us,
        token.created_by.as_str(),
    ];
    tx.execute(sql, values).await?;
    Ok(())
}

/// One token.
pub async fn get(tx: &mut Tx, token: TokenId) -> Result<Token, StoreError> {
    let sql = scoped!(
        "select token_id, user_id, secret_hash, name, created_us, expires_us, revoked_us, kind, scope_org_id, actions_json,
                prefix, proved_us, last_used_us, revoke_reason, created_by
           from api_token
          where realm_id = $1 and token_id = $2"
    );
    tx.fetch_one("token", sql, params![token], from_row).await
}

/// Tokens of the people and services at `org` and below, newest first.
pub async fn below(tx: &mut Tx, org: OrgId) -> Result<Vec<Token>, StoreError> {
    let sql = scoped!(
        "select t.token_id, t.user_id, t.secret_hash, t.name, t.created_us, t.expires_us, t.revoked_us, t.kind, t.scope_org_id,
                t.actions_json, t.prefix, t.proved_us, t.last_used_us, t.revoke_reason, t.created_by
           from api_token t
           join org_above a on a.realm_id = t.realm_id and a.org_id = t.scope_org_id
          where t.realm_id = $1 and a.ancestor_id = $2
          order by t.token_id desc"
    );
    tx.fetch_all(sql, params![org], from_row).await
}

/// Notes that a token was used.
pub async fn touch(tx: &mut Tx, token: TokenId, now_us: i64) -> Result<(), StoreError> {
    let sql = scoped!("update api_token set last_used_us = $3 where realm_id = $1 and token_id = $2");
    tx.execute(sql, params![token, now_us]).await?;
    Ok(())
}

/// All tokens of a user, newest first.
pub async fn of_user(tx: &mut Tx, user: UserId) -> Result<Vec<Token>, StoreError> {
    let sql = scoped!(
        "select token_id, user_id, secret_hash, name, created_us, expires_us, revoked_us, kind, scope_org_id, actions_json,
                prefix, proved_us, last_used_us, revoke_reason, created_by
           from api_token
          where realm_id = $1 and user_id = $2
          order by token_id desc"
    );
    tx.fetch_all(sql, params![user], from_row).await
}

/// Revokes one token.
pub async fn revoke(tx: &mut Tx, token: TokenId, now_us: i64, reason: &str) -> Result<u64, StoreError> {
    let sql = scoped!(
        "update api_token
            set revoked_us = $3, revoke_reason = $4
          where realm_id = $1 and token_id = $2 and revoked_us is null"
    );
    tx.execute(sql, params![token, now_us, reason]).await
}

/// Revokes all tokens of a user.
pub async fn revoke_of(tx: &mut Tx, user: UserId, now_us: i64, reason: &str) -> Result<u64, StoreError> {
    let sql = scoped!(
        "update api_token
            set revoked_us = $3, revoke_reason = $4
          where realm_id = $1 and user_id = $2 and revoked_us is null"
    );
    tx.execute(sql, params![user, now_us, reason]).await
}

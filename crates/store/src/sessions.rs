//! Console sessions. Only a hash of the cookie's secret is stored.

use crate::sql::{StoreError, Tx, params, scoped};
use base::UserId;

/// A session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Hash of the secret in the cookie.
    pub secret_hash: String,
    /// Who is signed in.
    pub user: UserId,
    /// Token that every form carries.
    pub csrf: String,
    /// When it began.
    pub created_us: i64,
    /// When it was last used.
    pub seen_us: i64,
    /// When it ends at the latest.
    pub expires_us: i64,
}

/// Adds a session.
pub async fn insert(tx: &mut Tx, session: &Session) -> Result<(), StoreError> {
    let sql = scoped!(
        "insert into session (realm_id, secret_hash, user_id, csrf, created_us, seen_us, expires_us)
         values ($1, $2, $3, $4, $5, $6, $7)"
    );
    let values = params![
        session.secret_hash.as_str(),
        session.user,
        session.csrf.as_str(),
        session.created_us,
        session.seen_us,
        session.expires_us,
    ];
    tx.execute(sql, values).await?;
    Ok(())
}

/// The session with this secret.
pub async fn get(tx: &mut Tx, secret_hash: &str) -> Result<Option<Session>, StoreError> {
    let sql = scoped!(
        "select secret_hash, user_id, csrf, created_us, seen_us, expires_us
           from session
          where realm_id = $1 and secret_hash = $2"
    );
    tx.fetch_optional(sql, params![secret_hash], |row| {
        Ok(Session {
            secret_hash: row.text("secret_hash")?,
            user: row.parsed("user_id")?,
            csrf: row.text("csrf")?,
            created_us: row.int("created_us")?,
            seen_us: row.int("seen_us")?,
            expires_us: row.int("expires_us")?,
        })
    })
    .await
}

/// Notes that the session was used.
pub async fn touch(tx: &mut Tx, secret_hash: &str, seen_us: i64) -> Result<(), StoreError> {
    let sql = scoped!("update session set seen_us = $3 where realm_id = $1 and secret_hash = $2");
    tx.execute(sql, params![secret_hash, seen_us]).await?;
    Ok(())
}

/// Ends one session.
pub async fn delete(tx: &mut Tx, secret_hash: &str) -> Result<(), StoreError> {
    let sql = scoped!("delete from session where realm_id = $1 and secret_hash = $2");
    tx.execute(sql, params![secret_hash]).await?;
    Ok(())
}

/// Ends all sessions of a user.
pub async fn delete_of(tx: &mut Tx, user: UserId) -> Result<(), StoreError> {
    let sql = scoped!("delete from session where realm_id = $1 and user_id = $2");
    tx.execute(sql, params![user]).await?;
    Ok(())
}

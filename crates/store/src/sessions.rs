//! Console sessions. Only a hash of the cookie's secret is stored.

use crate::sql::{Row, StoreError, Tx, params, scoped};
use base::{SessionId, UserId};

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
    /// What people call it by; not a secret.
    pub id: SessionId,
    /// When its holder last proved who he is.
    pub proved_us: i64,
    /// Address of the client that began it.
    pub ip: String,
    /// What the client said it is.
    pub agent: String,
    /// `enrol` when nothing but setting up a second factor is allowed; else empty.
    pub limited_to: String,
    /// How he proved it: `password`, `code`, `recovery_code`, `passkey`, `sso`, `sso_mfa`.
    pub proof: String,
}

fn from_row(row: &Row) -> Result<Session, StoreError> {
    Ok(Session {
        secret_hash: row.text("secret_hash")?,
        user: row.parsed("user_id")?,
        csrf: row.text("csrf")?,
        created_us: row.int("created_us")?,
        seen_us: row.int("seen_us")?,
        expires_us: row.int("expires_us")?,
        id: row.parsed("session_id")?,
        proved_us: row.int("proved_us")?,
        ip: row.text("ip")?,
        agent: row.text("agent")?,
        limited_to: row.text("limited_to")?,
        proof: row.text("proof")?,
    })
}

/// Adds a session.
pub async fn insert(tx: &mut Tx, session: &Session) -> Result<(), StoreError> {
    let sql = scoped!(
        "insert into session (realm_id, secret_hash, user_id, csrf, created_us, seen_us, expires_us, session_id, proved_us, ip,
                              agent, limited_to, proof)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"
    );
    let values = params![
        session.secret_hash.as_str(),
        session.user,
        session.csrf.as_str(),
        session.created_us,
        session.seen_us,
        session.expires_us,
        session.id,
        session.proved_us,
        session.ip.as_str(),
        session.agent.as_str(),
        session.limited_to.as_str(),
        session.proof.as_str(),
    ];
    tx.execute(sql, values).await?;
    Ok(())
}

/// The session with this secret. Sessions from before there were ids have ended.
pub async fn get(tx: &mut Tx, secret_hash: &str) -> Result<Option<Session>, StoreError> {
    let sql = scoped!(
        "select secret_hash, user_id, csrf, created_us, seen_us, expires_us, session_id, proved_us, ip, agent, limited_to,
                proof
           from session
          where realm_id = $1 and secret_hash = $2 and session_id <> ''"
    );
    tx.fetch_optional(sql, params![secret_hash], from_row).await
}

/// Live sessions of a user, the newest first.
pub async fn of_user(tx: &mut Tx, user: UserId, now_us: i64) -> Result<Vec<Session>, StoreError> {
    let sql = scoped!(
        "select secret_hash, user_id, csrf, created_us, seen_us, expires_us, session_id, proved_us, ip, agent, limited_to,
                proof
           from session
          where realm_id = $1 and user_id = $2 and expires_us > $3 and session_id <> ''
          order by created_us desc, session_id"
    );
    tx.fetch_all(sql, params![user, now_us], from_row).await
}

/// Notes that the holder proved once more who he is. The session gets a new secret with it.
pub async fn prove(
    tx: &mut Tx,
    secret_hash: &str,
    new_secret_hash: &str,
    proved_us: i64,
    (limited_to, proof): (&str, &str),
) -> Result<u64, StoreError> {
    let sql = scoped!(
        "update session
            set secret_hash = $3, proved_us = $4, limited_to = $5,
                proof = case when proof = 'sso_mfa' then proof else $6 end
          where realm_id = $1 and secret_hash = $2"
    );
    tx.execute(sql, params![secret_hash, new_secret_hash, proved_us, limited_to, proof]).await
}

/// Ends one of a user's sessions by the name that he sees.
pub async fn delete_named(tx: &mut Tx, user: UserId, session: SessionId) -> Result<u64, StoreError> {
    let sql = scoped!("delete from session where realm_id = $1 and user_id = $2 and session_id = $3");
    tx.execute(sql, params![user, session]).await
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

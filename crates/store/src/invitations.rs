//! Invitations: single use, bound to an address, seven days.

use crate::sql::{Row, StoreError, Tx, params, scoped};
use access::{PolicyRef, Propagate};
use base::{InvitationId, OrgId, UserId};
use serde::Serialize;

/// An invitation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Invitation {
    /// Its id.
    pub id: InvitationId,
    /// Where to.
    pub org: OrgId,
    /// To whom.
    pub email: String,
    /// As what.
    pub policy: PolicyRef,
    /// How far that reaches.
    pub propagate: Propagate,
    /// Hash of the secret in the link.
    #[serde(skip)]
    pub secret_hash: String,
    /// By whom.
    pub invited_by: UserId,
    /// `pending`, `accepted`, `declined`, `cancelled`.
    pub state: String,
    /// When it was made.
    pub created_us: i64,
    /// When it ends.
    pub expires_us: i64,
}

fn from_row(row: &Row) -> Result<Invitation, StoreError> {
    Ok(Invitation {
        id: row.parsed("invitation_id")?,
        org: row.parsed("org_id")?,
        email: row.text("email")?,
        policy: row.parsed("role")?,
        propagate: crate::bindings::propagate(row)?,
        secret_hash: row.text("secret_hash")?,
        invited_by: row.parsed("invited_by")?,
        state: row.text("state")?,
        created_us: row.int("created_us")?,
        expires_us: row.int("expires_us")?,
    })
}

/// Adds an invitation; an earlier one to the same address at the same place is cancelled.
pub async fn insert(tx: &mut Tx, invitation: &Invitation) -> Result<(), StoreError> {
    let cancel = scoped!(
        "update invitation
            set state = 'cancelled'
          where realm_id = $1 and org_id = $2 and email_key = $3 and state = 'pending'"
    );
    let email_key = crate::users::email_key(&invitation.email);
    tx.execute(cancel, params![invitation.org, email_key.as_str()]).await?;
    let sql = scoped!(
        "insert into invitation (realm_id, invitation_id, org_id, email, email_key, role, secret_hash, invited_by, state,
                                 created_us, expires_us, propagate)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
    );
    let values = params![
        invitation.id,
        invitation.org,
        invitation.email.as_str(),
        email_key,
        invitation.policy.to_string(),
        invitation.secret_hash.as_str(),
        invitation.invited_by,
        invitation.state.as_str(),
        invitation.created_us,
        invitation.expires_us,
        invitation.propagate.code(),
    ];
    tx.execute(sql, values).await?;
    Ok(())
}

/// The invitation with this secret.
pub async fn by_secret(tx: &mut Tx, secret_hash: &str) -> Result<Option<Invitation>, StoreError> {
    let sql = scoped!(
        "select invitation_id, org_id, email, role, secret_hash, invited_by, state, created_us, expires_us, propagate
           from invitation
          where realm_id = $1 and secret_hash = $2"
    );
    tx.fetch_optional(sql, params![secret_hash], from_row).await
}

/// Invitations to `org` that still wait.
pub async fn pending_at(tx: &mut Tx, org: OrgId) -> Result<Vec<Invitation>, StoreError> {
    let sql = scoped!(
        "select invitation_id, org_id, email, role, secret_hash, invited_by, state, created_us, expires_us, propagate
           from invitation
          where realm_id = $1 and org_id = $2 and state = 'pending'
          order by invitation_id"
    );
    tx.fetch_all(sql, params![org], from_row).await
}

/// Ends a pending invitation as `accepted`, `declined` or `cancelled`; 0 when somebody was faster.
pub async fn settle(tx: &mut Tx, invitation: InvitationId, state: &str) -> Result<u64, StoreError> {
    let sql = scoped!(
        "update invitation
            set state = $3
          where realm_id = $1 and invitation_id = $2 and state = 'pending'"
    );
    tx.execute(sql, params![invitation, state]).await
}

/// Forgets all invitations to an address, settled ones too.
pub async fn delete_to(tx: &mut Tx, email: &str) -> Result<(), StoreError> {
    let key = base::text::email_key(email);
    let sql = scoped!("select invitation_id, email from invitation where realm_id = $1");
    let read = |row: &Row| Ok((row.parsed::<InvitationId>("invitation_id")?, row.text("email")?));
    for (invitation, to) in tx.fetch_all(sql, params![], read).await? {
        // Compared here: an address has many ways to be written.
        if base::text::email_key(&to) == key {
            let sql = scoped!("delete from invitation where realm_id = $1 and invitation_id = $2");
            tx.execute(sql, params![invitation]).await?;
        }
    }
    Ok(())
}

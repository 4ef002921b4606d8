//! Where people belong: one row for each organisation that a user is a member of.

use crate::sql::{Row, StoreError, Tx, params, scoped};
use base::{OrgId, UserId};
use serde::Serialize;

/// A membership.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Membership {
    /// Who.
    pub user: UserId,
    /// Where.
    pub org: OrgId,
    /// `active` or `suspended`.
    pub state: String,
    /// `local`, `invite`, `sso` or `scim`: who keeps it.
    pub source: String,
    /// Since when.
    pub created_us: i64,
    /// By whom.
    pub created_by: String,
}

fn from_row(row: &Row) -> Result<Membership, StoreError> {
    Ok(Membership {
        user: row.parsed("user_id")?,
        org: row.parsed("org_id")?,
        state: row.text("state")?,
        source: row.text("source")?,
        created_us: row.int("created_us")?,
        created_by: row.text("created_by")?,
    })
}

/// Makes a user a member; 0 when they are one already, and nothing has changed then.
pub async fn insert(tx: &mut Tx, membership: &Membership) -> Result<u64, StoreError> {
    let sql = scoped!(
        "insert into membership (realm_id, user_id, org_id, state, source, created_us, created_by)
         values ($1, $2, $3, $4, $5, $6, $7)
         on conflict (realm_id, user_id, org_id) do nothing"
    );
    let values = params![
        membership.user,
        membership.org,
        membership.state.as_str(),
        membership.source.as_str(),
        membership.created_us,
        membership.created_by.as_str(),
    ];
    tx.execute(sql, values).await
}

/// Where a user is a member, suspended memberships included.
pub async fn of_user(tx: &mut Tx, user: UserId) -> Result<Vec<Membership>, StoreError> {
    let sql = scoped!(
        "select user_id, org_id, state, source, created_us, created_by
           from membership
          where realm_id = $1 and user_id = $2
          order by created_us, org_id"
    );
    tx.fetch_all(sql, params![user], from_row).await
}

/// The membership of a user at one organisation.
pub async fn get(tx: &mut Tx, user: UserId, org: OrgId) -> Result<Option<Membership>, StoreError> {
    let sql = scoped!(
        "select user_id, org_id, state, source, created_us, created_by
           from membership
          where realm_id = $1 and user_id = $2 and org_id = $3"
    );
    tx.fetch_optional(sql, params![user, org], from_row).await
}

/// Members of `org` itself.
pub async fn at_org(tx: &mut Tx, org: OrgId) -> Result<Vec<Membership>, StoreError> {
    let sql = scoped!(
        "select user_id, org_id, state, source, created_us, created_by
           from membership
          where realm_id = $1 and org_id = $2
          order by created_us, user_id"
    );
    tx.fetch_all(sql, params![org], from_row).await
}

/// Suspends or reactivates a membership.
pub async fn set_state(tx: &mut Tx, user: UserId, org: OrgId, state: &str) -> Result<u64, StoreError> {
    crate::watch::user(tx, user).await?;
    let sql = scoped!("update membership set state = $4 where realm_id = $1 and user_id = $2 and org_id = $3");
    tx.execute(sql, params![user, org, state]).await
}

/// Ends a membership.
pub async fn delete(tx: &mut Tx, user: UserId, org: OrgId) -> Result<u64, StoreError> {
    crate::watch::user(tx, user).await?;
    let sql = scoped!("delete from membership where realm_id = $1 and user_id = $2 and org_id = $3");
    tx.execute(sql, params![user, org]).await
}

//! Organisations that somebody marked, to find them again.

use crate::sql::{StoreError, Tx, params, scoped};
use base::{OrgId, UserId};

/// Those of a user.
pub async fn of_user(tx: &mut Tx, user: UserId) -> Result<Vec<OrgId>, StoreError> {
    let sql = scoped!(
        "select f.org_id
           from favourite_org f
           join org o on o.realm_id = f.realm_id and o.org_id = f.org_id
          where f.realm_id = $1 and f.user_id = $2 and o.state <> 'deleted'
          order by o.name_key, o.org_id"
    );
    tx.fetch_all(sql, params![user], |row| row.parsed("org_id")).await
}

/// Marks one; a second time changes nothing.
pub async fn insert(tx: &mut Tx, user: UserId, org: OrgId) -> Result<u64, StoreError> {
    let sql = scoped!(
        "insert into favourite_org (realm_id, user_id, org_id)
         values ($1, $2, $3)
             on conflict (realm_id, user_id, org_id) do nothing"
    );
    tx.execute(sql, params![user, org]).await
}

/// Takes a mark away.
pub async fn delete(tx: &mut Tx, user: UserId, org: OrgId) -> Result<u64, StoreError> {
    let sql = scoped!("delete from favourite_org where realm_id = $1 and user_id = $2 and org_id = $3");
    tx.execute(sql, params![user, org]).await
}

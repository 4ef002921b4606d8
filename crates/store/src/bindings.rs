//! Roles given to people.

use crate::sql::{Row, StoreError, Tx, params, scoped};
use access::{Binding, Role};
use base::{BindingId, OrgId, UserId};

/// A binding with its id and holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Its id.
    pub id: BindingId,
    /// Who holds it.
    pub user: UserId,
    /// Role and place.
    pub binding: Binding,
}

fn from_row(row: &Row) -> Result<Held, StoreError> {
    let code = row.text("role")?;
    let role =
        Role::from_code(&code).ok_or_else(|| StoreError::Corrupt { column: "role".to_owned(), value: code.clone() })?;
    let binding = Binding { role, scope: row.parsed("scope_org_id")? };
    Ok(Held { id: row.parsed("binding_id")?, user: row.parsed("user_id")?, binding })
}

/// Everything a user was given.
pub async fn of_user(tx: &mut Tx, user: UserId) -> Result<Vec<Held>, StoreError> {
    let sql = scoped!(
        "select binding_id, user_id, role, scope_org_id
           from binding
          where realm_id = $1 and user_id = $2
          order by binding_id"
    );
    tx.fetch_all(sql, params![user], from_row).await
}

/// Everything given at `org` itself.
pub async fn at_org(tx: &mut Tx, org: OrgId) -> Result<Vec<Held>, StoreError> {
    let sql = scoped!(
        "select binding_id, user_id, role, scope_org_id
           from binding
          where realm_id = $1 and scope_org_id = $2
          order by binding_id"
    );
    tx.fetch_all(sql, params![org], from_row).await
}

/// Gives a role; giving the same role twice changes nothing.
pub async fn insert(tx: &mut Tx, held: &Held, created_us: i64) -> Result<(), StoreError> {
    let sql = scoped!(
        "insert into binding (realm_id, binding_id, user_id, role, scope_org_id, created_us)
         values ($1, $2, $3, $4, $5, $6)
         on conflict (realm_id, user_id, scope_org_id, role) do nothing"
    );
    tx.execute(sql, params![held.id, held.user, held.binding.role.code(), held.binding.scope, created_us]).await?;
    Ok(())
}

/// Takes every role of `user` at `org` away; says how many there were.
pub async fn remove(tx: &mut Tx, user: UserId, org: OrgId) -> Result<u64, StoreError> {
    let sql = scoped!("delete from binding where realm_id = $1 and user_id = $2 and scope_org_id = $3");
    tx.execute(sql, params![user, org]).await
}

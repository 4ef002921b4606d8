//! Which organisations a transaction may leave without anybody who can run them.
//!
//! Every statement that can take a right, a way to sign in or a membership away notes here, before it runs, the
//! organisations that are run by whoever it touches. Whoever commits looks at them again afterwards: the check cannot
//! be forgotten, since nothing else writes these tables.

use crate::sql::{StoreError, Tx, params, scoped};
use base::{GroupId, IdpId, OrgId, PolicyId, UserId};

/// Notes the organisations that a user runs.
pub(crate) async fn user(tx: &mut Tx, user: UserId) -> Result<(), StoreError> {
    let places = crate::bindings::admin_places_of(tx, user).await?;
    tx.watch(places);
    Ok(())
}

/// Notes the organisations that somebody in a group runs, through it or otherwise.
pub(crate) async fn group(tx: &mut Tx, group: GroupId) -> Result<(), StoreError> {
    let sql = scoped!(
        "select o.org_id
           from org o
          where o.realm_id = $1 and o.admin_mode = 'own' and o.state in ('active', 'suspended')
            and (exists (select 1 from group_member m
                           join binding b on b.realm_id = m.realm_id and b.user_id = m.user_id
                          where m.realm_id = $1 and m.group_id = $2 and b.scope_org_id = o.org_id
                            and b.role = 'organization_admin')
                 or exists (select 1 from group_member m
                              join group_member n on n.realm_id = m.realm_id and n.user_id = m.user_id
                              join group_binding g on g.realm_id = n.realm_id and g.group_id = n.group_id
                             where m.realm_id = $1 and m.group_id = $2 and g.scope_org_id = o.org_id
                               and g.role = 'organization_admin'))"
    );
    let places = tx.fetch_all(sql, params![group], |row| row.parsed("org_id")).await?;
    tx.watch(places);
    Ok(())
}

/// Notes the organisations that somebody runs who holds a policy, or who is known to a provider.
async fn users_of(tx: &mut Tx, users: Vec<UserId>) -> Result<(), StoreError> {
    for found in users {
        user(tx, found).await?;
    }
    Ok(())
}

/// Notes the organisations that somebody runs who holds a custom policy. Few admins do: they are asked one by one.
pub(crate) async fn policy(tx: &mut Tx, policy: PolicyId) -> Result<(), StoreError> {
    let sql = scoped!(
        "select u.user_id
           from user_account u
          where u.realm_id = $1
            and (exists (select 1 from binding b
                          where b.realm_id = $1 and b.user_id = u.user_id and b.role = $2)
                 or exists (select 1 from group_member m
                              join group_binding g on g.realm_id = m.realm_id and g.group_id = m.group_id
                             where m.realm_id = $1 and m.user_id = u.user_id and g.role = $2))
            and (exists (select 1 from binding b
                          where b.realm_id = $1 and b.user_id = u.user_id and b.role = 'organization_admin')
                 or exists (select 1 from group_member m
                              join group_binding g on g.realm_id = m.realm_id and g.group_id = m.group_id
                             where m.realm_id = $1 and m.user_id = u.user_id and g.role = 'organization_admin'))"
    );
    let users = tx.fetch_all(sql, params![policy], |row| row.parsed("user_id")).await?;
    users_of(tx, users).await
}

/// Notes the organisations that somebody runs whom a provider knows.
pub(crate) async fn provider(tx: &mut Tx, idp: IdpId) -> Result<(), StoreError> {
    let sql = scoped!(
        "select i.user_id
           from idp_identity i
          where i.realm_id = $1 and i.idp_id = $2
            and (exists (select 1 from binding b
                          where b.realm_id = $1 and b.user_id = i.user_id and b.role = 'organization_admin')
                 or exists (select 1 from group_member m
                              join group_binding g on g.realm_id = m.realm_id and g.group_id = m.group_id
                             where m.realm_id = $1 and m.user_id = i.user_id and g.role = 'organization_admin'))"
    );
    let users = tx.fetch_all(sql, params![idp], |row| row.parsed("user_id")).await?;
    users_of(tx, users).await
}

/// Notes every organisation at `org` or below it that runs itself: what holds on the way down to them changes.
pub(crate) async fn below(tx: &mut Tx, org: OrgId) -> Result<(), StoreError> {
    let sql = scoped!(
        "select o.org_id
           from org_above a
           join org o on o.realm_id = a.realm_id and o.org_id = a.org_id
          where a.realm_id = $1 and a.ancestor_id = $2 and o.admin_mode = 'own'
            and o.state in ('active', 'suspended')"
    );
    let places = tx.fetch_all(sql, params![org], |row| row.parsed("org_id")).await?;
    tx.watch(places);
    Ok(())
}

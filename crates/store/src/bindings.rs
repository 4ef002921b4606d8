//! Policies given to people and groups.

use crate::sql::{Row, StoreError, Tx, params, scoped, to_json};
use access::admins::Candidate;
use access::{PolicyRef, Propagate};
use base::{BindingId, GroupId, OrgId, PolicyId, UserId};
use serde::Serialize;

/// Who holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Holder {
    /// A person or a service.
    User(UserId),
    /// Everybody in a group.
    Group(GroupId),
}

/// A policy that was given, with its id and holder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Held {
    /// Its id.
    pub id: BindingId,
    /// Who holds it.
    pub holder: Holder,
    /// What.
    pub policy: PolicyRef,
    /// Where.
    pub scope: OrgId,
    /// How far.
    pub propagate: Propagate,
    /// On which resources; empty for all.
    pub resources: Vec<String>,
    /// From when on.
    pub not_before_us: Option<i64>,
    /// Until when.
    pub not_after_us: Option<i64>,
}

impl Held {
    /// A policy without limits.
    #[must_use]
    pub fn new(id: BindingId, holder: Holder, policy: PolicyRef, scope: OrgId, propagate: Propagate) -> Self {
        Self { id, holder, policy, scope, propagate, resources: Vec::new(), not_before_us: None, not_after_us: None }
    }
}

pub(crate) fn propagate(row: &Row) -> Result<Propagate, StoreError> {
    let value = row.text("propagate")?;
    Propagate::from_code(&value).ok_or(StoreError::Corrupt { column: "propagate".to_owned(), value })
}

fn held(row: &Row, holder: Holder) -> Result<Held, StoreError> {
    Ok(Held {
        id: row.parsed("binding_id")?,
        holder,
        policy: row.parsed("role")?,
        scope: row.parsed("scope_org_id")?,
        propagate: propagate(row)?,
        resources: row.json("resources_json")?,
        not_before_us: row.opt_int("not_before_us")?,
        not_after_us: row.opt_int("not_after_us")?,
    })
}

fn of_user_row(row: &Row) -> Result<Held, StoreError> {
    held(row, Holder::User(row.parsed("user_id")?))
}

fn of_group_row(row: &Row) -> Result<Held, StoreError> {
    held(row, Holder::Group(row.parsed("group_id")?))
}

/// Everything that was given to a user himself.
pub async fn of_user(tx: &mut Tx, user: UserId) -> Result<Vec<Held>, StoreError> {
    let sql = scoped!(
        "select binding_id, user_id, role, scope_org_id, propagate, resources_json, not_before_us, not_after_us
           from binding
          where realm_id = $1 and user_id = $2
          order by binding_id"
    );
    tx.fetch_all(sql, params![user], of_user_row).await
}

/// Everything that was given to a group.
pub async fn of_group(tx: &mut Tx, group: GroupId) -> Result<Vec<Held>, StoreError> {
    let sql = scoped!(
        "select binding_id, group_id, role, scope_org_id, propagate, resources_json, not_before_us, not_after_us
           from group_binding
          where realm_id = $1 and group_id = $2
          order by binding_id"
    );
    tx.fetch_all(sql, params![group], of_group_row).await
}

/// To whom a custom policy was given, and where.
pub async fn of_policy(tx: &mut Tx, policy: PolicyId) -> Result<Vec<Held>, StoreError> {
    let users = scoped!(
        "select binding_id, user_id, role, scope_org_id, propagate, resources_json, not_before_us, not_after_us
           from binding
          where realm_id = $1 and role = $2
          order by binding_id"
    );
    let mut found = tx.fetch_all(users, params![policy], of_user_row).await?;
    let groups = scoped!(
        "select binding_id, group_id, role, scope_org_id, propagate, resources_json, not_before_us, not_after_us
           from group_binding
          where realm_id = $1 and role = $2
          order by binding_id"
    );
    found.extend(tx.fetch_all(groups, params![policy], of_group_row).await?);
    Ok(found)
}

/// Everything given at `org` itself, to people and to groups.
pub async fn at_org(tx: &mut Tx, org: OrgId) -> Result<Vec<Held>, StoreError> {
    let users = scoped!(
        "select binding_id, user_id, role, scope_org_id, propagate, resources_json, not_before_us, not_after_us
           from binding
          where realm_id = $1 and scope_org_id = $2
          order by binding_id"
    );
    let mut found = tx.fetch_all(users, params![org], of_user_row).await?;
    let groups = scoped!(
        "select binding_id, group_id, role, scope_org_id, propagate, resources_json, not_before_us, not_after_us
           from group_binding
          where realm_id = $1 and scope_org_id = $2
          order by binding_id"
    );
    found.extend(tx.fetch_all(groups, params![org], of_group_row).await?);
    Ok(found)
}

/// Gives a policy; giving the same one twice renews its reach and its limits. The result is the id of the binding:
/// the one that was there, if there was one.
pub async fn insert(tx: &mut Tx, held: &Held, created_us: i64) -> Result<BindingId, StoreError> {
    match held.holder {
        Holder::User(user) => crate::watch::user(tx, user).await?,
        Holder::Group(group) => crate::watch::group(tx, group).await?,
    }
    let (sql, holder) = match held.holder {
        Holder::User(user) => {
            let sql = scoped!(
                "insert into binding (realm_id, binding_id, user_id, role, scope_org_id, propagate, resources_json,
                                      not_before_us, not_after_us, created_us)
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
                 on conflict (realm_id, user_id, scope_org_id, role) do update
                    set propagate = excluded.propagate, resources_json = excluded.resources_json,
                        not_before_us = excluded.not_before_us, not_after_us = excluded.not_after_us
                 returning binding_id"
            );
            (sql, user.to_string())
        }
        Holder::Group(group) => {
            let sql = scoped!(
                "insert into group_binding (realm_id, binding_id, group_id, role, scope_org_id, propagate, resources_json,
                                            not_before_us, not_after_us, created_us)
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
                 on conflict (realm_id, group_id, scope_org_id, role) do update
                    set propagate = excluded.propagate, resources_json = excluded.resources_json,
                        not_before_us = excluded.not_before_us, not_after_us = excluded.not_after_us
                 returning binding_id"
            );
            (sql, group.to_string())
        }
    };
    let values = params![
        held.id,
        holder,
        held.policy.to_string(),
        held.scope,
        held.propagate.code(),
        to_json(&held.resources),
        held.not_before_us,
        held.not_after_us,
        created_us,
    ];
    tx.fetch_one("binding", sql, values, |row| row.parsed("binding_id")).await
}

/// Takes one binding away.
pub async fn delete(tx: &mut Tx, held: &Held) -> Result<u64, StoreError> {
    match held.holder {
        Holder::User(user) => crate::watch::user(tx, user).await?,
        Holder::Group(group) => crate::watch::group(tx, group).await?,
    }
    match held.holder {
        Holder::User(_) => {
            let sql = scoped!("delete from binding where realm_id = $1 and binding_id = $2");
            tx.execute(sql, params![held.id]).await
        }
        Holder::Group(_) => {
            let sql = scoped!("delete from group_binding where realm_id = $1 and binding_id = $2");
            tx.execute(sql, params![held.id]).await
        }
    }
}

/// Takes everything of `user` at `org` away; says how much there was.
pub async fn remove(tx: &mut Tx, user: UserId, org: OrgId) -> Result<u64, StoreError> {
    crate::watch::user(tx, user).await?;
    let sql = scoped!("delete from binding where realm_id = $1 and user_id = $2 and scope_org_id = $3");
    tx.execute(sql, params![user, org]).await
}

/// Bindings of people and groups that end before an instant.
pub async fn ending_before(tx: &mut Tx, until_us: i64) -> Result<Vec<Held>, StoreError> {
    let users = scoped!(
        "select binding_id, user_id, role, scope_org_id, propagate, resources_json, not_before_us, not_after_us
           from binding
          where realm_id = $1 and not_after_us is not null and not_after_us <= $2
          order by not_after_us, binding_id"
    );
    let mut found = tx.fetch_all(users, params![until_us], of_user_row).await?;
    let groups = scoped!(
        "select binding_id, group_id, role, scope_org_id, propagate, resources_json, not_before_us, not_after_us
           from group_binding
          where realm_id = $1 and not_after_us is not null and not_after_us <= $2
          order by not_after_us, binding_id"
    );
    found.extend(tx.fetch_all(groups, params![until_us], of_group_row).await?);
    Ok(found)
}

/// Lets a binding end later, or never.
pub async fn set_end(tx: &mut Tx, held: &Held, not_after_us: Option<i64>) -> Result<u64, StoreError> {
    let sql = match held.holder {
        Holder::User(_) => scoped!("update binding set not_after_us = $3 where realm_id = $1 and binding_id = $2"),
        Holder::Group(_) => {
            scoped!("update group_binding set not_after_us = $3 where realm_id = $1 and binding_id = $2")
        }
    };
    tx.execute(sql, params![held.id, not_after_us]).await
}

/// Everybody who was given Organization Admin at `org` itself, by himself or through a group.
pub async fn admins(tx: &mut Tx, org: OrgId) -> Result<Vec<Candidate>, StoreError> {
    let sql = scoped!(
        "select b.user_id, b.not_before_us, b.not_after_us, u.kind, u.state, m.state as member_state,
                case when u.password_hash <> '' then 1
                     when exists (select 1 from second_factor f
                                   where f.realm_id = $1 and f.user_id = b.user_id and f.kind = 'passkey' and f.confirmed = 1) then 1
                     when exists (select 1 from idp_identity i
                                    join idp p on p.realm_id = i.realm_id and p.idp_id = i.idp_id
                                   where i.realm_id = $1 and i.user_id = b.user_id and p.state = 'active') then 1
                     else 0 end as can_sign_in
           from (select user_id, not_before_us, not_after_us
                   from binding
                  where realm_id = $1 and scope_org_id = $2 and role = 'organization_admin'
                 union all
                 select gm.user_id, g.not_before_us, g.not_after_us
                   from group_binding g
                   join group_member gm on gm.realm_id = g.realm_id and gm.group_id = g.group_id
                  where g.realm_id = $1 and g.scope_org_id = $2 and g.role = 'organization_admin') b
           join user_account u on u.realm_id = $1 and u.user_id = b.user_id
           left join membership m on m.realm_id = $1 and m.user_id = b.user_id and m.org_id = $2
          where u.realm_id = $1
          order by b.user_id"
    );
    tx.fetch_all(sql, params![org], |row| {
        Ok(Candidate {
            user: row.parsed("user_id")?,
            is_human: row.text("kind")? == "human",
            is_active: row.text("state")? == "active",
            is_member: row.opt_text("member_state")?.as_deref() == Some("active"),
            can_sign_in: row.int("can_sign_in")? == 1,
            not_before_us: row.opt_int("not_before_us")?,
            not_after_us: row.opt_int("not_after_us")?,
        })
    })
    .await
}

/// Organisations that must always keep an admin of their own.
pub async fn orgs_with_own_admins(tx: &mut Tx) -> Result<Vec<OrgId>, StoreError> {
    let sql = scoped!(
        "select org_id
           from org
          where realm_id = $1 and admin_mode = 'own' and state in ('active', 'suspended')
          order by org_id"
    );
    tx.fetch_all(sql, params![], |row| row.parsed("org_id")).await
}

/// Organisations with own admins at which a user was given Organization Admin, by himself or through a group.
pub async fn admin_places_of(tx: &mut Tx, user: UserId) -> Result<Vec<OrgId>, StoreError> {
    let sql = scoped!(
        "select o.org_id
           from org o
          where o.realm_id = $1 and o.admin_mode = 'own' and o.state in ('active', 'suspended')
            and (exists (select 1 from binding b
                          where b.realm_id = $1 and b.scope_org_id = o.org_id and b.user_id = $2
                            and b.role = 'organization_admin')
                 or exists (select 1 from group_binding g
                              join group_member m on m.realm_id = g.realm_id and m.group_id = g.group_id
                             where g.realm_id = $1 and g.scope_org_id = o.org_id and m.user_id = $2
                               and g.role = 'organization_admin'))
          order by o.org_id"
    );
    tx.fetch_all(sql, params![user], |row| row.parsed("org_id")).await
}

//! A user with everything that he was given, ready for decisions.

use crate::bindings::propagate;
use crate::sql::{Row, StoreError, Tx, params, scoped};
use crate::users;
use access::{Actor, Binding, Builtin, Identity, Policy, PolicyRef, UserKind};
use base::{OrgId, UserId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a user may do: nothing while his account is not active, else what [`load_held`] says.
pub async fn load(tx: &mut Tx, user: UserId) -> Result<Actor, StoreError> {
    let account = users::get(tx, user).await?;
    if account.state == "active" {
        return held_by(tx, account).await;
    }
    Ok(Actor::new(identity_of(tx, &account), Vec::new(), Vec::new()))
}

/// Reads a user's memberships, bindings and groups, whatever the state of his account: what he has again when it
/// is opened. What was given where his membership is suspended does not count.
pub async fn load_held(tx: &mut Tx, user: UserId) -> Result<Actor, StoreError> {
    let account = users::get(tx, user).await?;
    held_by(tx, account).await
}

fn identity_of(tx: &Tx, account: &users::User) -> Identity {
    Identity {
        realm: tx.realm(),
        user: account.id,
        kind: if account.kind == "service" { UserKind::Service } else { UserKind::Human },
        email: account.email.clone(),
        name: account.display_name.clone(),
    }
}

async fn held_by(tx: &mut Tx, account: users::User) -> Result<Actor, StoreError> {
    let (identity, user) = (identity_of(tx, &account), account.id);
    let memberships = memberships(tx, user).await?;
    let policies = policies_of(tx, user).await?;
    let mut bindings = Vec::new();
    for (policy, binding) in given(tx, user).await? {
        let Some(policy) = policies.get(&policy).cloned() else {
            return Err(StoreError::Corrupt { column: "role".to_owned(), value: policy.to_string() });
        };
        bindings.push(Binding { policy, ..binding });
    }
    Ok(Actor::new(identity, memberships, bindings))
}

async fn memberships(tx: &mut Tx, user: UserId) -> Result<Vec<OrgId>, StoreError> {
    let sql = scoped!(
        "select org_id
           from membership
          where realm_id = $1 and user_id = $2 and state = 'active'"
    );
    tx.fetch_all(sql, params![user], |row| row.parsed("org_id")).await
}

/// The custom policies among what a user holds, and every built-in one.
async fn policies_of(tx: &mut Tx, user: UserId) -> Result<BTreeMap<PolicyRef, Arc<Policy>>, StoreError> {
    let sql = scoped!(
        "select p.policy_id, p.name, p.level, p.document_json
           from policy p
          where p.realm_id = $1
            and (exists (select 1 from binding b
                          where b.realm_id = $1 and b.user_id = $2 and b.role = p.policy_id)
                 or exists (select 1 from group_member m
                              join group_binding g on g.realm_id = m.realm_id and g.group_id = m.group_id
                             where m.realm_id = $1 and m.user_id = $2 and g.role = p.policy_id))"
    );
    let custom = tx.fetch_all(sql, params![user], crate::policies::compiled).await?;
    let builtin = Builtin::ALL.iter().map(|builtin| builtin.policy());
    Ok(builtin.chain(custom).map(|policy| (policy.reference, Arc::new(policy))).collect())
}

async fn given(tx: &mut Tx, user: UserId) -> Result<Vec<(PolicyRef, Binding)>, StoreError> {
    let direct = scoped!(
        "select b.role, b.scope_org_id, b.propagate, b.resources_json, b.not_before_us, b.not_after_us
           from binding b
          where b.realm_id = $1 and b.user_id = $2
            and not exists (select 1 from membership m
                             where m.realm_id = $1 and m.user_id = $2 and m.org_id = b.scope_org_id
                               and m.state <> 'active')
          order by b.binding_id"
    );
    let mut found = tx.fetch_all(direct, params![user], |row| from_row(row, false)).await?;
    let grouped = scoped!(
        "select g.group_id, g.role, g.scope_org_id, g.propagate, g.resources_json, g.not_before_us, g.not_after_us
           from group_member gm
           join group_binding g on g.realm_id = gm.realm_id and g.group_id = gm.group_id
          where gm.realm_id = $1 and gm.user_id = $2
            and not exists (select 1 from membership m
                             where m.realm_id = $1 and m.user_id = $2 and m.org_id = g.scope_org_id
                               and m.state <> 'active')
          order by g.binding_id"
    );
    found.extend(tx.fetch_all(grouped, params![user], |row| from_row(row, true)).await?);
    Ok(found)
}

fn from_row(row: &Row, grouped: bool) -> Result<(PolicyRef, Binding), StoreError> {
    let binding = Binding {
        propagate: propagate(row)?,
        resources: row.json("resources_json")?,
        not_before_us: row.opt_int("not_before_us")?,
        not_after_us: row.opt_int("not_after_us")?,
        via: if grouped { Some(row.parsed("group_id")?) } else { None },
        ..Binding::builtin(Builtin::Member, row.parsed("scope_org_id")?, access::Propagate::Here)
    };
    Ok((row.parsed("role")?, binding))
}

/// Somebody at a place, below it or above it, with all that speaks about what they may do there.
#[derive(Debug, Clone)]
pub struct Standing {
    /// With what was given on the way to the place only.
    pub actor: Actor,
    /// What orders people: the address, or the id of a service.
    pub key: String,
    /// Whether they belong to the place or to something below it; else above.
    pub is_below: bool,
}

/// Everybody who belongs to `org`, to something below it or to something above it, by address. A decision about `org`
/// asks for nothing that was given elsewhere, so five questions answer for all.
pub async fn standing_at(tx: &mut Tx, org: OrgId) -> Result<Vec<Standing>, StoreError> {
    let policies = policies_on(tx, org).await?;
    let mut memberships: BTreeMap<UserId, Vec<OrgId>> = BTreeMap::new();
    for (user, at) in memberships_on(tx, org).await? {
        memberships.entry(user).or_default().push(at);
    }
    let mut bindings: BTreeMap<UserId, Vec<Binding>> = BTreeMap::new();
    for (user, policy, binding) in given_on(tx, org).await? {
        let Some(policy) = policies.get(&policy).cloned() else {
            return Err(StoreError::Corrupt { column: "role".to_owned(), value: policy.to_string() });
        };
        bindings.entry(user).or_default().push(Binding { policy, ..binding });
    }
    let mut found = Vec::new();
    for (account, key, is_below) in people_at(tx, org).await? {
        let is_active = account.state == "active";
        let places = memberships.remove(&account.id).filter(|_| is_active).unwrap_or_default();
        let held = bindings.remove(&account.id).filter(|_| is_active).unwrap_or_default();
        found.push(Standing { actor: Actor::new(identity_of(tx, &account), places, held), key, is_below });
    }
    // In the order in which they are compared: a database may have another one.
    found.sort_by(|one, other| one.key.cmp(&other.key));
    Ok(found)
}

/// The custom policies that somebody holds on the way to `org`, and every built-in one.
async fn policies_on(tx: &mut Tx, org: OrgId) -> Result<BTreeMap<PolicyRef, Arc<Policy>>, StoreError> {
    let sql = scoped!(
        "select p.policy_id, p.name, p.level, p.document_json
           from policy p
          where p.realm_id = $1
            and (exists (select 1 from org_above a
                           join binding b on b.realm_id = a.realm_id and b.scope_org_id = a.ancestor_id
                          where a.realm_id = $1 and a.org_id = $2 and b.role = p.policy_id)
                 or exists (select 1 from org_above a
                              join group_binding g on g.realm_id = a.realm_id and g.scope_org_id = a.ancestor_id
                             where a.realm_id = $1 and a.org_id = $2 and g.role = p.policy_id))"
    );
    let custom = tx.fetch_all(sql, params![org], crate::policies::compiled).await?;
    let builtin = Builtin::ALL.iter().map(|builtin| builtin.policy());
    Ok(builtin.chain(custom).map(|policy| (policy.reference, Arc::new(policy))).collect())
}

async fn people_at(tx: &mut Tx, org: OrgId) -> Result<Vec<(users::User, String, bool)>, StoreError> {
    let sql = scoped!(
        "select u.user_id, u.home_org_id, u.email, u.display_name, u.password_hash, u.state, u.created_us, u.kind,
                u.description, u.email_key,
                (select count(*)
                   from membership m
                   join org_above a on a.realm_id = m.realm_id and a.org_id = m.org_id
                  where m.realm_id = u.realm_id and m.user_id = u.user_id and a.ancestor_id = $2) as below
           from user_account u
          where u.realm_id = $1
            and (exists (select 1
                           from membership m
                           join org_above a on a.realm_id = m.realm_id and a.org_id = m.org_id
                          where m.realm_id = u.realm_id and m.user_id = u.user_id and a.ancestor_id = $2)
                 or exists (select 1
                              from membership m
                              join org_above a on a.realm_id = m.realm_id and a.ancestor_id = m.org_id
                             where m.realm_id = u.realm_id and m.user_id = u.user_id and a.org_id = $2))"
    );
    tx.fetch_all(sql, params![org], |row| Ok((users::from_row(row)?, row.text("email_key")?, row.int("below")? > 0)))
        .await
}

async fn memberships_on(tx: &mut Tx, org: OrgId) -> Result<Vec<(UserId, OrgId)>, StoreError> {
    let sql = scoped!(
        "select m.user_id, m.org_id
           from org_above a
           join membership m on m.realm_id = a.realm_id and m.org_id = a.ancestor_id
          where a.realm_id = $1 and a.org_id = $2 and m.state = 'active'"
    );
    tx.fetch_all(sql, params![org], |row| Ok((row.parsed("user_id")?, row.parsed("org_id")?))).await
}

async fn given_on(tx: &mut Tx, org: OrgId) -> Result<Vec<(UserId, PolicyRef, Binding)>, StoreError> {
    let of = |row: &Row, grouped: bool| {
        let (policy, binding) = from_row(row, grouped)?;
        Ok((row.parsed("user_id")?, policy, binding))
    };
    let direct = scoped!(
        "select b.user_id, b.role, b.scope_org_id, b.propagate, b.resources_json, b.not_before_us, b.not_after_us
           from org_above a
           join binding b on b.realm_id = a.realm_id and b.scope_org_id = a.ancestor_id
          where a.realm_id = $1 and a.org_id = $2
            and not exists (select 1 from membership m
                             where m.realm_id = $1 and m.user_id = b.user_id and m.org_id = b.scope_org_id
                               and m.state <> 'active')
          order by b.binding_id"
    );
    let mut found = tx.fetch_all(direct, params![org], |row| of(row, false)).await?;
    let grouped = scoped!(
        "select gm.user_id, g.group_id, g.role, g.scope_org_id, g.propagate, g.resources_json, g.not_before_us,
                g.not_after_us
           from org_above a
           join group_binding g on g.realm_id = a.realm_id and g.scope_org_id = a.ancestor_id
           join group_member gm on gm.realm_id = g.realm_id and gm.group_id = g.group_id
          where a.realm_id = $1 and a.org_id = $2
            and not exists (select 1 from membership m
                             where m.realm_id = $1 and m.user_id = gm.user_id and m.org_id = g.scope_org_id
                               and m.state <> 'active')
          order by g.binding_id"
    );
    found.extend(tx.fetch_all(grouped, params![org], |row| of(row, true)).await?);
    Ok(found)
}

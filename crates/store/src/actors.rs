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

//! All that decides what people may do, in one look. Two of them, before and after a change, say whom it touches.

use crate::sql::{Row, StoreError, Tx, params, scoped};
use base::{OrgId, UserId};
use std::collections::{BTreeMap, BTreeSet};

/// What stands in a tree. Texts are for comparing only.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Of each user: the account, memberships, what was given directly and through groups.
    pub users: BTreeMap<UserId, BTreeSet<String>>,
    /// Where each user belongs or was given something.
    pub places: BTreeMap<UserId, BTreeSet<OrgId>>,
    /// Who holds each policy.
    pub holders: BTreeMap<String, BTreeSet<UserId>>,
    /// The document of each custom policy.
    pub policies: BTreeMap<String, String>,
    /// Of each organisation: state, parent, products, guard-rails.
    pub orgs: BTreeMap<OrgId, BTreeSet<String>>,
    /// The parent of each organisation.
    pub parents: BTreeMap<OrgId, OrgId>,
}

impl Holdings {
    fn give(&mut self, (user, scope, role, text): Given) {
        self.users.entry(user).or_default().insert(text);
        self.places.entry(user).or_default().insert(scope);
        self.holders.entry(role).or_default().insert(user);
    }

    /// Whether two organisations lie on one way down.
    #[must_use]
    pub fn on_one_way(&self, one: OrgId, other: OrgId) -> bool {
        let has_above = |org: OrgId, above: OrgId| {
            std::iter::successors(Some(org), |org| self.parents.get(org).copied()).any(|found| found == above)
        };
        has_above(one, other) || has_above(other, one)
    }
}

/// Who was given what where, and all of it as text.
type Given = (UserId, OrgId, String, String);

fn given(row: &Row) -> Result<Given, StoreError> {
    let (user, scope, role): (UserId, OrgId, String) =
        (row.parsed("user_id")?, row.parsed("scope_org_id")?, row.text("role")?);
    let times = (row.opt_int("not_before_us")?, row.opt_int("not_after_us")?);
    let text = format!("{role} {scope} {} {} {times:?}", row.text("propagate")?, row.text("resources_json")?);
    Ok((user, scope, role, text))
}

/// Everything of a tree.
pub async fn all(tx: &mut Tx) -> Result<Holdings, StoreError> {
    let mut found = Holdings::default();
    accounts(tx, &mut found).await?;
    let direct = scoped!(
        "select user_id, role, scope_org_id, propagate, resources_json, not_before_us, not_after_us
           from binding
          where realm_id = $1"
    );
    let grouped = scoped!(
        "select m.user_id, g.role, g.scope_org_id, g.propagate, g.resources_json, g.not_before_us, g.not_after_us
           from group_member m
           join group_binding g on g.realm_id = m.realm_id and g.group_id = m.group_id
          where m.realm_id = $1"
    );
    for sql in [direct, grouped] {
        tx.fetch_all(sql, params![], given).await?.into_iter().for_each(|row| found.give(row));
    }
    let policies = scoped!("select policy_id, level, document_json from policy where realm_id = $1");
    let of_policy =
        |row: &Row| Ok((row.text("policy_id")?, format!("{} {}", row.text("level")?, row.text("document_json")?)));
    found.policies = tx.fetch_all(policies, params![], of_policy).await?.into_iter().collect();
    places(tx, &mut found).await?;
    Ok(found)
}

async fn accounts(tx: &mut Tx, found: &mut Holdings) -> Result<(), StoreError> {
    let users = scoped!("select user_id, state from user_account where realm_id = $1");
    let of_user = |row: &Row| Ok((row.parsed::<UserId>("user_id")?, row.text("state")?));
    for (user, state) in tx.fetch_all(users, params![], of_user).await? {
        found.users.entry(user).or_default().insert(format!("account {state}"));
    }
    let members = scoped!("select user_id, org_id, state from membership where realm_id = $1");
    let of_member =
        |row: &Row| Ok((row.parsed::<UserId>("user_id")?, row.parsed::<OrgId>("org_id")?, row.text("state")?));
    for (user, org, state) in tx.fetch_all(members, params![], of_member).await? {
        found.users.entry(user).or_default().insert(format!("member {org} {state}"));
        found.places.entry(user).or_default().insert(org);
    }
    Ok(())
}

async fn places(tx: &mut Tx, found: &mut Holdings) -> Result<(), StoreError> {
    let orgs = scoped!("select org_id, parent_id, state from org where realm_id = $1 and state <> 'deleted'");
    let of_org = |row: &Row| Ok((row.parsed::<OrgId>("org_id")?, row.opt_text("parent_id")?, row.text("state")?));
    for (org, parent, state) in tx.fetch_all(orgs, params![], of_org).await? {
        if let Some(parent) = parent.as_deref().and_then(|text| text.parse().ok()) {
            found.parents.insert(org, parent);
        }
        found.orgs.entry(org).or_default().insert(format!("{state} below {parent:?}"));
    }
    let products = scoped!("select org_id, product, state from product_access where realm_id = $1");
    let rails = scoped!(
        "select g.org_id, g.guard_rail_id as product, p.document_json as state
           from guard_rail g
           join policy p on p.realm_id = g.realm_id and p.policy_id = g.policy_id
          where g.realm_id = $1"
    );
    let of_place =
        |row: &Row| Ok((row.parsed::<OrgId>("org_id")?, format!("{} {}", row.text("product")?, row.text("state")?)));
    let mut rows = tx.fetch_all(products, params![], of_place).await?;
    rows.extend(tx.fetch_all(rails, params![], of_place).await?);
    for (org, text) in rows {
        found.orgs.entry(org).or_default().insert(text);
    }
    Ok(())
}

//! Custom policies and guard-rails.

use crate::sql::{Row, StoreError, Tx, params, scoped};
use access::policy::{Document, parse};
use access::{GuardRail, Level, Policy, PolicyRef};
use base::{GuardRailId, OrgId, PolicyId};
use serde::Serialize;
use std::sync::Arc;

/// A custom policy as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoredPolicy {
    /// Its id.
    pub id: PolicyId,
    /// Whose policy it is.
    pub org: OrgId,
    /// Name as shown.
    pub name: String,
    /// Fixed once it exists.
    pub level: Level,
    /// Grows with each change.
    pub version: i64,
    /// What it says, as it was written.
    pub document: Document,
    /// When it was made.
    pub created_us: i64,
}

fn level(row: &Row) -> Result<Level, StoreError> {
    let value = row.text("level")?;
    Level::from_code(&value).ok_or(StoreError::Corrupt { column: "level".to_owned(), value })
}

fn from_row(row: &Row) -> Result<StoredPolicy, StoreError> {
    Ok(StoredPolicy {
        id: row.parsed("policy_id")?,
        org: row.parsed("org_id")?,
        name: row.text("name")?,
        level: level(row)?,
        version: row.int("version")?,
        document: row.json("document_json")?,
        created_us: row.int("created_us")?,
    })
}

/// The checked policy of a row with `policy_id`, `name`, `level` and `document_json`.
pub(crate) fn compiled(row: &Row) -> Result<Policy, StoreError> {
    let value = row.text("document_json")?;
    let statements = match parse(&value) {
        Ok((_, statements)) => statements,
        Err(_) => return Err(StoreError::Corrupt { column: "document_json".to_owned(), value }),
    };
    let reference = PolicyRef::Custom(row.parsed("policy_id")?);
    Ok(Policy { reference, name: row.text("name")?, level: level(row)?, statements })
}

/// Adds a policy.
pub async fn insert(tx: &mut Tx, policy: &StoredPolicy) -> Result<(), StoreError> {
    let sql = scoped!(
        "insert into policy (realm_id, policy_id, org_id, name, name_key, level, version, document_json, created_us)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
    );
    let values = params![
        policy.id,
        policy.org,
        policy.name.as_str(),
        policy.name.trim().to_lowercase(),
        policy.level.code(),
        policy.version,
        crate::sql::to_json(&policy.document),
        policy.created_us,
    ];
    tx.execute(sql, values).await?;
    Ok(())
}

/// One policy.
pub async fn get(tx: &mut Tx, policy: PolicyId) -> Result<StoredPolicy, StoreError> {
    let sql = scoped!(
        "select policy_id, org_id, name, level, version, document_json, created_us
           from policy
          where realm_id = $1 and policy_id = $2"
    );
    tx.fetch_one("policy", sql, params![policy], from_row).await
}

/// Policies that `org` can give: its own and those of the organisations above it.
pub async fn usable_at(tx: &mut Tx, org: OrgId) -> Result<Vec<StoredPolicy>, StoreError> {
    let sql = scoped!(
        "select p.policy_id, p.org_id, p.name, p.level, p.version, p.document_json, p.created_us
           from org_above a
           join policy p on p.realm_id = a.realm_id and p.org_id = a.ancestor_id
          where a.realm_id = $1 and a.org_id = $2
          order by p.name_key, p.policy_id"
    );
    tx.fetch_all(sql, params![org], from_row).await
}

/// Changes name and document of a policy that still has `version`; 0 when somebody was faster.
pub async fn update(tx: &mut Tx, policy: &StoredPolicy, version: i64) -> Result<u64, StoreError> {
    crate::watch::policy(tx, policy.id).await?;
    for org in guarded_by(tx, policy.id).await? {
        crate::watch::below(tx, org).await?;
    }
    let sql = scoped!(
        "update policy
            set name = $3, name_key = $4, document_json = $5, version = $6
          where realm_id = $1 and policy_id = $2 and version = $7"
    );
    let key = policy.name.trim().to_lowercase();
    let document = crate::sql::to_json(&policy.document);
    tx.execute(sql, params![policy.id, policy.name.as_str(), key, document, policy.version, version]).await
}

/// Deletes a policy that nobody holds and nothing is guarded by; else a foreign key or this count says so.
pub async fn delete(tx: &mut Tx, policy: PolicyId) -> Result<u64, StoreError> {
    let sql = scoped!("delete from policy where realm_id = $1 and policy_id = $2");
    tx.execute(sql, params![policy]).await
}

/// How many people and groups hold a policy, and how many guard-rails are made of it.
pub async fn uses(tx: &mut Tx, policy: PolicyId) -> Result<i64, StoreError> {
    let sql = scoped!(
        "select (select count(*) from binding where realm_id = $1 and role = $2)
              + (select count(*) from group_binding where realm_id = $1 and role = $2)
              + (select count(*) from guard_rail where realm_id = $1 and policy_id = $2) as uses"
    );
    tx.fetch_one("policy", sql, params![policy], |row| row.int("uses")).await
}

/// Takes a policy from everybody who holds it.
pub async fn detach(tx: &mut Tx, policy: PolicyId) -> Result<(), StoreError> {
    crate::watch::policy(tx, policy).await?;
    let users = scoped!("delete from binding where realm_id = $1 and role = $2");
    tx.execute(users, params![policy]).await?;
    let groups = scoped!("delete from group_binding where realm_id = $1 and role = $2");
    tx.execute(groups, params![policy]).await?;
    let guards = scoped!("delete from guard_rail where realm_id = $1 and policy_id = $2");
    tx.execute(guards, params![policy]).await?;
    Ok(())
}

/// Lays a policy on an organisation as a guard-rail, with the authority of `author`; twice changes nothing.
pub async fn guard(
    tx: &mut Tx,
    id: GuardRailId,
    org: OrgId,
    (policy, author): (PolicyId, OrgId),
    created_us: i64,
) -> Result<(), StoreError> {
    let sql = scoped!(
        "insert into guard_rail (realm_id, guard_rail_id, org_id, policy_id, created_us, author_org_id)
         values ($1, $2, $3, $4, $5, $6)
         on conflict (realm_id, org_id, policy_id) do nothing"
    );
    tx.execute(sql, params![id, org, policy, created_us, author]).await?;
    crate::watch::below(tx, org).await
}

/// Where a policy is laid as a guard-rail.
pub async fn guarded_by(tx: &mut Tx, policy: PolicyId) -> Result<Vec<OrgId>, StoreError> {
    let sql = scoped!(
        "select org_id
           from guard_rail
          where realm_id = $1 and policy_id = $2
          order by org_id"
    );
    tx.fetch_all(sql, params![policy], |row| row.parsed("org_id")).await
}

/// Lifts a guard-rail of `org`.
pub async fn unguard(tx: &mut Tx, org: OrgId, id: GuardRailId) -> Result<u64, StoreError> {
    let sql = scoped!("delete from guard_rail where realm_id = $1 and org_id = $2 and guard_rail_id = $3");
    tx.execute(sql, params![org, id]).await
}

/// Guard-rails on the way down to `org`, with the organisation that laid each.
pub async fn guards_on(tx: &mut Tx, org: OrgId) -> Result<Vec<(OrgId, GuardRail)>, StoreError> {
    let sql = scoped!(
        "select g.guard_rail_id, g.org_id, g.author_org_id, p.policy_id, p.name, p.level, p.document_json
           from org_above a
           join guard_rail g on g.realm_id = a.realm_id and g.org_id = a.ancestor_id
           join policy p on p.realm_id = g.realm_id and p.policy_id = g.policy_id
          where a.realm_id = $1 and a.org_id = $2
          order by a.depth desc, g.guard_rail_id"
    );
    tx.fetch_all(sql, params![org], |row| {
        let (id, author) = (row.parsed("guard_rail_id")?, row.parsed("author_org_id")?);
        let guard = GuardRail { id, policy: Arc::new(compiled(row)?), author };
        Ok((row.parsed("org_id")?, guard))
    })
    .await
}

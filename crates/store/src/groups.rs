//! Groups of users: many people, many policies.

use crate::sql::{Row, StoreError, Tx, params, scoped};
use base::{GroupId, OrgId, UserId};
use serde::Serialize;

/// A group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Group {
    /// Its id.
    pub id: GroupId,
    /// Whose group it is.
    pub org: OrgId,
    /// Name as shown.
    pub name: String,
    /// `local`, `sso` or `scim`: who keeps it.
    pub source: String,
    /// When it was made.
    pub created_us: i64,
}

fn from_row(row: &Row) -> Result<Group, StoreError> {
    Ok(Group {
        id: row.parsed("group_id")?,
        org: row.parsed("org_id")?,
        name: row.text("name")?,
        source: row.text("source")?,
        created_us: row.int("created_us")?,
    })
}

/// Adds a group.
pub async fn insert(tx: &mut Tx, group: &Group) -> Result<(), StoreError> {
    let sql = scoped!(
        "insert into user_group (realm_id, group_id, org_id, name, name_key, source, created_us)
         values ($1, $2, $3, $4, $5, $6, $7)"
    );
    let values = params![
        group.id,
        group.org,
        group.name.as_str(),
        group.name.trim().to_lowercase(),
        group.source.as_str(),
        group.created_us,
    ];
    tx.execute(sql, values).await?;
    Ok(())
}

/// One group.
pub async fn get(tx: &mut Tx, group: GroupId) -> Result<Group, StoreError> {
    let sql = scoped!(
        "select group_id, org_id, name, source, created_us
           from user_group
          where realm_id = $1 and group_id = $2"
    );
    tx.fetch_one("group", sql, params![group], from_row).await
}

/// Groups of one organisation, by name.
pub async fn at_org(tx: &mut Tx, org: OrgId) -> Result<Vec<Group>, StoreError> {
    let sql = scoped!(
        "select group_id, org_id, name, source, created_us
           from user_group
          where realm_id = $1 and org_id = $2
          order by name_key, group_id"
    );
    tx.fetch_all(sql, params![org], from_row).await
}

/// One group, if there is one.
pub async fn find(tx: &mut Tx, group: GroupId) -> Result<Option<Group>, StoreError> {
    match get(tx, group).await {
        Ok(group) => Ok(Some(group)),
        Err(StoreError::NotFound(_)) => Ok(None),
        Err(other) => Err(other),
    }
}

/// Gives a group another name.
pub async fn rename(tx: &mut Tx, group: GroupId, name: &str) -> Result<u64, StoreError> {
    let sql = scoped!("update user_group set name = $3, name_key = $4 where realm_id = $1 and group_id = $2");
    tx.execute(sql, params![group, name, name.trim().to_lowercase()]).await
}

/// Deletes a group with its members and what it was given.
pub async fn delete(tx: &mut Tx, group: GroupId) -> Result<u64, StoreError> {
    crate::watch::group(tx, group).await?;
    let bindings = scoped!("delete from group_binding where realm_id = $1 and group_id = $2");
    tx.execute(bindings, params![group]).await?;
    let members = scoped!("delete from group_member where realm_id = $1 and group_id = $2");
    tx.execute(members, params![group]).await?;
    let sql = scoped!("delete from user_group where realm_id = $1 and group_id = $2");
    tx.execute(sql, params![group]).await
}

/// Members of a group with the source of their membership.
pub async fn members(tx: &mut Tx, group: GroupId) -> Result<Vec<(UserId, String)>, StoreError> {
    let sql = scoped!(
        "select user_id, source
           from group_member
          where realm_id = $1 and group_id = $2
          order by user_id"
    );
    tx.fetch_all(sql, params![group], |row| Ok((row.parsed("user_id")?, row.text("source")?))).await
}

/// Groups that a user is in, with the source of his membership.
pub async fn of_user(tx: &mut Tx, user: UserId) -> Result<Vec<(Group, String)>, StoreError> {
    let sql = scoped!(
        "select g.group_id, g.org_id, g.name, g.source, g.created_us, m.source as member_source
           from group_member m
           join user_group g on g.realm_id = m.realm_id and g.group_id = m.group_id
          where m.realm_id = $1 and m.user_id = $2
          order by g.name_key, g.group_id"
    );
    tx.fetch_all(sql, params![user], |row| Ok((from_row(row)?, row.text("member_source")?))).await
}

/// Puts a user into a group; twice changes nothing.
pub async fn add_member(tx: &mut Tx, group: GroupId, user: UserId, source: &str) -> Result<(), StoreError> {
    crate::watch::user(tx, user).await?;
    let sql = scoped!(
        "insert into group_member (realm_id, group_id, user_id, source)
         values ($1, $2, $3, $4)
         on conflict (realm_id, group_id, user_id) do nothing"
    );
    tx.execute(sql, params![group, user, source]).await?;
    Ok(())
}

/// Takes a user out of a group.
pub async fn remove_member(tx: &mut Tx, group: GroupId, user: UserId) -> Result<u64, StoreError> {
    crate::watch::user(tx, user).await?;
    let sql = scoped!("delete from group_member where realm_id = $1 and group_id = $2 and user_id = $3");
    tx.execute(sql, params![group, user]).await
}

/// Takes a user out of every group of one organisation.
pub async fn remove_member_at(tx: &mut Tx, org: OrgId, user: UserId) -> Result<u64, StoreError> {
    crate::watch::user(tx, user).await?;
    let sql = scoped!(
        "delete from group_member
          where realm_id = $1 and user_id = $3
            and group_id in (select group_id from user_group where realm_id = $1 and org_id = $2)"
    );
    tx.execute(sql, params![org, user]).await
}

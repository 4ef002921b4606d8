//! What a directory calls users and groups, and what it says of them.
//!
//! A user is there as long as his membership is: whoever was taken out by others is unknown to the directory.

use crate::sql::{Row, StoreError, Tx, params, scoped};
use crate::users::email_key;
use base::{GroupId, OrgId, UserId};

/// A user as a directory knows him.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRow {
    /// The id that the directory was told.
    pub id: UserId,
    /// The account behind it.
    pub account: UserId,
    /// The directory's own id; empty for none.
    pub external_id: String,
    /// What he signs in with at the directory.
    pub user_name: String,
    /// His main address, in the form in which addresses are compared; empty for none.
    pub email_key: String,
    /// The resource as it was last written.
    pub attributes_json: String,
    /// What the directory suspended: `membership`, `account`, both with a space between, or nothing.
    pub suspended: String,
    /// When it was made.
    pub created_us: i64,
    /// When it was changed.
    pub changed_us: i64,
    /// Whether account and membership work.
    pub is_active: bool,
}

fn user_row(row: &Row) -> Result<UserRow, StoreError> {
    Ok(UserRow {
        id: row.parsed("resource_id")?,
        account: row.parsed("subject_id")?,
        external_id: row.text("external_id")?,
        user_name: row.text("user_name")?,
        email_key: row.text("email_key")?,
        attributes_json: row.text("attributes_json")?,
        suspended: row.text("suspended")?,
        created_us: row.int("created_us")?,
        changed_us: row.int("changed_us")?,
        is_active: row.text("member_state")? == "active" && row.text("account_state")? == "active",
    })
}

/// The users of an organisation's directory, the oldest first.
pub async fn users(tx: &mut Tx, org: OrgId) -> Result<Vec<UserRow>, StoreError> {
    let sql = scoped!(
        "select r.resource_id, r.subject_id, r.external_id, r.user_name, r.email_key, r.attributes_json, r.suspended,
                r.created_us, r.changed_us, m.state as member_state, u.state as account_state
           from scim_resource r
           join membership m on m.realm_id = r.realm_id and m.org_id = r.org_id and m.user_id = r.subject_id
           join user_account u on u.realm_id = r.realm_id and u.user_id = r.subject_id
          where r.realm_id = $1 and r.org_id = $2 and r.kind = 'user' and u.state <> 'deprovisioned'
          order by r.created_us, r.resource_id"
    );
    tx.fetch_all(sql, params![org], user_row).await
}

/// One user by the id that the directory knows.
pub async fn user(tx: &mut Tx, org: OrgId, id: UserId) -> Result<Option<UserRow>, StoreError> {
    let sql = scoped!(
        "select r.resource_id, r.subject_id, r.external_id, r.user_name, r.email_key, r.attributes_json, r.suspended,
                r.created_us, r.changed_us, m.state as member_state, u.state as account_state
           from scim_resource r
           join membership m on m.realm_id = r.realm_id and m.org_id = r.org_id and m.user_id = r.subject_id
           join user_account u on u.realm_id = r.realm_id and u.user_id = r.subject_id
          where r.realm_id = $1 and r.org_id = $2 and r.kind = 'user' and u.state <> 'deprovisioned'
            and r.resource_id = $3
          order by r.created_us, r.resource_id"
    );
    tx.fetch_optional(sql, params![org, id], user_row).await
}

/// The user with this account behind him.
pub async fn user_of(tx: &mut Tx, org: OrgId, account: UserId) -> Result<Option<UserRow>, StoreError> {
    let sql = scoped!(
        "select r.resource_id, r.subject_id, r.external_id, r.user_name, r.email_key, r.attributes_json, r.suspended,
                r.created_us, r.changed_us, m.state as member_state, u.state as account_state
           from scim_resource r
           join membership m on m.realm_id = r.realm_id and m.org_id = r.org_id and m.user_id = r.subject_id
           join user_account u on u.realm_id = r.realm_id and u.user_id = r.subject_id
          where r.realm_id = $1 and r.org_id = $2 and r.kind = 'user' and u.state <> 'deprovisioned'
            and r.subject_id = $3
          order by r.created_us, r.resource_id"
    );
    tx.fetch_optional(sql, params![org, account], user_row).await
}

/// The user with this user name, in any case.
pub async fn user_by_name(tx: &mut Tx, org: OrgId, user_name: &str) -> Result<Option<UserRow>, StoreError> {
    let sql = scoped!(
        "select r.resource_id, r.subject_id, r.external_id, r.user_name, r.email_key, r.attributes_json, r.suspended,
                r.created_us, r.changed_us, m.state as member_state, u.state as account_state
           from scim_resource r
           join membership m on m.realm_id = r.realm_id and m.org_id = r.org_id and m.user_id = r.subject_id
           join user_account u on u.realm_id = r.realm_id and u.user_id = r.subject_id
          where r.realm_id = $1 and r.org_id = $2 and r.kind = 'user' and u.state <> 'deprovisioned'
            and r.user_name_key = $3
          order by r.created_us, r.resource_id"
    );
    tx.fetch_optional(sql, params![org, user_name.to_lowercase()], user_row).await
}

/// Users with this id of the directory.
pub async fn users_by_external_id(tx: &mut Tx, org: OrgId, external_id: &str) -> Result<Vec<UserRow>, StoreError> {
    let sql = scoped!(
        "select r.resource_id, r.subject_id, r.external_id, r.user_name, r.email_key, r.attributes_json, r.suspended,
                r.created_us, r.changed_us, m.state as member_state, u.state as account_state
           from scim_resource r
           join membership m on m.realm_id = r.realm_id and m.org_id = r.org_id and m.user_id = r.subject_id
           join user_account u on u.realm_id = r.realm_id and u.user_id = r.subject_id
          where r.realm_id = $1 and r.org_id = $2 and r.kind = 'user' and u.state <> 'deprovisioned'
            and r.external_id = $3
          order by r.created_us, r.resource_id"
    );
    tx.fetch_all(sql, params![org, external_id], user_row).await
}

/// The user with this main address.
pub async fn user_by_email(tx: &mut Tx, org: OrgId, email: &str) -> Result<Option<UserRow>, StoreError> {
    let sql = scoped!(
        "select r.resource_id, r.subject_id, r.external_id, r.user_name, r.email_key, r.attributes_json, r.suspended,
                r.created_us, r.changed_us, m.state as member_state, u.state as account_state
           from scim_resource r
           join membership m on m.realm_id = r.realm_id and m.org_id = r.org_id and m.user_id = r.subject_id
           join user_account u on u.realm_id = r.realm_id and u.user_id = r.subject_id
          where r.realm_id = $1 and r.org_id = $2 and r.kind = 'user' and u.state <> 'deprovisioned'
            and r.email_key = $3
          order by r.created_us, r.resource_id"
    );
    tx.fetch_optional(sql, params![org, email_key(email)], user_row).await
}

/// Organisations whose directories know a user with this main address.
pub async fn knowing(tx: &mut Tx, email: &str) -> Result<Vec<OrgId>, StoreError> {
    let sql = scoped!(
        "select org_id
           from scim_resource
          where realm_id = $1 and kind = 'user' and email_key = $2
          order by org_id"
    );
    tx.fetch_all(sql, params![email_key(email)], |row| row.parsed("org_id")).await
}

/// Adds a user, or writes him anew.
pub async fn put_user(tx: &mut Tx, org: OrgId, user: &UserRow) -> Result<(), StoreError> {
    let sql = scoped!(
        "insert into scim_resource (realm_id, org_id, kind, resource_id, subject_id, external_id, user_name, user_name_key,
                                    email_key, attributes_json, suspended, created_us, changed_us)
         values ($1, $2, 'user', $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
         on conflict (realm_id, org_id, kind, resource_id) do update
            set subject_id = excluded.subject_id, external_id = excluded.external_id, user_name = excluded.user_name,
                user_name_key = excluded.user_name_key, email_key = excluded.email_key,
                attributes_json = excluded.attributes_json, suspended = excluded.suspended,
                changed_us = excluded.changed_us"
    );
    let values = params![
        org,
        user.id,
        user.account,
        user.external_id.as_str(),
        user.user_name.as_str(),
        user.user_name.to_lowercase(),
        user.email_key.as_str(),
        user.attributes_json.as_str(),
        user.suspended.as_str(),
        user.created_us,
        user.changed_us,
    ];
    tx.execute(sql, values).await?;
    Ok(())
}

/// Forgets what the directory said of an account.
pub async fn delete_user(tx: &mut Tx, org: OrgId, account: UserId) -> Result<u64, StoreError> {
    let sql =
        scoped!("delete from scim_resource where realm_id = $1 and org_id = $2 and kind = 'user' and subject_id = $3");
    tx.execute(sql, params![org, account]).await
}

/// What a directory says of a group beside its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRow {
    /// The group.
    pub id: GroupId,
    /// The directory's own id; empty for none.
    pub external_id: String,
    /// When the directory made it or first changed it.
    pub created_us: i64,
    /// When the directory changed it.
    pub changed_us: i64,
}

/// What a directory says of the groups of an organisation.
pub async fn groups(tx: &mut Tx, org: OrgId) -> Result<Vec<GroupRow>, StoreError> {
    let sql = scoped!(
        "select resource_id, external_id, created_us, changed_us
           from scim_resource
          where realm_id = $1 and org_id = $2 and kind = 'group'
          order by resource_id"
    );
    tx.fetch_all(sql, params![org], |row| {
        Ok(GroupRow {
            id: row.parsed("resource_id")?,
            external_id: row.text("external_id")?,
            created_us: row.int("created_us")?,
            changed_us: row.int("changed_us")?,
        })
    })
    .await
}

/// Writes what the directory says of a group.
pub async fn put_group(tx: &mut Tx, org: OrgId, group: &GroupRow) -> Result<(), StoreError> {
    let sql = scoped!(
        "insert into scim_resource (realm_id, org_id, kind, resource_id, subject_id, external_id, user_name, user_name_key,
                                    email_key, attributes_json, suspended, created_us, changed_us)
         values ($1, $2, 'group', $3, $3, $4, '', '', '', '{}', '', $5, $6)
         on conflict (realm_id, org_id, kind, resource_id) do update
            set external_id = excluded.external_id, changed_us = excluded.changed_us"
    );
    let values = params![org, group.id, group.external_id.as_str(), group.created_us, group.changed_us];
    tx.execute(sql, values).await?;
    Ok(())
}

/// Forgets what the directory said of a group.
pub async fn delete_group(tx: &mut Tx, org: OrgId, group: GroupId) -> Result<u64, StoreError> {
    let sql = scoped!(
        "delete from scim_resource where realm_id = $1 and org_id = $2 and kind = 'group' and resource_id = $3"
    );
    tx.execute(sql, params![org, group]).await
}

/// Members of a group that the directory put there: the id that the directory knows, and the name.
pub async fn members(tx: &mut Tx, org: OrgId, group: GroupId) -> Result<Vec<(UserId, String)>, StoreError> {
    let sql = scoped!(
        "select r.resource_id, u.display_name
           from group_member g
           join scim_resource r on r.realm_id = g.realm_id and r.kind = 'user' and r.subject_id = g.user_id
           join membership m on m.realm_id = r.realm_id and m.org_id = r.org_id and m.user_id = r.subject_id
           join user_account u on u.realm_id = r.realm_id and u.user_id = r.subject_id
          where g.realm_id = $1 and r.org_id = $2 and g.group_id = $3 and g.source = 'scim'
          order by r.resource_id"
    );
    tx.fetch_all(sql, params![org, group], |row| Ok((row.parsed("resource_id")?, row.text("display_name")?))).await
}

//! Linked S3 accounts and the name space that is mapped onto them.

use crate::sql::{Row, StoreError, Tx, params, scoped};
use base::{AccountId, MappingId, OrgId, UserId};
use serde::Serialize;

/// A linked S3 account. Its secret never leaves the store but sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// Whose account it is.
    pub org: OrgId,
    /// Name as shown.
    pub name: String,
    /// `https://s3.example.net`.
    pub endpoint: String,
    /// Region to sign for.
    pub region: String,
    /// `path` or `virtual_host`.
    pub style: String,
    /// The account's own access key id.
    pub access_key: String,
    /// The sealed secret.
    #[serde(skip)]
    pub secret_sealed: String,
    /// When it was linked.
    pub created_us: i64,
}

fn account_from_row(row: &Row) -> Result<Account, StoreError> {
    Ok(Account {
        id: row.parsed("account_id")?,
        org: row.parsed("org_id")?,
        name: row.text("name")?,
        endpoint: row.text("endpoint")?,
        region: row.text("region")?,
        style: row.text("style")?,
        access_key: row.text("access_key")?,
        secret_sealed: row.text("secret_sealed")?,
        created_us: row.int("created_us")?,
    })
}

/// A row of the name space: who sees which virtual bucket or folder, and where it really is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mapping {
    /// Its id.
    pub id: MappingId,
    /// Everybody at this organisation or below sees it ...
    pub org: OrgId,
    /// ... or only this user.
    pub user: Option<UserId>,
    /// Bucket as its users see it.
    pub virtual_bucket: String,
    /// Folder inside it, ending with `/`; empty for the whole bucket.
    pub folder: String,
    /// The account.
    pub account: AccountId,
    /// The bucket there.
    pub real_bucket: String,
    /// Key prefix there, ending with `/`; empty for the whole bucket.
    pub prefix: String,
    /// `write` or `read`.
    pub access: String,
    /// When it was made.
    pub created_us: i64,
}

pub(crate) fn mapping_from_row(row: &Row) -> Result<Mapping, StoreError> {
    let user = row.text("user_id")?;
    let user = if user.is_empty() { None } else { Some(row.parsed("user_id")?) };
    Ok(Mapping {
        id: row.parsed("mapping_id")?,
        org: row.parsed("org_id")?,
        user,
        virtual_bucket: row.text("virtual_bucket")?,
        folder: row.text("folder")?,
        account: row.parsed("account_id")?,
        real_bucket: row.text("real_bucket")?,
        prefix: row.text("prefix")?,
        access: row.text("access")?,
        created_us: row.int("created_us")?,
    })
}

/// Adds an account.
pub async fn insert(tx: &mut Tx, account: &Account) -> Result<(), StoreError> {
    let sql = scoped!(
        "insert into s3_account (realm_id, account_id, org_id, name, endpoint, region, style, access_key, secret_sealed,
                                 created_us)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
    );
    let values = params![
        account.id,
        account.org,
        account.name.as_str(),
        account.endpoint.as_str(),
        account.region.as_str(),
        account.style.as_str(),
        account.access_key.as_str(),
        account.secret_sealed.as_str(),
        account.created_us,
    ];
    tx.execute(sql, values).await?;
    Ok(())
}

/// One account.
pub async fn get(tx: &mut Tx, account: AccountId) -> Result<Account, StoreError> {
    let sql = scoped!(
        "select account_id, org_id, name, endpoint, region, style, access_key, secret_sealed, created_us
           from s3_account
          where realm_id = $1 and account_id = $2"
    );
    tx.fetch_one("S3 account", sql, params![account], account_from_row).await
}

/// Accounts of `org` and below.
pub async fn below(tx: &mut Tx, org: OrgId) -> Result<Vec<Account>, StoreError> {
    let sql = scoped!(
        "select s.account_id, s.org_id, s.name, s.endpoint, s.region, s.style, s.access_key, s.secret_sealed, s.created_us
           from s3_account s
           join org_above a on a.realm_id = s.realm_id and a.org_id = s.org_id
          where s.realm_id = $1 and a.ancestor_id = $2
          order by s.name, s.account_id"
    );
    tx.fetch_all(sql, params![org], account_from_row).await
}

/// Adds a mapping.
pub async fn insert_mapping(tx: &mut Tx, mapping: &Mapping) -> Result<(), StoreError> {
    let sql = scoped!(
        "insert into s3_mapping (realm_id, mapping_id, org_id, user_id, virtual_bucket, folder, account_id, real_bucket,
                                 prefix, access, created_us)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
    );
    let values = params![
        mapping.id,
        mapping.org,
        mapping.user.map(|user| user.to_string()).unwrap_or_default(),
        mapping.virtual_bucket.as_str(),
        mapping.folder.as_str(),
        mapping.account,
        mapping.real_bucket.as_str(),
        mapping.prefix.as_str(),
        mapping.access.as_str(),
        mapping.created_us,
    ];
    tx.execute(sql, values).await?;
    Ok(())
}

/// What a user of `org` sees: rows of the organisation and of those above it, and his own.
pub async fn mappings_for(tx: &mut Tx, org: OrgId, user: UserId) -> Result<Vec<Mapping>, StoreError> {
    let sql = scoped!(
        "select m.mapping_id, m.org_id, m.user_id, m.virtual_bucket, m.folder, m.account_id, m.real_bucket, m.prefix,
                m.access, m.created_us
           from s3_mapping m
           join org_above a on a.realm_id = m.realm_id and a.ancestor_id = m.org_id
          where m.realm_id = $1 and a.org_id = $2 and (m.user_id = '' or m.user_id = $3)
          order by m.virtual_bucket, m.folder, a.depth, m.user_id desc"
    );
    tx.fetch_all(sql, params![org, user], mapping_from_row).await
}

/// Rows made at `org` or below.
pub async fn mappings_below(tx: &mut Tx, org: OrgId) -> Result<Vec<Mapping>, StoreError> {
    let sql = scoped!(
        "select m.mapping_id, m.org_id, m.user_id, m.virtual_bucket, m.folder, m.account_id, m.real_bucket, m.prefix,
                m.access, m.created_us
           from s3_mapping m
           join org_above a on a.realm_id = m.realm_id and a.org_id = m.org_id
          where m.realm_id = $1 and a.ancestor_id = $2
          order by m.virtual_bucket, m.folder, m.mapping_id"
    );
    tx.fetch_all(sql, params![org], mapping_from_row).await
}

/// Rows over a bucket of that name, of whichever account, with the endpoint of their accounts: two accounts may lead to
/// one store.
pub async fn mappings_on(tx: &mut Tx, real_bucket: &str) -> Result<Vec<(Mapping, String)>, StoreError> {
    let sql = scoped!(
        "select m.mapping_id, m.org_id, m.user_id, m.virtual_bucket, m.folder, m.account_id, m.real_bucket, m.prefix,
                m.access, m.created_us, s.endpoint
           from s3_mapping m
           join s3_account s on s.realm_id = m.realm_id and s.account_id = m.account_id
          where m.realm_id = $1 and m.real_bucket = $2
          order by m.prefix, m.mapping_id"
    );
    tx.fetch_all(sql, params![real_bucket], |row| Ok((mapping_from_row(row)?, row.text("endpoint")?))).await
}

/// A row made at `org`.
pub async fn mapping_at(tx: &mut Tx, org: OrgId, mapping: MappingId) -> Result<Option<Mapping>, StoreError> {
    let sql = scoped!(
        "select mapping_id, org_id, user_id, virtual_bucket, folder, account_id, real_bucket, prefix, access, created_us
           from s3_mapping
          where realm_id = $1 and org_id = $2 and mapping_id = $3"
    );
    tx.fetch_optional(sql, params![org, mapping], mapping_from_row).await
}

/// Removes a mapping; what it counted stays counted.
pub async fn delete_mapping(tx: &mut Tx, org: OrgId, mapping: MappingId) -> Result<u64, StoreError> {
    let sql = scoped!("delete from s3_mapping where realm_id = $1 and org_id = $2 and mapping_id = $3");
    tx.execute(sql, params![org, mapping]).await
}

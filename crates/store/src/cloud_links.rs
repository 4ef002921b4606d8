//! Cloud accounts and the organisation that each belongs to, from a day on.

use crate::sql::{Row, StoreError, Tx, params, scoped};
use base::{CloudLinkId, OrgId};
use serde::Serialize;

/// An external account at an organisation, for the time `[from_us, to_us)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CloudLink {
    /// Its id.
    pub id: CloudLinkId,
    /// Whose account it is in that time.
    pub org: OrgId,
    /// `s3`, `cloudstack`, `aws`, `azure`, `gcp`, `other`.
    pub provider: String,
    /// The account's own name at the provider.
    pub external_account: String,
    /// Name as shown.
    pub name: String,
    /// From when on.
    pub from_us: i64,
    /// Until when; `None` for as long as nobody ends it.
    pub to_us: Option<i64>,
    /// When the row was made.
    pub created_us: i64,
}

fn from_row(row: &Row) -> Result<CloudLink, StoreError> {
    Ok(CloudLink {
        id: row.parsed("link_id")?,
        org: row.parsed("org_id")?,
        provider: row.text("provider")?,
        external_account: row.text("external_account")?,
        name: row.text("name")?,
        from_us: row.int("from_us")?,
        to_us: row.opt_int("to_us")?,
        created_us: row.int("created_us")?,
    })
}

/// Adds a link.
pub async fn insert(tx: &mut Tx, link: &CloudLink) -> Result<(), StoreError> {
    let sql = scoped!(
        "insert into cloud_link (realm_id, link_id, org_id, provider, external_account, name, from_us, to_us, created_us)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
    );
    let values = params![
        link.id,
        link.org,
        link.provider.as_str(),
        link.external_account.as_str(),
        link.name.as_str(),
        link.from_us,
        link.to_us,
        link.created_us,
    ];
    tx.execute(sql, values).await?;
    Ok(())
}

/// One link.
pub async fn get(tx: &mut Tx, link: CloudLinkId) -> Result<CloudLink, StoreError> {
    let sql = scoped!(
        "select link_id, org_id, provider, external_account, name, from_us, to_us, created_us
           from cloud_link
          where realm_id = $1 and link_id = $2"
    );
    tx.fetch_one("cloud connection", sql, params![link], from_row).await
}

/// The whole history of one external account.
pub async fn of_account(tx: &mut Tx, provider: &str, external_account: &str) -> Result<Vec<CloudLink>, StoreError> {
    let sql = scoped!(
        "select link_id, org_id, provider, external_account, name, from_us, to_us, created_us
           from cloud_link
          where realm_id = $1 and provider = $2 and external_account = $3
          order by from_us"
    );
    tx.fetch_all(sql, params![provider, external_account], from_row).await
}

/// Links of `org` and below, past ones included.
pub async fn below(tx: &mut Tx, org: OrgId) -> Result<Vec<CloudLink>, StoreError> {
    let sql = scoped!(
        "select l.link_id, l.org_id, l.provider, l.external_account, l.name, l.from_us, l.to_us, l.created_us
           from cloud_link l
           join org_above a on a.realm_id = l.realm_id and a.org_id = l.org_id
          where l.realm_id = $1 and a.ancestor_id = $2
          order by l.provider, l.external_account, l.from_us"
    );
    tx.fetch_all(sql, params![org], from_row).await
}

/// Ends a link.
pub async fn set_end(tx: &mut Tx, link: CloudLinkId, to_us: Option<i64>) -> Result<u64, StoreError> {
    let sql = scoped!("update cloud_link set to_us = $3 where realm_id = $1 and link_id = $2");
    tx.execute(sql, params![link, to_us]).await
}

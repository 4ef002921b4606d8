//! Rows of the name space that were removed: what lies below them is still somebody's.

use crate::accounts::{Mapping, mapping_from_row};
use crate::sql::{Row, StoreError, Tx, params, scoped};
use base::{AccountId, MappingId, OrgId};
use serde::Serialize;

/// What becomes of the charge for stored bytes when a row is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Charge {
    /// It goes on until the data are gone.
    GoesOn,
    /// It ends with the next sweep.
    Stop,
}

impl Charge {
    /// The word.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::GoesOn => "goes_on",
            Self::Stop => "stop",
        }
    }
}

impl std::str::FromStr for Charge {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::GoesOn, Self::Stop].into_iter().find(|charge| charge.code() == text).ok_or(())
    }
}

/// A row that was removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FormerMapping {
    /// The row as it was.
    pub row: Mapping,
    /// What becomes of the charge.
    pub charge: Charge,
    /// When it was removed.
    pub removed_us: i64,
}

fn from_row(row: &Row) -> Result<FormerMapping, StoreError> {
    let charge = row.text("charge")?;
    Ok(FormerMapping {
        row: mapping_from_row(row)?,
        charge: charge.parse().map_err(|()| StoreError::Corrupt { column: "charge".to_owned(), value: charge })?,
        removed_us: row.int("removed_us")?,
    })
}

/// Keeps a row that is being removed.
pub async fn insert(tx: &mut Tx, mapping: &Mapping, charge: Charge, now_us: i64) -> Result<(), StoreError> {
    let sql = scoped!(
        "insert into s3_former_mapping (realm_id, mapping_id, org_id, user_id, virtual_bucket, folder, account_id, real_bucket,
                                        prefix, access, created_us, charge, removed_us)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"
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
        charge.code(),
        now_us,
    ];
    tx.execute(sql, values).await?;
    Ok(())
}

/// Removed rows of an account.
pub async fn of_account(tx: &mut Tx, account: AccountId) -> Result<Vec<FormerMapping>, StoreError> {
    let sql = scoped!(
        "select mapping_id, org_id, user_id, virtual_bucket, folder, account_id, real_bucket, prefix, access, created_us, charge,
                removed_us
           from s3_former_mapping
          where realm_id = $1 and account_id = $2
          order by mapping_id"
    );
    tx.fetch_all(sql, params![account], from_row).await
}

/// Removed rows of `org` and below, the last one first.
pub async fn below(tx: &mut Tx, org: OrgId) -> Result<Vec<FormerMapping>, StoreError> {
    let sql = scoped!(
        "select m.mapping_id, m.org_id, m.user_id, m.virtual_bucket, m.folder, m.account_id, m.real_bucket, m.prefix,
                m.access, m.created_us, m.charge, m.removed_us
           from s3_former_mapping m
           join org_above a on a.realm_id = m.realm_id and a.org_id = m.org_id
          where m.realm_id = $1 and a.ancestor_id = $2
          order by m.removed_us desc, m.mapping_id"
    );
    tx.fetch_all(sql, params![org], from_row).await
}

/// Ends the charge of what lies below a removed row. `None` when there is no such row at `org` whose charge goes on.
pub async fn stop(tx: &mut Tx, org: OrgId, mapping: MappingId) -> Result<Option<AccountId>, StoreError> {
    let sql = scoped!(
        "update s3_former_mapping
            set charge = 'stop'
          where realm_id = $1 and org_id = $2 and mapping_id = $3 and charge = 'goes_on'
         returning account_id"
    );
    tx.fetch_optional(sql, params![org, mapping], |row| row.parsed("account_id")).await
}

/// Forgets removed rows of an organisation for a place that it maps once more.
pub async fn forget_place(tx: &mut Tx, mapping: &Mapping) -> Result<u64, StoreError> {
    let sql = scoped!(
        "delete from s3_former_mapping
          where realm_id = $1 and org_id = $2 and account_id = $3 and real_bucket = $4 and prefix = $5"
    );
    let values = params![mapping.org, mapping.account, mapping.real_bucket.as_str(), mapping.prefix.as_str()];
    tx.execute(sql, values).await
}

/// Forgets a removed row below which nothing is stored any more.
pub async fn forget(tx: &mut Tx, mapping: MappingId) -> Result<u64, StoreError> {
    let sql = scoped!("delete from s3_former_mapping where realm_id = $1 and mapping_id = $2");
    tx.execute(sql, params![mapping]).await
}

//! Domains that organisations claim: whose addresses their identity provider may speak for.

use crate::sql::{Row, StoreError, Tx, params, scoped};
use base::OrgId;
use serde::Serialize;

/// A claimed domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Claim {
    /// The domain, lower case.
    pub domain: String,
    /// By whom.
    pub org: OrgId,
    /// What a TXT record must say.
    pub challenge: String,
    /// When that was seen.
    pub verified_us: Option<i64>,
    /// When it was claimed.
    pub created_us: i64,
}

pub(crate) fn from_row(row: &Row) -> Result<Claim, StoreError> {
    Ok(Claim {
        domain: row.text("domain")?,
        org: row.parsed("org_id")?,
        challenge: row.text("challenge")?,
        verified_us: row.opt_int("verified_us")?,
        created_us: row.int("created_us")?,
    })
}

/// Adds a claim; a domain that the tree has already is a conflict.
pub async fn insert(tx: &mut Tx, claim: &Claim) -> Result<(), StoreError> {
    let sql = scoped!(
        "insert into domain_claim (realm_id, domain, org_id, challenge, verified_us, created_us)
         values ($1, $2, $3, $4, $5, $6)"
    );
    let values =
        params![claim.domain.as_str(), claim.org, claim.challenge.as_str(), claim.verified_us, claim.created_us,];
    tx.execute(sql, values).await?;
    Ok(())
}

/// The claim of a domain.
pub async fn get(tx: &mut Tx, domain: &str) -> Result<Option<Claim>, StoreError> {
    let sql = scoped!(
        "select domain, org_id, challenge, verified_us, created_us
           from domain_claim
          where realm_id = $1 and domain = $2"
    );
    tx.fetch_optional(sql, params![domain], from_row).await
}

/// Claims of one organisation, by name.
pub async fn at_org(tx: &mut Tx, org: OrgId) -> Result<Vec<Claim>, StoreError> {
    let sql = scoped!(
        "select domain, org_id, challenge, verified_us, created_us
           from domain_claim
          where realm_id = $1 and org_id = $2
          order by domain"
    );
    tx.fetch_all(sql, params![org], from_row).await
}

/// Notes that the record was seen.
pub async fn verify(tx: &mut Tx, domain: &str, now_us: i64) -> Result<u64, StoreError> {
    let sql = scoped!("update domain_claim set verified_us = $3 where realm_id = $1 and domain = $2");
    tx.execute(sql, params![domain, now_us]).await
}

/// Gives a domain up.
pub async fn delete(tx: &mut Tx, org: OrgId, domain: &str) -> Result<u64, StoreError> {
    let sql = scoped!("delete from domain_claim where realm_id = $1 and org_id = $2 and domain = $3");
    tx.execute(sql, params![org, domain]).await
}

/// Gives up every domain of an organisation.
pub async fn delete_at(tx: &mut Tx, org: OrgId) -> Result<u64, StoreError> {
    let sql = scoped!("delete from domain_claim where realm_id = $1 and org_id = $2");
    tx.execute(sql, params![org]).await
}

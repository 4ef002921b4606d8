//! Price agreements: one price book for each edge, versioned, with a first month.

use crate::sql::{Row, StoreError, Tx, params, scoped, to_json};
use base::{AgreementId, OrgId};
use pricing::PriceBook;
use serde::Serialize;

/// One version of the prices between a seller and a buyer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Agreement {
    /// Its id.
    pub id: AgreementId,
    /// The parent of the edge.
    pub seller: OrgId,
    /// The child of the edge.
    pub buyer: OrgId,
    /// From 1, by buyer.
    pub version: i64,
    /// First instant of its first month.
    pub effective_from_us: i64,
    /// The prices.
    pub book: PriceBook,
    /// When it was made.
    pub created_us: i64,
    /// By whom.
    pub created_by: String,
}

fn from_row(row: &Row) -> Result<Agreement, StoreError> {
    Ok(Agreement {
        id: row.parsed("agreement_id")?,
        seller: row.parsed("seller_org_id")?,
        buyer: row.parsed("buyer_org_id")?,
        version: row.int("version")?,
        effective_from_us: row.int("effective_from_us")?,
        book: row.json("book_json")?,
        created_us: row.int("created_us")?,
        created_by: row.text("created_by")?,
    })
}

/// Adds the next version. The version number is taken under the buyer's lock row.
pub async fn insert(tx: &mut Tx, agreement: &Agreement) -> Result<i64, StoreError> {
    let newest = scoped!(
        "select cast(coalesce(max(version), 0) as bigint) as version
           from agreement
          where realm_id = $1 and buyer_org_id = $2"
    );
    let version = 1 + tx.fetch_one("version", newest, params![agreement.buyer], |row| row.int("version")).await?;
    let sql = scoped!(
        "insert into agreement (realm_id, buyer_org_id, version, agreement_id, seller_org_id, effective_from_us, book_json,
                                created_us, created_by)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
    );
    let values = params![
        agreement.buyer,
        version,
        agreement.id,
        agreement.seller,
        agreement.effective_from_us,
        to_json(&agreement.book),
        agreement.created_us,
        agreement.created_by.as_str(),
    ];
    tx.execute(sql, values).await?;
    Ok(version)
}

/// The version in force at an instant: the newest among those that have begun and that were agreed with the
/// parent who bills the buyer then. After a move, nothing that was agreed before holds.
pub async fn in_force(tx: &mut Tx, buyer: OrgId, at_us: i64) -> Result<Option<Agreement>, StoreError> {
    let sql = scoped!(
        "select agreement_id, seller_org_id, buyer_org_id, version, effective_from_us, book_json, created_us, created_by
           from agreement
          where realm_id = $1 and buyer_org_id = $2 and effective_from_us <= $3
            and seller_org_id = coalesce((select b.parent_id from org_billed_under b
                                           where b.realm_id = $1 and b.org_id = $2 and b.from_us <= $3
                                           order by b.from_us desc limit 1),
                                         (select o.parent_id from org o where o.realm_id = $1 and o.org_id = $2))
          order by effective_from_us desc, version desc
          limit 1"
    );
    tx.fetch_optional(sql, params![buyer, at_us], from_row).await
}

/// All versions of an edge, newest first.
pub async fn history(tx: &mut Tx, buyer: OrgId) -> Result<Vec<Agreement>, StoreError> {
    let sql = scoped!(
        "select agreement_id, seller_org_id, buyer_org_id, version, effective_from_us, book_json, created_us, created_by
           from agreement
          where realm_id = $1 and buyer_org_id = $2
          order by version desc"
    );
    tx.fetch_all(sql, params![buyer], from_row).await
}

//! Charges and the rating run that made them. Replaced as a whole per edge and month.

use crate::sql::{Row, StoreError, Tx, params, scoped};
use base::{AmountPico, OrgId, Period, QuantityNano, RunId};
use pricing::Charge;
use serde::Serialize;

/// What one rating of an edge used and found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RatingRun {
    /// Its id.
    pub id: RunId,
    /// The edge's child.
    pub buyer: OrgId,
    /// The month.
    pub period: Period,
    /// Version of the price agreement; 0 when the edge passes its parent's prices through.
    pub agreement_version: i64,
    /// Usage up to here is in it.
    pub watermark: i64,
    /// Hash over the charges: equal inputs give equal digests.
    pub digest: String,
    /// Tier by tier explanation, JSON.
    pub parts_json: String,
    /// Usage without a price, JSON.
    pub unrated_json: String,
    /// When it ran.
    pub rated_us: i64,
}

fn run_from_row(row: &Row) -> Result<RatingRun, StoreError> {
    Ok(RatingRun {
        id: row.parsed("run_id")?,
        buyer: row.parsed("buyer_org_id")?,
        period: Period { start_us: row.int("period_start_us")?, end_us: row.int("period_end_us")? },
        agreement_version: row.int("agreement_version")?,
        watermark: row.int("watermark")?,
        digest: row.text("digest")?,
        parts_json: row.text("parts_json")?,
        unrated_json: row.text("unrated_json")?,
        rated_us: row.int("rated_us")?,
    })
}

/// Puts the result of a rating in the place of the one before.
pub async fn replace(tx: &mut Tx, run: &RatingRun, charges: &[Charge]) -> Result<(), StoreError> {
    let clear = scoped!("delete from charge where realm_id = $1 and buyer_org_id = $2 and period_start_us = $3");
    tx.execute(clear, params![run.buyer, run.period.start_us]).await?;
    let record = scoped!(
        "insert into rating_run (realm_id, buyer_org_id, period_start_us, period_end_us, run_id, agreement_version,
                                 watermark, digest, parts_json, unrated_json, rated_us)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         on conflict (realm_id, buyer_org_id, period_start_us) do update
            set period_end_us = excluded.period_end_us, run_id = excluded.run_id,
                agreement_version = excluded.agreement_version, watermark = excluded.watermark,
                digest = excluded.digest, parts_json = excluded.parts_json, unrated_json = excluded.unrated_json,
                rated_us = excluded.rated_us"
    );
    let values = params![
        run.buyer,
        run.period.start_us,
        run.period.end_us,
        run.id,
        run.agreement_version,
        run.watermark,
        run.digest.as_str(),
        run.parts_json.as_str(),
        run.unrated_json.as_str(),
        run.rated_us,
    ];
    tx.execute(record, values).await?;
    let sql = scoped!(
        "insert into charge (realm_id, buyer_org_id, period_start_us, item_code, org_id, quantity_nano, amount_pico)
         values ($1, $2, $3, $4, $5, $6, $7)"
    );
    for charge in charges {
        let (quantity, amount) = (charge.quantity.0.to_string(), charge.amount.0.to_string());
        let values = params![run.buyer, run.period.start_us, charge.item_code.as_str(), charge.org, quantity, amount];
        tx.execute(sql, values).await?;
    }
    Ok(())
}

/// The last rating of an edge and month.
pub async fn run_of(tx: &mut Tx, buyer: OrgId, period_start_us: i64) -> Result<Option<RatingRun>, StoreError> {
    let sql = scoped!(
        "select buyer_org_id, period_start_us, period_end_us, run_id, agreement_version, watermark, digest, parts_json,
                unrated_json, rated_us
           from rating_run
          where realm_id = $1 and buyer_org_id = $2 and period_start_us = $3"
    );
    tx.fetch_optional(sql, params![buyer, period_start_us], run_from_row).await
}

/// The charges of an edge and month, by item and organisation.
pub async fn of(tx: &mut Tx, buyer: OrgId, period_start_us: i64) -> Result<Vec<Charge>, StoreError> {
    let sql = scoped!(
        "select item_code, org_id, quantity_nano, amount_pico
           from charge
          where realm_id = $1 and buyer_org_id = $2 and period_start_us = $3
          order by item_code, org_id"
    );
    tx.fetch_all(sql, params![buyer, period_start_us], |row| {
        Ok(Charge {
            item_code: row.text("item_code")?,
            org: row.parsed("org_id")?,
            quantity: QuantityNano(row.scaled("quantity_nano")?),
            amount: AmountPico(row.scaled("amount_pico")?),
        })
    })
    .await
}

//! Meters that a realm defined for its own events.

use crate::sql::{StoreError, Tx, params, scoped, to_json};
use metering::{Aggregation, Meter};

/// Defines a meter, or leaves it as it is when it is defined already.
pub async fn insert(tx: &mut Tx, meter: &Meter, created_us: i64) -> Result<u64, StoreError> {
    let sql = scoped!(
        "insert into meter (realm_id, code, unit, aggregation, dimensions_json, created_us)
         values ($1, $2, $3, $4, $5, $6)
         on conflict (realm_id, code) do nothing"
    );
    let aggregation = if meter.aggregation == Aggregation::Max { "max" } else { "sum" };
    let values = params![meter.code.as_str(), meter.unit.as_str(), aggregation, to_json(&meter.dimensions), created_us];
    tx.execute(sql, values).await
}

/// All meters of the realm, those of the gateway excepted.
pub async fn all(tx: &mut Tx) -> Result<Vec<Meter>, StoreError> {
    let sql = scoped!("select code, unit, aggregation, dimensions_json from meter where realm_id = $1 order by code");
    tx.fetch_all(sql, params![], |row| {
        let aggregation = if row.text("aggregation")? == "max" { Aggregation::Max } else { Aggregation::Sum };
        Ok(Meter {
            code: row.text("code")?,
            unit: row.text("unit")?,
            aggregation,
            dimensions: row.json("dimensions_json")?,
        })
    })
    .await
}

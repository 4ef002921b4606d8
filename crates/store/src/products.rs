//! Products of organisations: granted or withheld, and what new children get.

use crate::sql::{StoreError, Tx, params, scoped};
use access::{Product, Products};
use base::OrgId;

fn product(row: &crate::sql::Row) -> Result<Product, StoreError> {
    let value = row.text("product")?;
    Product::from_code(&value).ok_or(StoreError::Corrupt { column: "product".to_owned(), value })
}

/// What was granted to `org` itself, whatever those above it have.
pub async fn own(tx: &mut Tx, org: OrgId) -> Result<Products, StoreError> {
    let sql = scoped!(
        "select product
           from product_access
          where realm_id = $1 and org_id = $2 and state = 'granted'"
    );
    Ok(tx.fetch_all(sql, params![org], product).await?.into_iter().collect())
}

/// Grants or withholds a product.
pub async fn set(tx: &mut Tx, org: OrgId, product: Product, granted: bool) -> Result<(), StoreError> {
    let sql = scoped!(
        "insert into product_access (realm_id, org_id, product, state)
         values ($1, $2, $3, $4)
         on conflict (realm_id, org_id, product) do update set state = excluded.state"
    );
    let state = if granted { "granted" } else { "withheld" };
    tx.execute(sql, params![org, product.code(), state]).await?;
    Ok(())
}

/// What new children of `org` get.
pub async fn defaults(tx: &mut Tx, org: OrgId) -> Result<Products, StoreError> {
    let sql = scoped!("select product from product_default where realm_id = $1 and org_id = $2");
    Ok(tx.fetch_all(sql, params![org], product).await?.into_iter().collect())
}

/// Sets what new children of `org` get.
pub async fn set_defaults(tx: &mut Tx, org: OrgId, products: Products) -> Result<(), StoreError> {
    let clear = scoped!("delete from product_default where realm_id = $1 and org_id = $2");
    tx.execute(clear, params![org]).await?;
    for product in Product::ALL.into_iter().filter(|product| products.has(*product)) {
        let sql = scoped!("insert into product_default (realm_id, org_id, product) values ($1, $2, $3)");
        tx.execute(sql, params![org, product.code()]).await?;
    }
    Ok(())
}

//! Organisations and their closure table.

use crate::sql::{Row, StoreError, Tx, params, scoped, to_json};
use access::Place;
use base::{Currency, OrgId, RealmId, Zone};
use billing::InvoiceKind;
use serde::Serialize;

/// An organisation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Org {
    /// Its id.
    pub id: OrgId,
    /// Its parent; `None` for the root.
    pub parent: Option<OrgId>,
    /// `provider`, `reseller`, `customer`, `department`, `project`.
    pub kind: String,
    /// Name as shown.
    pub name: String,
    /// Address lines as printed.
    pub address: Vec<String>,
    /// Money of its papers.
    pub currency: Currency,
    /// Calendar of its papers.
    pub zone: Zone,
    /// Whether it gets invoices or statements from its parent.
    pub invoice_kind: InvoiceKind,
    /// When it was made.
    pub created_us: i64,
}

fn from_row(row: &Row) -> Result<Org, StoreError> {
    let invoice_kind = match row.text("invoice_kind")?.as_str() {
        "invoice" => InvoiceKind::Invoice,
        _ => InvoiceKind::Statement,
    };
    Ok(Org {
        id: row.parsed("org_id")?,
        parent: row.opt_parsed("parent_id")?,
        kind: row.text("kind")?,
        name: row.text("name")?,
        address: row.json("address_json")?,
        currency: row.parsed("currency")?,
        zone: row.parsed("zone")?,
        invoice_kind,
        created_us: row.int("created_us")?,
    })
}

/// One organisation.
pub async fn get(tx: &mut Tx, org: OrgId) -> Result<Org, StoreError> {
    let sql = scoped!(
        "select org_id, parent_id, kind, name, address_json, currency, zone, invoice_kind, created_us
           from org
          where realm_id = $1 and org_id = $2"
    );
    tx.fetch_one("organisation", sql, params![org], from_row).await
}

/// The way from the root down to `org`: what a decision is made on.
pub async fn place(tx: &mut Tx, org: OrgId) -> Result<Place, StoreError> {
    let sql = scoped!(
        "select ancestor_id
           from org_above
          where realm_id = $1 and org_id = $2
          order by depth desc"
    );
    let path = tx.fetch_all(sql, params![org], |row| row.parsed("ancestor_id")).await?;
    if path.is_empty() {
        return Err(StoreError::NotFound("organisation"));
    }
    Ok(Place { realm: tx.realm(), path })
}

/// Direct children, by name.
pub async fn children(tx: &mut Tx, org: OrgId) -> Result<Vec<Org>, StoreError> {
    let sql = scoped!(
        "select org_id, parent_id, kind, name, address_json, currency, zone, invoice_kind, created_us
           from org
          where realm_id = $1 and parent_id = $2
          order by name_key, org_id"
    );
    tx.fetch_all(sql, params![org], from_row).await
}

/// `org` and everything below it, parents before their children.
pub async fn subtree(tx: &mut Tx, org: OrgId) -> Result<Vec<Org>, StoreError> {
    let sql = scoped!(
        "select o.org_id, o.parent_id, o.kind, o.name, o.address_json, o.currency, o.zone, o.invoice_kind, o.created_us
           from org_above a
           join org o on o.realm_id = a.realm_id and o.org_id = a.org_id
          where a.realm_id = $1 and a.ancestor_id = $2
          order by a.depth, o.name_key, o.org_id"
    );
    tx.fetch_all(sql, params![org], from_row).await
}

/// Every (organisation, organisation below it) pair under `org`, depth first: the tree for rating.
pub async fn pairs_below(tx: &mut Tx, org: OrgId) -> Result<Vec<(OrgId, OrgId)>, StoreError> {
    let sql = scoped!(
        "select p.ancestor_id, p.org_id
           from org_above a
           join org_above p on p.realm_id = a.realm_id and p.ancestor_id = a.org_id
          where a.realm_id = $1 and a.ancestor_id = $2
          order by p.ancestor_id, p.org_id"
    );
    tx.fetch_all(sql, params![org], |row| Ok((row.parsed("ancestor_id")?, row.parsed("org_id")?))).await
}

/// Adds a child (or, without parent, the root) and its rows of the closure table.
pub async fn insert(tx: &mut Tx, org: &Org) -> Result<(), StoreError> {
    let sql = scoped!(
        "insert into org (realm_id, org_id, parent_id, kind, name, name_key, address_json, currency, zone, invoice_kind,
                          created_us)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
    );
    let kind = if org.invoice_kind == InvoiceKind::Invoice { "invoice" } else { "statement" };
    let values = params![
        org.id,
        org.parent,
        org.kind.as_str(),
        org.name.as_str(),
        org.name.trim().to_lowercase(),
        to_json(&org.address),
        org.currency,
        org.zone.name(),
        kind,
        org.created_us,
    ];
    tx.execute(sql, values).await?;
    let own = scoped!("insert into org_above (realm_id, ancestor_id, org_id, depth) values ($1, $2, $3, 0)");
    tx.execute(own, params![org.id, org.id]).await?;
    if let Some(parent) = org.parent {
        let inherited = scoped!(
            "insert into org_above (realm_id, ancestor_id, org_id, depth)
             select realm_id, ancestor_id, cast($2 as text), depth + 1
               from org_above
              where realm_id = $1 and org_id = $3"
        );
        tx.execute(inherited, params![org.id, parent]).await?;
    }
    Ok(())
}

/// Changes name and address.
pub async fn rename(tx: &mut Tx, org: OrgId, name: &str, address: &[String]) -> Result<(), StoreError> {
    let sql = scoped!(
        "update org
            set name = $3, name_key = $4, address_json = $5
          where realm_id = $1 and org_id = $2"
    );
    let touched = tx.execute(sql, params![org, name, name.trim().to_lowercase(), to_json(&address)]).await?;
    if touched == 0 { Err(StoreError::NotFound("organisation")) } else { Ok(()) }
}

/// Writes the realm's own row; the first write of a new realm.
pub async fn insert_realm(tx: &mut Tx, realm: RealmId, name: &str, created_us: i64) -> Result<(), StoreError> {
    assert_eq!(tx.realm(), realm, "a transaction writes its own realm only");
    let sql = scoped!("insert into realm (realm_id, name, created_us) values ($1, $2, $3)");
    tx.execute(sql, params![name, created_us]).await?;
    Ok(())
}

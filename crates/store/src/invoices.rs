//! Statements and invoices. An issued one is never written again: the statements here cannot do it.

use crate::sql::{Row, StoreError, Tx, params, scoped, to_json};
use base::{AmountMinor, AmountPico, InvoiceId, OrgId};
use billing::{Invoice, InvoiceKind};
use serde::Serialize;

/// A paper as lists show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Its id.
    pub id: InvoiceId,
    /// Who charges.
    pub seller: OrgId,
    /// Who owes.
    pub payer: OrgId,
    /// `invoice` or `statement`.
    pub kind: String,
    /// `draft` or `issued`.
    pub state: String,
    /// Its number.
    pub number: Option<String>,
    /// The month's name.
    pub period_name: String,
    /// First instant of the month.
    pub period_start_us: i64,
    /// Money.
    pub currency: base::Currency,
    /// Total.
    pub total_minor: AmountMinor,
    /// When it was frozen.
    pub issued_us: Option<i64>,
}

fn from_row(row: &Row) -> Result<Listed, StoreError> {
    Ok(Listed {
        id: row.parsed("invoice_id")?,
        seller: row.parsed("seller_org_id")?,
        payer: row.parsed("payer_org_id")?,
        kind: row.text("kind")?,
        state: row.text("state")?,
        number: row.opt_text("number")?,
        period_name: row.text("period_name")?,
        period_start_us: row.int("period_start_us")?,
        currency: row.parsed("currency")?,
        total_minor: AmountMinor(row.int("total_minor")?),
        issued_us: row.opt_int("issued_us")?,
    })
}

/// The word stored for a kind.
#[must_use]
pub fn kind_code(kind: InvoiceKind) -> &'static str {
    match kind {
        InvoiceKind::Invoice => "invoice",
        InvoiceKind::Statement => "statement",
    }
}

/// Removes the draft of a month, so that it can be made again; says whether there was one. Never touches an issued
/// paper.
pub async fn drop_draft(tx: &mut Tx, payer: OrgId, period_start_us: i64, kind: InvoiceKind) -> Result<u64, StoreError> {
    let lines = scoped!(
        "delete from invoice_line
          where realm_id = $1
            and invoice_id in (select i.invoice_id
                                 from invoice i
                                where i.realm_id = invoice_line.realm_id and i.payer_org_id = $2
                                  and i.period_start_us = $3 and i.kind = $4 and i.state = 'draft')"
    );
    let head = scoped!(
        "delete from invoice
          where realm_id = $1 and payer_org_id = $2 and period_start_us = $3 and kind = $4 and state = 'draft'"
    );
    tx.execute(lines, params![payer, period_start_us, kind_code(kind)]).await?;
    tx.execute(head, params![payer, period_start_us, kind_code(kind)]).await
}

/// Stores a paper as `draft` or `issued`. A second live paper for (payer, month, kind) is a conflict.
pub async fn insert(tx: &mut Tx, invoice: &Invoice, issued: bool, created_us: i64) -> Result<(), StoreError> {
    let sql = scoped!(
        "insert into invoice (realm_id, invoice_id, seller_org_id, payer_org_id, kind, state, number, period_start_us,
                              period_end_us, period_name, currency, total_minor, watermark, paper_json, created_us, issued_us)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)"
    );
    let draft = &invoice.draft;
    let values = params![
        invoice.id,
        draft.profile.seller.org,
        draft.profile.payer.org,
        kind_code(draft.profile.kind),
        if issued { "issued" } else { "draft" },
        invoice.number.clone(),
        draft.period.start_us,
        draft.period.end_us,
        draft.period_name.as_str(),
        draft.profile.currency,
        draft.total_minor.0,
        draft.watermark,
        to_json(invoice),
        created_us,
        issued.then_some(invoice.issued_us),
    ];
    tx.execute(sql, values).await?;
    let line_sql = scoped!(
        "insert into invoice_line (realm_id, invoice_id, line_no, item_code, org_id, quantity_nano, amount_pico,
                                   amount_minor, original_period_start_us, corrects_invoice_id)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
    );
    for line in &draft.lines {
        let values = params![
            invoice.id,
            i64::from(line.line_no),
            line.source.item_code.as_str(),
            line.source.group,
            line.source.quantity.0.to_string(),
            line.source.amount.0.to_string(),
            line.amount_minor.0,
            line.original_period.map(|period| period.start_us),
            line.corrects,
        ];
        tx.execute(line_sql, values).await?;
    }
    Ok(())
}

/// A paper with everything that is printed, and its state.
pub async fn get(tx: &mut Tx, invoice: InvoiceId) -> Result<(Listed, Invoice), StoreError> {
    let sql = scoped!(
        "select invoice_id, seller_org_id, payer_org_id, kind, state, number, period_name, period_start_us, currency,
                total_minor, issued_us, paper_json
           from invoice
          where realm_id = $1 and invoice_id = $2"
    );
    tx.fetch_one("invoice", sql, params![invoice], |row| Ok((from_row(row)?, row.json("paper_json")?))).await
}

/// Papers to `payer` and everything below it, newest month first.
pub async fn to_payers_below(tx: &mut Tx, payer: OrgId) -> Result<Vec<Listed>, StoreError> {
    let sql = scoped!(
        "select i.invoice_id, i.seller_org_id, i.payer_org_id, i.kind, i.state, i.number, i.period_name,
                i.period_start_us, i.currency, i.total_minor, i.issued_us
           from invoice i
           join org_above a on a.realm_id = i.realm_id and a.org_id = i.payer_org_id
          where i.realm_id = $1 and a.ancestor_id = $2
          order by i.period_start_us desc, a.depth, i.payer_org_id
          limit 1000"
    );
    tx.fetch_all(sql, params![payer], from_row).await
}

/// Papers of one month to `seller`'s subtree that are issued; all of them.
pub async fn issued_below(tx: &mut Tx, seller: OrgId, period_name: &str) -> Result<Vec<Listed>, StoreError> {
    let sql = scoped!(
        "select i.invoice_id, i.seller_org_id, i.payer_org_id, i.kind, i.state, i.number, i.period_name,
                i.period_start_us, i.currency, i.total_minor, i.issued_us
           from invoice i
           join org_above a on a.realm_id = i.realm_id and a.org_id = i.payer_org_id
          where i.realm_id = $1 and a.ancestor_id = $2 and i.period_name = $3 and i.state = 'issued'
          order by i.payer_org_id"
    );
    tx.fetch_all(sql, params![seller, period_name], from_row).await
}

/// Whether a paper to `payer` or somebody below was issued for a month that begins then or later.
pub async fn issued_since(tx: &mut Tx, payer: OrgId, period_start_us: i64) -> Result<bool, StoreError> {
    let sql = scoped!(
        "select i.invoice_id
           from invoice i
           join org_above a on a.realm_id = i.realm_id and a.org_id = i.payer_org_id
          where i.realm_id = $1 and a.ancestor_id = $2 and i.period_start_us >= $3 and i.state = 'issued'
          limit 1"
    );
    let found = tx.fetch_all(sql, params![payer, period_start_us], |row| row.text("invoice_id")).await?;
    Ok(!found.is_empty())
}

/// The live paper of a month, if there is one.
pub async fn live(
    tx: &mut Tx,
    payer: OrgId,
    period_start_us: i64,
    kind: InvoiceKind,
) -> Result<Option<Listed>, StoreError> {
    let sql = scoped!(
        "select invoice_id, seller_org_id, payer_org_id, kind, state, number, period_name, period_start_us, currency,
                total_minor, issued_us
           from invoice
          where realm_id = $1 and payer_org_id = $2 and period_start_us = $3 and kind = $4"
    );
    tx.fetch_optional(sql, params![payer, period_start_us, kind_code(kind)], from_row).await
}

/// What was charged so far for (item, organisation) in a month: lines of its own paper and later
/// adjustments that name it. Exact amounts; the caller adds them up.
pub async fn billed_for_period(
    tx: &mut Tx,
    payer: OrgId,
    period_start_us: i64,
) -> Result<Vec<(String, OrgId, AmountPico)>, StoreError> {
    let sql = scoped!(
        "select l.item_code, l.org_id, l.amount_pico
           from invoice_line l
           join invoice i on i.realm_id = l.realm_id and i.invoice_id = l.invoice_id
          where l.realm_id = $1 and i.payer_org_id = $2 and i.state = 'issued'
            and coalesce(l.original_period_start_us, i.period_start_us) = $3
          order by l.item_code, l.org_id"
    );
    tx.fetch_all(sql, params![payer, period_start_us], |row| {
        Ok((row.text("item_code")?, row.parsed("org_id")?, AmountPico(row.scaled("amount_pico")?)))
    })
    .await
}

/// Takes the next number of a series, in the transaction that stores the paper: no gap can arise.
pub async fn next_number(tx: &mut Tx, seller: OrgId, series: &str) -> Result<i64, StoreError> {
    let sql = scoped!(
        "insert into number_series (realm_id, org_id, series, next_no)
         values ($1, $2, $3, 2)
         on conflict (realm_id, org_id, series) do update set next_no = number_series.next_no + 1
         returning next_no"
    );
    let next = tx.fetch_one("number", sql, params![seller, series], |row| row.int("next_no")).await?;
    Ok(next - 1)
}

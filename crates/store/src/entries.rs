//! The ledger's rows. Entries are only ever added.

use crate::sql::{StoreError, Tx, params, scoped};
use base::{AmountMinor, OrgId};
use ledger::Entry;

/// Adds a balanced entry. Adding the entry of the same event again is a conflict.
pub async fn insert(tx: &mut Tx, entry: &Entry) -> Result<(), StoreError> {
    let sql = scoped!(
        "insert into entry (realm_id, entry_id, owner_org_id, at_us, currency, memo)
         values ($1, $2, $3, $4, $5, $6)"
    );
    tx.execute(sql, params![entry.id(), entry.owner(), entry.at_us(), entry.currency(), entry.memo()]).await?;
    let posting = scoped!(
        "insert into posting (realm_id, entry_id, line_no, account, party_org_id, amount_minor)
         values ($1, $2, $3, $4, $5, $6)"
    );
    for (line_no, side) in (1_i64..).zip(entry.postings()) {
        let values = params![entry.id(), line_no, side.account.code(), side.party, side.amount_minor.0];
        tx.execute(posting, values).await?;
    }
    Ok(())
}

/// How many entries there are, and how many of them are not balanced.
pub async fn count(tx: &mut Tx) -> Result<(i64, i64), StoreError> {
    let sql = scoped!(
        "select count(*) as entries, coalesce(sum(case when balance <> 0 then 1 else 0 end), 0) as wrong
           from (select e.entry_id, coalesce(sum(p.amount_minor), 0) as balance
                   from entry e
                   left join posting p on p.realm_id = e.realm_id and p.entry_id = e.entry_id
                  where e.realm_id = $1
                  group by e.entry_id) found"
    );
    tx.fetch_one("ledger", sql, params![], |row| Ok((row.int("entries")?, row.int("wrong")?))).await
}

/// Balance of each account in the books of `owner`, by currency.
pub async fn balances(tx: &mut Tx, owner: OrgId) -> Result<Vec<(String, String, AmountMinor)>, StoreError> {
    let sql = scoped!(
        "select e.currency, p.account, cast(sum(p.amount_minor) as bigint) as balance_minor
           from entry e
           join posting p on p.realm_id = e.realm_id and p.entry_id = e.entry_id
          where e.realm_id = $1 and e.owner_org_id = $2
          group by e.currency, p.account
          order by e.currency, p.account"
    );
    tx.fetch_all(sql, params![owner], |row| {
        Ok((row.text("currency")?, row.text("account")?, AmountMinor(row.int("balance_minor")?)))
    })
    .await
}

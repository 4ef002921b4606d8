//! Price agreements on the edges of the tree.

use crate::authority::Cx;
use crate::failure::Failure;
use crate::orgs::from_above;
use access::Action;
use base::{AgreementId, OrgId, Period};
use pricing::PriceBook;
use store::agreements::{self, Agreement};

/// Reads a price book and says what is wrong with it.
///
/// # Errors
/// [`Failure`] naming field, value and reason.
pub fn parse_book(text: &str) -> Result<PriceBook, Failure> {
    let book: PriceBook = serde_json::from_str(text).map_err(|error| Failure::unreadable("book", error))?;
    check_book(&book)?;
    Ok(book)
}

fn check_book(book: &PriceBook) -> Result<(), Failure> {
    book.validate().map_err(|error| Failure::invalid(&error.field, &error.value, &error.reason))
}

/// Sets what `buyer` pays its parent, from the beginning of `month` on. A month that was billed to the
/// buyer keeps its prices: a version cannot begin in it.
///
/// # Errors
/// [`Failure`] naming the field at fault.
pub async fn set(cx: &Cx, buyer: OrgId, month: &str, book: PriceBook) -> Result<Agreement, Failure> {
    check_book(&book)?;
    // Prices of an edge are set by its seller.
    let (Some(seller), grant) = from_above(cx, buyer, Action::RuleWrite).await? else {
        return Err(Failure::invalid("buyer", &buyer.to_string(), "is the root: nobody sells to it"));
    };
    let mut tx = cx.change_with(&grant).await?;
    let org = store::orgs::get(&mut tx, buyer).await?;
    if book.currency != org.currency {
        let reason = format!("is not the buyer's currency {}", org.currency);
        return Err(Failure::invalid("/currency", book.currency.code(), reason));
    }
    let period = Period::month(month, &org.zone).map_err(|error| Failure::unreadable("month", error))?;
    if store::invoices::issued_since(&mut tx, buyer, period.start_us).await? {
        return Err(Failure::conflict(format!(
            "month: {month} is billed already; prices can begin with a later month"
        )));
    }
    let agreement = Agreement {
        id: AgreementId(cx.app.fresh()),
        seller,
        buyer,
        version: 0,
        effective_from_us: period.start_us,
        book,
        created_us: cx.now_us(),
        created_by: cx.doer(),
    };
    let version = agreements::insert(&mut tx, &agreement).await?;
    let detail = serde_json::json!({ "version": version, "from": month });
    tx.done(seller, "price.set", &buyer.to_string(), detail).await?;
    Ok(Agreement { version, ..agreement })
}

/// All versions of what `buyer` pays, newest first.
///
/// # Errors
/// [`Failure`].
pub async fn history(cx: &Cx, buyer: OrgId) -> Result<Vec<Agreement>, Failure> {
    let mut tx = cx.read(Action::RuleRead, buyer).await?;
    Ok(agreements::history(&mut tx, buyer).await?)
}

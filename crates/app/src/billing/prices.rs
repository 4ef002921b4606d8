//! Price agreements on the edges of the tree.

use crate::authority::Cx;
use crate::failure::Failure;
use crate::orgs::from_above;
use access::Action;
use base::{AgreementId, OrgId, Period};
use metering::Meter;
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

/// Every item names a meter that exists, and dimensions that the meter has: a slip would give usage away.
fn check_meters(book: &PriceBook, known: &[Meter]) -> Result<(), Failure> {
    for (index, item) in book.items.iter().enumerate().filter(|(_, item)| !item.meter.is_empty()) {
        let Some(meter) = known.iter().find(|meter| meter.code == item.meter) else {
            let codes = known.iter().map(|meter| meter.code.as_str());
            let reason = format!("is not a meter; {}", near(&item.meter, codes, "define it first"));
            return Err(Failure::invalid(&format!("/items/{index}/meter"), &item.meter, reason));
        };
        if let Some(name) = item.only.keys().find(|name| !meter.dimensions.contains(name)) {
            let names = meter.dimensions.iter().map(String::as_str);
            let otherwise = format!("it has {}", meter.dimensions.join(", "));
            let reason = format!("is not a dimension of {}; {}", meter.code, near(name, names, &otherwise));
            return Err(Failure::invalid(&format!("/items/{index}/only"), name, reason));
        }
    }
    Ok(())
}

/// Asks for the name that was probably meant, if one is near.
fn near<'a>(text: &str, known: impl Iterator<Item = &'a str>, otherwise: &str) -> String {
    let nearest = known.map(|name| (strsim::damerau_levenshtein(text, name), name)).min();
    match nearest.filter(|(distance, name)| *distance <= 2.max(name.len() / 4)) {
        Some((_, name)) => format!("did you mean {name:?}?"),
        None => otherwise.to_owned(),
    }
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
    let mut known = metering::meter::s3_meters();
    known.extend(store::meters::all(&mut tx).await?);
    check_meters(&book, &known)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    /// `meter | only | what is said`; nothing is said of a good one.
    fn check(case: &str) {
        let cells: Vec<&str> = case.split('|').map(str::trim).collect();
        let only = if cells[1].is_empty() { String::new() } else { format!(r#""{}":["x"]"#, cells[1]) };
        let book = parse_book(&format!(
            r#"{{"currency":"EUR","items":[{{"code":"a","name":"A","meter":"{}","only":{{{only}}},
                "price":{{"model":"per_unit","rate":"1"}}}}]}}"#,
            cells[0]
        ));
        let found = check_meters(&book.unwrap(), &metering::meter::s3_meters());
        assert_eq!(found.err().map(|failure| failure.text).unwrap_or_default(), cells[2], "{case}");
    }

    #[test]
    fn slips_in_names_are_refused() {
        check("s3.requests | class  |");
        check(r#"s3.requsts  |        | /items/0/meter: "s3.requsts" is not a meter; did you mean "s3.requests"?"#);
        check(r#"S3.Storage  |        | /items/0/meter: "S3.Storage" is not a meter; did you mean "s3.storage"?"#);
        check(r#"vm.hours    |        | /items/0/meter: "vm.hours" is not a meter; define it first"#);
        check(
            r#"s3.requests | clas   | /items/0/only: "clas" is not a dimension of s3.requests; did you mean "class"?"#,
        );
        check(
            r#"s3.storage  | person | /items/0/only: "person" is not a dimension of s3.storage; it has bucket, storage_class"#,
        );
    }
}

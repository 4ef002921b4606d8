//! Lines, totals, numbers.

use base::{AmountPico, Currency, InvoiceId, OrgId, Period, QuantityNano, Rounding, Zone};
use billing::{Adjustment, BillError, InvoiceKind, LineSource, Party, Profile};
use proptest::prelude::*;

fn profile(kind: InvoiceKind, currency: &str) -> Profile {
    let party = |id: u128, name: &str| Party { org: OrgId(id), name: name.into(), address: vec![] };
    Profile {
        kind,
        seller: party(1, "Provider"),
        payer: party(2, "Customer"),
        currency: currency.parse::<Currency>().unwrap(),
        zone: Zone::utc(),
        rounding: Rounding::HalfAwayFromZero,
    }
}

fn source(group: &str, amount: &str) -> LineSource {
    LineSource {
        item_code: "s3".into(),
        description: "S3".into(),
        group: OrgId(3),
        group_name: group.into(),
        quantity: QuantityNano::units(1),
        unit: "unit".into(),
        unit_price: "1".into(),
        amount: amount.parse().unwrap(),
        note: String::new(),
    }
}

fn october() -> Period {
    Period::month("2026-10", &Zone::utc()).unwrap()
}

/// `currency | exact amounts | printed total`
fn check(case: &str) {
    let fields: Vec<&str> = case.split('|').map(str::trim).collect();
    let [currency, amounts, total] = fields[..] else { panic!("{case}") };
    let sources = amounts.split_whitespace().map(|amount| source("A", amount)).collect();
    let profile = profile(InvoiceKind::Invoice, currency);
    let digits = profile.currency.minor_digits();
    let draft = billing::draft(profile, october(), sources, vec![], 7).unwrap();
    assert_eq!(draft.total_minor.to_major(digits), total, "{case}");
}

#[test]
fn each_line_rounds_once() {
    check("EUR | 0.005                      | 0.01");
    check("EUR | 0.004999999999             | 0.00");
    check("EUR | 0.004 0.004 0.004          | 0.00");
    check("EUR | 0.005 0.005                | 0.02");
    check("EUR | -0.005                     | -0.01");
    check("EUR | 1.005 -1.005               | 0.00");
    check("JPY | 0.5 1.4                    | 2");
    check("KWD | 0.0005 1.2344              | 1.235");
}

#[test]
fn groups_stand_together_and_add_up() {
    let sources = vec![source("Zoo", "1"), source("Ape", "2"), source("Zoo", "3")];
    let draft = billing::draft(profile(InvoiceKind::Statement, "EUR"), october(), sources, vec![], 0).unwrap();
    let shown: Vec<_> = draft.subtotals().unwrap().into_iter().map(|(name, sum)| (name, sum.0)).collect();
    assert_eq!(shown, [("Ape".to_owned(), 200), ("Zoo".to_owned(), 400)]);
    assert_eq!(draft.lines.iter().map(|line| line.line_no).collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn nothing_to_bill_is_no_paper() {
    let empty = billing::draft(profile(InvoiceKind::Invoice, "EUR"), october(), vec![], vec![], 0);
    assert_eq!(empty, Err(BillError::Empty { period: "2026-10".into() }));
}

#[test]
fn only_invoices_take_numbers() {
    let draft = |kind| billing::draft(profile(kind, "EUR"), october(), vec![source("A", "1")], vec![], 0).unwrap();
    let id = InvoiceId(1);
    assert_eq!(billing::finalise(draft(InvoiceKind::Invoice), id, None, 5), Err(BillError::Number));
    assert_eq!(billing::finalise(draft(InvoiceKind::Statement), id, Some("1".into()), 5), Err(BillError::Number));
    assert!(billing::finalise(draft(InvoiceKind::Invoice), id, Some("1".into()), 5).is_ok());
}

#[test]
fn an_adjustment_keeps_its_month() {
    let late = Adjustment {
        period: Period::month("2026-09", &Zone::utc()).unwrap(),
        period_name: "2026-09".into(),
        corrects: Some(InvoiceId(4)),
        source: source("A", "-0.25"),
    };
    let draft = billing::draft(profile(InvoiceKind::Invoice, "EUR"), october(), vec![source("A", "1")], vec![late], 0);
    let draft = draft.unwrap();
    assert_eq!(draft.total_minor.0, 75);
    assert_eq!(draft.lines[1].corrects, Some(InvoiceId(4)));
}

proptest! {
    #[test]
    fn the_total_is_the_sum_of_printed_lines(amounts in prop::collection::vec(-(10_i128.pow(20))..10_i128.pow(20), 1..50)) {
        let sources = amounts.iter().map(|amount| LineSource { amount: AmountPico(*amount), ..source("A", "0") }).collect();
        let draft = billing::draft(profile(InvoiceKind::Invoice, "EUR"), october(), sources, vec![], 0).unwrap();
        let lines: i64 = draft.lines.iter().map(|line| line.amount_minor.0).sum();
        prop_assert_eq!(lines, draft.total_minor.0);
        let entry = ledger::entry_for_issue(&billing::finalise(draft, InvoiceId(1), Some("1".into()), 0).unwrap()).unwrap();
        prop_assert_eq!(entry.postings().iter().map(|posting| i128::from(posting.amount_minor.0)).sum::<i128>(), 0);
    }
}

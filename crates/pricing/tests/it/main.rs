//! Money tables and laws of rating.

use base::{AmountPico, Currency, OrgId, Period, QuantityNano, Zone};
use pricing::{ItemUsage, Model, PriceBook, PriceItem, Tier, UnitBasis, Window};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn october() -> Period {
    Period::month("2026-10", &Zone::utc()).unwrap()
}

fn model(text: &str) -> Model {
    let (kind, rest) = text.split_once(' ').unwrap();
    let tiers = || {
        rest.split_whitespace()
            .map(|part| {
                let (bound, rate) = part.split_once(':').unwrap();
                let up_to = (bound != "_").then(|| bound.parse().unwrap());
                Tier { up_to, rate: rate.parse().unwrap(), from: None }
            })
            .collect()
    };
    match kind {
        "unit" => Model::PerUnit { rate: rest.parse().unwrap() },
        "graduated" => Model::Graduated { tiers: tiers() },
        "volume" => Model::Volume { tiers: tiers() },
        "flat" => Model::Flat { amount: rest.parse().unwrap() },
        other => panic!("{other}"),
    }
}

fn book(model: Model, included: &str, unit: UnitBasis, window: Window) -> PriceBook {
    let meter = if matches!(model, Model::Flat { .. }) { "" } else { "m" };
    let item = PriceItem {
        code: "item".into(),
        name: "Item".into(),
        meter: meter.into(),
        only: BTreeMap::new(),
        unit,
        window,
        included: included.parse().unwrap(),
        model,
    };
    let book = PriceBook { currency: Currency::EUR, items: vec![item] };
    book.validate().unwrap();
    book
}

fn usage(org: u128, hour: i64, quantity: &str) -> ItemUsage {
    ItemUsage {
        org: OrgId(org),
        meter: "m".into(),
        dimensions: BTreeMap::new(),
        hour_us: october().start_us + hour * base::period::HOUR_US,
        quantity: quantity.parse().unwrap(),
    }
}

/// `quantity | included | model | amount`
fn check(case: &str) {
    let fields: Vec<&str> = case.split('|').map(str::trim).collect();
    let [quantity, included, text, amount] = fields[..] else { panic!("{case}") };
    let book = book(model(text), included, UnitBasis::default(), Window::Month);
    let rated = pricing::rate(&book, OrgId(1), october(), (31, 31), &[usage(1, 0, quantity)]).unwrap();
    let total = pricing::edge::total(&rated.charges).unwrap();
    assert_eq!(total.to_string(), amount, "{case}");
}

#[test]
fn prices() {
    check("100     | 0   | unit 0.005                  | 0.5");
    check("1       | 0   | unit 0.0000166667           | 0.0000166667");
    check("100     | 100 | unit 0.005                  | 0");
    check("101     | 100 | unit 0.005                  | 0.005");
    check("100     | 0   | graduated 100:0.005 _:0.001 | 0.5");
    check("150     | 0   | graduated 100:0.005 _:0.001 | 0.55");
    check("100.5   | 0   | graduated 100:0.005 _:0.001 | 0.5005");
    check("99.999  | 0   | graduated 100:0.005 _:0.001 | 0.499995");
    check("0       | 0   | graduated 100:0.005 _:0.001 | 0");
    check("250     | 100 | graduated 100:0.005 _:0.001 | 0.55");
    check("100     | 0   | volume 100:0.005 _:0.001    | 0.5");
    check("100.001 | 0   | volume 100:0.005 _:0.001    | 0.100001");
    check("101     | 0   | volume 100:0.005 _:0.001    | 0.101");
    check("7       | 0   | flat 12.5                   | 12.5");
}

#[test]
fn flat_fees_go_by_calendar_days() {
    let book = book(model("flat 31"), "0", UnitBasis::default(), Window::Month);
    let rated = pricing::rate(&book, OrgId(1), october(), (10, 31), &[]).unwrap();
    assert_eq!(rated.charges[0].amount.to_string(), "10");
    let before_it_began = pricing::rate(&book, OrgId(1), october(), (0, 31), &[]).unwrap();
    assert_eq!(before_it_began, pricing::rate::Rated::default());
}

#[test]
fn storage_months_follow_the_published_example() {
    // AWS: 100 GB for 15 days and 100 TB for 16 days of March = 42,259,901,212,262,400 byte-hours
    // = 52,900 GB-months of 744 hours; at one unit of money each.
    let march = Period::month("2026-03", &Zone::utc()).unwrap();
    let unit = UnitBasis { label: "GiB-month".into(), size: 1 << 30, lasts_period: true };
    let book = book(model("unit 1"), "0", unit, Window::Month);
    let byte_seconds = 42_259_901_212_262_400_i128 * 3_600;
    let mut row = usage(1, 0, "0");
    row.quantity = QuantityNano(byte_seconds * base::decimal::NANO);
    let rated = pricing::rate(&book, OrgId(1), march, (31, 31), &[row]).unwrap();
    assert_eq!(rated.charges[0].amount.to_string(), "52900");
}

#[test]
fn hourly_windows_count_their_allowance_each_hour() {
    let book = book(model("unit 1"), "10", UnitBasis::default(), Window::Hour);
    let rows = [usage(1, 0, "15"), usage(1, 1, "5"), usage(1, 2, "12")];
    let rated = pricing::rate(&book, OrgId(1), october(), (31, 31), &rows).unwrap();
    assert_eq!(rated.charges[0].amount.to_string(), "7");
}

#[test]
fn usage_without_a_price_is_named() {
    let book = book(model("unit 1"), "0", UnitBasis::default(), Window::Month);
    let mut row = usage(5, 0, "3");
    row.meter = "other".into();
    let rated = pricing::rate(&book, OrgId(1), october(), (31, 31), &[row]).unwrap();
    assert!(rated.charges.is_empty());
    assert_eq!((rated.unrated[0].org, rated.unrated[0].quantity.to_string().as_str()), (OrgId(5), "3"));
}

#[test]
fn a_window_below_zero_is_not_charged_but_named() {
    let book = book(model("unit 1"), "0", UnitBasis::default(), Window::Month);
    let rows = [usage(1, 0, "-3"), usage(2, 0, "5")];
    let rated = pricing::rate(&book, OrgId(1), october(), (31, 31), &rows).unwrap();
    assert_eq!(
        rated.charges.iter().map(|charge| (charge.org, charge.amount.to_string())).collect::<Vec<_>>(),
        [(OrgId(2), "5".to_owned())]
    );
    assert_eq!(rated.unrated.iter().map(|item| item.org).collect::<Vec<_>>(), [OrgId(1)]);
}

fn any_model() -> impl Strategy<Value = Model> {
    let rate = (0..10_i128.pow(15)).prop_map(base::RatePico);
    let tiers = (prop::collection::btree_set(1..10_i128.pow(15), 0..5), prop::collection::vec(rate, 6)).prop_map(
        |(bounds, rates)| {
            let bounds = bounds.into_iter().map(|bound| Some(QuantityNano(bound))).chain([None]);
            bounds.zip(rates).map(|(up_to, rate)| Tier { up_to, rate, from: None }).collect::<Vec<_>>()
        },
    );
    prop_oneof![
        (0..10_i128.pow(15)).prop_map(|rate| Model::PerUnit { rate: base::RatePico(rate) }),
        tiers.clone().prop_map(|tiers| Model::Graduated { tiers }),
        tiers.prop_map(|tiers| Model::Volume { tiers }),
    ]
}

fn any_usage() -> impl Strategy<Value = Vec<ItemUsage>> {
    prop::collection::vec((1_u128..6, 0_i64..744, 0..10_i128.pow(16)), 1..40).prop_map(|rows| {
        rows.into_iter()
            .map(|(org, hour, quantity)| ItemUsage { quantity: QuantityNano(quantity), ..usage(org, hour, "0") })
            .collect()
    })
}

proptest! {
    /// Charges by organisation and parts by tier are two views of one total.
    #[test]
    fn charges_and_parts_agree(model in any_model(), rows in any_usage(), included in 0..10_i128.pow(12), hourly: bool) {
        let window = if hourly { Window::Hour } else { Window::Month };
        let mut book = book(model, "0", UnitBasis::default(), window);
        book.items[0].included = QuantityNano(included);
        let rated = pricing::rate(&book, OrgId(1), october(), (31, 31), &rows).unwrap();
        let charged: i128 = rated.charges.iter().map(|charge| charge.amount.0).sum();
        let parts: i128 = rated.parts.iter().map(|part| part.amount.0).sum();
        prop_assert_eq!(charged, parts);
        let used: i128 = rows.iter().map(|row| row.quantity.0).sum();
        prop_assert_eq!(rated.parts.iter().map(|part| part.quantity.0).sum::<i128>(), used);
        prop_assert_eq!(rated.charges.iter().map(|charge| charge.quantity.0).sum::<i128>(), used);
    }

    /// Order, splitting and merging of records change nothing.
    #[test]
    fn order_and_splitting_do_not_matter(model in any_model(), rows in any_usage(), cut in 0..10_i128.pow(16)) {
        let book = book(model, "3", UnitBasis::default(), Window::Month);
        let once = pricing::rate(&book, OrgId(1), october(), (31, 31), &rows).unwrap();
        let mut other: Vec<ItemUsage> = rows.iter().rev().cloned().collect();
        let part = cut.min(other[0].quantity.0);
        let mut piece = other[0].clone();
        piece.quantity.0 = part;
        other[0].quantity.0 -= part;
        other.push(piece);
        prop_assert_eq!(pricing::rate(&book, OrgId(1), october(), (31, 31), &other).unwrap(), once);
    }

    /// Departments and the customer's own share add up to the customer's bill.
    #[test]
    fn pass_through_tiles_the_edge_above(model in any_model(), rows in any_usage()) {
        let book = book(model, "0", UnitBasis::default(), Window::Month);
        let rated = pricing::rate(&book, OrgId(1), october(), (31, 31), &rows).unwrap();
        let whole = pricing::edge::total(&rated.charges).unwrap();
        let mut sum = AmountPico(0);
        for org in 1..6 {
            let share = pricing::pass_through(&rated.charges, OrgId(org), |other| other == OrgId(org));
            for row in share {
                sum = sum.plus(row.charge.amount).unwrap();
            }
        }
        prop_assert_eq!(sum, whole);
    }

    /// A dearer or equal quantity never costs less, tier by tier.
    #[test]
    fn graduated_amounts_never_fall(model in any_model(), quantity in 0..10_i128.pow(16), more in 0..10_i128.pow(10)) {
        prop_assume!(!matches!(model, Model::Volume { .. }));
        let book = book(model, "0", UnitBasis::default(), Window::Month);
        let amount = |quantity: i128| {
            let row = ItemUsage { quantity: QuantityNano(quantity), ..usage(1, 0, "0") };
            let rated = pricing::rate(&book, OrgId(1), october(), (31, 31), &[row]).unwrap();
            pricing::edge::total(&rated.charges).unwrap()
        };
        prop_assert!(amount(quantity) <= amount(quantity + more));
    }
}

//! Rating of one edge: usage through a price book.

use crate::book::{Model, PriceBook, PriceItem, Tier, Window};
use base::decimal::{NANO, mul_div, split_largest_remainder};
use base::{AmountPico, DecimalError, OrgId, Period, QuantityNano, RatePico, Rounding};
use std::collections::BTreeMap;

/// Usage of one meter and one set of dimensions, rolled up by the organisation that used it, and by
/// hour where an item of the book counts by hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemUsage {
    /// The organisation that used it: the leaf, not the payer.
    pub org: OrgId,
    /// Meter code.
    pub meter: String,
    /// Dimension values.
    pub dimensions: BTreeMap<String, String>,
    /// Start of the hour.
    pub hour_us: i64,
    /// How much.
    pub quantity: QuantityNano,
}

/// What an edge owes for one item, by the organisation below it that caused it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// Item of the book.
    pub item_code: String,
    /// Who used it.
    pub org: OrgId,
    /// Meter units used (not priced units).
    pub quantity: QuantityNano,
    /// Exact amount; the parts of an item add up to its total.
    pub amount: AmountPico,
}

/// One tier's share of an item's total, over all organisations: the explanation of the figure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChargePart {
    /// Item of the book.
    pub item_code: String,
    /// Tier, from 0; the allowance has none.
    pub tier: Option<u32>,
    /// Meter units priced here.
    pub quantity: QuantityNano,
    /// Price of one priced unit.
    pub rate: RatePico,
    /// Exact amount.
    pub amount: AmountPico,
}

/// What rating cannot do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RatingError {
    /// Left 128 bits.
    #[error("item {item:?}: {source}")]
    Decimal {
        /// The item.
        item: String,
        /// The cause.
        source: DecimalError,
    },
}

/// Usage that has no price, or adds up below zero: shown to a person, never dropped silently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unrated {
    /// Meter code.
    pub meter: String,
    /// Dimension values.
    pub dimensions: BTreeMap<String, String>,
    /// Who used it.
    pub org: OrgId,
    /// How much.
    pub quantity: QuantityNano,
    /// Why it has no charge.
    pub reason: &'static str,
}

/// The result of rating one edge.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rated {
    /// By item and organisation.
    pub charges: Vec<Charge>,
    /// By item and tier; adds up to the same totals.
    pub parts: Vec<ChargePart>,
    /// What got no charge.
    pub unrated: Vec<Unrated>,
}

/// Rates all usage of an edge over `period`. `active_days` of `days` is the share for flat fees, which go
/// to `payer`. The order of `usage` does not matter.
///
/// # Errors
/// [`RatingError`] when an amount leaves 128 bits; nothing is then rated.
pub fn rate(
    book: &PriceBook,
    payer: OrgId,
    period: Period,
    (active_days, days): (u32, u32),
    usage: &[ItemUsage],
) -> Result<Rated, RatingError> {
    assert!(days > 0 && active_days <= days, "active days lie within the period");
    let mut rated = Rated::default();
    for item in &book.items {
        let wrap = |source| RatingError::Decimal { item: item.code.clone(), source };
        if let Model::Flat { amount } = item.model {
            if active_days == 0 {
                continue; // The edge did not exist yet: there is nothing to charge, not even nothing.
            }
            let share = mul_div(amount.0, active_days.into(), days.into(), Rounding::HalfAwayFromZero).map_err(wrap)?;
            rated.add_flat(item, payer, AmountPico(share), RatePico(amount.0));
        } else {
            let matching = usage.iter().filter(|row| item.matches(&row.meter, &row.dimensions));
            rate_item(item, period, matching, &mut rated).map_err(wrap)?;
        }
    }
    rated.note_unpriced(book, usage).map_err(|source| RatingError::Decimal { item: "unpriced".into(), source })?;
    Ok(rated)
}

impl Rated {
    fn add_flat(&mut self, item: &PriceItem, payer: OrgId, amount: AmountPico, rate: RatePico) {
        let (item_code, quantity) = (item.code.clone(), QuantityNano::units(1));
        self.parts.push(ChargePart { item_code: item_code.clone(), tier: Some(0), quantity, rate, amount });
        self.charges.push(Charge { item_code, org: payer, quantity, amount });
    }

    fn note_unpriced(&mut self, book: &PriceBook, usage: &[ItemUsage]) -> Result<(), DecimalError> {
        let mut sums: BTreeMap<_, QuantityNano> = BTreeMap::new();
        for row in usage {
            if !book.items.iter().any(|item| item.matches(&row.meter, &row.dimensions)) {
                let sum = sums.entry((&row.meter, &row.dimensions, row.org)).or_default();
                *sum = sum.plus(row.quantity)?;
            }
        }
        self.unrated.extend(sums.into_iter().map(|((meter, dimensions, org), quantity)| Unrated {
            meter: meter.clone(),
            dimensions: dimensions.clone(),
            org,
            quantity,
            reason: "no item of the price book covers it",
        }));
        Ok(())
    }
}

fn rate_item<'a>(
    item: &PriceItem,
    period: Period,
    usage: impl Iterator<Item = &'a ItemUsage>,
    rated: &mut Rated,
) -> Result<(), DecimalError> {
    let mut windows: BTreeMap<i64, BTreeMap<OrgId, QuantityNano>> = BTreeMap::new();
    for row in usage {
        let window = if item.window == Window::Hour { row.hour_us } else { period.start_us };
        let sum = windows.entry(window).or_default().entry(row.org).or_default();
        *sum = sum.plus(row.quantity)?;
    }
    let mut parts: BTreeMap<Option<u32>, ChargePart> = BTreeMap::new();
    let mut charges: BTreeMap<OrgId, (QuantityNano, AmountPico)> = BTreeMap::new();
    for by_org in windows.values_mut() {
        note_negative(item, by_org, rated);
        let mut total = QuantityNano(0);
        for quantity in by_org.values() {
            total = total.plus(*quantity)?;
        }
        if by_org.is_empty() {
            continue;
        }
        let window_parts = rate_window(item, period, total)?;
        let mut amount = AmountPico(0);
        for part in window_parts {
            amount = amount.plus(part.amount)?;
            let sum = parts.entry(part.tier).or_insert_with(|| ChargePart {
                quantity: QuantityNano(0),
                amount: AmountPico(0),
                ..part.clone()
            });
            sum.quantity = sum.quantity.plus(part.quantity)?;
            sum.amount = sum.amount.plus(part.amount)?;
        }
        let weights: Vec<i128> = by_org.values().map(|quantity| quantity.0).collect();
        let shares = split_largest_remainder(amount.0, &weights)?;
        for ((org, quantity), share) in by_org.iter().zip(shares) {
            let sum = charges.entry(*org).or_default();
            sum.0 = sum.0.plus(*quantity)?;
            sum.1 = sum.1.plus(AmountPico(share))?;
        }
    }
    rated.parts.extend(parts.into_values());
    rated.charges.extend(charges.into_iter().map(|(org, (quantity, amount))| Charge {
        item_code: item.code.clone(),
        org,
        quantity,
        amount,
    }));
    Ok(())
}

/// An organisation whose corrections outweigh its usage owes nothing here and is shown to a person. The
/// others are rated as if it were not there: nobody's correction makes an item free for all.
fn note_negative(item: &PriceItem, by_org: &mut BTreeMap<OrgId, QuantityNano>, rated: &mut Rated) {
    let negative: Vec<(OrgId, QuantityNano)> =
        by_org.iter().filter(|(_, quantity)| quantity.0 < 0).map(|(org, quantity)| (*org, *quantity)).collect();
    for (org, quantity) in negative {
        by_org.remove(&org);
        rated.unrated.push(Unrated {
            meter: item.meter.clone(),
            dimensions: BTreeMap::new(),
            org,
            quantity,
            reason: "corrections bring the window below zero",
        });
    }
}

/// Prices the whole quantity of one window. The parts cover it exactly.
fn rate_window(item: &PriceItem, period: Period, total: QuantityNano) -> Result<Vec<ChargePart>, DecimalError> {
    assert!(total.0 >= 0);
    let basis = item.basis(period);
    let scaled = |units: QuantityNano| units.0.checked_mul(basis).ok_or(DecimalError::Overflow);
    let free = scaled(item.included)?.min(total.0);
    let billable = total.0 - free;
    let part = |tier: Option<u32>, quantity: i128, rate: RatePico| -> Result<ChargePart, DecimalError> {
        let divisor = NANO.checked_mul(basis).ok_or(DecimalError::Overflow)?;
        let amount = mul_div(quantity, rate.0, divisor, Rounding::HalfAwayFromZero)?;
        let quantity = QuantityNano(quantity);
        Ok(ChargePart { item_code: item.code.clone(), tier, quantity, rate, amount: AmountPico(amount) })
    };
    let mut parts = Vec::new();
    if free > 0 {
        parts.push(part(None, free, RatePico(0))?);
    }
    match &item.model {
        Model::PerUnit { rate } => parts.push(part(Some(0), billable, *rate)?),
        Model::Graduated { tiers } => {
            let mut below = 0;
            for (index, tier) in (0_u32..).zip(tiers) {
                let end = tier_end(tier, billable, &scaled)?;
                if end > below || (index == 0 && billable == 0) {
                    parts.push(part(Some(index), end - below, tier.rate)?);
                }
                below = end.max(below);
            }
            assert_eq!(below, billable, "every unit was priced exactly once");
        }
        Model::Volume { tiers } => {
            for (index, tier) in (0_u32..).zip(tiers) {
                if tier_end(tier, billable, &scaled)? == billable {
                    parts.push(part(Some(index), billable, tier.rate)?);
                    break;
                }
            }
        }
        Model::Flat { .. } => unreachable!("flat fees have no usage"),
    }
    assert_eq!(parts.iter().map(|part| part.quantity.0).sum::<i128>(), total.0);
    Ok(parts)
}

/// Where the tier ends or, if that is less, where the quantity does.
fn tier_end(
    tier: &Tier,
    billable: i128,
    scaled: &dyn Fn(QuantityNano) -> Result<i128, DecimalError>,
) -> Result<i128, DecimalError> {
    tier.up_to.map_or(Ok(billable), |bound| Ok(scaled(bound)?.min(billable)))
}

//! A price book: what one edge of the tree pays for what. Versioned; each version has a first month.

use base::decimal::NANO;
use base::{AmountPico, Currency, Period, QuantityNano, RatePico};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The prices that a seller agreed with one buyer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceBook {
    /// Currency of every price in it.
    pub currency: Currency,
    /// The priced things, in the order in which they stand on the paper.
    pub items: Vec<PriceItem>,
}

/// One priced thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceItem {
    /// Stable code, unique in the book: `s3-storage`.
    pub code: String,
    /// The words on the paper.
    pub name: String,
    /// Which meter is priced. Empty for a flat fee.
    #[serde(default)]
    pub meter: String,
    /// Usage counts only if each named dimension has one of the listed values.
    #[serde(default)]
    pub only: BTreeMap<String, Vec<String>>,
    /// What one priced unit is.
    #[serde(default)]
    pub unit: UnitBasis,
    /// Over what span tiers and the allowance count.
    #[serde(default)]
    pub window: Window,
    /// Priced units of each window that cost nothing. Tiers count what is left.
    #[serde(default)]
    pub included: QuantityNano,
    /// How the rest is priced.
    #[serde(rename = "price")]
    pub model: Model,
}

/// What one priced unit is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitBasis {
    /// The word on the paper: `GiB-month`, `1,000 requests`.
    pub label: String,
    /// Meter units in one priced unit: 2^30 for a GiB of bytes, 1000 for a thousand requests.
    pub size: u64,
    /// Whether a priced unit also lasts for the whole period: then byte-seconds are divided by the
    /// seconds of that month (AWS: byte-hours / 2^30 / hours of the month).
    #[serde(default)]
    pub lasts_period: bool,
}

impl Default for UnitBasis {
    fn default() -> Self {
        Self { label: "unit".to_owned(), size: 1, lasts_period: false }
    }
}

/// The span over which tiers and allowances count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Window {
    /// Each hour by itself.
    Hour,
    /// The billing month.
    #[default]
    Month,
}

/// How a quantity becomes an amount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "model", deny_unknown_fields)]
pub enum Model {
    /// One rate for every unit.
    PerUnit {
        /// Price of one priced unit.
        rate: RatePico,
    },
    /// Each tier prices the units that fall in it.
    Graduated {
        /// Ascending, adjacent by construction, the last one open.
        tiers: Vec<Tier>,
    },
    /// The tier that holds the whole quantity prices all of it.
    Volume {
        /// As above.
        tiers: Vec<Tier>,
    },
    /// A fixed amount for the month, by calendar days when the edge began within it.
    Flat {
        /// The amount.
        amount: AmountPico,
    },
}

/// One tier: from the bound of the tier before (exclusive) to its own bound (inclusive).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// Upper bound in priced units, inclusive; `null` for the open last tier.
    pub up_to: Option<QuantityNano>,
    /// Price of one priced unit in the tier.
    pub rate: RatePico,
    /// Optional lower bound as the author wrote it; must equal the bound before. Catches holes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<QuantityNano>,
}

/// A price book that cannot be kept. `field` is a JSON pointer into the book.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {value:?} {reason}")]
pub struct BookError {
    /// Where: `/items/2/tiers/1/up_to`.
    pub field: String,
    /// The value at fault.
    pub value: String,
    /// Why.
    pub reason: String,
}

impl BookError {
    fn new(field: String, value: impl ToString, reason: &str) -> Self {
        Self { field, value: value.to_string(), reason: reason.to_owned() }
    }
}

impl PriceBook {
    /// Checks everything that serde cannot: codes, units, tiers without holes, no negative price.
    ///
    /// # Errors
    /// The first [`BookError`].
    pub fn validate(&self) -> Result<(), BookError> {
        if self.items.is_empty() || self.items.len() > 1_000 {
            return Err(BookError::new("/items".into(), self.items.len(), "items; a book has 1 to 1,000"));
        }
        let mut codes = std::collections::BTreeSet::new();
        for (index, item) in self.items.iter().enumerate() {
            let at = |name: &str| format!("/items/{index}/{name}");
            if !is_code(&item.code) {
                return Err(BookError::new(at("code"), &item.code, "must be 1 to 64 of a-z 0-9 - _ ."));
            }
            if !codes.insert(&item.code) {
                return Err(BookError::new(at("code"), &item.code, "occurs twice"));
            }
            if item.name.trim().is_empty() || item.name.len() > 200 {
                return Err(BookError::new(at("name"), &item.name, "must have 1 to 200 characters"));
            }
            item.validate(&at)?;
        }
        Ok(())
    }
}

fn is_code(text: &str) -> bool {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    (1..=64).contains(&text.len()) && text.chars().all(good)
}

impl PriceItem {
    fn validate(&self, at: &dyn Fn(&str) -> String) -> Result<(), BookError> {
        let flat = matches!(self.model, Model::Flat { .. });
        if flat != self.meter.is_empty() {
            return Err(BookError::new(at("meter"), &self.meter, "must name a meter, except for a flat fee"));
        }
        if !(1..=1 << 50).contains(&self.unit.size) {
            return Err(BookError::new(at("unit/size"), self.unit.size, "must be 1 to 2^50"));
        }
        if self.unit.lasts_period && self.window == Window::Hour {
            return Err(BookError::new(at("window"), "hour", "does not go with a unit that lasts the period"));
        }
        if self.included.0 < 0 {
            return Err(BookError::new(at("included"), self.included, "is negative"));
        }
        if self.included.0 > UNITS_MAX || self.included.0.checked_mul(self.basis_max()).is_none() {
            return Err(BookError::new(at("included"), self.included, "is too large for its unit"));
        }
        match &self.model {
            Model::PerUnit { rate } if rate.0 > RATE_MAX => {
                Err(BookError::new(at("price/rate"), rate, "is above 10^9"))
            }
            Model::Flat { amount } if amount.0 > RATE_MAX => {
                Err(BookError::new(at("price/amount"), amount, "is above 10^9"))
            }
            Model::PerUnit { rate } if rate.0 < 0 => Err(BookError::new(at("price/rate"), rate, "is negative")),
            Model::Flat { amount } if amount.0 < 0 => Err(BookError::new(at("price/amount"), amount, "is negative")),
            Model::PerUnit { .. } | Model::Flat { .. } => Ok(()),
            Model::Graduated { tiers } | Model::Volume { tiers } => validate_tiers(tiers, self.basis_max(), at),
        }
    }

    /// The largest [`Self::basis`] that a month can give: 31 days across the end of summer time.
    fn basis_max(&self) -> i128 {
        i128::from(self.unit.size) * if self.unit.lasts_period { 31 * 86_400 + 7_200 } else { 1 }
    }

    /// Meter units in one priced unit over `period`; a positive number.
    #[must_use]
    pub fn basis(&self, period: Period) -> i128 {
        let seconds = if self.unit.lasts_period { i128::from(period.seconds()) } else { 1 };
        i128::from(self.unit.size) * seconds
    }

    /// Whether usage with these dimensions is priced by this item.
    #[must_use]
    pub fn matches(&self, meter: &str, dimensions: &BTreeMap<String, String>) -> bool {
        let holds = |(name, allowed): (&String, &Vec<String>)| {
            dimensions.get(name).is_some_and(|value| allowed.contains(value))
        };
        self.meter == meter && self.only.iter().all(holds)
    }
}

/// 10^15 priced units.
const UNITS_MAX: i128 = 1_000_000_000_000_000 * NANO;
/// 10^9 of the major currency unit: prices beyond it are slips, and sums stay far from overflowing.
const RATE_MAX: i128 = 1_000_000_000 * base::decimal::PICO;

fn validate_tiers(tiers: &[Tier], basis_max: i128, at: &dyn Fn(&str) -> String) -> Result<(), BookError> {
    if tiers.is_empty() || tiers.len() > 100 {
        return Err(BookError::new(at("price/tiers"), tiers.len(), "tiers; there must be 1 to 100"));
    }
    let mut below = QuantityNano(0);
    for (index, tier) in tiers.iter().enumerate() {
        let field = |name: &str| at(&format!("price/tiers/{index}/{name}"));
        if let Some(from) = tier.from.filter(|from| *from != below) {
            let reason = format!("leaves a hole or an overlap: the tier before ends at {below}");
            return Err(BookError::new(field("from"), from, &reason));
        }
        if tier.rate.0 < 0 {
            return Err(BookError::new(field("rate"), tier.rate, "is negative"));
        }
        if tier.rate.0 > RATE_MAX {
            return Err(BookError::new(field("rate"), tier.rate, "is above 10^9"));
        }
        let last = index + 1 == tiers.len();
        match tier.up_to {
            None if last => {}
            None => return Err(BookError::new(field("up_to"), "null", "is open, but only the last tier may be")),
            Some(bound) if last => {
                return Err(BookError::new(
                    field("up_to"),
                    bound,
                    "leaves everything above it without a price; the last tier must be open",
                ));
            }
            Some(bound) if bound.0.checked_mul(basis_max).is_none() => {
                return Err(BookError::new(field("up_to"), bound, "is too large for its unit"));
            }
            Some(bound) if bound <= below || bound.0 > UNITS_MAX => {
                return Err(BookError::new(field("up_to"), bound, &format!("must be above {below} and at most 10^15")));
            }
            Some(bound) => below = bound,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiers(text: &str) -> Vec<Tier> {
        text.split_whitespace()
            .map(|part| {
                let (bound, rate) = part.split_once(':').unwrap();
                let (from, up_to) = bound.split_once('-').map_or((None, bound), |(from, to)| (Some(from), to));
                Tier {
                    up_to: (up_to != "_").then(|| up_to.parse().unwrap()),
                    rate: rate.parse().unwrap(),
                    from: from.map(|text| text.parse().unwrap()),
                }
            })
            .collect()
    }

    fn check(text: &str, field: Option<&str>) {
        let item = PriceItem {
            code: "a".into(),
            name: "A".into(),
            meter: "m".into(),
            only: BTreeMap::new(),
            unit: UnitBasis::default(),
            window: Window::Month,
            included: QuantityNano(0),
            model: Model::Graduated { tiers: tiers(text) },
        };
        let book = PriceBook { currency: Currency::EUR, items: vec![item] };
        assert_eq!(book.validate().err().map(|error| error.field).as_deref(), field, "{text}");
    }

    #[test]
    fn tiers_have_no_holes() {
        check("100:1 _:0.5", None);
        check("0-100:1 100-_:0.5", None);
        check("0-99:1 100-_:0.5", Some("/items/0/price/tiers/1/from"));
        check("0-100:1 99-_:0.5", Some("/items/0/price/tiers/1/from"));
        check("100:1 50:0.5 _:0", Some("/items/0/price/tiers/1/up_to"));
        check("100:1 200:0.5", Some("/items/0/price/tiers/1/up_to"));
        check("_:1 _:0.5", Some("/items/0/price/tiers/0/up_to"));
        check("0:1 _:0.5", Some("/items/0/price/tiers/0/up_to"));
        check("100:-1 _:0.5", Some("/items/0/price/tiers/0/rate"));
        check("", Some("/items/0/price/tiers"));
    }

    #[test]
    fn unknown_currencies_and_keys_are_refused() {
        let refused = |text: &str| serde_json::from_str::<PriceBook>(text).unwrap_err().to_string();
        assert!(refused(r#"{"currency":"EUX","items":[]}"#).contains("EUX"));
        assert!(refused(r#"{"currency":"EUR","items":[],"vat":"19"}"#).contains("vat"));
    }
}

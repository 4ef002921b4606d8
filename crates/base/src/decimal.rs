//! Fixed-point decimals: rates, quantities, exact charges and money.
//!
//! | type | unit |
//! |---|---|
//! | [`RatePico`] | 10^-12 of the major currency unit, for one priced unit |
//! | [`QuantityNano`] | 10^-9 of the meter's unit |
//! | [`AmountPico`] | 10^-12 of the major currency unit, exact until a line rounds it |
//! | [`AmountMinor`] | the currency's minor unit |
//!
//! No float ever touches a number of this module.

use ethnum::I256;
use std::fmt;
use std::str::FromStr;

/// Digits after the point of a [`RatePico`] and an [`AmountPico`].
pub const PICO_DIGITS: u32 = 12;
/// Digits after the point of a [`QuantityNano`].
pub const NANO_DIGITS: u32 = 9;
/// 10^12.
pub const PICO: i128 = 1_000_000_000_000;
/// 10^9.
pub const NANO: i128 = 1_000_000_000;

/// What can be wrong with a decimal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    /// Not plain digits with at most one point.
    #[error("{text:?} is not a decimal number such as 12.5 with at most {digits} digits after the point")]
    Malformed {
        /// What was given.
        text: String,
        /// Digits allowed after the point.
        digits: u32,
    },
    /// Too large for the type.
    #[error("{text:?} is too large")]
    TooLarge {
        /// What was given.
        text: String,
    },
    /// A calculation left the range of its type.
    #[error("the result of a calculation is too large")]
    Overflow,
}

/// How a division that leaves a rest is settled. Recorded on each document that used it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rounding {
    /// 0.5 -> 1, -0.5 -> -1. The default for money.
    HalfAwayFromZero,
    /// 0.5 -> 0, 1.5 -> 2.
    HalfEven,
    /// Towards zero.
    Down,
    /// Away from zero.
    Up,
}

/// `a * b / divisor`, computed in 256 bits and rounded once.
///
/// # Errors
/// [`DecimalError::Overflow`] when the result does not fit 128 bits.
/// # Panics
/// When `divisor` is not positive: that is a bug of the caller.
pub fn mul_div(a: i128, b: i128, divisor: i128, rounding: Rounding) -> Result<i128, DecimalError> {
    assert!(divisor > 0, "divisor must be positive");
    let product = I256::from(a) * I256::from(b);
    let divisor = I256::from(divisor);
    let (whole, rest) = (product / divisor, product % divisor);
    let result = if rest == I256::ZERO { whole } else { whole + step(whole, rest, divisor, rounding) };
    i128::try_from(result).map_err(|_| DecimalError::Overflow)
}

/// What rounding adds to a quotient that was cut towards zero.
fn step(whole: I256, rest: I256, divisor: I256, rounding: Rounding) -> I256 {
    let away = if rest < I256::ZERO { I256::from(-1_i8) } else { I256::ONE };
    let twice = rest.abs() * I256::from(2_i8);
    let up = match rounding {
        Rounding::Down => false,
        Rounding::Up => true,
        Rounding::HalfAwayFromZero => twice >= divisor,
        Rounding::HalfEven => twice > divisor || (twice == divisor && whole % I256::from(2_i8) != I256::ZERO),
    };
    if up { away } else { I256::ZERO }
}

/// `value / divisor`, rounded. `divisor` must be positive.
///
/// # Errors
/// [`DecimalError::Overflow`] cannot occur here in practice, but the type keeps callers honest.
pub fn div_round(value: i128, divisor: i128, rounding: Rounding) -> Result<i128, DecimalError> {
    mul_div(value, 1, divisor, rounding)
}

/// Splits `total` over `weights` so that the parts add up to `total` exactly: largest remainder,
/// ties to the earlier weight. All-zero weights put everything on the first part.
///
/// # Errors
/// [`DecimalError::Overflow`] when the weights do not add up within 128 bits.
/// # Panics
/// When `weights` is empty or holds a negative weight.
pub fn split_largest_remainder(total: i128, weights: &[i128]) -> Result<Vec<i128>, DecimalError> {
    assert!(!weights.is_empty(), "nothing to split over");
    assert!(weights.iter().all(|weight| *weight >= 0), "a weight is negative");
    let mut sum: i128 = 0;
    for weight in weights {
        sum = sum.checked_add(*weight).ok_or(DecimalError::Overflow)?;
    }
    if sum == 0 {
        let mut parts = vec![0; weights.len()];
        parts[0] = total;
        return Ok(parts);
    }
    let sign = if total < 0 { -1 } else { 1 };
    let magnitude = total.checked_abs().ok_or(DecimalError::Overflow)?;
    let mut parts = Vec::with_capacity(weights.len());
    let mut order = Vec::with_capacity(weights.len());
    for (index, weight) in weights.iter().enumerate() {
        let product = I256::from(magnitude) * I256::from(*weight);
        let part = i128::try_from(product / I256::from(sum)).map_err(|_| DecimalError::Overflow)?;
        parts.push(part);
        order.push((product % I256::from(sum), index));
    }
    let mut left = magnitude - parts.iter().sum::<i128>();
    order.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    for (_, index) in order {
        if left == 0 {
            break;
        }
        parts[index] += 1;
        left -= 1;
    }
    assert_eq!(left, 0, "the rest is smaller than the number of parts");
    for part in &mut parts {
        *part *= sign;
    }
    Ok(parts)
}

/// Reads plain decimal text into a scaled integer. No exponent, no grouping, no plus sign, ASCII only.
///
/// # Errors
/// [`DecimalError::Malformed`] or [`DecimalError::TooLarge`], naming the text.
pub fn parse_scaled(text: &str, digits: u32) -> Result<i128, DecimalError> {
    let malformed = || DecimalError::Malformed { text: text.to_owned(), digits };
    let too_large = || DecimalError::TooLarge { text: text.to_owned() };
    let (negative, body) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = body.split_once('.').unwrap_or((body, "0"));
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let significant = fraction.trim_end_matches('0');
    if !plain(whole) || !plain(fraction) || significant.len() > digits as usize {
        return Err(malformed());
    }
    let mut value: i128 = 0;
    let padding = digits as usize - significant.len();
    for digit in whole.bytes().chain(significant.bytes()).chain(std::iter::repeat_n(b'0', padding)) {
        value = value
            .checked_mul(10)
            .and_then(|scaled| scaled.checked_add(i128::from(digit - b'0')))
            .ok_or_else(too_large)?;
    }
    Ok(if negative { -value } else { value })
}

/// Writes a scaled integer as decimal text, keeping at least `digits_min` digits after the point.
#[must_use]
pub fn format_scaled(value: i128, digits: u32, digits_min: u32) -> String {
    let sign = if value < 0 { "-" } else { "" };
    let text = format!("{:0width$}", value.unsigned_abs(), width = digits as usize + 1);
    let (whole, fraction) = text.split_at(text.len() - digits as usize);
    let kept = fraction.trim_end_matches('0').len().max(digits_min as usize);
    if kept == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{}", &fraction[..kept]) }
}

macro_rules! scaled {
    ($($(#[$doc:meta])* $name:ident $digits:expr),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub i128);

        impl $name {
            /// Zero.
            pub const ZERO: Self = Self(0);

            /// The sum.
            ///
            /// # Errors
            /// [`DecimalError::Overflow`].
            pub fn plus(self, other: Self) -> Result<Self, DecimalError> {
                self.0.checked_add(other.0).map(Self).ok_or(DecimalError::Overflow)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&format_scaled(self.0, $digits, 0))
            }
        }

        impl FromStr for $name {
            type Err = DecimalError;
            fn from_str(text: &str) -> Result<Self, DecimalError> {
                parse_scaled(text, $digits).map(Self)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

scaled! {
    /// A price for one priced unit, in 10^-12 of the currency's major unit: list prices go to ten digits.
    RatePico PICO_DIGITS,
    /// A quantity in 10^-9 of the meter's unit.
    QuantityNano NANO_DIGITS,
    /// An exact charge or cost, in 10^-12 of the currency's major unit. Never rounded to money by itself.
    AmountPico PICO_DIGITS,
}

impl QuantityNano {
    /// A whole number of units.
    #[must_use]
    pub fn units(count: i64) -> Self {
        Self(i128::from(count) * NANO)
    }
}

impl AmountPico {
    /// Rounds to the minor unit of a currency with `minor_digits` decimals: the one rounding of a line.
    ///
    /// # Errors
    /// [`DecimalError::Overflow`] when the amount does not fit 64 bits of minor units.
    pub fn to_minor(self, minor_digits: u32, rounding: Rounding) -> Result<AmountMinor, DecimalError> {
        assert!(minor_digits <= PICO_DIGITS);
        let minor = div_round(self.0, 10_i128.pow(PICO_DIGITS - minor_digits), rounding)?;
        i64::try_from(minor).map(AmountMinor).map_err(|_| DecimalError::Overflow)
    }
}

/// An amount in the currency's minor unit (cents for EUR, yen for JPY, fils for KWD).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct AmountMinor(pub i64);

impl AmountMinor {
    /// The sum.
    ///
    /// # Errors
    /// [`DecimalError::Overflow`].
    pub fn plus(self, other: Self) -> Result<Self, DecimalError> {
        self.0.checked_add(other.0).map(Self).ok_or(DecimalError::Overflow)
    }

    /// Decimal text in the major unit: 1234 with two digits is `12.34`.
    #[must_use]
    pub fn to_major(self, minor_digits: u32) -> String {
        format_scaled(i128::from(self.0), minor_digits, minor_digits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check_round(value: i128, divisor: i128, expected: [i128; 4]) {
        let modes = [Rounding::HalfAwayFromZero, Rounding::HalfEven, Rounding::Down, Rounding::Up];
        for (mode, want) in modes.into_iter().zip(expected) {
            assert_eq!(div_round(value, divisor, mode), Ok(want), "{value}/{divisor} {mode:?}");
        }
    }

    #[test]
    fn rounds_in_every_mode() {
        check_round(5, 10, [1, 0, 0, 1]);
        check_round(15, 10, [2, 2, 1, 2]);
        check_round(25, 10, [3, 2, 2, 3]);
        check_round(-5, 10, [-1, 0, 0, -1]);
        check_round(-15, 10, [-2, -2, -1, -2]);
        check_round(14, 10, [1, 1, 1, 2]);
        check_round(-14, 10, [-1, -1, -1, -2]);
        check_round(20, 10, [2, 2, 2, 2]);
    }

    #[test]
    fn multiplies_beyond_128_bits() {
        // 100 TB for a month in nano byte-seconds times 0.023: 6e39 in between.
        let byte_seconds = 100_000_000_000_000_i128 * 2_592_000 * NANO;
        let rate = 23_000_000_000_i128;
        let divisor = (1_i128 << 30) * 2_592_000 * NANO;
        // 100e12 / 2^30 GiB-months = 93132.2574615478515625; x 0.023 = 2142.0419216156005859375
        assert_eq!(mul_div(byte_seconds, rate, divisor, Rounding::HalfAwayFromZero), Ok(2_142_041_921_615_601));
        assert_eq!(mul_div(i128::MAX, 4, 2, Rounding::Down), Err(DecimalError::Overflow));
    }

    #[test]
    fn refuses_hostile_numbers() {
        for text in ["", "-", ".", "1.", ".5", "1,5", "NaN", "1e9", "+1", " 1", "1 ", "\u{ff11}", "0x1", "1.1.1", "--1"]
        {
            assert!(text.parse::<RatePico>().is_err(), "{text:?}");
        }
        assert!("0.0000000000001".parse::<RatePico>().is_err());
        assert_eq!("0.0000000000010000".parse::<RatePico>(), Ok(RatePico(1)));
        assert!(matches!("9".repeat(40).parse::<RatePico>(), Err(DecimalError::TooLarge { .. })));
        assert_eq!("-0".parse::<RatePico>(), Ok(RatePico(0)));
    }

    proptest! {
        #[test]
        fn text_round_trips(value in -(10_i128.pow(30))..10_i128.pow(30)) {
            prop_assert_eq!(AmountPico(value).to_string().parse(), Ok(AmountPico(value)));
            prop_assert_eq!(QuantityNano(value).to_string().parse(), Ok(QuantityNano(value)));
        }

        #[test]
        fn splits_add_up(total in -(10_i128.pow(24))..10_i128.pow(24), weights in prop::collection::vec(0..10_i128.pow(20), 1..60)) {
            let parts = split_largest_remainder(total, &weights).unwrap();
            prop_assert_eq!(parts.iter().sum::<i128>(), total);
            let sum: i128 = weights.iter().sum();
            for (part, weight) in parts.iter().zip(&weights) {
                if sum > 0 {
                    let exact = mul_div(total, *weight, sum, Rounding::Down).unwrap();
                    prop_assert!((part - exact).abs() <= 1);
                }
            }
        }

        #[test]
        fn mul_div_agrees_with_plain_arithmetic(a in -(1_i128 << 60)..(1 << 60), b in -(1_i128 << 60)..(1 << 60), d in 1..(1_i128 << 60)) {
            prop_assert_eq!(mul_div(a, b, d, Rounding::Down), Ok(a * b / d));
        }

        #[test]
        fn rounding_stays_within_one_step(value: i64, divisor in 1..i64::MAX) {
            for mode in [Rounding::HalfAwayFromZero, Rounding::HalfEven, Rounding::Down, Rounding::Up] {
                let result = div_round(value.into(), divisor.into(), mode).unwrap();
                prop_assert!((result * i128::from(divisor) - i128::from(value)).abs() < i128::from(divisor));
            }
        }
    }
}

//! Quantities and amounts in the words of people. Integers only; what is rounded says so.

use base::decimal::{NANO, format_scaled, mul_div};
use base::{AmountMinor, AmountPico, Currency, Rounding};

const BYTE_UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// `quantity / divisor` with `digits` decimals, rounded once.
fn rounded(quantity: i128, divisor: i128, digits: u32) -> String {
    let scaled = mul_div(quantity, 10_i128.pow(digits), divisor, Rounding::HalfAwayFromZero);
    format_scaled(scaled.expect("the divisor is larger than the scale"), digits, digits)
}

/// The place in [`BYTE_UNITS`] that suits so many bytes, and the bytes in it.
fn byte_unit(quantity_nano: i128) -> (usize, i128) {
    let bytes = quantity_nano.abs() / NANO;
    let (mut size, mut unit) = (1_i128, 0);
    while unit + 1 < BYTE_UNITS.len() && bytes >= size * 1_024 {
        size *= 1_024;
        unit += 1;
    }
    (unit, size)
}

/// The step of the last digit that [`bytes`] shows for the greatest of some sums, in nano bytes.
pub(crate) fn bytes_grain(greatest_nano: i128) -> i128 {
    let (unit, size) = byte_unit(greatest_nano);
    if unit == 0 { NANO } else { NANO / 100 * size }
}

/// Bytes from a nano-byte sum, as `12.34 GiB`, rounded to two decimals; exact below one KiB.
pub(crate) fn bytes(quantity_nano: i128) -> String {
    let (unit, size) = byte_unit(quantity_nano);
    if unit == 0 {
        return format!("{} B", quantity_nano / NANO);
    }
    format!("{} {}", grouped(&rounded(quantity_nano, NANO * size, 2)), BYTE_UNITS[unit])
}

/// The step of the last digit that [`gib_months`] shows, in nano byte-seconds.
pub(crate) fn gib_months_grain(seconds: i64) -> i128 {
    (NANO / 10_000) * (1 << 30) * i128::from(seconds.max(1))
}

/// GiB-months from nano byte-seconds in a month of `seconds`, rounded to four decimals.
pub(crate) fn gib_months(quantity_nano: i128, seconds: i64) -> String {
    grouped(&rounded(quantity_nano, NANO * (1 << 30) * i128::from(seconds.max(1)), 4))
}

/// Whole units of a nano sum.
pub(crate) fn whole(quantity_nano: i128) -> String {
    grouped(&(quantity_nano / NANO).to_string())
}

/// Money: `1,234.56 EUR`.
pub(crate) fn money(amount: AmountMinor, currency: Currency) -> String {
    format!("{} {currency}", grouped(&amount.to_major(currency.minor_digits())))
}

/// An exact amount as money: `1,234.56 EUR`, rounded once for this one figure.
pub(crate) fn exact_money(amount: AmountPico, currency: Currency) -> String {
    format!("{} {currency}", money_figure(amount, currency))
}

/// The same without the currency.
pub(crate) fn money_figure(amount: AmountPico, currency: Currency) -> String {
    match amount.to_minor(currency.minor_digits(), Rounding::HalfAwayFromZero) {
        Ok(minor) => grouped(&minor.to_major(currency.minor_digits())),
        Err(_) => grouped(&amount.to_string()), // Beyond what money can be: shown as it is.
    }
}

/// Groups the whole part of a number by thousands, with a true minus sign.
pub(crate) fn grouped(text: &str) -> String {
    let (sign, body) = text.strip_prefix('-').map_or(("", text), |rest| ("\u{2212}", rest));
    let (whole, fraction) = body.split_once('.').map_or((body, None), |(whole, fraction)| (whole, Some(fraction)));
    let mut out = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    match fraction {
        Some(fraction) => format!("{sign}{out}.{fraction}"),
        None => format!("{sign}{out}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        assert_eq!(grouped("1234567.89"), "1,234,567.89");
        assert_eq!(grouped("-123"), "\u{2212}123");
        assert_eq!(grouped("1000"), "1,000");
        assert_eq!(bytes(1_023 * NANO), "1023 B");
        assert_eq!(bytes(1_536 * NANO), "1.50 KiB");
        assert_eq!(bytes((5 << 30) * NANO), "5.00 GiB");
        assert_eq!(bytes(-(5 << 30) * NANO), "\u{2212}5.00 GiB");
        assert_eq!(bytes(39_014_367 * NANO), "37.21 MiB"); // 37.2070 is nearer to it than 37.20.
        assert_eq!(gib_months((1 << 30) * 2_592_000 * NANO, 2_592_000), "1.0000");
        assert_eq!(money(AmountMinor(123_456), Currency::EUR), "1,234.56 EUR");
        assert_eq!(exact_money(AmountPico(80_722_824_802_666), Currency::EUR), "80.72 EUR");
        assert_eq!(money_figure(AmountPico(-1_234_500_000_000_000), "JPY".parse().unwrap()), "\u{2212}1,235");
    }
}

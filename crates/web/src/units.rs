//! Quantities and amounts in the words of people. Integers only; what is rounded says so.

use base::decimal::{NANO, format_scaled};
use base::{AmountMinor, Currency};

/// Bytes from a nano-byte sum, as `12.34 GiB`, cut to two decimals; exact below one KiB.
pub(crate) fn bytes(quantity_nano: i128) -> String {
    let bytes = quantity_nano / NANO;
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let (mut size, mut unit) = (1_i128, 0);
    while unit + 1 < units.len() && bytes.abs() >= size * 1_024 {
        size *= 1_024;
        unit += 1;
    }
    if unit == 0 {
        format!("{bytes} B")
    } else {
        format!("{} {}", format_scaled(bytes * 100 / size, 2, 2), units[unit])
    }
}

/// GiB-months from nano byte-seconds in a month of `seconds`, cut to four decimals.
pub(crate) fn gib_months(quantity_nano: i128, seconds: i64) -> String {
    let tenthousandths = quantity_nano / NANO * 10_000 / (1 << 30) / i128::from(seconds.max(1));
    format_scaled(tenthousandths, 4, 4)
}

/// Whole units of a nano sum.
pub(crate) fn whole(quantity_nano: i128) -> String {
    grouped(&(quantity_nano / NANO).to_string())
}

/// Money: `1,234.56 EUR`.
pub(crate) fn money(amount: AmountMinor, currency: Currency) -> String {
    format!("{} {currency}", grouped(&amount.to_major(currency.minor_digits())))
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
        assert_eq!(gib_months((1 << 30) * 2_592_000 * NANO, 2_592_000), "1.0000");
        assert_eq!(money(AmountMinor(123_456), Currency::EUR), "1,234.56 EUR");
    }
}

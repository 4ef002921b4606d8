//! Charts drawn on the server as SVG, from whole numbers.
//!
//! Every word and figure in a picture is made from integers by the caller's formatter; this module
//! never rounds, shortens or abbreviates a figure. Floats appear here and nowhere else in the crate,
//! because a place on the screen is a fraction of a pixel and no amount is ever read back from it.
//! Colours are classes (`s0` to `s5`) whose values live in `assets/meterhouse.css`: the content
//! security policy forbids inline styles, and a class follows the light or dark theme by itself.
//!
//! A chart is drawn once for each [`Width`] and the style sheet shows one of them, so that text keeps
//! its size on a telephone. The table with the same figures belongs under the chart; it is the
//! page's duty, not this module's.

#[cfg(test)]
mod palette;
#[cfg(test)]
mod probe;
mod rank;
mod scale;
mod spark;
mod stacked;
mod svg;

pub use rank::{ROWS_MAX, RankBar, RankRow, rank_bar, rank_bar_at};
pub use spark::{describe_points, sparkline};
pub use stacked::{BARS_MAX, SERIES_MAX, Series, StackedBar, stacked_bar, stacked_bar_at};
pub use svg::Width;

/// Writes a scaled integer as a figure with its decimals but without currency or unit, for example
/// `123456` as `1,234.56`. It may round, but only what it is given: sums are made from exact values.
pub type Format<'a> = &'a dyn Fn(i128) -> String;

/// The greatest size of one value. Sums over the longest chart stay far inside 128 bits below it.
pub const VALUE_ABS_MAX: i128 = 10_i128.pow(33);

/// Writes a value with its unit, such as `12.30 EUR`.
fn amount(format: Format<'_>, unit: &str, value: i128) -> String {
    let figure = format(value);
    if unit.is_empty() { figure } else { format!("{figure} {unit}") }
}

/// Finds the first of the greatest values.
fn greatest_at(values: &[i128]) -> Option<usize> {
    let greatest = values.iter().max()?;
    values.iter().position(|value| value == greatest)
}

/// Finds the first of the least values.
fn least_at(values: &[i128]) -> Option<usize> {
    let least = values.iter().min()?;
    values.iter().position(|value| value == least)
}

//! Sums of the S3 meters, as cells of tables and as charts. Whole numbers only.

use crate::charts::{self, RankBar, RankRow, Series, StackedBar, VALUE_ABS_MAX};
use crate::units;
use app::rows::RolledUp;
use app::usage::{Question, Usage};
use base::decimal::{NANO, NANO_DIGITS, format_scaled};
use base::{Period, QuantityNano, Zone};
use metering::Meter;
use metering::meter::{S3_BYTES_IN, S3_BYTES_OUT, S3_REQUESTS, S3_STORAGE};
use std::collections::BTreeMap;

/// Groups of a stacked chart that keep their name; the rest is folded.
const STACK_MAX: usize = 5;
/// Rows of a rank chart that keep their name; the rest is folded.
const RANK_MAX: usize = 30;

/// The columns of [`Sums::cells`].
pub(super) const HEADS: [&str; 6] = ["GiB-months", "Requests A", "Requests B", "Not billed", "Bytes in", "Bytes out"];

/// Said under each table of figures.
pub(super) const CUT: &str = "Sizes are cut to two decimals, GiB-months to four. Requests A and B are the billed ones: \
     A writes and lists, B reads; refused, failed and free requests are not billed.";

/// A question about one month, everything in one sum. An empty month is the running one.
pub(super) fn question(month: &str) -> Question {
    let month = (!month.is_empty()).then(|| month.to_owned());
    Question { month, user: None, meter: None, by: Default::default(), daily: false }
}

/// The line that says what the figures of a page are based on.
pub(super) fn basis(usage: &Usage, scope: &str) -> Vec<String> {
    let over = usage.through_us >= usage.period.end_us;
    let state =
        if over { "The month is over; late records can still come" } else { "Provisional: the month is running" };
    vec![
        format!("Scope: {scope}"),
        format!("Period: {}, {}", usage.period_name, usage.zone.name()),
        format!("Data through {}", super::frame::instant(usage.through_us)),
        format!("Batch {}", usage.watermark),
        state.to_owned(),
    ]
}

/// The value of one dimension of a row; empty when it has none.
pub(super) fn dimension(row: &RolledUp, name: &str) -> String {
    let dimensions: BTreeMap<String, String> = serde_json::from_str(&row.dimensions).unwrap_or_default();
    dimensions.get(name).cloned().unwrap_or_default()
}

/// Usage of one group, in nano units of each meter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sums {
    /// Byte-seconds.
    pub(super) storage: i128,
    pub(super) class_a: i128,
    pub(super) class_b: i128,
    pub(super) not_billed: i128,
    pub(super) bytes_in: i128,
    pub(super) bytes_out: i128,
    /// A meter that is not one of the gateway's.
    pub(super) other: i128,
}

impl Sums {
    /// Adds one row. Requests need rows that keep dimensions apart.
    pub(super) fn add(&mut self, row: &RolledUp) {
        let quantity = row.quantity.0;
        match row.meter.as_str() {
            S3_STORAGE => self.storage += quantity,
            S3_BYTES_IN => self.bytes_in += quantity,
            S3_BYTES_OUT => self.bytes_out += quantity,
            S3_REQUESTS => self.add_requests(row),
            _ => self.other += quantity,
        }
    }

    fn add_requests(&mut self, row: &RolledUp) {
        let slot = match (dimension(row, "billed").as_str(), dimension(row, "class").as_str()) {
            ("yes", "A") => &mut self.class_a,
            ("yes", "B") => &mut self.class_b,
            _ => &mut self.not_billed,
        };
        *slot += row.quantity.0;
    }

    /// Adds another group.
    pub(super) fn merge(&mut self, other: &Self) {
        self.storage += other.storage;
        self.class_a += other.class_a;
        self.class_b += other.class_b;
        self.not_billed += other.not_billed;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.other += other.other;
    }

    /// All requests, billed or not.
    pub(super) fn requests(&self) -> i128 {
        self.class_a + self.class_b + self.not_billed
    }

    /// The sum of one meter.
    pub(super) fn of_meter(&self, code: &str) -> i128 {
        match code {
            S3_STORAGE => self.storage,
            S3_BYTES_IN => self.bytes_in,
            S3_BYTES_OUT => self.bytes_out,
            S3_REQUESTS => self.requests(),
            _ => self.other,
        }
    }

    /// Whether nothing was used.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The cells under [`HEADS`], for a month of `seconds`.
    pub(super) fn cells(&self, seconds: i64) -> Vec<String> {
        vec![
            units::grouped(&units::gib_months(self.storage, seconds)),
            units::whole(self.class_a),
            units::whole(self.class_b),
            units::whole(self.not_billed),
            units::bytes(self.bytes_in),
            units::bytes(self.bytes_out),
        ]
    }
}

/// One row of a table of figures.
pub(super) struct FigureRow {
    pub(super) name: String,
    /// Empty when there is nowhere to go.
    pub(super) href: String,
    pub(super) cells: Vec<String>,
}

/// In which unit, and with how many decimals, a chart shows a meter.
pub(super) struct Scale {
    pub(super) unit: String,
    /// Meter units in one shown unit.
    size: i128,
    digits: u32,
}

impl Scale {
    /// The scale of a meter whose greatest value is `greatest`, in a month of `seconds`.
    pub(super) fn of(meter: &Meter, greatest: i128, seconds: i64) -> Self {
        match meter.code.as_str() {
            S3_STORAGE => {
                Self { unit: "GiB-months".to_owned(), size: (1 << 30) * i128::from(seconds.max(1)), digits: 4 }
            }
            S3_BYTES_IN | S3_BYTES_OUT => Self::bytes(greatest),
            S3_REQUESTS => Self::requests(),
            _ => Self { unit: meter.unit.clone(), size: 1, digits: NANO_DIGITS },
        }
    }

    /// Bytes in the unit that suits the greatest value.
    pub(super) fn bytes(greatest: i128) -> Self {
        let names = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        let (mut size, mut unit) = (1_i128, 0);
        while unit + 1 < names.len() && greatest / NANO >= size * 1_024 {
            size *= 1_024;
            unit += 1;
        }
        Self { unit: names[unit].to_owned(), size, digits: if unit == 0 { 0 } else { 3 } }
    }

    /// Whole requests.
    pub(super) fn requests() -> Self {
        Self { unit: "requests".to_owned(), size: 1, digits: 0 }
    }

    /// A nano sum as the scaled integer that a chart draws, cut below its last digit.
    fn scaled(&self, nano: i128) -> i128 {
        if self.digits == NANO_DIGITS { nano } else { nano / NANO * 10_i128.pow(self.digits) / self.size }
    }

    fn figure(&self, value: i128) -> String {
        units::grouped(&format_scaled(value, self.digits, 0))
    }
}

/// The figure of a meter that is not one of the gateway's.
pub(super) fn plain(nano: i128) -> String {
    units::grouped(&QuantityNano(nano).to_string())
}

/// `2026-10-31` as `31 Oct`.
pub(super) fn day_label(date: &str) -> String {
    let names = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut parts = date.split('-').skip(1);
    let month = parts.next().and_then(|text| text.parse::<usize>().ok());
    let name = month.and_then(|month| names.get(month.wrapping_sub(1)));
    match (name, parts.next()) {
        (Some(name), Some(day)) => format!("{} {name}", day.trim_start_matches('0')),
        _ => date.to_owned(),
    }
}

/// A group of a stacked chart: its name, and nano sums by the first instant of each day.
pub(super) struct DayGroup {
    pub(super) name: String,
    pub(super) by_day: BTreeMap<i64, i128>,
}

impl DayGroup {
    fn total(&self) -> i128 {
        self.by_day.values().sum()
    }
}

/// The greatest value of one group on one day.
pub(super) fn greatest(groups: &[DayGroup]) -> i128 {
    groups.iter().flat_map(|group| group.by_day.values()).copied().max().unwrap_or(0)
}

/// A stacked bar for each day: the five largest groups and the rest.
pub(super) fn stacked_days(
    title: &str,
    scale: &Scale,
    days: &[Period],
    zone: &Zone,
    mut groups: Vec<DayGroup>,
) -> String {
    groups.retain(|group| group.total() != 0);
    groups.sort_by(|a, b| b.total().cmp(&a.total()).then_with(|| a.name.cmp(&b.name)));
    let labels: Vec<String> = days.iter().map(|day| day_label(&zone.date_of(day.start_us))).collect();
    let value = |group: &DayGroup, day: &Period| group.by_day.get(&day.start_us).copied().unwrap_or(0);
    let named = groups.iter().take(STACK_MAX).map(|group| Series {
        name: group.name.clone(),
        values: days.iter().map(|day| scale.scaled(value(group, day))).collect(),
    });
    let mut series: Vec<Series> = named.collect();
    if let Some(rest) = groups.get(STACK_MAX..).filter(|rest| !rest.is_empty()) {
        let sum = |day: &Period| rest.iter().map(|group| value(group, day)).sum::<i128>();
        let values = days.iter().map(|day| scale.scaled(sum(day))).collect();
        series.push(Series { name: format!("Other ({})", rest.len()), values });
    }
    if series.iter().flat_map(|series| &series.values).any(|value| value.abs() > VALUE_ABS_MAX) {
        return String::new(); // The table under the chart still holds the figures.
    }
    let format = |value: i128| scale.figure(value);
    let chart = StackedBar { title, unit: &scale.unit, each: "day", labels: &labels, series: &series, format: &format };
    charts::stacked_bar(&chart)
}

/// A horizontal bar for each name, in the given order; what does not fit is one row at the end.
pub(super) fn ranked(title: &str, scale: &Scale, values: &[(String, i128)]) -> String {
    let shown = if values.len() > RANK_MAX + 1 { RANK_MAX } else { values.len() };
    let (named, rest) = values.split_at(shown);
    let row = |name: String, nano: i128| RankRow { name, value: scale.scaled(nano) };
    let mut rows: Vec<RankRow> = named.iter().map(|(name, nano)| row(name.clone(), *nano)).collect();
    if !rest.is_empty() {
        rows.push(row(format!("Other ({})", rest.len()), rest.iter().map(|(_, nano)| nano).sum()));
    }
    if rows.iter().any(|row| row.value.abs() > VALUE_ABS_MAX) {
        return String::new();
    }
    let format = |value: i128| scale.figure(value);
    charts::rank_bar(&RankBar { title, unit: &scale.unit, rows: &rows, format: &format })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(meter: &str, dimensions: &str, quantity: i64) -> RolledUp {
        RolledUp {
            org: None,
            user: None,
            meter: meter.to_owned(),
            dimensions: dimensions.to_owned(),
            bucket_us: 0,
            quantity: QuantityNano::units(quantity),
            records: 1,
        }
    }

    #[test]
    fn requests_are_parted_by_what_is_billed() {
        let mut sums = Sums::default();
        sums.add(&row(S3_REQUESTS, r#"{"billed":"yes","class":"A"}"#, 3));
        sums.add(&row(S3_REQUESTS, r#"{"billed":"yes","class":"B"}"#, 4));
        sums.add(&row(S3_REQUESTS, r#"{"billed":"no","class":"A"}"#, 5));
        sums.add(&row(S3_BYTES_OUT, "{}", 2_048));
        assert_eq!(sums.cells(2_592_000), ["0.0000", "3", "4", "5", "0 B", "2.00 KiB"]);
        assert_eq!(sums.requests(), 12 * NANO);
    }

    #[test]
    fn days_have_short_labels() {
        assert_eq!(day_label("2026-10-31"), "31 Oct");
        assert_eq!(day_label("2026-01-01"), "1 Jan");
        assert_eq!(day_label("soon"), "soon");
    }

    #[test]
    fn scales_suit_the_greatest_value() {
        assert_eq!(Scale::bytes(1_023 * NANO).unit, "B");
        let scale = Scale::bytes((5 << 30) * NANO);
        assert_eq!((scale.unit.as_str(), scale.figure(scale.scaled((3 << 29) * NANO))), ("GiB", "1.5".to_owned()));
    }

    #[test]
    fn many_groups_are_folded() {
        let days = [Period::new(0, 86_400_000_000).unwrap()];
        let groups = (1..=8).map(|n| DayGroup { name: format!("team {n}"), by_day: [(0, n * NANO)].into() }).collect();
        let html = stacked_days("Requests", &Scale::requests(), &days, &Zone::utc(), groups);
        assert!(html.contains("Other (3)") && html.contains("team 8") && !html.contains("team 3"), "{html}");
    }
}

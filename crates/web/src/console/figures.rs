//! Sums of the S3 meters, as cells of tables and as charts. Whole numbers only.

use super::frame::Empty;
use crate::charts::{self, RankBar, RankRow, Series, StackedBar, VALUE_ABS_MAX};
use crate::units;
use app::rows::RolledUp;
use app::usage::{Question, Scope, Usage};
use base::decimal::NANO;
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
pub(super) const CUT: &str = "Sizes are rounded to two decimals, GiB-months to four, each figure once from its exact \
     value: rounded parts may add up to a last digit more or less than their total. Requests A and B are the billed \
     ones: A writes and lists, B reads; refused, failed and free requests are not billed.";

/// A question about one month, everything in one sum. An empty month is the running one.
pub(super) fn question(month: &str) -> Question {
    let month = (!month.is_empty()).then(|| month.to_owned());
    Question { month, user: None, meter: None, by: Default::default(), daily: false }
}

/// Whose usage a page about `org` shows.
pub(super) fn scope_words(usage: &Usage, org: &str) -> String {
    match usage.scope {
        Scope::Below => format!("{org} and everything below"),
        Scope::Part => format!("the parts of {org} that you may see; there are others"),
        Scope::Own => format!("your own usage at {org}; you may not see that of others"),
    }
}

/// Instead of figures where there are none: a zero only where everything may be seen.
pub(super) fn nothing(usage: &Usage, org: &str, href: String) -> Empty {
    let month = &usage.period_name;
    match usage.scope {
        Scope::Below => Empty::nothing_yet(
            format!("No usage was metered here in {month}. It starts with an access key and a first S3 request."),
            href,
            "Make an access key",
        ),
        Scope::Part => Empty::no_right(format!(
            "The parts of {org} that you may see used nothing in {month}. You may not see the usage of the others."
        )),
        Scope::Own => Empty::no_right(format!(
            "You yourself used nothing in {month}, and you may not see the usage of others. An admin of {org} can give \
             you a role that can, such as Finance Viewer."
        )),
    }
}

/// The line that says what the figures of a page are based on.
pub(super) fn basis(usage: &Usage, scope: &str) -> Vec<String> {
    let over = usage.through_us >= usage.period.end_us;
    let state =
        if over { "The month is over; late records can still come" } else { "Provisional: the month is running" };
    vec![
        format!("Scope: {scope}"),
        format!("Period: {}, {}", usage.period_name, usage.zone.name()),
        format!("Data through {}", usage.zone.time_of(usage.through_us)),
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
            units::gib_months(self.storage, seconds),
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

/// How a chart writes the exact sums of a meter: with the same words as the table under it.
pub(super) struct Scale {
    /// Behind each figure; empty where the figure names its own.
    pub(super) unit: String,
    figure: Box<dyn Fn(i128) -> String>,
    /// The step of the last digit shown, in nano units of the meter.
    grain: i128,
}

impl Scale {
    /// The scale of a meter whose greatest value is `greatest`, in a month of `seconds`.
    pub(super) fn of(meter: &Meter, greatest: i128, seconds: i64) -> Self {
        match meter.code.as_str() {
            S3_STORAGE => Self {
                unit: "GiB-months".to_owned(),
                figure: Box::new(move |nano| units::gib_months(nano, seconds)),
                grain: units::gib_months_grain(seconds),
            },
            S3_BYTES_IN | S3_BYTES_OUT => Self::bytes(greatest),
            S3_REQUESTS => Self::requests(),
            _ => Self { unit: meter.unit.clone(), figure: Box::new(plain), grain: 1 },
        }
    }

    /// Bytes, with ticks in the unit that suits the greatest value.
    pub(super) fn bytes(greatest: i128) -> Self {
        Self { unit: String::new(), figure: Box::new(units::bytes), grain: units::bytes_grain(greatest) }
    }

    /// Whole requests.
    pub(super) fn requests() -> Self {
        Self { unit: "requests".to_owned(), figure: Box::new(units::whole), grain: NANO }
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
    let named = groups
        .iter()
        .take(STACK_MAX)
        .map(|group| Series { name: group.name.clone(), values: days.iter().map(|day| value(group, day)).collect() });
    let mut series: Vec<Series> = named.collect();
    if let Some(rest) = groups.get(STACK_MAX..).filter(|rest| !rest.is_empty()) {
        let sum = |day: &Period| rest.iter().map(|group| value(group, day)).sum::<i128>();
        let values = days.iter().map(sum).collect();
        series.push(Series { name: format!("Other ({})", rest.len()), values });
    }
    if series.iter().flat_map(|series| &series.values).any(|value| value.abs() > VALUE_ABS_MAX) {
        return String::new(); // The table under the chart still holds the figures.
    }
    let chart = StackedBar {
        title,
        unit: &scale.unit,
        each: "day",
        labels: &labels,
        series: &series,
        format: &*scale.figure,
        grain: scale.grain,
    };
    charts::stacked_bar(&chart)
}

/// A horizontal bar for each name, in the given order; what does not fit is one row at the end.
pub(super) fn ranked(title: &str, scale: &Scale, values: &[(String, i128)]) -> String {
    let shown = if values.len() > RANK_MAX + 1 { RANK_MAX } else { values.len() };
    let (named, rest) = values.split_at(shown);
    let row = |name: String, nano: i128| RankRow { name, value: nano };
    let mut rows: Vec<RankRow> = named.iter().map(|(name, nano)| row(name.clone(), *nano)).collect();
    if !rest.is_empty() {
        rows.push(row(format!("Other ({})", rest.len()), rest.iter().map(|(_, nano)| nano).sum()));
    }
    if rows.iter().any(|row| row.value.abs() > VALUE_ABS_MAX) {
        return String::new();
    }
    charts::rank_bar(&RankBar { title, unit: &scale.unit, rows: &rows, format: &*scale.figure })
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
    fn ticks_suit_the_greatest_value() {
        assert_eq!(Scale::bytes(1_023 * NANO).grain, NANO);
        let scale = Scale::bytes((5 << 30) * NANO);
        assert_eq!((scale.grain, (scale.figure)(100 * scale.grain)), ((1 << 30) * NANO / 100, "1.00 GiB".to_owned()));
    }

    /// A third of a unit, three times: its rounded parts add up to less than the total that the chart's text, the
    /// legend and the table must all show.
    #[test]
    fn a_page_has_one_figure() {
        let seconds = 2_592_000;
        let third = units::gib_months_grain(seconds) * 4 / 3;
        let days: Vec<Period> =
            (0..3).map(|n| Period::new(n * 86_400_000_000, (n + 1) * 86_400_000_000).unwrap()).collect();
        let by_day = days.iter().map(|day| (day.start_us, third)).collect();
        let meter = metering::meter::s3_meters().into_iter().find(|meter| meter.code == S3_STORAGE).unwrap();
        let groups = vec![DayGroup { name: "team".to_owned(), by_day }];
        let scale = Scale::of(&meter, third, seconds);
        let html = stacked_days("Storage", &scale, &days, &Zone::utc(), groups);
        let table = Sums { storage: 3 * third, ..Sums::default() }.cells(seconds)[0].clone();
        assert_eq!(table, "0.0004");
        assert!(html.contains("Total 0.0004 GiB-months over 3 days"), "{html}");
        let rank = ranked("Storage", &scale, &[("a".to_owned(), third), ("b".to_owned(), 2 * third)]);
        assert!(rank.contains("2 rows, total 0.0004 GiB-months"), "{rank}");
    }

    #[test]
    fn many_groups_are_folded() {
        let days = [Period::new(0, 86_400_000_000).unwrap()];
        let groups = (1..=8).map(|n| DayGroup { name: format!("team {n}"), by_day: [(0, n * NANO)].into() }).collect();
        let html = stacked_days("Requests", &Scale::requests(), &days, &Zone::utc(), groups);
        assert!(html.contains("Other (3)") && html.contains("team 8") && !html.contains("team 3"), "{html}");
    }
}

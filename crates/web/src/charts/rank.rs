//! The rank chart: one horizontal bar for each name, its figure whole at the end of the row.

use super::scale::{Axis, cut_name, text_width, widest};
use super::svg::{self, Shape, Width, isolate};
use super::{Format, VALUE_ABS_MAX, amount, greatest_at, least_at};

/// The most rows one chart can hold. Who makes the chart folds the rest.
pub const ROWS_MAX: usize = 100;

/// The widest column of names in a wide chart.
const NAMES_PX_MAX: f64 = 280.0;

/// Space between a name, a bar and a figure.
const GUTTER_PX: f64 = 14.0;

/// Everything a rank chart shows.
pub struct RankBar<'a> {
    /// Names the chart to a screen reader, such as `Cost by team`.
    pub title: &'a str,
    /// The currency or unit behind every figure, such as `EUR`; may be empty.
    pub unit: &'a str,
    /// At most [`ROWS_MAX`] rows, drawn in this order.
    pub rows: &'a [RankRow],
    /// Writes a value as a figure.
    pub format: Format<'a>,
}

/// One row of a rank chart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RankRow {
    /// Any text; it is escaped here, and cut where it does not fit.
    pub name: String,
    /// A scaled integer. A negative one goes to the left of the axis.
    pub value: i128,
}

impl RankBar<'_> {
    /// Says in plain words what the picture shows. Not escaped.
    pub fn describe(&self) -> String {
        self.check();
        let values = self.values();
        let (Some(greatest), Some(least)) = (greatest_at(&values), least_at(&values)) else {
            return "No data in this period.".to_owned();
        };

        let at = |row: usize| format!("{}, {}", isolate(&self.rows[row].name), self.amount(values[row]));
        if values.len() == 1 {
            return format!("One row: {}.", at(greatest));
        }
        let total = self.amount(values.iter().sum());
        format!("{} rows, total {total}; largest {}; smallest {}.", values.len(), at(greatest), at(least))
    }

    fn check(&self) {
        assert!(self.rows.len() <= ROWS_MAX, "the caller folds the rest into one row");
        assert!(self.rows.iter().all(|row| row.value.abs() <= VALUE_ABS_MAX));
    }

    fn amount(&self, value: i128) -> String {
        amount(self.format, self.unit, value)
    }

    fn values(&self) -> Vec<i128> {
        self.rows.iter().map(|row| row.value).collect()
    }
}

/// Draws the chart in both widths, with its summary, as one `<figure>`.
///
/// # Panics
/// When a limit of this module is passed.
pub fn rank_bar(chart: &RankBar<'_>) -> String {
    svg::figure(&chart.describe(), "", |width| rank_bar_at(chart, width))
}

/// Draws the bare picture in one width.
///
/// # Panics
/// As [`rank_bar`].
pub fn rank_bar_at(chart: &RankBar<'_>, width: Width) -> String {
    chart.check();
    let frame = Frame::new(chart, width);
    let height = frame.row_height * chart.rows.len().max(1) as f64 + 8.0;
    let mut out = svg::open(width, height, chart.title, &chart.describe());
    if chart.rows.is_empty() {
        svg::text(&mut out, "tick", frame.width / 2.0, height / 2.0 + 4.5, "middle", "No data in this period");
    } else {
        frame.draw_rows(&mut out, chart);
        let zero = frame.x(0);
        svg::line(&mut out, "axis", (zero, 4.0), (zero, height - 4.0));
    }
    out.push_str("</svg>");
    out
}

/// Where things lie in one picture.
struct Frame {
    width: f64,
    /// Wide charts keep names in a column of this width; narrow ones write them above the bars.
    names_width: Option<f64>,
    /// One for each row, or none at all when the widest would not fit.
    figures: Vec<String>,
    left: f64,
    right: f64,
    row_height: f64,
    bar_top: f64,
    bar_height: f64,
    text_base: f64,
    axis: Axis,
}

impl Frame {
    fn new(chart: &RankBar<'_>, class: Width) -> Frame {
        let width = class.px();
        let figures = figures(chart, width * 0.5);
        let values = chart.values();
        let low = values.iter().copied().min().unwrap_or(0).min(0);
        let high = values.iter().copied().max().unwrap_or(0).max(0);
        let axis = Axis::exact(low, high);
        match class {
            Width::Narrow => Frame {
                width,
                names_width: None,
                figures,
                left: 1.0,
                right: width - 1.0,
                row_height: 42.0,
                bar_top: 22.0,
                bar_height: 12.0,
                text_base: 15.0,
                axis,
            },
            Width::Wide => {
                let names: Vec<String> = chart.rows.iter().map(|row| row.name.clone()).collect();
                let names_width = widest(&names).min(NAMES_PX_MAX);
                let right = width - widest(&figures) - GUTTER_PX;
                Frame {
                    width,
                    names_width: Some(names_width),
                    figures,
                    left: names_width + GUTTER_PX,
                    right,
                    row_height: 30.0,
                    bar_top: 7.0,
                    bar_height: 16.0,
                    text_base: 19.5,
                    axis,
                }
            }
        }
    }

    fn x(&self, value: i128) -> f64 {
        self.axis.place(value, self.left, self.right)
    }

    fn draw_rows(&self, out: &mut String, chart: &RankBar<'_>) {
        out.push_str("<g class=\"s0\">");
        for (index, row) in chart.rows.iter().enumerate().filter(|(_, row)| row.value != 0) {
            let title = format!("{}: {}", isolate(&row.name), chart.amount(row.value));
            svg::shape(out, &self.bar(index, row.value), row.value, &title);
        }
        out.push_str("</g>");
        for (index, row) in chart.rows.iter().enumerate() {
            self.draw_words(out, index, row);
        }
    }

    fn bar(&self, index: usize, value: i128) -> Shape {
        let (zero, end) = (self.x(0), self.x(value));
        Shape {
            x: zero.min(end),
            y: self.row_top(index) + self.bar_top,
            width: (zero - end).abs(),
            height: self.bar_height,
        }
    }

    /// Writes the figure first, whole; the name gets the room that is left.
    fn draw_words(&self, out: &mut String, index: usize, row: &RankRow) {
        let y = self.row_top(index) + self.text_base;
        let figure = self.figures.get(index).map_or("", String::as_str);
        svg::text(out, "figure", self.width, y, "end", figure);
        let room = self.names_width.unwrap_or(self.width - text_width(figure) - GUTTER_PX);
        svg::text(out, "name", 0.0, y, "start", &cut_name(&row.name, room));
    }

    fn row_top(&self, index: usize) -> f64 {
        4.0 + self.row_height * index as f64
    }
}

/// Writes the figures, or none of them when the widest would leave no room for the bars.
///
/// All or none: a row without its figure among rows with theirs would read as nothing owed.
fn figures(chart: &RankBar<'_>, width_max: f64) -> Vec<String> {
    let figures: Vec<String> = chart.rows.iter().map(|row| chart.amount(row.value)).collect();
    if widest(&figures) <= width_max { figures } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::super::probe::{Chance, assert_sound, attribute, cents, drawn, elements};
    use super::{RankBar, RankRow, Width, rank_bar, rank_bar_at};

    fn row(name: &str, value: i128) -> RankRow {
        RankRow { name: name.to_owned(), value }
    }

    fn chart(rows: &[RankRow]) -> RankBar<'_> {
        RankBar { title: "Cost by team", unit: "EUR", rows, format: &cents }
    }

    /// Draws both widths and checks that they hold the table's total and nothing outside the box.
    #[track_caller]
    fn check(rows: &[RankRow]) {
        let total: i128 = rows.iter().map(|row| row.value).sum();
        for width in [Width::Narrow, Width::Wide] {
            let picture = rank_bar_at(&chart(rows), width);
            assert_sound(&picture);
            assert_eq!(drawn(&picture).iter().sum::<i128>(), total);
        }
    }

    #[test]
    fn no_one_and_many_rows() {
        check(&[]);
        check(&[row("Lab", 5)]);
        check(&[row("Lab", -5)]);
        check(&[row("Lab", 0), row("Web", 0)]);
        check(&[row("Lab", i128::from(i64::MAX)), row("Web", i128::from(i64::MIN)), row("", 1)]);
        check(&vec![row("Lab", 7); 100]);
    }

    #[test]
    fn any_values_sum_to_the_table() {
        let mut chance = Chance(11);
        for _ in 0..60 {
            let count = 1 + chance.below(30);
            let rows: Vec<RankRow> = (0..count).map(|index| row(&format!("team {index}"), chance.value())).collect();
            check(&rows);
        }
    }

    #[test]
    fn names_are_cut_and_figures_are_not() {
        let rows = [row(&"Department of long names ".repeat(12), 123_456_789), row("Web", 1)];
        check(&rows);
        for width in [Width::Narrow, Width::Wide] {
            let picture = rank_bar_at(&chart(&rows), width);
            assert!(picture.contains(">1234567.89 EUR</text>") && picture.contains("…</text>"));
        }
    }

    #[test]
    fn figures_too_wide_are_left_out() {
        let wide = |value: i128| format!("{value:0>90}");
        let rows = [row("Lab", 5)];
        for width in [Width::Narrow, Width::Wide] {
            let picture = rank_bar_at(&RankBar { format: &wide, ..chart(&rows) }, width);
            assert_sound(&picture);
            assert!(!picture.contains("class=\"figure\"") && picture.contains(">Lab</text>"));
        }
    }

    #[test]
    fn hostile_names_are_escaped() {
        let name = "</title><img src=x onerror=\"alert(1)\">\u{202e}";
        let rows = [row(name, 5), row(&"ש".repeat(300), -4)];
        let html = rank_bar(&RankBar { title: name, unit: name, ..chart(&rows) });
        assert!(!html.contains("<img") && !html.contains('\u{202e}') && !html.contains("style="));
        check(&rows);
    }

    #[test]
    fn negative_bars_end_where_positive_ones_begin() {
        let rows = [row("Lab", 300), row("Credit", -100)];
        let picture = rank_bar_at(&chart(&rows), Width::Wide);
        let rects = elements(&picture, "rect");
        let number = |rect: &str, name: &str| attribute(rect, name).unwrap().parse::<f64>().unwrap();
        let end = number(rects[1], "x") + number(rects[1], "width");
        assert!((end - number(rects[0], "x")).abs() < 0.02);
        assert!((number(rects[0], "width") - 3.0 * number(rects[1], "width")).abs() < 0.05);
    }

    #[test]
    fn summaries() {
        let describe = |rows: &[RankRow]| chart(rows).describe();
        assert_eq!(describe(&[]), "No data in this period.");
        assert_eq!(describe(&[row("Lab", 5)]), "One row: Lab, 0.05 EUR.");
        assert_eq!(
            describe(&[row("Lab", 500), row("Web", 25), row("Ops", -5)]),
            "3 rows, total 5.20 EUR; largest Lab, 5.00 EUR; smallest Ops, \u{2212}0.05 EUR."
        );
    }
}

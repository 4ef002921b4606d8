//! The stacked bar chart: time along the bottom, groups one upon the other, credits below the axis.

use std::collections::BTreeSet;

use super::scale::{Axis, cut_name, text_width, widest};
use super::svg::{self, Shape, Width, escape, isolate};
use super::{Format, VALUE_ABS_MAX, amount, greatest_at, least_at};

/// The most groups one chart can hold: five and the rest. Who makes the chart folds the rest.
pub const SERIES_MAX: usize = 6;

/// The most bars one chart can hold: a year of days.
pub const BARS_MAX: usize = 366;

/// A date label wider than this is cut.
const LABEL_PX_MAX: f64 = 120.0;

/// Everything a stacked bar chart shows.
pub struct StackedBar<'a> {
    /// Names the chart to a screen reader, such as `Cost by day and service`.
    pub title: &'a str,
    /// The currency or unit behind every figure, such as `EUR`; may be empty.
    pub unit: &'a str,
    /// What one bar stands for, in the singular: `day`, `month`.
    pub each: &'a str,
    /// One short label for each bar, in order, such as `1 Nov`.
    pub labels: &'a [String],
    /// At most [`SERIES_MAX`] groups, the first at the axis; the sixth is drawn grey, for the rest.
    pub series: &'a [Series],
    /// Writes a value as a figure.
    pub format: Format<'a>,
    /// The step of the last digit that `format` shows: the ticks are whole multiples of it.
    pub grain: i128,
}

/// One group of a stacked bar chart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// The name in the legend. Any text; it is escaped here.
    pub name: String,
    /// One scaled integer for each bar. A negative one, such as a credit, goes below the axis.
    pub values: Vec<i128>,
}

impl Series {
    fn total(&self) -> i128 {
        self.values.iter().sum()
    }
}

impl StackedBar<'_> {
    /// Says in plain words what the picture shows. Not escaped.
    ///
    /// The mean is rounded half away from zero to the last digit of the scaled integers.
    pub fn describe(&self) -> String {
        self.check();
        if self.is_empty() {
            return "No data in this period.".to_owned();
        }
        if self.is_all_zero() {
            return format!("All values are zero: {}.", self.amount(0));
        }

        let mut parts = self.describe_time();
        parts.extend(self.describe_largest());
        parts.join("; ") + "."
    }

    fn describe_time(&self) -> Vec<String> {
        let nets = self.nets();
        let total = nets.iter().sum();
        if nets.len() == 1 {
            return vec![format!("{}: total {}", isolate(&self.labels[0]), self.amount(total))];
        }

        let count = nets.len();
        let mut parts = vec![format!("Total {} over {count} {}s", self.amount(total), self.each)];
        let at = |bar: usize| format!("{}, {}", isolate(&self.labels[bar]), self.amount(nets[bar]));
        parts.extend(greatest_at(&nets).map(|bar| format!("highest {}", at(bar))));
        parts.extend(least_at(&nets).filter(|bar| nets[*bar] < 0).map(|bar| format!("lowest {}", at(bar))));
        parts.push(format!("mean {} a {}", self.amount(mean(total, count)), self.each));
        parts
    }

    fn describe_largest(&self) -> Option<String> {
        if self.series.len() < 2 {
            return None;
        }
        let totals: Vec<i128> = self.series.iter().map(Series::total).collect();
        let largest = greatest_at(&totals)?;
        Some(format!("largest group {}, {}", isolate(&self.series[largest].name), self.amount(totals[largest])))
    }

    fn check(&self) {
        assert!(self.series.len() <= SERIES_MAX, "the caller folds the rest into one group");
        assert!(self.labels.len() <= BARS_MAX);
        for series in self.series {
            assert_eq!(series.values.len(), self.labels.len(), "one value for each bar");
            assert!(series.values.iter().all(|value| value.abs() <= VALUE_ABS_MAX));
        }
    }

    fn amount(&self, value: i128) -> String {
        amount(self.format, self.unit, value)
    }

    fn is_empty(&self) -> bool {
        self.labels.is_empty() || self.series.is_empty()
    }

    fn is_all_zero(&self) -> bool {
        self.series.iter().all(|series| series.values.iter().all(|value| *value == 0))
    }

    /// Sums each bar over its groups.
    fn nets(&self) -> Vec<i128> {
        let net = |bar: usize| self.series.iter().map(|series| series.values[bar]).sum::<i128>();
        (0..self.labels.len()).map(net).collect()
    }

    /// Finds how far the lowest stack reaches down and the highest up. Zero is always within.
    fn extent(&self) -> (i128, i128) {
        let sum_of = |bar: usize, keep: fn(&i128) -> bool| -> i128 {
            self.series.iter().map(|series| series.values[bar]).filter(keep).sum()
        };
        let bars = 0..self.labels.len();
        let low = bars.clone().map(|bar| sum_of(bar, |value| *value < 0)).min().unwrap_or(0);
        let high = bars.map(|bar| sum_of(bar, |value| *value > 0)).max().unwrap_or(0);
        (low, high)
    }
}

/// Divides and rounds half away from zero.
fn mean(total: i128, count: usize) -> i128 {
    let count = i128::try_from(count).expect("a count of bars is small");
    assert!(count > 0);
    (2 * total + count * total.signum()) / (2 * count)
}

/// Draws the chart in both widths, with its legend and its summary, as one `<figure>`.
///
/// # Panics
/// When a series has not one value for each label, or a limit of this module is passed.
pub fn stacked_bar(chart: &StackedBar<'_>) -> String {
    svg::figure(&chart.describe(), &legend(chart), |width| stacked_bar_at(chart, width))
}

/// Draws the bare picture in one width.
///
/// # Panics
/// As [`stacked_bar`].
pub fn stacked_bar_at(chart: &StackedBar<'_>, width: Width) -> String {
    chart.check();
    let frame = Frame::new(chart, width);
    let mut out = svg::open(width, frame.height, chart.title, &chart.describe());
    if chart.is_empty() {
        svg::text(&mut out, "tick", frame.width / 2.0, frame.height / 2.0, "middle", "No data in this period");
    } else {
        frame.draw_grid(&mut out, chart);
        frame.draw_segments(&mut out, chart);
        frame.draw_axis(&mut out);
        frame.draw_labels(&mut out, chart);
    }
    out.push_str("</svg>");
    out
}

/// Lists the groups with their totals, in the order of the stack.
///
/// HTML and not SVG, so that long names wrap and grow with the reader's letter size.
fn legend(chart: &StackedBar<'_>) -> String {
    if chart.is_empty() {
        return String::new();
    }
    let mut out = "<ul class=\"legend\">".to_owned();
    for (index, series) in chart.series.iter().enumerate() {
        out.push_str(&format!(
            "<li><svg class=\"key\" viewBox=\"0 0 12 12\" width=\"12\" height=\"12\" aria-hidden=\"true\">\
             <rect class=\"s{index}\" width=\"12\" height=\"12\" rx=\"2\"/></svg> \
             <bdi>{}</bdi> <span class=\"figure\">{}</span></li>",
            escape(&series.name),
            escape(&chart.amount(series.total())),
        ));
    }
    out.push_str("</ul>");
    out
}

/// Where things lie in one picture.
struct Frame {
    width: f64,
    height: f64,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
    axis: Axis,
    /// One for each tick, or none at all when they would not fit or could not be told apart.
    tick_texts: Vec<String>,
    /// From the middle of one bar to the middle of the next.
    pitch: f64,
}

impl Frame {
    fn new(chart: &StackedBar<'_>, class: Width) -> Frame {
        let width = class.px();
        let (height, steps_max) = match class {
            Width::Narrow => (230.0, 4),
            Width::Wide => (310.0, 6),
        };
        let (low, high) = chart.extent();
        let axis = Axis::nice(low, high, steps_max, chart.grain);
        let tick_texts = tick_texts(&axis, chart.format, width * 0.4);
        let left = widest(&tick_texts) + 10.0;
        let right = width - 8.0;
        let pitch = (right - left) / chart.labels.len().max(1) as f64;
        Frame { width, height, left, right, top: 30.0, bottom: height - 28.0, axis, tick_texts, pitch }
    }

    fn y(&self, value: i128) -> f64 {
        self.axis.place(value, self.bottom, self.top)
    }

    fn middle(&self, bar: usize) -> f64 {
        self.left + self.pitch * (bar as f64 + 0.5)
    }

    fn draw_grid(&self, out: &mut String, chart: &StackedBar<'_>) {
        svg::text(out, "tick", 0.0, 13.0, "start", chart.unit);
        for tick in &self.axis.ticks {
            let y = self.y(*tick);
            svg::line(out, "grid", (self.left, y), (self.right, y));
        }
        for (tick, text) in self.axis.ticks.iter().zip(&self.tick_texts) {
            svg::text(out, "tick", self.left - 10.0, self.y(*tick) + 4.5, "end", text);
        }
    }

    /// Draws the zero line last, over the feet of the bars.
    fn draw_axis(&self, out: &mut String) {
        let y = self.y(0);
        svg::line(out, "axis", (self.left, y), (self.right, y));
    }

    fn draw_segments(&self, out: &mut String, chart: &StackedBar<'_>) {
        let mut above = vec![0_i128; chart.labels.len()];
        let mut below = above.clone();
        for (index, series) in chart.series.iter().enumerate() {
            out.push_str(&format!("<g class=\"s{index}\">"));
            for (bar, value) in series.values.iter().enumerate() {
                let stack = if *value > 0 { &mut above[bar] } else { &mut below[bar] };
                let start = *stack;
                *stack += value;
                if *value != 0 {
                    let name = isolate(&series.name);
                    let title = format!("{}, {name}: {}", isolate(&chart.labels[bar]), chart.amount(*value));
                    svg::shape(out, &self.segment(bar, start, *value), *value, &title);
                }
            }
            out.push_str("</g>");
        }
    }

    /// Places the segment from `start` outward by `value`, a hair's breadth off the one before it.
    fn segment(&self, bar: usize, start: i128, value: i128) -> Shape {
        let (near, far) = (self.y(start), self.y(start + value));
        let full = (near - far).abs();
        let gap = if start != 0 && full > 3.0 { 1.0 } else { 0.0 };
        let width = (self.pitch * 0.74).min(56.0);
        Shape {
            x: self.middle(bar) - width / 2.0,
            y: if value > 0 { far } else { near + gap },
            width,
            height: full - gap,
        }
    }

    /// Writes as many labels as fit without touching.
    fn draw_labels(&self, out: &mut String, chart: &StackedBar<'_>) {
        let texts: Vec<String> = chart.labels.iter().map(|label| cut_name(label, LABEL_PX_MAX)).collect();
        let stride = ((widest(&texts) + 12.0) / self.pitch).ceil().max(1.0) as usize;
        let mut free_from = 0.0;
        for (bar, text) in texts.iter().enumerate().step_by(stride) {
            let half = text_width(text) / 2.0;
            let middle = self.middle(bar).clamp(half, self.width - half);
            if middle - half >= free_from {
                svg::text(out, "tick", middle, self.height - 8.0, "middle", text);
                free_from = middle + half + 6.0;
            }
        }
    }
}

/// Writes the ticks, or none of them when they would take too much room or two would read alike.
///
/// Two read alike when the formatter shows fewer decimals than the values need; such an axis would lie.
fn tick_texts(axis: &Axis, format: Format<'_>, width_max: f64) -> Vec<String> {
    let texts: Vec<String> = axis.ticks.iter().map(|tick| format(*tick)).collect();
    let distinct: BTreeSet<&String> = texts.iter().collect();
    if distinct.len() == texts.len() && widest(&texts) <= width_max { texts } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::super::probe::{Chance, assert_sound, attribute, cents, drawn, elements};
    use super::{SERIES_MAX, Series, StackedBar, Width, stacked_bar, stacked_bar_at};

    const WIDTHS: [Width; 2] = [Width::Narrow, Width::Wide];

    fn labels(count: usize) -> Vec<String> {
        (1..=count).map(|day| format!("{day} Nov")).collect()
    }

    fn series(name: &str, values: &[i128]) -> Series {
        Series { name: name.to_owned(), values: values.to_vec() }
    }

    fn chart<'a>(labels: &'a [String], series: &'a [Series]) -> StackedBar<'a> {
        StackedBar { title: "Cost by day", unit: "EUR", each: "day", labels, series, format: &cents, grain: 1 }
    }

    /// Draws both widths and checks that they hold the table's total and nothing outside the box.
    #[track_caller]
    fn check(labels: &[String], series: &[Series]) {
        let total: i128 = series.iter().flat_map(|series| &series.values).sum();
        for width in WIDTHS {
            let picture = stacked_bar_at(&chart(labels, series), width);
            assert_sound(&picture);
            assert_eq!(drawn(&picture).iter().sum::<i128>(), total);
        }
    }

    #[test]
    fn no_one_and_many_points() {
        check(&[], &[]);
        check(&labels(3), &[]);
        check(&[], &[series("Compute", &[])]);
        check(&labels(1), &[series("Compute", &[123])]);
        check(&labels(1), &[series("Credit", &[-123])]);
        check(&labels(3), &[series("Compute", &[0, 0, 0])]);
        check(&labels(2), &[series("Compute", &[i128::from(i64::MAX), 1]), series("S3", &[1, i128::from(i64::MIN)])]);
        check(&labels(366), &[series("Compute", &[1; 366])]);
    }

    #[test]
    fn any_values_sum_to_the_table() {
        let mut chance = Chance(7);
        for round in 0..60 {
            let bars = 1 + chance.below(40);
            let groups = 1 + chance.below(SERIES_MAX);
            let values = |chance: &mut Chance| (0..bars).map(|_| chance.value()).collect::<Vec<i128>>();
            let table: Vec<Series> =
                (0..groups).map(|group| series(&format!("{round}-{group}"), &values(&mut chance))).collect();
            check(&labels(bars), &table);
        }
    }

    #[test]
    fn hostile_names_are_escaped() {
        let name = "</title><script>alert('x')</script>\"\u{202e}";
        let labels = [name.to_owned(), "ok".to_owned()];
        let series = [series(name, &[5, 6]), series(&"ש".repeat(300), &[7, 8])];
        let html = stacked_bar(&StackedBar { title: name, unit: name, ..chart(&labels, &series) });
        assert!(!html.contains("<script") && !html.contains('\u{202e}'));
        assert!(html.contains("&lt;/title&gt;&lt;script&gt;alert(&#39;x&#39;)"));
        check(&labels, &series);
    }

    #[test]
    fn credits_go_below_the_axis() {
        let (labels, series) = (labels(1), [series("Compute", &[300]), series("Credit", &[-100])]);
        let picture = stacked_bar_at(&chart(&labels, &series), Width::Wide);
        let rects = elements(&picture, "rect");
        let number = |rect: &str, name: &str| attribute(rect, name).unwrap().parse::<f64>().unwrap();
        let feet = number(rects[0], "y") + number(rects[0], "height");
        assert!((feet - number(rects[1], "y")).abs() < 0.02);
        assert!((number(rects[0], "height") - 3.0 * number(rects[1], "height")).abs() < 0.05);
    }

    #[test]
    fn each_segment_tells_its_figure() {
        let (labels, series) = (labels(2), [series("Compute", &[123_456, 0]), series("S3", &[7, -8])]);
        let html = stacked_bar(&chart(&labels, &series));
        for title in ["1 Nov, Compute: 1234.56 EUR", "1 Nov, S3: 0.07 EUR", "2 Nov, S3: \u{2212}0.08 EUR"] {
            assert_eq!(html.matches(&format!("<title>{title}</title></rect>")).count(), 2, "{title}");
        }
        assert!(html.contains("<bdi>Compute</bdi> <span class=\"figure\">1234.56 EUR</span>"));
        assert!(!html.contains("style="), "the content security policy forbids inline styles");
    }

    #[test]
    fn figures_are_whole_or_absent() {
        let (labels, series) = (labels(2), [series("Compute", &[123_456_789, 9])]);
        let html = stacked_bar(&chart(&labels, &series));
        assert!(html.contains(">1500000.00</text>") && !html.contains('…'));

        let wide = |value: i128| format!("{value:0>60}");
        let html = stacked_bar_at(&StackedBar { format: &wide, ..chart(&labels, &series) }, Width::Narrow);
        assert!(!html.contains("0</text>"), "ticks that do not fit are left out");
        let alike = |_: i128| "0.00".to_owned();
        let html = stacked_bar_at(&StackedBar { format: &alike, ..chart(&labels, &series) }, Width::Wide);
        assert!(!html.contains("0.00</text>"), "ticks that read alike are left out");
    }

    #[test]
    fn both_widths_and_a_summary() {
        let (labels, series) = (labels(3), [series("Compute", &[100, 300, 200]), series("S3", &[1, 2, -400])]);
        let chart = chart(&labels, &series);
        let summary = "Total 2.03 EUR over 3 days; highest 2 Nov, 3.02 EUR; lowest 3 Nov, \u{2212}2.00 EUR; \
                       mean 0.68 EUR a day; largest group Compute, 6.00 EUR.";
        assert_eq!(chart.describe(), summary);
        let html = stacked_bar(&chart);
        for wanted in ["class=\"chart-wide\" role=\"img\"", "class=\"chart-narrow\" role=\"img\"", summary] {
            assert!(html.contains(wanted), "{wanted}");
        }
    }

    #[test]
    fn summaries_of_little() {
        let one = labels(1);
        let describe = |labels: &[String], values: &[i128]| chart(labels, &[series("S3", values)]).describe();
        assert_eq!(describe(&[], &[]), "No data in this period.");
        assert_eq!(describe(&one, &[0]), "All values are zero: 0.00 EUR.");
        assert_eq!(describe(&one, &[12]), "1 Nov: total 0.12 EUR.");
    }

    #[test]
    #[should_panic = "folds the rest"]
    fn seven_groups_are_a_bug() {
        stacked_bar(&chart(&labels(1), &vec![series("x", &[1]); 7]));
    }
}

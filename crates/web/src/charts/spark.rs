//! The sparkline: the shape of a row of values, small enough for a table cell.

use super::scale::Axis;
use super::svg::{escape, isolate, px};
use super::{Format, greatest_at, least_at};

/// The most points one line can hold: more than it has pixels says nothing more.
const POINTS_MAX: usize = 1_000;

const WIDTH_PX: f64 = 120.0;
const HEIGHT_PX: f64 = 28.0;

/// Room for the dot on the last point.
const MARGIN_PX: f64 = 4.0;

/// Draws the values as one line from left to right, with a dot on the last.
///
/// Zero is always within the picture, so that a small wobble looks small. `title` names the line to
/// a screen reader; the figures belong into the table cells beside it.
///
/// # Panics
/// When there are more than a thousand points.
pub fn sparkline(points: &[i64], title: &str, format: Format<'_>) -> String {
    assert!(points.len() <= POINTS_MAX);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"spark\" role=\"img\" viewBox=\"0 0 {w} {h}\" \
         width=\"{w}\" height=\"{h}\"><title>{}: {}</title>",
        escape(&isolate(title)),
        escape(&describe_points(points, format)),
        w = px(WIDTH_PX),
        h = px(HEIGHT_PX),
    );
    let places = places(points);
    if let [_, _, ..] = places.as_slice() {
        let pairs: Vec<String> = places.iter().map(|(x, y)| format!("{},{}", px(*x), px(*y))).collect();
        out.push_str(&format!("<polyline points=\"{}\"/>", pairs.join(" ")));
    }
    if let Some((x, y)) = places.last() {
        out.push_str(&format!("<circle cx=\"{}\" cy=\"{}\" r=\"2.5\"/>", px(*x), px(*y)));
    }
    out.push_str("</svg>");
    out
}

/// Says in plain words what a sparkline shows. Not escaped.
pub fn describe_points(points: &[i64], format: Format<'_>) -> String {
    let values: Vec<i128> = points.iter().copied().map(i128::from).collect();
    let (Some(greatest), Some(least)) = (greatest_at(&values), least_at(&values)) else {
        return "no data".to_owned();
    };
    let at = |point: usize| format(values[point]);
    let last = values.len() - 1;
    if last == 0 {
        return at(0);
    }
    format!("from {} to {}; highest {}; lowest {}", at(0), at(last), at(greatest), at(least))
}

/// Places the points. A single one goes to the right, where the newest always is.
fn places(points: &[i64]) -> Vec<(f64, f64)> {
    let low = points.iter().copied().min().unwrap_or(0).min(0);
    let high = points.iter().copied().max().unwrap_or(0).max(0);
    let axis = Axis::exact(low.into(), high.into());
    let last = points.len().saturating_sub(1);
    let x = |index: usize| {
        let back = (last - index) as f64 / last.max(1) as f64;
        WIDTH_PX - MARGIN_PX - (WIDTH_PX - 2.0 * MARGIN_PX) * back
    };
    let y = |value: i64| axis.place(value.into(), HEIGHT_PX - MARGIN_PX, MARGIN_PX);
    points.iter().enumerate().map(|(index, value)| (x(index), y(*value))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::probe::cents;
    use super::{HEIGHT_PX, WIDTH_PX, describe_points, places, sparkline};

    #[test]
    fn every_point_is_inside_the_box() {
        for points in [&[][..], &[5], &[-5], &[0, 0], &[i64::MIN, i64::MAX, 0], &[1; 1_000]] {
            let places = places(points);
            assert_eq!(places.len(), points.len());
            for (x, y) in places {
                assert!((0.0..=WIDTH_PX).contains(&x) && (0.0..=HEIGHT_PX).contains(&y), "{x} {y}");
            }
            assert!(!sparkline(points, "Records", &cents).contains("NaN"));
        }
    }

    #[test]
    fn one_point_is_a_dot() {
        let picture = sparkline(&[5], "Records", &cents);
        assert!(picture.contains("<circle") && !picture.contains("<polyline"));
        assert!(!sparkline(&[], "Records", &cents).contains("<circle"));
    }

    #[test]
    fn hostile_titles_are_escaped() {
        let picture = sparkline(&[1, 2], "</title><script>", &cents);
        assert!(picture.contains("<title>&lt;/title&gt;&lt;script&gt;: from 0.01 to 0.02; "));
    }

    #[test]
    fn summaries() {
        assert_eq!(describe_points(&[], &cents), "no data");
        assert_eq!(describe_points(&[7], &cents), "0.07");
        assert_eq!(
            describe_points(&[100, -200, 300, 250], &cents),
            "from 1.00 to 2.50; highest 3.00; lowest \u{2212}2.00"
        );
    }
}

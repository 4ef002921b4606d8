//! From values to places: axis ticks in whole numbers, and how wide a text will be.
//!
//! Ticks stay integers, so their labels are exact; only [`Axis::place`] turns a value into a
//! fraction of the picture, and nothing turns it back.

/// The size of all chart text. Larger than it looks: a wide chart may be scaled down by a fifth.
pub(super) const FONT_PX: f64 = 13.0;

/// The values from one end of a chart to the other. Zero always lies on it.
pub(super) struct Axis {
    pub(super) low: i128,
    pub(super) high: i128,
    /// Ascending; the first is `low` and the last is `high`, unless all values are zero.
    pub(super) ticks: Vec<i128>,
}

impl Axis {
    /// Makes an axis with at most `steps_max` steps, each 1, 2 or 5 times a power of ten of `grain`.
    pub(super) fn nice(low: i128, high: i128, steps_max: i128, grain: i128) -> Axis {
        assert!(low <= 0 && high >= 0);
        assert!(steps_max >= 2); // One step down and one up must always do.
        assert!(grain > 0);
        if low == 0 && high == 0 {
            return Axis { low: 0, high: 1, ticks: vec![0] };
        }

        let step = step_for(low, high, steps_max, grain);
        let first = -div_up(-low, step);
        let last = div_up(high, step);
        let ticks: Vec<i128> = (first..=last).map(|count| count * step).collect();
        Axis { low: first * step, high: last * step, ticks }
    }

    /// Makes an axis that ends exactly at the outermost values and has no ticks.
    pub(super) fn exact(low: i128, high: i128) -> Axis {
        assert!(low <= 0 && high >= 0);
        if low == 0 && high == 0 {
            return Axis { low: 0, high: 1, ticks: Vec::new() };
        }
        Axis { low, high, ticks: Vec::new() }
    }

    /// Places a value between `from`, where `low` lies, and `to`, where `high` lies.
    pub(super) fn place(&self, value: i128, from: f64, to: f64) -> f64 {
        assert!(self.low <= value && value <= self.high);
        let share = (value - self.low) as f64 / (self.high - self.low) as f64;
        from + (to - from) * share
    }
}

/// Finds the smallest step of the row 1, 2, 5, 10, 20, 50 grains that spans both sides of zero in time.
fn step_for(low: i128, high: i128, steps_max: i128, grain: i128) -> i128 {
    let mut power = grain;
    loop {
        for digit in [1, 2, 5] {
            let step = digit * power;
            if div_up(-low, step) + div_up(high, step) <= steps_max {
                return step;
            }
        }
        power *= 10;
    }
}

fn div_up(value: i128, by: i128) -> i128 {
    assert!(value >= 0 && by > 0);
    (value + by - 1) / by
}

/// Guesses how wide a text will be in any of the system fonts.
///
/// Fonts differ by a few per cent, so the guess is 8 % on the wide side.
pub(super) fn text_width(text: &str) -> f64 {
    text.chars().map(letter_width).sum()
}

fn letter_width(letter: char) -> f64 {
    let em = match letter {
        ' ' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' | 'i' | 'j' | 'l' | 'I' => 0.30,
        'f' | 'r' | 't' | '(' | ')' | '[' | ']' | '-' | '/' | '"' => 0.42,
        'm' | 'w' | 'M' | 'W' | '%' | '@' => 0.95,
        'A'..='Z' => 0.72,
        '0'..='9' | '\u{2212}' | '\u{a0}' | '\u{202f}' => 0.62,
        _ if letter.is_ascii() => 0.60,
        '\u{c0}'..='\u{24f}' => 0.72,
        _ => 1.0,
    };
    em * FONT_PX * 1.08
}

/// Finds the width of the widest text; zero when there is none.
pub(super) fn widest(texts: &[String]) -> f64 {
    texts.iter().map(|text| text_width(text)).fold(0.0, f64::max)
}

/// Cuts a name to fit, with an ellipsis; less than two letters are not worth showing.
///
/// Only ever for names. A figure is shown whole or not at all.
pub(super) fn cut_name(name: &str, width: f64) -> String {
    if text_width(name) <= width {
        return name.to_owned();
    }

    let mut kept = String::new();
    let mut used = letter_width('…');
    for letter in name.chars() {
        used += letter_width(letter);
        if used > width {
            break;
        }
        kept.push(letter);
    }
    if kept.chars().count() < 2 {
        return String::new();
    }
    format!("{}…", kept.trim_end())
}

#[cfg(test)]
mod tests {
    use super::{Axis, cut_name, text_width};

    /// One case a line: low, high, steps at most, ticks wanted.
    #[track_caller]
    fn check(case: &str) {
        let cells: Vec<&str> = case.split('|').map(str::trim).collect();
        let number = |cell: &str| cell.parse::<i128>().unwrap();
        let grain = cells.get(4).map_or(1, |cell| number(cell));
        let axis = Axis::nice(number(cells[0]), number(cells[1]), number(cells[2]), grain);
        let wanted: Vec<i128> = cells[3].split(' ').map(number).collect();
        assert_eq!(axis.ticks, wanted, "{case}");
    }

    #[test]
    fn ticks_are_nice() {
        check("0    | 106239 | 6 | 0 20000 40000 60000 80000 100000 120000");
        check("0    | 1      | 6 | 0 1");
        check("0    | 6      | 6 | 0 1 2 3 4 5 6");
        check("0    | 7      | 6 | 0 2 4 6 8");
        check("0    | 100    | 4 | 0 50 100");
        check("-3   | 3      | 6 | -3 -2 -1 0 1 2 3");
        check("-1   | 999    | 4 | -500 0 500 1000");
        check("0    | 5000   | 6 | 0 1024 2048 3072 4096 5120 | 1024");
        check("0    | 3      | 6 | 0 1024 | 1024");
        check("-450 | 0      | 4 | -600 -400 -200 0");
        check("0    | 0      | 6 | 0");
    }

    #[test]
    fn huge_values_have_ticks() {
        let sum = super::super::VALUE_ABS_MAX * 6;
        let axis = Axis::nice(-sum, sum, 4, 1);
        assert!(axis.low <= -sum && axis.high >= sum);
        assert!(axis.place(sum, 0.0, 100.0).is_finite());
    }

    #[test]
    fn places_are_in_proportion() {
        let axis = Axis::exact(-100, 300);
        assert_eq!(axis.place(-100, 10.0, 50.0), 10.0);
        assert_eq!(axis.place(0, 10.0, 50.0), 20.0);
        assert_eq!(axis.place(300, 10.0, 50.0), 50.0);
        assert_eq!(Axis::exact(0, 0).place(0, 5.0, 9.0), 5.0);
    }

    #[test]
    fn names_are_cut_to_fit() {
        assert_eq!(cut_name("Compute", 200.0), "Compute");
        assert_eq!(cut_name("Compute", 10.0), "");
        let long = "Department of long names ".repeat(12);
        let cut = cut_name(&long, 120.0);
        assert!(cut.ends_with('…') && text_width(&cut) <= 120.0, "{cut}");
        assert!(text_width(&cut_name(&"東".repeat(300), 90.0)) <= 90.0);
    }
}

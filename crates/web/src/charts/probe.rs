//! What the chart tests share: a formatter, a source of chance, and a reader of drawn pictures.

/// Writes cents as units with two decimals and the true minus sign.
pub(super) fn cents(value: i128) -> String {
    let sign = if value < 0 { "\u{2212}" } else { "" };
    let size = value.unsigned_abs();
    format!("{sign}{}.{:02}", size / 100, size % 100)
}

/// A repeatable row of numbers (xorshift). The seed must not be zero.
pub(super) struct Chance(pub(super) u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Picks a number below `limit`.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// Picks a value of any size and sign; every fourth is zero.
    pub(super) fn value(&mut self) -> i128 {
        if self.below(4) == 0 {
            return 0;
        }
        let size = self.next() >> self.below(64);
        let value = i128::from(size);
        if self.below(3) == 0 { -value } else { value }
    }
}

/// Lists the opening tags of one name, without their brackets.
pub(super) fn elements<'a>(picture: &'a str, tag: &str) -> Vec<&'a str> {
    let named = |part: &&str| part.strip_prefix(tag).is_some_and(|rest| rest.starts_with([' ', '>', '/']));
    picture.split('<').filter(named).map(|part| part.split('>').next().unwrap_or(part)).collect()
}

/// Reads one attribute of an opening tag.
pub(super) fn attribute<'a>(element: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = element.split_once(&format!(" {name}=\""))?;
    rest.split('"').next()
}

/// Lists the values that the drawn shapes stand for.
pub(super) fn drawn(picture: &str) -> Vec<i128> {
    let value = |rect: &str| -> i128 { attribute(rect, "data-value").unwrap().parse().unwrap() };
    elements(picture, "rect").into_iter().map(value).collect()
}

/// Checks that a picture names itself, closes what it opens and keeps every shape inside its box.
#[track_caller]
pub(super) fn assert_sound(picture: &str) {
    assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>"));
    assert!(picture.contains(" role=\"img\"") && picture.contains("><title>") && picture.contains("</title><desc>"));
    assert!(!picture.contains("NaN") && !picture.contains("style="));
    for tag in ["svg", "g", "rect", "text", "title", "desc"] {
        assert_eq!(elements(picture, tag).len(), picture.matches(&format!("</{tag}>")).count(), "{tag}");
    }

    let number = |element: &str, name: &str| -> f64 { attribute(element, name).unwrap().parse().unwrap() };
    let root = elements(picture, "svg")[0];
    let (width, height) = (number(root, "width"), number(root, "height"));
    for rect in elements(picture, "rect") {
        let (x, y) = (number(rect, "x"), number(rect, "y"));
        assert!(x >= -0.02 && x + number(rect, "width") <= width + 0.02, "{rect}");
        assert!(y >= -0.02 && y + number(rect, "height") <= height + 0.02, "{rect}");
    }
}

//! The strings an SVG is made of: its opening, its numbers, its escaped words.

use super::scale::FONT_PX;

/// The two widths a chart is drawn for, in CSS pixels. The style sheet shows the one that fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// 360 px: telephones and narrow columns.
    Narrow,
    /// 960 px: everything else, and print.
    Wide,
}

impl Width {
    pub(super) fn px(self) -> f64 {
        match self {
            Width::Narrow => 360.0,
            Width::Wide => 960.0,
        }
    }

    fn class(self) -> &'static str {
        match self {
            Width::Narrow => "chart-narrow",
            Width::Wide => "chart-wide",
        }
    }
}

/// Opens a picture that names and describes itself to a screen reader.
pub(super) fn open(width: Width, height: f64, title: &str, summary: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"{class}\" role=\"img\" viewBox=\"0 0 {w} {h}\" \
         width=\"{w}\" height=\"{h}\" font-size=\"{FONT_PX}\"><title>{title}</title><desc>{summary}</desc>",
        class = width.class(),
        w = px(width.px()),
        h = px(height),
        title = escape(title),
        summary = escape(summary),
    )
}

/// Puts both widths of a chart, its legend and its summary in words into one figure.
pub(super) fn figure(summary: &str, legend: &str, draw: impl Fn(Width) -> String) -> String {
    format!(
        "<figure class=\"chart\">{wide}{narrow}{legend}<figcaption>{caption}</figcaption></figure>",
        wide = draw(Width::Wide),
        narrow = draw(Width::Narrow),
        caption = escape(summary),
    )
}

/// Appends one line of text. `anchor` is `start`, `middle` or `end`.
pub(super) fn text(out: &mut String, class: &str, x: f64, y: f64, anchor: &str, words: &str) {
    if words.is_empty() {
        return;
    }
    out.push_str(&format!(
        "<text class=\"{class}\" x=\"{}\" y=\"{}\" text-anchor=\"{anchor}\">{}</text>",
        px(x),
        px(y),
        escape(words),
    ));
}

/// Appends one straight line.
pub(super) fn line(out: &mut String, class: &str, from: (f64, f64), to: (f64, f64)) {
    out.push_str(&format!(
        "<line class=\"{class}\" x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\"/>",
        px(from.0),
        px(from.1),
        px(to.0),
        px(to.1),
    ));
}

/// The place and size of one bar or segment, in pixels.
pub(super) struct Shape {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// Appends one bar or segment. It carries the exact value it stands for and a title to hover over.
pub(super) fn shape(out: &mut String, shape: &Shape, value: i128, title: &str) {
    assert!(shape.width >= 0.0 && shape.height >= 0.0);
    out.push_str(&format!(
        "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" data-value=\"{value}\"><title>{}</title></rect>",
        px(shape.x),
        px(shape.y),
        px(shape.width),
        px(shape.height),
        escape(title),
    ));
}

/// Writes a length with at most two decimals.
pub(super) fn px(length: f64) -> String {
    assert!(length.is_finite());
    let full = format!("{length:.2}");
    let short = full.trim_end_matches('0').trim_end_matches('.');
    if short == "-0" { "0".to_owned() } else { short.to_owned() }
}

/// Makes a text safe between tags and inside double quotes, in HTML and in XML.
///
/// Control characters, which XML forbids, are dropped, and so are direction overrides, with which a
/// name could turn around the figure next to it.
pub(super) fn escape(words: &str) -> String {
    let mut out = String::with_capacity(words.len());
    for letter in words.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\r' | '\t' => out.push(' '),
            '\u{202a}'..='\u{202e}' | '\u{fffe}' | '\u{ffff}' => {}
            _ if letter.is_control() => {}
            _ => out.push(letter),
        }
    }
    out
}

/// Shields the figure after a name from the name's direction of writing.
///
/// Only names with right-to-left letters get the two invisible marks. Marks the name brought along
/// are taken out first, so that it cannot close ours.
pub(super) fn isolate(name: &str) -> String {
    let bare: String = name.chars().filter(|letter| !matches!(letter, '\u{2066}'..='\u{2069}')).collect();
    let is_rtl =
        |letter: char| matches!(letter, '\u{0590}'..='\u{08ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}');
    if bare.chars().any(is_rtl) { format!("\u{2068}{bare}\u{2069}") } else { bare }
}

#[cfg(test)]
mod tests {
    use super::{escape, isolate, px};

    #[test]
    fn lengths_are_short() {
        assert_eq!(px(100.0), "100");
        assert_eq!(px(0.0), "0");
        assert_eq!(px(-0.001), "0");
        assert_eq!(px(12.346), "12.35");
        assert_eq!(px(7.5), "7.5");
    }

    #[test]
    #[should_panic = "is_finite"]
    fn a_length_is_a_number() {
        px(f64::NAN);
    }

    #[test]
    fn hostile_words_are_escaped() {
        assert_eq!(escape("</title><script>\"'&"), "&lt;/title&gt;&lt;script&gt;&quot;&#39;&amp;");
        assert_eq!(escape("a\u{0}b\u{1b}c\nd\u{202e}e"), "abc de");
        assert_eq!(escape("größe 東京 😀"), "größe 東京 😀");
    }

    #[test]
    fn right_to_left_names_are_isolated() {
        assert_eq!(isolate("Compute"), "Compute");
        assert_eq!(isolate("שלום"), "\u{2068}שלום\u{2069}");
        assert_eq!(isolate("\u{2069}שלום"), "\u{2068}שלום\u{2069}");
    }
}

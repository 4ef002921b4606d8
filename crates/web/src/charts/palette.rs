//! The colours of the style sheet, written a second time so that a test can judge them.
//!
//! `assets/meterhouse.css` must define each of these and no other colour. The tests compute every
//! contrast that a reader depends on, in both themes: 4.5:1 for text, 3:1 for shapes (WCAG 2.2 AA).
//! Tools cannot do it for us: axe leaves text over SVG undecided.

/// One colour of the style sheet: the name of its property and its value in each theme.
struct Token {
    name: &'static str,
    light: &'static str,
    dark: &'static str,
}

const fn token(name: &'static str, light: &'static str, dark: &'static str) -> Token {
    Token { name, light, dark }
}

const TOKENS: [Token; 30] = [
    token("ground", "#f7f8fa", "#0f1217"),
    token("surface", "#ffffff", "#161a21"),
    token("sunken", "#f0f2f6", "#1d222b"),
    token("line", "#e1e5eb", "#2a303b"),
    token("line-strong", "#828b9b", "#707a8a"),
    token("ink", "#1a1f2b", "#e8ebf0"),
    token("ink-soft", "#566072", "#a3acba"),
    token("accent", "#3451c6", "#9db2ff"),
    token("accent-soft", "#edf1fe", "#1f2747"),
    token("accent-fill", "#3451c6", "#4560d4"),
    token("accent-fill-strong", "#2a42a8", "#3b54c0"),
    token("on-fill", "#ffffff", "#ffffff"),
    token("ok", "#11693f", "#6fd39b"),
    token("ok-soft", "#e6f5ec", "#12301f"),
    token("warn", "#8a4b00", "#f0b860"),
    token("warn-soft", "#fdf1dc", "#35270d"),
    token("bad", "#b3261e", "#ff9a90"),
    token("bad-soft", "#fdecea", "#3d1a18"),
    token("bad-fill", "#b3261e", "#c4372d"),
    token("bad-fill-strong", "#921d17", "#ab2e25"),
    token("info", "#1d5a9e", "#8cc0f5"),
    token("info-soft", "#e8f1fb", "#14293f"),
    // Chart series, in the order of the stack: blue, amber, green, pink, light blue, and grey for the rest.
    // The hues are Okabe and Ito's; amber, pink and light blue are darkened in the light theme, blue
    // and green lightened in the dark one, because each failed 3:1 on the other ground.
    token("s0", "#0b5fa5", "#4c8fdb"),
    token("s1", "#b87a00", "#e69f00"),
    token("s2", "#00775a", "#2fa886"),
    token("s3", "#c46296", "#d98cb3"),
    token("s4", "#2e8fc4", "#8ad0f5"),
    token("s5", "#6b7280", "#8a93a3"),
    // The ring around what has the keyboard.
    token("focus", "#3451c6", "#9db2ff"),
    // The star beside a parent: an ornament with an outline, which no reader depends on.
    token("star", "#ffc800", "#ffd84d"),
];

/// Grounds that any plain text may lie on.
const GROUNDS: [&str; 3] = ["ground", "surface", "sunken"];

/// Text colours that may lie on any plain ground.
const INKS: [&str; 7] = ["ink", "ink-soft", "accent", "ok", "warn", "bad", "info"];

/// Further pairs of a text and the ground it lies on.
const TEXTS: [(&str, &str); 14] = [
    ("ok", "ok-soft"),
    ("warn", "warn-soft"),
    ("bad", "bad-soft"),
    ("info", "info-soft"),
    ("accent", "accent-soft"),
    ("ink", "ok-soft"),
    ("ink", "warn-soft"),
    ("ink", "bad-soft"),
    ("ink", "info-soft"),
    ("ink", "accent-soft"),
    ("on-fill", "accent-fill"),
    ("on-fill", "accent-fill-strong"),
    ("on-fill", "bad-fill"),
    ("on-fill", "bad-fill-strong"),
];

/// Shapes that must be seen on any plain ground: series, borders of fields, the focus ring.
const SHAPES: [&str; 8] = ["s0", "s1", "s2", "s3", "s4", "s5", "line-strong", "focus"];

const CSS: &str = include_str!("../../assets/meterhouse.css");

#[derive(Clone, Copy, Debug)]
enum Theme {
    Light,
    Dark,
}

fn colour(name: &str, theme: Theme) -> &'static str {
    let token = TOKENS.iter().find(|token| token.name == name).expect("every name here is in the table");
    match theme {
        Theme::Light => token.light,
        Theme::Dark => token.dark,
    }
}

/// Computes the contrast of two colours as WCAG defines it, from 1 to 21.
fn contrast(one: &str, other: &str) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

fn luminance(hex: &str) -> f64 {
    assert!(hex.len() == 7 && hex.starts_with('#'));
    let channel = |at: usize| {
        let share = f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap()) / 255.0;
        if share <= 0.04045 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
}

#[track_caller]
fn check(front: &str, back: &str, least: f64) {
    for theme in [Theme::Light, Theme::Dark] {
        let ratio = contrast(colour(front, theme), colour(back, theme));
        assert!(ratio >= least, "{front} on {back}, {theme:?}: {ratio:.2} is under {least}");
    }
}

#[test]
fn contrast_is_what_wcag_says() {
    assert!((contrast("#000000", "#ffffff") - 21.0).abs() < 0.001);
    assert!((contrast("#ffffff", "#ffffff") - 1.0).abs() < 0.001);
    assert!((contrast("#009e73", "#ffffff") - 3.42).abs() < 0.01); // measured in our chart study
}

#[test]
fn text_can_be_read() {
    for ink in INKS {
        for ground in GROUNDS {
            check(ink, ground, 4.5);
        }
    }
    for (text, ground) in TEXTS {
        check(text, ground, 4.5);
    }
}

#[test]
fn shapes_can_be_seen() {
    for shape in SHAPES {
        for ground in GROUNDS {
            check(shape, ground, 3.0);
        }
    }
}

#[test]
fn the_style_sheet_repeats_the_table() {
    for token in &TOKENS {
        let rule = format!("--{}: light-dark({}, {});", token.name, token.light, token.dark);
        assert_eq!(CSS.matches(&rule).count(), 1, "{rule}");
    }
}

#[test]
fn the_style_sheet_has_no_other_colour() {
    let known = |hex: &str| TOKENS.iter().any(|token| token.light == hex || token.dark == hex);
    for (at, _) in CSS.match_indices('#') {
        let hex: String = CSS[at..].chars().take_while(|letter| !matches!(letter, ',' | ')' | ';' | ' ')).collect();
        assert!(known(&hex), "{hex} is not in the table");
    }
}

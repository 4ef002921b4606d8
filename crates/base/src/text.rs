//! When two texts that people wrote are the same, and which characters deceive.
//!
//! Addresses are compared by [`email_key`], names of siblings by [`skeleton`]. Both follow Unicode's own tables, so a
//! new version of them can change a key: `store::rekey` computes all keys anew then.

use std::borrow::Cow;
use unicode_normalization::UnicodeNormalization;

/// Lower case, in composed form.
fn folded(text: &str) -> String {
    text.nfc().collect::<String>().to_lowercase().nfc().collect()
}

/// The form in which two mail addresses are compared: composed, lower case, the domain as DNS asks for it.
#[must_use]
pub fn email_key(email: &str) -> String {
    let email = email.trim();
    match email.rsplit_once('@') {
        Some((name, domain)) => format!("{}@{}", folded(name), domain_key(domain)),
        None => folded(email),
    }
}

/// A domain as DNS asks for it: `exämple.com` is `xn--exmple-cua.com` (UTS 46). What is no domain stays as it is, in
/// lower case.
#[must_use]
pub fn domain_key(domain: &str) -> String {
    let domain = domain.trim().trim_end_matches('.');
    let ascii = idna::domain_to_ascii_cow(domain.as_bytes(), idna::AsciiDenyList::EMPTY);
    ascii.map_or_else(|_| folded(domain), Cow::into_owned)
}

/// Whether a domain can be asked for: one that is not can belong to nobody.
#[must_use]
pub fn is_domain(domain: &str) -> bool {
    idna::domain_to_ascii_cow(domain.trim().as_bytes(), idna::AsciiDenyList::URL).is_ok()
}

/// What two names look like to a person who does not look closely (UTS 39): siblings with one skeleton are refused.
/// It is for comparing only, never shown.
#[must_use]
pub fn skeleton(name: &str) -> String {
    let plain: String = name.nfkc().collect::<String>().to_lowercase();
    // Lower case first: a capital I looks like an l, but the name that is typed for it has an i.
    let bare: String = unicode_security::skeleton(&plain).filter(|c| !is_hidden(*c)).collect();
    bare.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a character is not seen, or changes the order in which others are: in a name it can only deceive.
#[must_use]
pub fn is_hidden(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        // Zero width, marks of direction.
        | '\u{200b}'..='\u{200f}'
        // Separators of lines; embeddings and overrides.
        | '\u{2028}'..='\u{202e}'
        // Word joiner, invisible operators, isolates.
        | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// The first character of a text that may not stand in a name. Joiners may stand between two characters of scripts
/// that are written with them, and in an emoji, which a variation selector may follow: there they are seen.
#[must_use]
pub fn deceiver(text: &str) -> Option<char> {
    let all: Vec<char> = text.chars().collect();
    // From Hebrew on, scripts and symbols that may want a joiner; Latin, Greek and Cyrillic lie before.
    let joins = |c: Option<&char>| c.is_some_and(|c| *c >= '\u{590}' && !is_hidden(*c) || is_selector(*c));
    let before = |index: usize| index.checked_sub(1).and_then(|index| all.get(index));
    all.iter().enumerate().find_map(|(index, c)| {
        let is_fine = match c {
            '\u{200c}' | '\u{200d}' => joins(before(index)) && joins(all.get(index + 1)),
            '\u{fe0e}' | '\u{fe0f}' => before(index).is_some_and(|c| *c >= '\u{2000}' && !is_hidden(*c)),
            c => !is_hidden(*c),
        };
        (!is_fine).then_some(*c)
    })
}

fn is_selector(c: char) -> bool {
    matches!(c, '\u{fe0e}' | '\u{fe0f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_has_one_key() {
        for (one, other) in [
            ("idn@exämple.com", "idn@xn--exmple-cua.com"),
            ("idn@EXÄMPLE.com", "IDN@exa\u{308}mple.com."),
            ("j\u{f6}rg@example.com", "jo\u{308}rg@example.com"),
            ("J\u{d6}RG@example.com", " jo\u{308}rg@EXAMPLE.COM "),
            ("ann@ｅｘａｍｐｌｅ.com", "ann@example.com"),
            ("ann@example。com", "ann@example.com"),
        ] {
            assert_eq!(email_key(one), email_key(other), "{one} {other}");
        }
        for (one, other) in [
            ("ann@example.com", "ann@example.org"),
            ("ann+a@example.com", "ann@example.com"),
            ("a@straße.example", "a@strasse.example"),
        ] {
            assert_ne!(email_key(one), email_key(other));
        }
    }

    #[test]
    fn a_key_is_its_own_key() {
        for text in
            ["Idn@Exämple.com", "jo\u{308}rg@x.example", "İ@x.example", "ς@x.example", "no address", "a@-.-", "usr_1"]
        {
            let key = email_key(text);
            assert_eq!(email_key(&key), key, "{text}");
        }
        for text in ["ＡＣＭＥ", "İstanbul", "Ac me", "Ⅷ Corp", "раураl", "m"] {
            let key = skeleton(text);
            assert_eq!(skeleton(&key), key, "{text}");
        }
    }

    #[test]
    fn look_alikes_have_one_skeleton() {
        for (one, other) in [
            ("Acme", "ACME"),
            ("Acme", "Ac\u{200b}me"),
            ("Acme", "ＡＣＭＥ"),
            ("Acme", "\u{410}cm\u{435}"),
            ("paypal", "\u{440}\u{430}\u{443}\u{440}\u{430}l"),
            ("Cafe\u{301}", "Café"),
            ("Red  Team", "red team"),
            ("Red Team", "Red\u{a0}Team"),
            ("evil", "e\u{202e}vil"),
        ] {
            assert_eq!(skeleton(one), skeleton(other), "{one} {other}");
        }
        for (one, other) in [("Acme", "Acne"), ("Café", "Cafe"), ("Team 2", "Team 3"), ("Rot", "Rat")] {
            assert_ne!(skeleton(one), skeleton(other));
        }
    }

    #[test]
    fn what_deceives_is_found() {
        for (text, want) in [
            ("x\u{202e}evil", Some('\u{202e}')),
            ("Ac\u{200b}me", Some('\u{200b}')),
            ("Ac\u{200d}me", Some('\u{200d}')),
            ("\u{feff}Acme", Some('\u{feff}')),
            ("Acme\u{ad}", Some('\u{ad}')),
            ("a\u{fe0f}", Some('\u{fe0f}')),
            ("\u{e0041}", Some('\u{e0041}')),
            ("Acme, GmbH & Co. KG", None),
            ("می\u{200c}خواهم", None),
            ("क्\u{200d}ष", None),
            ("Cloud ☁\u{fe0f}", None),
            ("👩\u{200d}💻 team", None),
            ("Ὀδυσσεύς", None),
        ] {
            assert_eq!(deceiver(text), want, "{text:?}");
        }
    }
}

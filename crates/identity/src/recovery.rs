//! Recovery codes: ten of them, 80 bits each, in groups that a person can copy from paper.
//!
//! `1k7q-p2m9-xw4t-0zde`: sixteen characters of Crockford's base 32, which has no `i`, `l`, `o`, `u`.
//! The caller draws the bytes and stores hashes of the normal form only: salted and slow ones, as for
//! passwords, because NIST SP 800-63B section 5.1.2.2 asks for that below 112 bits.

use crate::Rejected;

/// How many codes a person gets.
pub const CODES: usize = 10;
/// Random bytes for one code.
pub const CODE_BYTES: usize = 10;

const CHARACTERS: usize = CODE_BYTES * 8 / 5;
const GROUP: usize = 4;

/// Writes ten codes as they are shown, from bytes that the caller drew.
#[must_use]
pub fn codes(random: &[[u8; CODE_BYTES]; CODES]) -> [String; CODES] {
    random.map(|bytes| {
        let number = bytes.iter().fold(0_u128, |number, byte| (number << 8) | u128::from(*byte));
        let text = base::ids::encode_base32(number);
        group(&text[text.len() - CHARACTERS..])
    })
}

fn group(text: &str) -> String {
    let mut shown = String::with_capacity(CHARACTERS + CHARACTERS / GROUP);
    for (index, letter) in text.chars().enumerate() {
        if index > 0 && index % GROUP == 0 {
            shown.push('-');
        }
        shown.push(letter);
    }
    shown
}

/// Brings what a person typed into the normal form, the one to hash: sixteen characters, lower case, without
/// hyphens and spaces; `o` is read as `0`, `i` and `l` as `1`.
///
/// # Errors
/// When it cannot be a recovery code.
pub fn normalise(typed: &str) -> Result<String, Rejected> {
    let wrong = || Rejected::silent("recovery code", format!("must have {CHARACTERS} letters and digits"));
    let mut code = String::with_capacity(CHARACTERS);
    for letter in typed.chars().filter(|c| !c.is_whitespace() && !matches!(c, '-' | '\u{2010}'..='\u{2015}')) {
        let letter = match letter.to_ascii_lowercase() {
            'o' => '0',
            'i' | 'l' => '1',
            other => other,
        };
        if code.len() == CHARACTERS || !(letter.is_ascii_digit() || letter.is_ascii_lowercase()) || letter == 'u' {
            return Err(wrong());
        }
        code.push(letter);
    }
    if code.len() == CHARACTERS { Ok(code) } else { Err(wrong()) }
}

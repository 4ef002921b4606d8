//! The date forms of S3: `20260102T030405Z`, RFC 3339 with milliseconds, and the HTTP date.

const DAY_S: i64 = 86_400;
const SECOND_US: i64 = 1_000_000;
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Days since 1970-01-01 of a civil date (Hinnant's algorithm, proleptic Gregorian).
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let era = shifted_year.div_euclid(400);
    let year_of_era = shifted_year.rem_euclid(400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

fn number(text: &str) -> Option<i64> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

fn instant_us(year: i64, month: i64, day: i64, hour: i64, minute: i64, second: i64) -> Option<i64> {
    let sane = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 61;
    if !sane {
        return None;
    }
    let days = days_from_civil(year, month, day);
    if civil_from_days(days) != (year, month, day) {
        return None; // The 31st of a month with 30 days.
    }
    Some((days * DAY_S + hour * 3_600 + minute * 60 + second) * SECOND_US)
}

/// Reads `20260102T030405Z`, giving microseconds since 1970.
#[must_use]
pub fn parse_amz(text: &str) -> Option<i64> {
    if text.len() != 16 || !text.is_ascii() || &text[8..9] != "T" || &text[15..] != "Z" {
        return None;
    }
    instant_us(
        number(&text[..4])?,
        number(&text[4..6])?,
        number(&text[6..8])?,
        number(&text[9..11])?,
        number(&text[11..13])?,
        number(&text[13..15])?,
    )
}

/// Reads an HTTP date such as `Fri, 02 Jan 2026 03:04:05 GMT` (also with `+0000`).
#[must_use]
pub fn parse_http(text: &str) -> Option<i64> {
    let mut words = text.split_ascii_whitespace();
    let _week_day = words.next()?;
    let day = number(words.next()?)?;
    let month_name = words.next()?;
    let month = MONTHS.iter().position(|name| *name == month_name)?;
    let year = number(words.next()?)?;
    let mut clock = words.next()?.split(':');
    let hour = number(clock.next()?)?;
    let minute = number(clock.next()?)?;
    let second = number(clock.next()?)?;
    let zone = words.next()?;
    if !matches!(zone, "GMT" | "UTC" | "+0000") {
        return None;
    }
    instant_us(year, i64::try_from(month).ok()? + 1, day, hour, minute, second)
}

/// Reads an RFC 3339 instant in UTC such as `2026-01-02T03:04:05.678Z`; fractions are cut to
/// microseconds.
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<i64> {
    let body = text.strip_suffix('Z')?;
    if body.len() < 19 || !body.is_ascii() {
        return None;
    }
    let compact =
        format!("{}{}{}T{}{}{}Z", &body[..4], &body[5..7], &body[8..10], &body[11..13], &body[14..16], &body[17..19]);
    let whole_us = parse_amz(&compact)?;
    let fraction = body[19..].strip_prefix('.').unwrap_or("");
    let mut micros = 0;
    for place in 0..6 {
        let digit = fraction.as_bytes().get(place).copied().unwrap_or(b'0');
        if !digit.is_ascii_digit() {
            return None;
        }
        micros = micros * 10 + i64::from(digit - b'0');
    }
    Some(whole_us + micros)
}

fn parts(at_us: i64) -> (i64, i64, i64, i64) {
    let seconds = at_us.div_euclid(SECOND_US);
    let (year, month, day) = civil_from_days(seconds.div_euclid(DAY_S));
    (year, month, day, seconds.rem_euclid(DAY_S))
}

/// Writes `20260102T030405Z`.
#[must_use]
pub fn format_amz(at_us: i64) -> String {
    let (year, month, day, clock) = parts(at_us);
    format!("{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z", clock / 3_600, clock / 60 % 60, clock % 60)
}

/// Writes `2026-01-02T03:04:05.678Z`, as S3 answers do.
#[must_use]
pub fn format_iso(at_us: i64) -> String {
    let (year, month, day, clock) = parts(at_us);
    let millis = at_us.rem_euclid(SECOND_US) / 1_000;
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{millis:03}Z", clock / 3_600, clock / 60 % 60, clock % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_forms_agree() {
        let at_us = 1_767_323_045 * SECOND_US;
        assert_eq!(parse_amz("20260102T030405Z"), Some(at_us));
        assert_eq!(parse_http("Fri, 02 Jan 2026 03:04:05 GMT"), Some(at_us));
        assert_eq!(parse_rfc3339("2026-01-02T03:04:05.000Z"), Some(at_us));
        assert_eq!(format_amz(at_us), "20260102T030405Z");
        assert_eq!(format_iso(at_us + 678_900), "2026-01-02T03:04:05.678Z");
    }

    #[test]
    fn refuses_what_is_no_date() {
        for text in
            ["", "20260231T030405Z", "20260102t030405Z", "20260102T030405", "2026010203T0405Z", "+0260102T030405Z"]
        {
            assert_eq!(parse_amz(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn round_trip(second in 0_i64..253_402_300_799) {
            let at_us = second * SECOND_US;
            prop_assert_eq!(parse_amz(&format_amz(at_us)), Some(at_us));
            prop_assert_eq!(parse_rfc3339(&format_iso(at_us)), Some(at_us));
        }
    }
}

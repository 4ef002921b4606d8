//! Instants in the three spellings S3 uses. It never reads a clock.

use base::period::{format_instant, parse_instant};

const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const SECOND_US: i64 = 1_000_000;

/// `2026-10-01T00:00:00.000Z`, cut below the second.
pub(super) fn xml_time(at_us: i64) -> String {
    to_second(at_us).replace('Z', ".000Z")
}

/// `Thu, 01 Oct 2026 00:00:00 GMT`, cut below the second.
pub(super) fn http_date(at_us: i64) -> String {
    let text = to_second(at_us);
    let days = at_us.div_euclid(86_400 * SECOND_US);
    let weekday = usize::try_from((days + 4).rem_euclid(7)).unwrap_or(0); // 1970 began on a Thursday.
    let month = text[5..7].parse::<usize>().unwrap_or(1);
    let (year, day, clock) = (&text[..4], &text[8..10], &text[11..19]);
    format!("{}, {day} {} {year} {clock} GMT", WEEKDAYS[weekday], MONTHS[month - 1])
}

/// Reads what [`http_date`] writes.
pub(super) fn parse_http_date(text: &str) -> Option<i64> {
    let words: Vec<&str> = text.split(' ').collect();
    let [_, day, month, year, clock, "GMT"] = words[..] else { return None };
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    parse_instant(&format!("{year}-{month:02}-{day}T{clock}Z")).ok()
}

/// Reads the `x-amz-date` of a signature: `20261001T000000Z`.
pub(super) fn parse_amz_date(text: &str) -> Option<i64> {
    let plain = text.len() == 16 && text.is_ascii();
    if !plain {
        return None;
    }
    let (date, clock) = (&text[..8], &text[8..]);
    let date = format!("{}-{}-{}", &date[..4], &date[4..6], &date[6..]);
    let clock = format!("{}:{}:{}", &clock[..3], &clock[3..5], &clock[5..]);
    parse_instant(&format!("{date}{clock}")).ok()
}

/// The instant at the start of its second.
pub(super) fn whole_second(at_us: i64) -> i64 {
    at_us - at_us.rem_euclid(SECOND_US)
}

fn to_second(at_us: i64) -> String {
    format_instant(whole_second(at_us))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spells_instants() {
        let at_us = parse_amz_date("20261001T235901Z").unwrap();
        assert_eq!(xml_time(at_us + 999_999), "2026-10-01T23:59:01.000Z");
        assert_eq!(http_date(at_us), "Thu, 01 Oct 2026 23:59:01 GMT");
        assert_eq!(parse_http_date("Thu, 01 Oct 2026 23:59:01 GMT"), Some(at_us));
        assert_eq!(http_date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(http_date(951_782_400_000_000), "Tue, 29 Feb 2000 00:00:00 GMT");
        assert_eq!(parse_amz_date("2026-10-01T00:00"), None);
        assert_eq!(parse_http_date("yesterday"), None);
    }
}

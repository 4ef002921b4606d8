//! Half-open spans of time and the calendar months of a billing zone.
//!
//! Boundaries are local midnights turned into instants, always resolved from the calendar and never
//! from the previous boundary, so months tile without gap or overlap in every zone.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};
use std::fmt;
use std::str::FromStr;

/// Microseconds of an hour.
pub const HOUR_US: i64 = 3_600_000_000;

/// What can be wrong with a period or a zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeriodError {
    /// Not a zone of the IANA database.
    #[error("time zone {text:?} is not in the IANA database, write it like Europe/Berlin or UTC")]
    UnknownZone {
        /// What was given.
        text: String,
    },
    /// Not a month.
    #[error("month {text:?} is not of the form 2026-10")]
    BadMonth {
        /// What was given.
        text: String,
    },
    /// Not an instant.
    #[error("time {text:?} is not an RFC 3339 instant such as 2026-10-01T00:00:00Z")]
    BadInstant {
        /// What was given.
        text: String,
    },
    /// Starts after it ends, or outside the years 1970 to 9999.
    #[error("a period must start before it ends, between the years 1970 and 9999")]
    OutOfRange,
}

/// A time zone of the IANA database (compiled in, so that every machine agrees).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    name: String,
    zone: TimeZone,
}

impl Zone {
    /// Coordinated universal time.
    #[must_use]
    pub fn utc() -> Self {
        Self { name: "UTC".to_owned(), zone: TimeZone::UTC }
    }

    /// The IANA name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    fn midnight_us(&self, date: Date) -> Result<i64, PeriodError> {
        let zoned = date.to_zoned(self.zone.clone()).map_err(|_| PeriodError::OutOfRange)?;
        Ok(zoned.timestamp().as_microsecond())
    }

    /// The local calendar date of an instant, as `2026-10-31`.
    #[must_use]
    pub fn date_of(&self, at_us: i64) -> String {
        self.civil(at_us).to_string()
    }

    /// The instant for people, to the second: `2026-10-31 13:00:00 CET`.
    #[must_use]
    pub fn time_of(&self, at_us: i64) -> String {
        self.zoned(at_us).strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
    }

    /// The instant as RFC 3339 in local time, to the second: `2026-10-31T13:00:00+01:00`.
    #[must_use]
    pub fn instant_of(&self, at_us: i64) -> String {
        self.zoned(at_us).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
    }

    fn civil(&self, at_us: i64) -> Date {
        self.zoned(at_us).date()
    }

    fn zoned(&self, at_us: i64) -> Zoned {
        let instant = Timestamp::from_microsecond(at_us).unwrap_or(Timestamp::UNIX_EPOCH);
        instant.to_zoned(self.zone.clone())
    }
}

impl FromStr for Zone {
    type Err = PeriodError;
    fn from_str(text: &str) -> Result<Self, PeriodError> {
        if text == "UTC" {
            return Ok(Self::utc());
        }
        let unknown = || PeriodError::UnknownZone { text: text.to_owned() };
        let zone = TimeZone::get(text).map_err(|_| unknown())?;
        Ok(Self { name: zone.iana_name().ok_or_else(unknown)?.to_owned(), zone })
    }
}

impl serde::Serialize for Zone {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.name)
    }
}

impl<'de> serde::Deserialize<'de> for Zone {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// `[start, end)` in microseconds UTC. Never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Period {
    /// First instant.
    pub start_us: i64,
    /// First instant after.
    pub end_us: i64,
}

impl Period {
    /// A checked period.
    ///
    /// # Errors
    /// [`PeriodError::OutOfRange`] unless `start_us < end_us`.
    pub fn new(start_us: i64, end_us: i64) -> Result<Self, PeriodError> {
        let sane = 0 <= start_us && start_us < end_us && end_us <= 253_402_300_800_000_000;
        if sane { Ok(Self { start_us, end_us }) } else { Err(PeriodError::OutOfRange) }
    }

    /// The calendar month `2026-10` in `zone`.
    ///
    /// # Errors
    /// [`PeriodError::BadMonth`].
    pub fn month(text: &str, zone: &Zone) -> Result<Self, PeriodError> {
        let bad = || PeriodError::BadMonth { text: text.to_owned() };
        let plain = text.len() == 7 && text.is_ascii() && text.as_bytes()[4] == b'-';
        if !plain {
            return Err(bad());
        }
        let year: i16 = text[..4].parse().map_err(|_| bad())?;
        let month: i8 = text[5..].parse().map_err(|_| bad())?;
        let first = Date::new(year, month, 1).map_err(|_| bad())?;
        Self::month_from(first, zone)
    }

    /// The calendar month of `zone` that holds `at_us`.
    ///
    /// # Errors
    /// [`PeriodError::OutOfRange`].
    pub fn month_of(at_us: i64, zone: &Zone) -> Result<Self, PeriodError> {
        Self::month_from(zone.civil(at_us).first_of_month(), zone)
    }

    fn month_from(first: Date, zone: &Zone) -> Result<Self, PeriodError> {
        let next = first.checked_add(1.month()).map_err(|_| PeriodError::OutOfRange)?;
        Self::new(zone.midnight_us(first)?, zone.midnight_us(next)?)
    }

    /// The month before the one that starts here.
    ///
    /// # Errors
    /// [`PeriodError::OutOfRange`].
    pub fn previous_month(self, zone: &Zone) -> Result<Self, PeriodError> {
        Self::month_of(self.start_us - 1, zone)
    }

    /// The local days of the period, in order. A day that a zone left out, as Samoa did when it crossed the date
    /// line, is none.
    ///
    /// # Errors
    /// [`PeriodError::OutOfRange`].
    pub fn days(self, zone: &Zone) -> Result<Vec<Self>, PeriodError> {
        let mut days = Vec::new();
        let mut start = self.start_us;
        let mut date = zone.civil(start);
        while start < self.end_us {
            date = date.checked_add(1.day()).map_err(|_| PeriodError::OutOfRange)?;
            let end = zone.midnight_us(date)?.min(self.end_us);
            if end > start {
                days.push(Self::new(start, end)?);
            }
            start = end;
        }
        Ok(days)
    }

    /// The month's name in `zone`: `2026-10`.
    #[must_use]
    pub fn month_name(self, zone: &Zone) -> String {
        let date = zone.civil(self.start_us);
        format!("{:04}-{:02}", date.year(), date.month())
    }

    /// Whether the instant lies inside.
    #[must_use]
    pub fn contains(self, at_us: i64) -> bool {
        self.start_us <= at_us && at_us < self.end_us
    }

    /// Length in whole seconds: what a month of storage is divided by. 31 days across the end of
    /// summer time have 2,682,000 seconds.
    #[must_use]
    pub fn seconds(self) -> i64 {
        (self.end_us - self.start_us) / 1_000_000
    }
}

/// Writes an instant as RFC 3339 in UTC.
#[must_use]
pub fn format_instant(at_us: i64) -> String {
    Timestamp::from_microsecond(at_us).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}

/// Reads an RFC 3339 instant, cutting below the microsecond.
///
/// # Errors
/// [`PeriodError::BadInstant`].
pub fn parse_instant(text: &str) -> Result<i64, PeriodError> {
    text.parse::<Timestamp>()
        .map(Timestamp::as_microsecond)
        .map_err(|_| PeriodError::BadInstant { text: text.to_owned() })
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", format_instant(self.start_us), format_instant(self.end_us))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(month: &str, zone: &str, start: &str, end: &str) {
        let zone: Zone = zone.parse().unwrap();
        let period = Period::month(month, &zone).unwrap();
        assert_eq!(format!("{period}"), format!("{start}/{end}"));
        assert_eq!(period.month_name(&zone), month);
    }

    #[test]
    fn months_are_local() {
        check("2026-10", "UTC", "2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z");
        check("2026-10", "Europe/Berlin", "2026-09-30T22:00:00Z", "2026-10-31T23:00:00Z");
        check("2024-02", "Asia/Kolkata", "2024-01-31T18:30:00Z", "2024-02-29T18:30:00Z");
        check("2026-12", "America/New_York", "2026-12-01T05:00:00Z", "2027-01-01T05:00:00Z");
        // Midnight does not exist on this day in this zone: the day begins at one.
        check("2017-10", "America/Sao_Paulo", "2017-10-01T03:00:00Z", "2017-11-01T02:00:00Z");
    }

    #[test]
    fn summer_time_changes_the_length() {
        let berlin: Zone = "Europe/Berlin".parse().unwrap();
        assert_eq!(Period::month("2026-10", &berlin).unwrap().seconds(), 31 * 86_400 + 3_600);
        assert_eq!(Period::month("2026-03", &berlin).unwrap().seconds(), 31 * 86_400 - 3_600);
        assert_eq!(Period::month("2026-03", &berlin).unwrap().days(&berlin).unwrap().len(), 31);
    }

    #[test]
    fn a_day_that_never_was_is_left_out() {
        let apia: Zone = "Pacific/Apia".parse().unwrap();
        let december = Period::month("2011-12", &apia).unwrap();
        let days = december.days(&apia).unwrap();
        assert_eq!((days.len(), december.seconds()), (30, 30 * 86_400));
        assert_eq!(apia.date_of(days[28].start_us), "2011-12-29");
        assert_eq!(apia.date_of(days[29].start_us), "2011-12-31");
    }

    #[test]
    fn times_are_local() {
        let berlin: Zone = "Europe/Berlin".parse().unwrap();
        let at = |text: &str| parse_instant(text).unwrap();
        assert_eq!(berlin.time_of(at("2026-10-31T12:00:00.123456Z")), "2026-10-31 13:00:00 CET");
        assert_eq!(berlin.instant_of(at("2026-09-30T22:00:00Z")), "2026-10-01T00:00:00+02:00");
        assert_eq!(Zone::utc().time_of(at("2026-10-31T12:00:00Z")), "2026-10-31 12:00:00 UTC");
        assert_eq!(Zone::utc().instant_of(at("2026-10-31T12:00:00Z")), "2026-10-31T12:00:00+00:00");
    }

    #[test]
    fn refuses_other_texts() {
        for text in ["2026-13", "2026-00", "26-10", "2026/10", "2026-1", "", "2026-1\u{e9}"] {
            assert!(Period::month(text, &Zone::utc()).is_err(), "{text}");
        }
        assert!("Mars/Olympus".parse::<Zone>().is_err());
        assert!(Period::new(5, 5).is_err());
        assert!(parse_instant("2026-10-01").is_err());
    }

    proptest! {
        #[test]
        fn months_tile(at in 0_i64..4_000_000_000_000_000, zone in prop::sample::select(vec!["UTC", "Europe/Berlin", "America/Sao_Paulo", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca"])) {
            let zone: Zone = zone.parse().unwrap();
            let Ok(period) = Period::month_of(at, &zone) else { return Ok(()) };
            prop_assert!(period.contains(at));
            let next = Period::month_of(period.end_us, &zone).unwrap();
            prop_assert_eq!(next.start_us, period.end_us);
            prop_assert_eq!(next.previous_month(&zone).unwrap(), period);
            let days = period.days(&zone).unwrap();
            prop_assert_eq!(days.first().map(|d| d.start_us), Some(period.start_us));
            prop_assert_eq!(days.last().map(|d| d.end_us), Some(period.end_us));
            prop_assert!(days.windows(2).all(|pair| pair[0].end_us == pair[1].start_us));
        }
    }
}

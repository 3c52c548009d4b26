//! How long data is kept: months, days and exact time, as a calendar counts them.
//!
//! The three parts stay apart because a month has no fixed length. Subtracting a span follows
//! PostgreSQL's rule for `timestamp - interval`: months first (the day is clamped to the month's
//! end), then days, both on the wall clock of a zone, then the exact part.
//! Invariant: a span is positive; a negative or zero retention cannot be built.

use std::fmt;
use std::str::FromStr;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};
use serde::{Deserialize, Serialize};

/// Microseconds, the resolution of PostgreSQL.
pub type Microseconds = i64;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RetentionSpan {
    months: i32,
    days: i32,
    microseconds: Microseconds,
}

impl RetentionSpan {
    /// Builds a span of whole days.
    pub fn from_days(days: i32) -> Result<Self, String> {
        Self::from_parts(0, days, 0)
    }

    /// Builds a span of months, days and microseconds; none may be negative, one has to be positive.
    pub fn from_parts(months: i32, days: i32, microseconds: Microseconds) -> Result<Self, String> {
        let parts = [i64::from(months), i64::from(days), microseconds];
        if parts.iter().any(|part| *part < 0) {
            return Err("a retention cannot be negative".into());
        }
        if parts.iter().all(|part| *part == 0) {
            return Err("a retention of zero would drop everything".into());
        }
        Ok(Self { months, days, microseconds })
    }

    /// The instant this span before `instant`, both in microseconds since 1970 UTC; days and months
    /// are counted on the wall clock of `zone`. `None` where the calendar ends.
    pub fn before_instant(self, instant: Microseconds, zone: &TimeZone) -> Option<Microseconds> {
        let zoned = Timestamp::from_microsecond(instant).ok()?.to_zoned(zone.clone());
        let calendar = zoned.checked_sub(self.calendar_part()?).ok()?;
        let exact = calendar.timestamp().checked_sub(self.exact_part()).ok()?;
        Some(exact.as_microsecond())
    }

    /// The instant this span after `instant`; the mirror of [`Self::before_instant`].
    pub fn after_instant(self, instant: Microseconds, zone: &TimeZone) -> Option<Microseconds> {
        let zoned = Timestamp::from_microsecond(instant).ok()?.to_zoned(zone.clone());
        let calendar = zoned.checked_add(self.calendar_part()?).ok()?;
        let exact = calendar.timestamp().checked_add(self.exact_part()).ok()?;
        Some(exact.as_microsecond())
    }

    /// The wall-clock reading this span before `wall`.
    pub fn before_wall_clock(self, wall: DateTime) -> Option<DateTime> {
        let calendar = wall.checked_sub(self.calendar_part()?).ok()?;
        calendar.checked_sub(self.exact_part()).ok()
    }

    fn calendar_part(self) -> Option<Span> {
        Span::new().try_months(self.months).ok()?.try_days(self.days).ok()
    }

    fn exact_part(self) -> SignedDuration {
        SignedDuration::from_micros(self.microseconds)
    }

    /// Roughly how long this is, for comparing two spans and for growth figures (a month = 30.44 days).
    pub fn approximate_microseconds(self) -> Microseconds {
        const DAY: Microseconds = 86_400_000_000;
        let months = i64::from(self.months).saturating_mul(2_630_016_000_000);
        months.saturating_add(i64::from(self.days).saturating_mul(DAY)).saturating_add(self.microseconds)
    }
}

impl FromStr for RetentionSpan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let trimmed = text.trim();
        if let Some(number) = number_of_lone_m(trimmed) {
            return Err(format!(
                "`{text}` could be minutes or months; write `{number} min` or `{number} months`"
            ));
        }
        let span: Span = trimmed.parse().map_err(|_| {
            format!(
                "`{text}` is not a span of time; write for example `30 days`, `3 months`, `36 h` or `P1M`"
            )
        })?;
        Self::from_jiff(&span).map_err(|why| format!("`{text}`: {why}"))
    }
}

/// The number before a unit that is a bare `m`, which is months to some people and minutes to others.
/// The ISO form says by its `T` which of the two it means.
fn number_of_lone_m(text: &str) -> Option<&str> {
    if text.trim_start_matches(['+', '-']).starts_with(['P', 'p']) {
        return None;
    }
    let alphabetic = |at: Option<char>| at.is_some_and(char::is_alphabetic);
    text.match_indices(['m', 'M']).find_map(|(at, _)| {
        let (before, after) = (text[..at].trim_end(), &text[at + 1..]);
        let number =
            &before[before.trim_end_matches(|c: char| c.is_ascii_digit() || ".,".contains(c)).len()..];
        (!alphabetic(after.chars().next()) && !number.is_empty()).then_some(number)
    })
}

impl RetentionSpan {
    fn from_jiff(span: &Span) -> Result<Self, String> {
        let too_long = || "longer than any calendar".to_owned();
        let months =
            i32::from(span.get_years()).checked_mul(12).and_then(|m| m.checked_add(span.get_months()));
        let days = span.get_weeks().checked_mul(7).and_then(|d| d.checked_add(span.get_days()));
        let exact = Span::new()
            .try_hours(span.get_hours())
            .and_then(|s| s.try_minutes(span.get_minutes()))
            .and_then(|s| s.try_seconds(span.get_seconds()))
            .and_then(|s| s.try_milliseconds(span.get_milliseconds()))
            .and_then(|s| s.try_microseconds(span.get_microseconds()))
            .and_then(SignedDuration::try_from)
            .map_err(|_| too_long())?;
        if span.get_nanoseconds() != 0 {
            return Err("finer than a microsecond".into());
        }
        let microseconds = i64::try_from(exact.as_micros()).map_err(|_| too_long())?;
        Self::from_parts(months.ok_or_else(too_long)?, days.ok_or_else(too_long)?, microseconds)
    }
}

impl TryFrom<String> for RetentionSpan {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<RetentionSpan> for String {
    fn from(span: RetentionSpan) -> Self {
        span.to_string()
    }
}

impl fmt::Display for RetentionSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hours = self.microseconds / 3_600_000_000;
        let minutes = self.microseconds / 60_000_000 % 60;
        let seconds = self.microseconds / 1_000_000 % 60;
        let rest = self.microseconds % 1_000_000;
        let parts = [
            (i64::from(self.months / 12), "year"),
            (i64::from(self.months % 12), "month"),
            (i64::from(self.days), "day"),
            (hours, "hour"),
            (minutes, "minute"),
            (seconds, "second"),
            (rest, "microsecond"),
        ];
        let shown: Vec<String> = parts
            .iter()
            .filter(|(count, _)| *count != 0)
            .map(|(count, unit)| format!("{count} {unit}{}", if *count == 1 { "" } else { "s" }))
            .collect();
        f.write_str(&shown.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn instant(text: &str) -> Microseconds {
        text.parse::<Timestamp>().expect(text).as_microsecond()
    }

    #[test]
    fn spans_are_read_as_people_write_them() {
        let cases = [
            ("30 days", "30 days"),
            ("90d", "90 days"),
            ("3 months", "3 months"),
            ("P1M", "1 month"),
            ("1 year 2 months", "1 year 2 months"),
            ("2 weeks", "14 days"),
            ("36 h", "36 hours"),
            ("90 min", "1 hour 30 minutes"),
            ("P1DT12H", "1 day 12 hours"),
        ];
        for (text, shown) in cases {
            assert_eq!(text.parse::<RetentionSpan>().expect(text).to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_retention_is_refused_with_the_way_out() {
        for (text, said) in [
            ("", "is not a span"),
            ("soon", "is not a span"),
            ("30", "is not a span"),
            ("0 days", "zero would drop everything"),
            ("-3 days", "cannot be negative"),
            ("3 days ago", "cannot be negative"),
            ("30m", "minutes or months"),
            ("30 m", "minutes or months"),
            ("1 ns", "finer than a microsecond"),
        ] {
            let error = text.parse::<RetentionSpan>().expect_err(text);
            assert!(error.contains(said), "{text}: {error}");
        }
    }

    #[test]
    fn a_lone_m_is_refused_wherever_it_stands() {
        for text in [
            "30m",
            "30 m",
            "30M",
            "+30m",
            "-30m",
            "1y 6m",
            "1y6m",
            "2 years 3m",
            "1 week 2m",
            "1h 30m",
            "1h30m",
            "6m 1y",
            "6m1y",
            "6m, 1y",
            "1.5m",
            "1,5 m",
            "1y 6\tm",
            "1y 6m ago",
            "1 YEAR 6M",
        ] {
            let error = text.parse::<RetentionSpan>().expect_err(text);
            assert!(error.contains("minutes or months"), "{text}: {error}");
        }
        let error = "1y 6m".parse::<RetentionSpan>().expect_err("ambiguous");
        assert_eq!(error, "`1y 6m` could be minutes or months; write `6 min` or `6 months`");
    }

    #[test]
    fn a_spelled_or_iso_minute_or_month_is_accepted() {
        let cases = [
            ("90 min", "1 hour 30 minutes"),
            ("5mins", "5 minutes"),
            ("1 minute", "1 minute"),
            ("1y 6mo", "1 year 6 months"),
            ("1y 6mos", "1 year 6 months"),
            ("1 month", "1 month"),
            ("1s 500ms", "1 second 500000 microseconds"),
            ("P1M", "1 month"),
            ("P1Y6M", "1 year 6 months"),
            ("PT30M", "30 minutes"),
        ];
        for (text, shown) in cases {
            assert_eq!(text.parse::<RetentionSpan>().expect(text).to_string(), shown);
        }
    }

    #[test]
    fn months_are_calendar_months_and_days_keep_the_wall_clock() {
        let berlin = TimeZone::get("Europe/Berlin").expect("zone");
        let cases = [
            ("1 month", "2026-03-31T10:00:00Z", TimeZone::UTC, "2026-02-28T10:00:00Z"),
            ("1 day", "2026-03-29T12:00:00Z", berlin.clone(), "2026-03-28T13:00:00Z"),
            ("24 hours", "2026-03-29T12:00:00Z", berlin, "2026-03-28T12:00:00Z"),
            ("1 month 1 day", "2026-03-31T00:00:00Z", TimeZone::UTC, "2026-02-27T00:00:00Z"),
        ];
        for (span, now, zone, expected) in cases {
            let span: RetentionSpan = span.parse().expect("span");
            assert_eq!(
                span.before_instant(instant(now), &zone),
                Some(instant(expected)),
                "{span} before {now}"
            );
        }
    }

    #[test]
    fn a_span_beyond_the_calendar_has_no_cutoff() {
        let span: RetentionSpan = "19000 years".parse().expect("span");
        assert_eq!(span.before_instant(0, &TimeZone::UTC), None);
    }

    proptest! {
        #[test]
        fn a_shown_span_reads_back(months in 0..2400_i32, days in 0..40_000_i32, micros in 0..1_000_000_000_000_i64) {
            prop_assume!(months + days > 0 || micros > 0);
            let span = RetentionSpan { months, days, microseconds: micros };
            prop_assert_eq!(span.to_string().parse::<RetentionSpan>(), Ok(span));
        }

        #[test]
        fn a_longer_retention_never_drops_more(now in 0..4_000_000_000_000_000_i64, days in 1..20_000_i32, more in 0..20_000_i32) {
            let short = RetentionSpan::from_days(days).expect("days");
            let long = RetentionSpan::from_days(days + more).expect("days");
            prop_assert!(long.before_instant(now, &TimeZone::UTC) <= short.before_instant(now, &TimeZone::UTC));
        }
    }
}

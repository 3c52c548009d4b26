//! A retention policy and the cutoff it gives at one instant.
//!
//! `drop_after` lets go of what is older than a span, `keep_newest` of what is not among the newest n
//! chunks; both together keep what either keeps. Where a cutoff cannot be computed exactly there is
//! none, and the dataset keeps everything, with the reason (invariant 6).

use std::fmt;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::span::RetentionSpan;
use super::time_axis::{Position, TimeAxis, TimeKind, wall_clock, wall_clock_position};

/// How old data may get: a span of time, or a number in the unit of an integer time column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum DropAfter {
    Units(i64),
    Span(RetentionSpan),
}

impl DropAfter {
    /// Takes a number in the table's own unit; it has to be positive.
    pub fn units(number: i64) -> Result<Self, String> {
        if number > 0 { Ok(Self::Units(number)) } else { Err("a retention has to be more than zero".into()) }
    }
}

impl fmt::Display for DropAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Units(1) => f.write_str("1 unit"),
            Self::Units(number) => write!(f, "{number} units"),
            Self::Span(span) => write!(f, "{span}"),
        }
    }
}

/// Where a policy was found. Shown beside every policy, because people forget which one is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "from")]
pub enum PolicySource {
    /// A `[[policies]]` entry; `table` is what it says there.
    Configuration { table: String },
    /// `--table … --drop-after …`.
    CommandLine,
    /// A TimescaleDB retention policy job.
    NativeJob { job: i32 },
    /// `[default_policy]`.
    Default,
}

impl fmt::Display for PolicySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration { table } => write!(f, "configuration for {table}"),
            Self::CommandLine => f.write_str("command line"),
            Self::NativeJob { job: super::facts::SERVER_ITSELF } => f.write_str("the server's own policy"),
            Self::NativeJob { job } => write!(f, "TimescaleDB job {job}"),
            Self::Default => f.write_str("default"),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    pub drop_after: Option<DropAfter>,
    pub keep_newest: Option<u32>,
    pub integer_unit: Option<super::time_axis::IntegerUnit>,
    /// The configuration takes the table over from a native policy job.
    pub take_over_native: bool,
    pub source: PolicySource,
}

/// The rule as one phrase: `drop after 30 days, keep the newest 3`.
impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let age = self.drop_after.map(|after| format!("drop after {after}"));
        let count = self.keep_newest.map(|count| format!("keep the newest {count}"));
        let parts: Vec<String> = [age, count].into_iter().flatten().collect();
        f.write_str(&parts.join(", "))
    }
}

/// Why no cutoff can be computed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoCutoff {
    /// The integer time column has no integer-now function.
    NoIntegerNow,
    /// A span on an integer time column whose unit nobody has said.
    UnknownUnit,
    /// A number of units on a column that is not an integer.
    UnitsOnATimeColumn,
    UnsupportedTimeType(String),
    /// The arithmetic leaves the calendar.
    OutOfRange,
    /// The integer-now function fails, so nobody can tell data from rows of the future.
    IntegerNowFails,
}

/// A short phrase, as it stands beside every chunk; what to do about it is in [`NoCutoff::way_out`].
impl fmt::Display for NoCutoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoIntegerNow => f.write_str("its time is a number, and no function says what is now"),
            Self::UnknownUnit => f.write_str("its time is a number, and its unit is not known"),
            Self::UnitsOnATimeColumn => f.write_str("`drop_after` is a number, and its time is not"),
            Self::UnsupportedTimeType(name) => write!(f, "ranges of type {name} cannot be read exactly"),
            Self::OutOfRange => f.write_str("the cutoff lies outside the calendar"),
            Self::IntegerNowFails => {
                f.write_str("its time is a number, and the function that says what is now fails")
            }
        }
    }
}

impl NoCutoff {
    /// What a person has to change so that there is a cutoff.
    pub fn way_out(&self) -> &'static str {
        match self {
            Self::NoIntegerNow => "give the table an integer-now function with set_integer_now_func()",
            Self::UnknownUnit => {
                "set `integer_unit` in its policy, or write `drop_after` as a number in the table's own unit"
            }
            Self::UnitsOnATimeColumn => "write `drop_after` as a span such as \"30 days\"",
            Self::UnsupportedTimeType(_) => "drop its chunks by hand",
            Self::OutOfRange => "write a shorter `drop_after`",
            Self::IntegerNowFails => "mend the table's integer-now function",
        }
    }
}

/// The position before which `after` lets go.
///
/// `now` is the store's clock in microseconds since 1970 UTC, `integer_now` what the table's
/// integer-now function answered. Mirrors the server's own rule for `older_than => interval`, but
/// with an explicit zone instead of the session's, whose setting changes the server's answer.
pub fn cutoff(
    after: DropAfter,
    axis: &TimeAxis,
    now: i64,
    integer_now: Option<i64>,
    zone: &TimeZone,
) -> Result<Position, NoCutoff> {
    match (&axis.kind, after) {
        (TimeKind::Other(name), _) => Err(NoCutoff::UnsupportedTimeType(name.clone())),
        (kind, DropAfter::Units(count)) if kind.is_integer() => {
            let now = integer_now.ok_or(NoCutoff::NoIntegerNow)?;
            now.checked_sub(count).ok_or(NoCutoff::OutOfRange)
        }
        (kind, DropAfter::Span(span)) if kind.is_integer() => {
            integer_cutoff(span, axis, integer_now.ok_or(NoCutoff::NoIntegerNow)?, zone)
        }
        (_, DropAfter::Units(_)) => Err(NoCutoff::UnitsOnATimeColumn),
        (TimeKind::TimestampTz, DropAfter::Span(span)) => {
            span.before_instant(now, zone).ok_or(NoCutoff::OutOfRange)
        }
        (kind, DropAfter::Span(span)) => wall_clock_cutoff(span, kind, now, zone).ok_or(NoCutoff::OutOfRange),
    }
}

fn integer_cutoff(
    span: RetentionSpan,
    axis: &TimeAxis,
    integer_now: i64,
    zone: &TimeZone,
) -> Result<Position, NoCutoff> {
    let unit = axis.unit.ok_or(NoCutoff::UnknownUnit)?;
    let instant = unit.to_microseconds(integer_now).ok_or(NoCutoff::OutOfRange)?;
    let before = span.before_instant(instant, zone).ok_or(NoCutoff::OutOfRange)?;
    unit.from_microseconds(before).ok_or(NoCutoff::OutOfRange)
}

/// `timestamp` and `date` columns hold wall-clock readings, so the cutoff is one, too. A date's
/// cutoff starts from the day's midnight and is rounded down to a whole day, as the server does.
fn wall_clock_cutoff(span: RetentionSpan, kind: &TimeKind, now: i64, zone: &TimeZone) -> Option<Position> {
    let reading = wall_clock(now, zone)?;
    if *kind == TimeKind::Date {
        let midnight = reading.date().to_datetime(jiff::civil::Time::midnight());
        let before = span.before_wall_clock(midnight)?;
        return wall_clock_position(before.date().to_datetime(jiff::civil::Time::midnight()));
    }
    wall_clock_position(span.before_wall_clock(reading)?)
}

/// When a range that ends at `end` becomes old enough, as an instant in microseconds since 1970 UTC.
/// `None` where the axis has no calendar (integers without a unit).
pub fn due(after: DropAfter, axis: &TimeAxis, end: Position, zone: &TimeZone) -> Option<i64> {
    let span = match after {
        DropAfter::Span(span) => span,
        DropAfter::Units(count) if axis.kind.is_integer() => return axis.instant(end.checked_add(count)?),
        DropAfter::Units(_) => return None,
    };
    let instant = axis.instant(end)?;
    match axis.kind {
        TimeKind::Timestamp | TimeKind::Date => {
            let wall = wall_clock(instant, &TimeZone::UTC)?;
            let local = wall.to_zoned(zone.clone()).ok()?.timestamp().as_microsecond();
            span.after_instant(local, zone)
        }
        _ => span.after_instant(instant, zone),
    }
}

#[cfg(test)]
mod tests {
    use super::super::time_axis::IntegerUnit;
    use super::*;
    use jiff::Timestamp;

    const NOW: &str = "2026-11-22T03:30:00Z";

    fn now() -> i64 {
        NOW.parse::<Timestamp>().expect("now").as_microsecond()
    }

    fn span(text: &str) -> DropAfter {
        DropAfter::Span(text.parse().expect(text))
    }

    fn shown(kind: TimeKind, after: DropAfter, zone: &str) -> String {
        let axis = TimeAxis::new(kind, None);
        let zone = TimeZone::get(zone).expect("zone");
        axis.show(cutoff(after, &axis, now(), None, &zone).expect("cutoff"))
    }

    #[test]
    fn each_time_kind_has_its_cutoff() {
        let cases = [
            (TimeKind::TimestampTz, "30 days", "UTC", "2026-10-23 03:30"),
            (TimeKind::TimestampTz, "30 days", "Europe/Berlin", "2026-10-23 02:30"),
            (TimeKind::Timestamp, "30 days", "Europe/Berlin", "2026-10-23 04:30"),
            (TimeKind::Date, "30 days", "America/New_York", "2026-10-22"),
            (TimeKind::Date, "12 hours", "UTC", "2026-11-21"),
            (TimeKind::TimestampTz, "1 month", "UTC", "2026-10-22 03:30"),
        ];
        for (kind, after, zone, expected) in cases {
            assert_eq!(shown(kind.clone(), span(after), zone), expected, "{kind} {after} {zone}");
        }
    }

    #[test]
    fn integer_time_needs_a_now_and_a_unit() {
        let axis = |unit| TimeAxis::new(TimeKind::BigInt, unit);
        let zone = TimeZone::UTC;
        let seconds = Some(IntegerUnit::Seconds);
        let thirty = span("30 days");
        assert_eq!(cutoff(thirty, &axis(seconds), now(), None, &zone), Err(NoCutoff::NoIntegerNow));
        assert_eq!(cutoff(thirty, &axis(None), now(), Some(5), &zone), Err(NoCutoff::UnknownUnit));
        assert_eq!(cutoff(thirty, &axis(seconds), now(), Some(2_592_100), &zone), Ok(100));
        assert_eq!(cutoff(DropAfter::Units(10), &axis(None), now(), Some(-5), &zone), Ok(-15));
        assert_eq!(
            cutoff(DropAfter::Units(10), &axis(None), now(), Some(i64::MIN), &zone),
            Err(NoCutoff::OutOfRange)
        );
    }

    #[test]
    fn a_number_on_a_time_column_is_no_policy() {
        let axis = TimeAxis::new(TimeKind::Date, None);
        assert_eq!(
            cutoff(DropAfter::Units(10), &axis, now(), None, &TimeZone::UTC),
            Err(NoCutoff::UnitsOnATimeColumn)
        );
        assert_eq!(due(DropAfter::Units(10), &axis, now(), &TimeZone::UTC), None);
    }

    #[test]
    fn a_chunk_is_due_when_the_cutoff_reaches_its_end() {
        let axis = TimeAxis::new(TimeKind::TimestampTz, None);
        let end = now();
        let due_at = due(span("30 days"), &axis, end, &TimeZone::UTC).expect("due");
        assert_eq!(cutoff(span("30 days"), &axis, due_at, None, &TimeZone::UTC), Ok(end));
    }
}

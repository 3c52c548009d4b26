//! The axis that a dataset's chunks lie on, and exact half-open ranges on it.
//!
//! Every position is one `i64`: microseconds since 1970 UTC for the time kinds (`timestamp` and
//! `date` by their UTC reading, as TimescaleDB stores them), the raw number for the integer kinds.
//! Invariant: comparing positions is integer arithmetic, so a cutoff is never rounded.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// A point on a dataset's axis.
pub type Position = i64;

/// The type of a hypertable's time column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TimeKind {
    TimestampTz,
    Timestamp,
    Date,
    SmallInt,
    Integer,
    BigInt,
    /// A type whose ranges we cannot read exactly; its chunks are kept.
    Other(String),
}

impl TimeKind {
    /// Reads PostgreSQL's name of the type (`format_type`).
    pub fn from_type_name(name: &str) -> Self {
        match name {
            "timestamp with time zone" => Self::TimestampTz,
            "timestamp without time zone" => Self::Timestamp,
            "date" => Self::Date,
            "smallint" => Self::SmallInt,
            "integer" => Self::Integer,
            "bigint" => Self::BigInt,
            other => Self::Other(other.to_owned()),
        }
    }

    /// The type to cast a bound to, so that the server never guesses.
    pub fn sql_type(&self) -> Option<&'static str> {
        Some(match self {
            Self::TimestampTz => "timestamptz",
            Self::Timestamp => "timestamp",
            Self::Date => "date",
            Self::SmallInt => "smallint",
            Self::Integer => "integer",
            Self::BigInt => "bigint",
            Self::Other(_) => return None,
        })
    }

    pub fn is_integer(&self) -> bool {
        matches!(self, Self::SmallInt | Self::Integer | Self::BigInt)
    }
}

impl fmt::Display for TimeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other(name) => f.write_str(name),
            known => f.write_str(known.sql_type().unwrap_or("unknown")),
        }
    }
}

/// What one step of an integer time column means. Never guessed: a wrong unit drops everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IntegerUnit {
    Seconds,
    Milliseconds,
    Microseconds,
    Nanoseconds,
}

impl IntegerUnit {
    /// The instant, in microseconds since 1970 UTC, that a number of this unit stands for.
    pub fn to_microseconds(self, number: i64) -> Option<i64> {
        match self {
            Self::Seconds => number.checked_mul(1_000_000),
            Self::Milliseconds => number.checked_mul(1_000),
            Self::Microseconds => Some(number),
            Self::Nanoseconds => Some(number.div_euclid(1_000)),
        }
    }

    /// The number that stands for an instant, rounded towards the past (so that nothing more goes).
    pub fn from_microseconds(self, microseconds: i64) -> Option<i64> {
        match self {
            Self::Seconds => Some(microseconds.div_euclid(1_000_000)),
            Self::Milliseconds => Some(microseconds.div_euclid(1_000)),
            Self::Microseconds => Some(microseconds),
            Self::Nanoseconds => microseconds.checked_mul(1_000),
        }
    }
}

/// `start` is inside, `end` is not. `OPEN_START` and `OPEN_END` stand for "no bound".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TimeRange {
    pub start: Position,
    pub end: Position,
}

impl TimeRange {
    pub const OPEN_START: Position = i64::MIN;
    pub const OPEN_END: Position = i64::MAX;

    pub fn new(start: Position, end: Position) -> Self {
        Self { start, end }
    }

    pub fn is_well_formed(self) -> bool {
        self.start < self.end
    }

    pub fn has_end(self) -> bool {
        self.end != Self::OPEN_END
    }

    pub fn has_start(self) -> bool {
        self.start != Self::OPEN_START
    }

    /// True where the whole range lies before `cutoff`; an end on the cutoff counts, because it is exclusive.
    pub fn lies_before(self, cutoff: Position) -> bool {
        self.has_end() && self.end <= cutoff
    }

    pub fn contains(self, other: Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    pub fn overlaps(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }

    /// The length, where both ends are there.
    pub fn length(self) -> Option<i64> {
        (self.has_start() && self.has_end()).then(|| self.end.checked_sub(self.start)).flatten()
    }
}

/// Everything needed to compute on one dataset's axis and to show positions on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeAxis {
    pub kind: TimeKind,
    /// Only for the integer kinds, and only where the configuration says it.
    pub unit: Option<IntegerUnit>,
}

impl TimeAxis {
    pub fn new(kind: TimeKind, unit: Option<IntegerUnit>) -> Self {
        Self { kind, unit }
    }

    /// Where the store's `now` (microseconds since 1970 UTC) lies on this axis; `integer_now` is what the
    /// table's own integer-now function answered. Wall-clock kinds are read in `zone`.
    pub fn position_of_now(&self, now: i64, integer_now: Option<i64>, zone: &TimeZone) -> Option<Position> {
        match self.kind {
            TimeKind::TimestampTz => Some(now),
            TimeKind::Timestamp => wall_clock_position(wall_clock(now, zone)?),
            TimeKind::Date => {
                wall_clock_position(wall_clock(now, zone)?.date().to_datetime(jiff::civil::Time::midnight()))
            }
            TimeKind::SmallInt | TimeKind::Integer | TimeKind::BigInt => integer_now,
            TimeKind::Other(_) => None,
        }
    }

    /// The instant a position stands for, in microseconds since 1970 UTC; wall clocks are read as UTC.
    pub fn instant(&self, position: Position) -> Option<i64> {
        if position == TimeRange::OPEN_START || position == TimeRange::OPEN_END {
            return None;
        }
        if self.kind.is_integer() { self.unit?.to_microseconds(position) } else { Some(position) }
    }

    /// A position for people: a date, a date with the time where there is one, or the number.
    pub fn show(&self, position: Position) -> String {
        match position {
            TimeRange::OPEN_START => return "the beginning".into(),
            TimeRange::OPEN_END => return "for ever".into(),
            _ => {}
        }
        let instant = self.instant(position).and_then(|i| Timestamp::from_microsecond(i).ok());
        match instant {
            Some(instant) if self.kind.is_integer() => format!("{position} ({})", show_instant(instant)),
            Some(instant) => show_instant(instant),
            None => position.to_string(),
        }
    }

    /// A computed position for people, such as a cutoff: always to the second, rounded down.
    pub fn show_cutoff(&self, position: Position) -> String {
        let has_seconds = matches!(self.kind, TimeKind::TimestampTz | TimeKind::Timestamp);
        match self.instant(position).and_then(|instant| Timestamp::from_microsecond(instant).ok()) {
            Some(instant) if has_seconds => show_wall(instant, "%Y-%m-%d %H:%M:%S"),
            _ => self.show(position),
        }
    }

    pub fn show_range(&self, range: TimeRange) -> String {
        format!("{} .. {}", self.show(range.start), self.show(range.end))
    }
}

/// An instant in UTC without parts that say nothing: `2026-10-04`, `2026-10-04 06:00`.
pub fn show_instant(instant: Timestamp) -> String {
    let wall = instant.to_zoned(TimeZone::UTC).datetime();
    let format = if wall.subsec_nanosecond() != 0 {
        "%Y-%m-%d %H:%M:%S%.f"
    } else if wall.second() != 0 {
        "%Y-%m-%d %H:%M:%S"
    } else if wall.hour() != 0 || wall.minute() != 0 {
        "%Y-%m-%d %H:%M"
    } else {
        "%Y-%m-%d"
    };
    show_wall(instant, format)
}

/// An instant in UTC to the minute, rounded down.
pub fn show_minute(instant: Timestamp) -> String {
    show_wall(instant, "%Y-%m-%d %H:%M")
}

fn show_wall(instant: Timestamp, format: &str) -> String {
    instant.to_zoned(TimeZone::UTC).datetime().strftime(format).to_string()
}

/// The reading of a clock on the wall of `zone` at an instant in microseconds since 1970 UTC.
pub fn wall_clock(instant: i64, zone: &TimeZone) -> Option<DateTime> {
    Some(Timestamp::from_microsecond(instant).ok()?.to_zoned(zone.clone()).datetime())
}

/// The position of a wall-clock reading: its microseconds as if it were UTC.
pub fn wall_clock_position(wall: DateTime) -> Option<Position> {
    Some(wall.to_zoned(TimeZone::UTC).ok()?.timestamp().as_microsecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_on_the_cutoff_is_before_it_and_one_microsecond_less_is_not() {
        let range = TimeRange::new(0, 1_000);
        assert!(range.lies_before(1_000));
        assert!(!range.lies_before(999));
    }

    #[test]
    fn a_range_without_an_end_is_never_before_a_cutoff() {
        assert!(!TimeRange::new(0, TimeRange::OPEN_END).lies_before(i64::MAX));
        assert!(TimeRange::new(TimeRange::OPEN_START, 5).lies_before(5));
    }

    #[test]
    fn now_on_a_date_axis_is_midnight_of_the_zones_day() {
        let zone = TimeZone::get("Asia/Tokyo").expect("zone");
        let now = "2026-11-22T20:00:00Z".parse::<Timestamp>().expect("now").as_microsecond();
        let axis = TimeAxis::new(TimeKind::Date, None);
        let position = axis.position_of_now(now, None, &zone).expect("position");
        assert_eq!(axis.show(position), "2026-11-23");
    }

    #[test]
    fn positions_are_shown_for_people() {
        let time = TimeAxis::new(TimeKind::TimestampTz, None);
        assert_eq!(time.show(1_790_000_000_000_000), "2026-09-21 14:13:20");
        assert_eq!(time.show(TimeRange::OPEN_START), "the beginning");
        assert_eq!(TimeAxis::new(TimeKind::BigInt, None).show(-7), "-7");
        let seconds = TimeAxis::new(TimeKind::BigInt, Some(IntegerUnit::Seconds));
        assert_eq!(seconds.show(1_790_000_000), "1790000000 (2026-09-21 14:13:20)");
    }

    #[test]
    fn integer_units_round_towards_the_past() {
        assert_eq!(IntegerUnit::Seconds.from_microseconds(-1), Some(-1));
        assert_eq!(IntegerUnit::Milliseconds.from_microseconds(1_999), Some(1));
        assert_eq!(IntegerUnit::Nanoseconds.to_microseconds(-1), Some(-1));
    }
}

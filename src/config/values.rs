//! The text forms of single values: durations, shares, sizes, zones, retentions.
//!
//! Each function answers with one phrase for people where the text says nothing usable; the caller
//! adds the place. Invariant: what is out of range is refused here, never clamped.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, SpanRelativeTo};

use super::nearest;
use crate::retention::model::ByteCount;
use crate::retention::policy::DropAfter;
use crate::retention::rules::Share;

/// The least and the most a duration may be, both as people write them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub least: &'static str,
    pub most: &'static str,
}

pub(super) const LOCK_TIMEOUT: Bounds = Bounds { least: "1 ms", most: "10 s" };
pub(super) const PATIENCE: Bounds = Bounds { least: "1 s", most: "1 hour" };
pub(super) const CLOCK_SKEW: Bounds = Bounds { least: "1 s", most: "24 hours" };
pub(super) const DISK_TIME: Bounds = Bounds { least: "1 s", most: "1 hour" };
pub(super) const DROP_PAUSE: Bounds = Bounds { least: "0 s", most: "10 min" };
pub(super) const OWNERSHIP_TIME: Bounds = Bounds { least: "1 s", most: "36500 days" };
pub(super) const JOB_TIME: Bounds = Bounds { least: "0 s", most: "36500 days" };
pub(super) const JOB_PERIOD: Bounds = Bounds { least: "1 s", most: "36500 days" };
pub(super) const PLAN_LIFETIME: Bounds = Bounds { least: "1 s", most: "365 days" };

/// Reads `30 days` or a whole number, which counts in the unit of an integer time column.
/// The error is one phrase that repeats the text and names a way to write it.
pub fn parse_drop_after(text: &str) -> Result<DropAfter, String> {
    match text.trim().parse::<i64>() {
        Ok(number) => DropAfter::units(number),
        Err(_) => parse_span(text),
    }
}

/// Reads `30 days`; a number in quotes is neither a span nor a number.
pub(super) fn parse_span(text: &str) -> Result<DropAfter, String> {
    text.parse().map(DropAfter::Span)
}

pub(super) fn duration(text: &str, bounds: Bounds) -> Result<Duration, String> {
    let length = exact(text)?;
    let within = exact(bounds.least)? <= length && length <= exact(bounds.most)?;
    if !within {
        return Err(format!("`{text}` is outside of {} to {}", bounds.least, bounds.most));
    }
    Duration::try_from(length).map_err(|_| format!("`{text}` is negative"))
}

/// Like [`duration`], in microseconds.
pub(super) fn microseconds(text: &str, bounds: Bounds) -> Result<i64, String> {
    let length = duration(text, bounds)?;
    i64::try_from(length.as_micros()).map_err(|_| format!("`{text}` is too long"))
}

/// A day is 24 hours here; months and years have no exact length and are refused.
fn exact(text: &str) -> Result<SignedDuration, String> {
    let span = text.trim().parse::<Span>();
    let length = span.and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()));
    length
        .map_err(|_| format!("`{text}` is not a duration; write for example `25 ms`, `5 min` or `24 hours`"))
}

pub(super) fn share(text: &str) -> Result<Share, String> {
    let percent = text.trim().strip_suffix('%').map(str::trim_end).filter(|number| is_decimal(number));
    let number = percent.and_then(|number| number.parse::<f64>().ok());
    let number = number.ok_or_else(|| {
        format!("`{text}` is not a share; write for example `50 %` or `12.5 %` (two decimals at most)")
    })?;
    Share::from_percent(number).map_err(|why| format!("`{text}`: {why}"))
}

/// Digits with at most two decimals: no sign, no exponent, no `inf`.
fn is_decimal(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    match text.split_once('.') {
        Some((whole, decimals)) => digits(whole) && digits(decimals) && decimals.len() <= 2,
        None => digits(text),
    }
}

pub(super) fn bytes(text: &str) -> Result<ByteCount, String> {
    let size: Result<bytesize::ByteSize, _> = text.trim().parse();
    match size {
        Ok(size) if size.0 == u64::MAX => Err(format!("`{text}` is more than anybody has")),
        Ok(size) if size.0 > 0 => Ok(ByteCount(size.0)),
        Ok(_) => Err(format!(
            "`{text}` would not let anything go; leave the cap out or write for example `50 GiB`"
        )),
        Err(_) => Err(format!("`{text}` is not a size; write for example `50 GiB` or `500 MB`")),
    }
}

pub(super) fn zone(text: &str) -> Result<TimeZone, String> {
    match TimeZone::get(text) {
        Ok(zone) if !zone.is_unknown() => Ok(zone),
        _ => Err(unknown_zone(text)),
    }
}

fn unknown_zone(text: &str) -> String {
    let available: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
    let names: Vec<&str> = available.iter().map(String::as_str).collect();
    match nearest::nearest(text, &names) {
        Some(name) => format!("there is no time zone `{text}`; did you mean `{name}`?"),
        None => format!("there is no time zone `{text}`; write an IANA name such as `Europe/Amsterdam`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retention_is_a_span_or_a_number_of_units() {
        assert_eq!(parse_drop_after("30 days").expect("span").to_string(), "30 days");
        assert_eq!(parse_drop_after(" 86400 ").expect("units").to_string(), "86400 units");
        for (text, said) in [
            ("0", "a retention has to be more than zero"),
            ("-5", "a retention has to be more than zero"),
            ("-5 days", "`-5 days`: a retention cannot be negative"),
            ("0 days", "`0 days`: a retention of zero would drop everything"),
            ("30m", "`30m` could be minutes or months; write `30 min` or `30 months`"),
            (
                "soon",
                "`soon` is not a span of time; write for example `30 days`, `3 months`, `36 h` or `P1M`",
            ),
            // One more than an i64 holds.
            (
                "9223372036854775808",
                "`9223372036854775808` is not a span of time; write for example `30 days`, `3 months`, `36 h` or `P1M`",
            ),
        ] {
            assert_eq!(parse_drop_after(text), Err(said.into()), "{text}");
        }
    }

    #[test]
    fn durations_are_exact_and_bounded_with_both_ends_inside() {
        let milliseconds = |text| duration(text, LOCK_TIMEOUT).map(|length| length.as_millis());
        assert_eq!(milliseconds("25 ms"), Ok(25));
        assert_eq!(milliseconds("1ms"), Ok(1));
        assert_eq!(milliseconds("PT10S"), Ok(10_000));
        assert_eq!(microseconds("5 min", CLOCK_SKEW), Ok(300_000_000));
        assert_eq!(microseconds("7 days", PLAN_LIFETIME), Ok(7 * 86_400_000_000));
        assert_eq!(microseconds("2 weeks", PLAN_LIFETIME), Ok(14 * 86_400_000_000));
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        let no_duration = "is not a duration; write for example `25 ms`, `5 min` or `24 hours`";
        for (text, said) in [
            ("999 us", "`999 us` is outside of 1 ms to 10 s"),
            ("10001 ms", "`10001 ms` is outside of 1 ms to 10 s"),
            ("-25 ms", "`-25 ms` is outside of 1 ms to 10 s"),
            ("25", &format!("`25` {no_duration}")),
            ("1 month", &format!("`1 month` {no_duration}")),
            ("", &format!("`` {no_duration}")),
        ] {
            assert_eq!(duration(text, LOCK_TIMEOUT), Err(said.to_owned()), "{text}");
        }
    }

    #[test]
    fn shares_are_written_in_percent() {
        for (text, shown) in [("50 %", "50 %"), ("50%", "50 %"), ("12.5 %", "12.50 %"), ("100 %", "100 %")] {
            assert_eq!(share(text).expect(text).to_string(), shown);
        }
        let no_share = "is not a share; write for example `50 %` or `12.5 %` (two decimals at most)";
        for text in ["50", "0.5", "-1 %", "inf %", "1e1 %", "NaN%", "%", "", "0.001 %", "1. %"] {
            assert_eq!(share(text), Err(format!("`{text}` {no_share}")));
        }
        for text in ["0 %", "0.00 %", "100.01 %", "400 %"] {
            let said = format!("`{text}`: a share has to be more than 0 % and at most 100 %");
            assert_eq!(share(text), Err(said));
        }
    }

    #[test]
    fn sizes_are_positive() {
        assert_eq!(bytes("50 GiB"), Ok(ByteCount(50 << 30)));
        assert_eq!(bytes("500 MB"), Ok(ByteCount(500_000_000)));
        assert_eq!(bytes("1000"), Ok(ByteCount(1_000)));
        for (text, said) in [
            ("-50 GiB", "`-50 GiB` is not a size; write for example `50 GiB` or `500 MB`"),
            ("lots", "`lots` is not a size; write for example `50 GiB` or `500 MB`"),
            ("", "`` is not a size; write for example `50 GiB` or `500 MB`"),
            ("0 GiB", "`0 GiB` would not let anything go; leave the cap out or write for example `50 GiB`"),
            ("99999999 EiB", "`99999999 EiB` is more than anybody has"),
        ] {
            assert_eq!(bytes(text), Err(said.into()), "{text}");
        }
    }

    #[test]
    fn zones_are_iana_names() {
        assert_eq!(zone("Europe/Amsterdam").expect("zone").iana_name(), Some("Europe/Amsterdam"));
        assert!(zone("UTC").is_ok());
        for (text, said) in [
            ("Europe/Amsterdm", "there is no time zone `Europe/Amsterdm`; did you mean `Europe/Amsterdam`?"),
            ("here", "there is no time zone `here`; write an IANA name such as `Europe/Amsterdam`"),
            (
                "Etc/Unknown",
                "there is no time zone `Etc/Unknown`; write an IANA name such as `Europe/Amsterdam`",
            ),
        ] {
            assert_eq!(zone(text), Err(said.into()));
        }
    }
}

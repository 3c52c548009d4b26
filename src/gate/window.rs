//! When a run may work: days, times of the day, days off. Pure.
//!
//! A window belongs to the day on which it begins, also where it goes over midnight, so that one night has
//! one ticket. Invariant: every instant has exactly one day, whether the window is open or not.

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::config::WindowSettings;

/// The day that an instant belongs to, and why nothing may be done then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub day: Date,
    /// One sentence.
    pub closed: Option<String>,
}

pub fn place(window: &WindowSettings, now: Timestamp) -> Place {
    let today = now.to_zoned(window.zone.clone()).date();
    let yesterday = today.yesterday().ok().filter(|_| goes_over_midnight(window));
    let inside = |day: &Date| {
        let (start, end) = bounds(window, *day);
        start <= now && now < end
    };
    let day = yesterday.filter(inside).unwrap_or(today);
    Place { day, closed: closed_on(window, day).or_else(|| (!inside(&day)).then(|| outside(window, now))) }
}

/// From when until when the window of a day is open, whatever the day.
pub fn bounds(window: &WindowSettings, day: Date) -> (Timestamp, Timestamp) {
    let start = match window.from {
        Some(from) => earliest(&window.zone, day, from),
        None => midnight(&window.zone, day),
    };
    let next = day.tomorrow().unwrap_or(day);
    let last_day = if goes_over_midnight(window) { next } else { day };
    let end = match window.to.filter(|to| *to != Time::midnight()) {
        Some(to) => latest(&window.zone, last_day, to),
        None => midnight(&window.zone, next),
    };
    // The clocks were put forward over the whole window: it keeps its length.
    if end <= start { (start, start + length(window)) } else { (start, end) }
}

/// All the instants that belong to a day, whether its window is open then or not.
pub fn span(window: &WindowSettings, day: Date) -> (Timestamp, Timestamp) {
    let next = day.tomorrow().unwrap_or(day);
    let begin = |day: Date| {
        let begins = midnight(&window.zone, day);
        let night = day.yesterday().ok().filter(|_| goes_over_midnight(window));
        night.map_or(begins, |yesterday| begins.max(bounds(window, yesterday).1))
    };
    (begin(day), begin(next))
}

/// `Sunday, 2026-11-22`.
pub fn shown(day: Date) -> String {
    format!("{}, {day}", name(day.weekday()))
}

fn goes_over_midnight(window: &WindowSettings) -> bool {
    let (from, to) = (window.from.unwrap_or_default(), window.to.unwrap_or_default());
    to < from && to != Time::midnight()
}

fn closed_on(window: &WindowSettings, day: Date) -> Option<String> {
    let zone = zone_name(window);
    if window.not_on.contains(&day) {
        return Some(format!("{} in {zone} is a day off (`not_on`)", shown(day)));
    }
    let days = window.days.as_ref().filter(|days| !days.contains(&day.weekday()))?;
    let names: Vec<&str> = days.iter().map(|day| name(*day)).collect();
    Some(format!("it is {} in {zone}, and the gate opens on {}", shown(day), names.join(", ")))
}

fn outside(window: &WindowSettings, now: Timestamp) -> String {
    let clock = |time: Option<Time>| time.unwrap_or_default().strftime("%H:%M").to_string();
    let now = now.to_zoned(window.zone.clone()).strftime("%H:%M").to_string();
    format!(
        "it is {now} in {}, and the window is open from {} to {}",
        zone_name(window),
        clock(window.from),
        clock(window.to)
    )
}

fn zone_name(window: &WindowSettings) -> &str {
    window.zone.iana_name().unwrap_or("UTC")
}

fn midnight(zone: &TimeZone, day: Date) -> Timestamp {
    // Where midnight does not exist (some zones change then) the day begins with its first instant.
    earliest(zone, day, Time::midnight())
}

fn earliest(zone: &TimeZone, day: Date, time: Time) -> Timestamp {
    zone.to_ambiguous_zoned(day.to_datetime(time))
        .compatible()
        .map_or(Timestamp::MAX, |zoned| zoned.timestamp())
}

/// Where the clocks are put back, the second of the two.
fn latest(zone: &TimeZone, day: Date, time: Time) -> Timestamp {
    let at: Result<Zoned, _> = zone.to_ambiguous_zoned(day.to_datetime(time)).later();
    at.map_or(Timestamp::MIN, |zoned| zoned.timestamp())
}

fn length(window: &WindowSettings) -> jiff::SignedDuration {
    let seconds = |time: Option<Time>| {
        let time = time.unwrap_or_default();
        i64::from(time.hour()) * 3600 + i64::from(time.minute()) * 60
    };
    let until = seconds(window.to) - seconds(window.from);
    jiff::SignedDuration::from_secs(if until > 0 { until } else { until + 86_400 })
}

fn name(day: Weekday) -> &'static str {
    match day {
        Weekday::Monday => "Monday",
        Weekday::Tuesday => "Tuesday",
        Weekday::Wednesday => "Wednesday",
        Weekday::Thursday => "Thursday",
        Weekday::Friday => "Friday",
        Weekday::Saturday => "Saturday",
        Weekday::Sunday => "Sunday",
    }
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;
    use jiff::civil::{date, time};

    use super::*;

    fn window(from: Option<i8>, to: Option<i8>, zone: &str) -> WindowSettings {
        let hour = |hour: i8| time(hour, 0, 0, 0);
        WindowSettings {
            days: Some(vec![Weekday::Sunday]),
            from: from.map(hour),
            to: to.map(hour),
            zone: TimeZone::get(zone).expect("zone"),
            not_on: vec![date(2026, 12, 20)],
        }
    }

    /// Each case: an instant, the day it belongs to, and how the reason begins; nothing where it is open.
    #[track_caller]
    fn check(window: &WindowSettings, cases: &[(&str, &str, &str)]) {
        for (now, day, closed) in cases {
            let found = place(window, now.parse().expect(now));
            assert_eq!(found.day.to_string(), *day, "{now}");
            let reason = found.closed.unwrap_or_default();
            assert!(reason.starts_with(closed) && reason.is_empty() == closed.is_empty(), "{now}: {reason}");
        }
    }

    #[test]
    fn a_day_is_a_day_in_the_configured_zone() {
        let sunday = "2026-11-22";
        check(
            &window(None, None, "UTC"),
            &[
                (
                    "2026-11-21T23:59:59Z",
                    "2026-11-21",
                    "it is Saturday, 2026-11-21 in UTC, and the gate opens on Sunday",
                ),
                ("2026-11-22T00:00:00Z", sunday, ""),
                ("2026-11-22T23:59:59Z", sunday, ""),
                ("2026-11-23T00:00:00Z", "2026-11-23", "it is Monday, 2026-11-23 in UTC"),
                ("2026-12-20T12:00:00Z", "2026-12-20", "Sunday, 2026-12-20 in UTC is a day off (`not_on`)"),
            ],
        );
        check(
            &window(None, None, "Asia/Tokyo"),
            &[
                ("2026-11-21T15:00:00Z", sunday, ""),
                ("2026-11-22T15:00:00Z", "2026-11-23", "it is Monday, 2026-11-23 in Asia/Tokyo"),
            ],
        );
        let every_day = WindowSettings { days: None, ..window(None, None, "UTC") };
        check(&every_day, &[("2026-11-23T00:00:00Z", "2026-11-23", "")]);
    }

    #[test]
    fn a_window_begins_with_its_first_minute_and_ends_before_its_last() {
        let outside = "it is 01:59 in UTC, and the window is open from 02:00 to 06:00";
        check(
            &window(Some(2), Some(6), "UTC"),
            &[
                ("2026-11-22T01:59:59Z", "2026-11-22", outside),
                ("2026-11-22T02:00:00Z", "2026-11-22", ""),
                ("2026-11-22T05:59:59Z", "2026-11-22", ""),
                ("2026-11-22T06:00:00Z", "2026-11-22", "it is 06:00 in UTC"),
            ],
        );
        check(
            &window(Some(22), None, "UTC"),
            &[
                ("2026-11-22T21:59:59Z", "2026-11-22", "it is 21:59"),
                ("2026-11-22T23:59:59Z", "2026-11-22", ""),
            ],
        );
        check(
            &window(None, Some(6), "UTC"),
            &[
                ("2026-11-22T00:00:00Z", "2026-11-22", ""),
                ("2026-11-22T06:00:00Z", "2026-11-22", "it is 06:00"),
            ],
        );
        check(&window(Some(22), Some(0), "UTC"), &[("2026-11-22T23:00:00Z", "2026-11-22", "")]);
    }

    #[test]
    fn a_window_over_midnight_belongs_to_the_day_on_which_it_begins() {
        check(
            &window(Some(22), Some(4), "UTC"),
            &[
                ("2026-11-22T01:00:00Z", "2026-11-21", "it is Saturday, 2026-11-21"),
                (
                    "2026-11-22T12:00:00Z",
                    "2026-11-22",
                    "it is 12:00 in UTC, and the window is open from 22:00 to 04:00",
                ),
                ("2026-11-22T22:00:00Z", "2026-11-22", ""),
                ("2026-11-23T03:59:59Z", "2026-11-22", ""),
                ("2026-11-23T04:00:00Z", "2026-11-23", "it is Monday"),
                // The night before a day off is not that day.
                ("2026-12-21T01:00:00Z", "2026-12-20", "Sunday, 2026-12-20 in UTC is a day off"),
            ],
        );
    }

    #[test]
    fn clocks_that_are_changed_neither_close_a_window_nor_cut_it() {
        // Forward on 29 March at 02:00, back on 25 October at 03:00.
        check(
            &window(Some(2), Some(3), "Europe/Amsterdam"),
            &[
                ("2026-03-29T00:59:59Z", "2026-03-29", "it is 01:59"),
                ("2026-03-29T01:00:00Z", "2026-03-29", ""),
                ("2026-03-29T01:59:59Z", "2026-03-29", ""),
                ("2026-03-29T02:00:00Z", "2026-03-29", "it is 04:00"),
                ("2026-10-25T00:00:00Z", "2026-10-25", ""),
                ("2026-10-25T01:59:59Z", "2026-10-25", ""),
                ("2026-10-25T02:00:00Z", "2026-10-25", "it is 03:00"),
            ],
        );
        check(
            &window(Some(22), Some(6), "Europe/Amsterdam"),
            &[
                ("2026-03-30T03:59:59Z", "2026-03-29", ""),
                ("2026-03-30T04:00:00Z", "2026-03-30", "it is Monday"),
            ],
        );
        let (start, end) = bounds(&window(None, None, "Europe/Amsterdam"), date(2026, 10, 25));
        assert_eq!(end.duration_since(start).as_hours(), 25);
    }

    #[test]
    fn a_days_span_holds_exactly_the_instants_that_belong_to_it() {
        for (from, to) in [(None, None), (Some(2), Some(6)), (Some(23), Some(1)), (Some(22), Some(0))] {
            let window = window(from, to, "America/Sao_Paulo");
            let mut now: Timestamp = "2018-01-30T00:00:00Z".parse().expect("an instant");
            for _ in 0..(365 * 24 * 2) {
                let day = place(&window, now).day;
                let (begin, end) = span(&window, day);
                assert!(begin <= now && now < end, "{now} is not in {day}: {begin} to {end}");
                now += 30.minutes();
            }
        }
    }

    #[test]
    fn every_minute_of_a_year_has_a_day_next_to_its_date() {
        let window = window(Some(23), Some(1), "America/Sao_Paulo");
        let mut now: Timestamp = "2018-01-01T00:00:00Z".parse().expect("an instant");
        for _ in 0..(365 * 24 * 2) {
            let date = now.to_zoned(window.zone.clone()).date();
            let found = place(&window, now);
            assert!(found.day == date || found.day == date.yesterday().expect("a day"), "{now}");
            now += 30.minutes();
        }
    }
}

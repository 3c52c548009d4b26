//! Axes: positions on the picture, and round numbers to write beside them.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::retention::model::ByteCount;

pub const DAY: i64 = 86_400_000_000;
const HOUR: i64 = DAY / 24;

/// From values to points.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    pub from: f64,
    pub to: f64,
    pub start: f64,
    pub end: f64,
}

impl Scale {
    pub fn place(&self, value: f64) -> f64 {
        let span = self.to - self.from;
        if span <= 0.0 {
            return self.start;
        }
        self.start + (value - self.from) / span * (self.end - self.start)
    }

    pub fn at(&self, instant: i64) -> f64 {
        self.place(instant as f64)
    }
}

/// Instants at round distances, with what to write there; at most six.
pub fn time_ticks(from: i64, to: i64) -> Vec<(i64, String)> {
    let steps = [1, 3, 6, 12]
        .map(|hours| hours * HOUR)
        .into_iter()
        .chain([1, 2, 7, 14, 30, 61, 91, 182, 365, 730, 1_826, 3_652, 18_262].map(|days| days * DAY));
    let span = to.saturating_sub(from);
    let Some(step) = steps.into_iter().find(|step| span / step < 6) else { return Vec::new() };
    let first = from.div_euclid(step).saturating_add(1).saturating_mul(step);
    let form = if step < DAY { "%m-%d %H:%M" } else { "%Y-%m-%d" };
    let ticks = std::iter::successors(Some(first), |at| at.checked_add(step));
    ticks.take_while(|at| *at <= to).map(|at| (at, shown(at, form))).collect()
}

/// Letters of an axis are about so wide.
const LETTER: f64 = 6.6;

/// Where each label stands (its middle), inside `room` and clear of the one before it; the others are left out.
pub fn time_labels<'a>(scale: &Scale, moments: &'a [(i64, String)], room: (f64, f64)) -> Vec<(f64, &'a str)> {
    let mut placed: Vec<(f64, &str)> = Vec::new();
    let mut taken = f64::MIN;
    for (at, label) in moments {
        let half = label.chars().count() as f64 * LETTER / 2.0;
        let x = scale.at(*at).clamp(room.0 + half, (room.1 - half).max(room.0 + half));
        if x - half >= taken {
            taken = x + half + LETTER;
            placed.push((x, label));
        }
    }
    placed
}

fn shown(instant: i64, form: &str) -> String {
    Timestamp::from_microsecond(instant)
        .map(|at| at.to_zoned(TimeZone::UTC).strftime(form).to_string())
        .unwrap_or_default()
}

/// Round amounts from zero to just above `most`, about five of them.
pub fn byte_ticks(most: u64) -> Vec<(f64, String)> {
    let unit = 1024_f64.powf((most.max(1) as f64).log(1024.0).floor());
    let wanted = most as f64 / unit / 4.0;
    let power = 10_f64.powf(wanted.max(0.01).log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0].map(|round| round * power).into_iter().find(|step| *step >= wanted);
    let step = step.unwrap_or(power) * unit;
    (0..=10_u8)
        .map(|number| f64::from(number) * step)
        .take_while(|value| *value < most as f64 + step)
        .map(|value| (value, amount(value)))
        .collect()
}

/// `10 GiB` rather than `10.0 GiB`.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn amount(bytes: f64) -> String {
    let text = ByteCount(bytes.max(0.0) as u64).to_string();
    if bytes <= 0.0 { "0".into() } else { text.replace(".0 ", " ") }
}

/// Microseconds that are a moment between 1990 and 2200: what an axis of times has, and one of numbers hardly.
pub fn is_moment(position: i64) -> bool {
    (7_305 * DAY..84_006 * DAY).contains(&position)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few() {
        for days in [1, 2, 5, 30, 90, 400, 4_000] {
            let from = 20_000 * DAY + 12_345;
            let ticks = time_ticks(from, from + days * DAY);
            assert!((2..=7).contains(&ticks.len()), "{days} days: {ticks:?}");
        }
        assert_eq!(time_ticks(20_000 * DAY, 20_014 * DAY)[0].1, "2024-10-10");
    }

    #[test]
    fn labels_keep_clear_of_each_other_and_of_the_edges() {
        for days in 1..400 {
            for shift in [0, DAY / 3, DAY - 1] {
                let from = 20_000 * DAY + shift;
                let to = from + days * DAY;
                let scale = Scale { from: from as f64, to: to as f64, start: 12.0, end: 588.0 };
                let moments = time_ticks(from, to);
                let placed = time_labels(&scale, &moments, (12.0, 588.0));
                let half = |label: &str| label.len() as f64 * LETTER / 2.0;
                for (x, label) in &placed {
                    assert!(x - half(label) >= 11.9 && x + half(label) <= 588.1, "{days} days: {placed:?}");
                }
                for pair in placed.windows(2) {
                    let (left, right) = (&pair[0], &pair[1]);
                    assert!(left.0 + half(left.1) < right.0 - half(right.1), "{days} days: {placed:?}");
                }
                assert!(placed.len() >= 2 || moments.len() < 2, "{days} days: {placed:?}");
            }
        }
    }

    #[test]
    fn amounts_are_round_and_cover_the_most() {
        for most in [1, 900, 5_000, 77 << 30, 3 << 40, 999 << 20] {
            let ticks = byte_ticks(most);
            assert!((3..=8).contains(&ticks.len()), "{most}: {ticks:?}");
            assert!(ticks.last().is_some_and(|(value, _)| *value >= most as f64), "{most}: {ticks:?}");
        }
        let labels: Vec<String> = byte_ticks(77 << 30).into_iter().map(|(_, label)| label).collect();
        assert_eq!(labels, ["0", "20 GiB", "40 GiB", "60 GiB", "80 GiB"]);
    }

    #[test]
    fn a_scale_of_no_width_has_one_place() {
        let scale = Scale { from: 5.0, to: 5.0, start: 10.0, end: 20.0 };
        assert!((scale.place(7.0) - 10.0).abs() < f64::EPSILON);
    }
}

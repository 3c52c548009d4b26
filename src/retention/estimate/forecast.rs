//! When a file system is full, from own samples: with the policy and without it.
//!
//! With it: the trend of the samples taken right after runs, so that the saw-tooth between two runs does
//! not count. Without it: what is used plus all that runs have freed until then, so that the drops do not
//! count; the days are from today's use on. Invariant: no date without a trend, and the reason instead.

use super::super::measured::{DaysUntil, DiskForecast};
use super::DAY;
use super::trend::{ENOUGH, Point, Trend, trend};

/// What of a file system was in use at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Microseconds since 1970 UTC.
    pub at: i64,
    pub size: u64,
    pub used: u64,
    /// What runs have freed on it until then, all together.
    pub freed: u64,
    /// Taken right after a run.
    pub after_run: bool,
}

/// Fewer samples, or a shorter time, say nothing.
const LEAST_SAMPLES: usize = 5;
const LEAST_DAYS: f64 = 7.0;
/// What is older says little about tomorrow.
const OLDEST_DAYS: f64 = 180.0;
/// Samples closer together count as one, the later.
const APART_DAYS: f64 = 1.0 / 24.0;
/// Below this half of the spread is not growth.
const LEAST_FIT: f64 = 0.5;
/// A date in a century is none.
const LAST_DAY: f64 = 36_500.0;

/// `samples` of one file system, in any order; the newest is today.
pub fn forecast(path: &str, samples: &[Sample]) -> DiskForecast {
    let after_runs: Vec<Sample> = samples.iter().copied().filter(|sample| sample.after_run).collect();
    let (samples, after_runs) = (useful(samples), useful(&after_runs));
    let gross = judge(&points(&samples, |sample| sample.used.saturating_add(sample.freed)));
    let net = judge(&points(&after_runs, |sample| sample.used));
    DiskForecast {
        path: path.to_owned(),
        samples: samples.len(),
        span_days: span(&points(&samples, |sample| sample.used)),
        slope_with_policy: net.slope(),
        slope_without_policy: gross.slope(),
        with_policy: days_until(samples.last(), &net),
        without_policy: days_until(samples.last(), &gross),
        why_none: why_none(&net, &gross),
    }
}

/// Sorted, not too old, not too close together, not too many; of a crowd the last counts.
fn useful(samples: &[Sample]) -> Vec<Sample> {
    let mut samples = samples.to_vec();
    samples.sort_by_key(|sample| sample.at);
    let Some(newest) = samples.last().map(|sample| sample.at) else { return samples };
    samples.retain(|sample| days_between(sample.at, newest) <= OLDEST_DAYS);
    let oldest = samples.first().map_or(newest, |sample| sample.at);
    let apart = (days_between(oldest, newest) / ENOUGH as f64).max(APART_DAYS);
    let mut kept: Vec<Sample> = Vec::new();
    for sample in samples.into_iter().rev() {
        let far = |later: &Sample| days_between(sample.at, later.at) >= apart;
        if kept.last().is_none_or(far) {
            kept.push(sample);
        }
    }
    kept.reverse();
    kept
}

fn days_between(earlier: i64, later: i64) -> f64 {
    later.saturating_sub(earlier) as f64 / DAY
}

/// Counted from the first one, so that large numbers lose nothing.
fn points(samples: &[Sample], bytes: fn(&Sample) -> u64) -> Vec<Point> {
    let Some(first) = samples.first() else { return Vec::new() };
    let point = |sample: &Sample| Point {
        x: days_between(first.at, sample.at),
        y: bytes(sample) as f64 - bytes(first) as f64,
    };
    samples.iter().map(point).collect()
}

fn span(points: &[Point]) -> f64 {
    match (points.first(), points.last()) {
        (Some(first), Some(last)) => last.x - first.x,
        _ => 0.0,
    }
}

enum Judged {
    Grows(f64),
    DoesNot(f64),
    Unknown(String),
}

impl Judged {
    fn slope(&self) -> Option<f64> {
        match self {
            Self::Grows(slope) | Self::DoesNot(slope) => Some(*slope),
            Self::Unknown(_) => None,
        }
    }

    fn why_no_date(&self) -> Option<String> {
        match self {
            Self::Grows(_) => None,
            Self::DoesNot(_) => Some("it does not grow".into()),
            Self::Unknown(why) => Some(why.clone()),
        }
    }
}

fn judge(points: &[Point]) -> Judged {
    if points.len() < LEAST_SAMPLES {
        let samples = if points.len() == 1 { "sample" } else { "samples" };
        return Judged::Unknown(format!("{} {samples} so far, {LEAST_SAMPLES} are needed", points.len()));
    }
    let span = span(points);
    if span < LEAST_DAYS {
        return Judged::Unknown(format!("the samples span {span:.1} days, {LEAST_DAYS:.0} are needed"));
    }
    match trend(points) {
        Some(Trend { slope, .. }) if slope <= 0.0 => Judged::DoesNot(slope),
        Some(Trend { slope, fit }) if fit >= LEAST_FIT => Judged::Grows(slope),
        _ => Judged::Unknown("the samples scatter too much for a trend".into()),
    }
}

fn days_until(today: Option<&Sample>, judged: &Judged) -> Vec<DaysUntil> {
    [80, 90, 100]
        .map(|percent| DaysUntil { percent, days: today.and_then(|now| days(now, percent, judged)) })
        .into()
}

/// What is reached already is no forecast: it needs no trend.
fn days(today: &Sample, percent: u8, judged: &Judged) -> Option<f64> {
    let missing = today.size as f64 * f64::from(percent) / 100.0 - today.used as f64;
    if missing <= 0.0 {
        return Some(0.0);
    }
    let Judged::Grows(slope) = judged else { return None };
    Some(missing / slope).filter(|days| *days <= LAST_DAY)
}

fn why_none(with: &Judged, without: &Judged) -> Option<String> {
    match (with.why_no_date(), without.why_no_date()) {
        (None, None) => None,
        (Some(with), Some(without)) if with == without => Some(with),
        (with, without) => {
            let with = with.map(|why| format!("with the policy: {why}"));
            let without = without.map(|why| format!("without it: {why}"));
            Some([with, without].into_iter().flatten().collect::<Vec<_>>().join("; "))
        }
    }
}

//! How one table grows, from its own chunks.
//!
//! The daily volume is the trend of the bytes that complete, uncompressed chunks add up to over the time
//! they cover: the newest chunk is still being filled, and a compressed one is a tenth of what came in. With
//! one such chunk it is its size divided by its interval. Gaps between chunks do not count, since they may
//! be our own, where a chunk is held and its neighbours were dropped. Size divided by the number of chunks, which is
//! often taken for the daily volume, is the mean chunk and is called so: it is wrong by the length of the
//! interval, by compression and by the chunk in progress.

use jiff::tz::TimeZone;

use super::super::facts::DatasetFacts;
use super::super::model::{ByteCount, Chunk};
use super::super::plan::DatasetPlan;
use super::super::policy::{DropAfter, Policy};
use super::super::time_axis::{Position, TimeAxis, TimeKind};
use super::trend::{ENOUGH, Point, trend};
use super::{DAY, MONTH, whole_bytes};

#[derive(Debug, Clone, Default, PartialEq)]
pub struct TableEstimate {
    pub mean_chunk: Option<ByteCount>,
    pub largest_chunk: Option<ByteCount>,
    /// Bytes and rows a day.
    pub daily_bytes: Option<f64>,
    pub daily_rows: Option<f64>,
    /// Microseconds since 1970 UTC.
    pub next_due: Option<i64>,
    /// There is no such date, because of a hold.
    pub held: bool,
    pub steady_state: Option<ByteCount>,
    pub one_more_month: Option<ByteCount>,
    pub why_unknown: Option<String>,
}

/// `now` in microseconds since 1970 UTC; wall clocks are read in `zone`.
pub fn estimate(plan: &DatasetPlan, facts: &DatasetFacts, now: i64, zone: &TimeZone) -> TableEstimate {
    let sizes: Vec<ByteCount> = plan.chunks.iter().filter_map(|chunk| chunk.chunk.bytes()).collect();
    let mut estimate = TableEstimate {
        mean_chunk: mean(&sizes),
        largest_chunk: sizes.iter().copied().max(),
        next_due: plan.next_going(),
        held: plan.is_held(),
        ..TableEstimate::default()
    };
    let volume = complete_chunks(plan, facts, now, zone).and_then(|complete| {
        let bytes = daily_bytes(&complete, &plan.axis)?;
        estimate.daily_rows = daily_rows(&complete, bytes);
        Ok((bytes, &plan.axis, interval_days(facts, &complete, &plan.axis)))
    });
    match volume {
        Err(why) => estimate.why_unknown = Some(why),
        Ok((bytes, axis, interval)) => {
            estimate.daily_bytes = Some(bytes);
            estimate.one_more_month = whole_bytes(bytes * MONTH);
            match kept_days(plan.policy.as_ref(), axis, interval) {
                Ok(days) => estimate.steady_state = whole_bytes(bytes * (days + interval.unwrap_or(0.0))),
                Err(why) => estimate.why_unknown = Some(why.into()),
            }
        }
    }
    estimate
}

fn mean(sizes: &[ByteCount]) -> Option<ByteCount> {
    let all: ByteCount = sizes.iter().copied().sum();
    all.0.checked_div(sizes.len() as u64).map(ByteCount)
}

/// The newest chunks that are complete and uncompressed, oldest first, or why there are none.
fn complete_chunks<'a>(
    plan: &'a DatasetPlan,
    facts: &DatasetFacts,
    now: i64,
    zone: &TimeZone,
) -> Result<Vec<&'a Chunk>, String> {
    if let TimeKind::Other(name) = &plan.axis.kind {
        return Err(format!("ranges of type {name} cannot be read exactly"));
    }
    if plan.axis.kind.is_integer() && plan.axis.unit.is_none() {
        return Err("its time is a number, and its unit is not known".into());
    }
    let now = position_of_now(&plan.axis, facts, now, zone)
        .ok_or("its time is a number, and nobody says what is now")?;
    let measurable = |chunk: &&Chunk| chunk.range.length().is_some_and(|length| length > 0);
    let all: Vec<&Chunk> = plan.chunks.iter().map(|chunk| &chunk.chunk).filter(measurable).collect();
    let complete: Vec<&Chunk> = all.into_iter().filter(|chunk| chunk.range.end <= now).collect();
    if complete.is_empty() {
        return Err("no chunk is complete yet".into());
    }
    let as_it_came =
        |chunk: &Chunk| chunk.parts.iter().all(|part| !part.state.compressed && !part.state.tiered);
    let as_it_came: Vec<&Chunk> = complete.into_iter().filter(|chunk| as_it_came(chunk)).collect();
    if as_it_came.is_empty() {
        return Err("every complete chunk is compressed, so that its size does not tell what came in".into());
    }
    let known: Vec<&Chunk> = as_it_came.into_iter().filter(|chunk| chunk.bytes().is_some()).collect();
    if known.is_empty() { Err("no complete chunk's size is known".into()) } else { Ok(newest(known)) }
}

fn newest(mut chunks: Vec<&Chunk>) -> Vec<&Chunk> {
    chunks.sort_by_key(|chunk| (chunk.range.end, chunk.range.start));
    let spare = chunks.len().saturating_sub(ENOUGH);
    chunks.split_off(spare)
}

/// A table's own function goes before the calendar.
fn position_of_now(axis: &TimeAxis, facts: &DatasetFacts, now: i64, zone: &TimeZone) -> Option<Position> {
    axis.position_of_now(now, facts.integer_now, zone).or_else(|| axis.unit?.from_microseconds(now))
}

fn daily_bytes(chunks: &[&Chunk], axis: &TimeAxis) -> Result<f64, String> {
    let mut sum = Point { x: 0.0, y: 0.0 };
    let mut points = vec![sum];
    for chunk in chunks {
        sum.x += chunk.range.length().and_then(|length| length_in_days(axis, length)).unwrap_or(0.0);
        sum.y += chunk.bytes().map_or(0.0, |bytes| bytes.0 as f64);
        points.push(sum);
    }
    let slope = trend(&points).map(|trend| trend.slope).filter(|slope| *slope >= 0.0);
    slope.ok_or_else(|| "its chunks give no trend".into())
}

/// Rows by the planner's estimates, where chunks have been analysed.
fn daily_rows(chunks: &[&Chunk], daily_bytes: f64) -> Option<f64> {
    let analysed = chunks.iter().filter_map(|chunk| Some((chunk.rows()? as f64, chunk.bytes()?.0 as f64)));
    let (rows, bytes) = analysed.fold((0.0, 0.0), |sum, next| (sum.0 + next.0, sum.1 + next.1));
    (bytes > 0.0).then(|| daily_bytes * rows / bytes)
}

fn length_in_days(axis: &TimeAxis, length: i64) -> Option<f64> {
    if !axis.kind.is_integer() {
        return Some(length as f64 / DAY);
    }
    // By way of one step, since a length is no instant and may be too long for one.
    let per_day = match axis.unit? {
        super::super::time_axis::IntegerUnit::Seconds => DAY / 1e6,
        super::super::time_axis::IntegerUnit::Milliseconds => DAY / 1e3,
        super::super::time_axis::IntegerUnit::Microseconds => DAY,
        super::super::time_axis::IntegerUnit::Nanoseconds => DAY * 1e3,
    };
    Some(length as f64 / per_day)
}

/// As the table is set up now; otherwise as long as its newest complete chunk is.
fn interval_days(facts: &DatasetFacts, chunks: &[&Chunk], axis: &TimeAxis) -> Option<f64> {
    let of_newest = || chunks.last().and_then(|chunk| chunk.range.length());
    length_in_days(axis, facts.chunk_interval.filter(|interval| *interval > 0).or_else(of_newest)?)
}

/// How many days of data the policy keeps; both rules together keep what either keeps.
fn kept_days(policy: Option<&Policy>, axis: &TimeAxis, interval: Option<f64>) -> Result<f64, &'static str> {
    let Some(policy) = policy else { return Err("no policy lets anything go, so that it only grows") };
    let by_age = match policy.drop_after {
        Some(DropAfter::Span(span)) => Some(span.approximate_microseconds() as f64 / DAY),
        Some(DropAfter::Units(units)) if axis.kind.is_integer() => length_in_days(axis, units),
        _ => None,
    };
    let by_count = policy.keep_newest.zip(interval).map(|(count, days)| f64::from(count) * days);
    [by_age, by_count].into_iter().flatten().reduce(f64::max).ok_or("its policy lets nothing go")
}

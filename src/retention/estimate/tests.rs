//! Laws of trend and forecast, and tables whose growth is known.

use proptest::prelude::*;

use super::super::decide::{Circumstances, decide};
use super::super::facts::DatasetFacts;
use super::super::measured::DiskForecast;
use super::super::model::ByteCount;
use super::super::plan::DatasetPlan;
use super::super::policy::{DropAfter, Policy, PolicySource};
use super::super::rules::GuardSettings;
use super::super::testing::{DAY, NOW, daily, dataset, days};
use super::super::time_axis::{IntegerUnit, TimeAxis, TimeKind, TimeRange};
use super::forecast::{Sample, forecast};
use super::table::{TableEstimate, estimate};
use super::trend::{Point, trend};
use jiff::tz::TimeZone;

const GIB: u64 = 1 << 30;

fn sample(day: i64, used: u64, freed: u64, after_run: bool) -> Sample {
    Sample { at: NOW + day * DAY, size: 100 * GIB, used, freed, after_run }
}

fn dates(found: &DiskForecast) -> [Vec<Option<u32>>; 2] {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let rounded = |days: &super::super::measured::DaysUntil| days.days.map(|days| days.round() as u32);
    [&found.with_policy, &found.without_policy].map(|all| all.iter().map(rounded).collect())
}

#[test]
fn a_saw_tooth_has_one_date_with_the_policy_and_an_earlier_one_without() {
    // 7 GiB a week come, 6 GiB of them go on Sundays.
    let mut samples = Vec::new();
    for week in 0..8_u64 {
        let (day, floor) = (i64::try_from(week).expect("small") * 7, (20 + week) * GIB);
        samples.push(sample(day, floor, week * 6 * GIB, true));
        for later in 1..7 {
            let used = floor + u64::try_from(later).expect("small") * GIB;
            samples.push(sample(day + later, used, week * 6 * GIB, false));
        }
    }
    let found = forecast("/data", &samples);
    assert_eq!(found.why_none, None);
    // 33 GiB are used on the last day; 1/7 GiB and 1 GiB a day.
    assert_eq!(dates(&found), [vec![Some(329), Some(399), Some(469)], vec![Some(47), Some(57), Some(67)]]);
    assert_eq!((found.samples, found.span_days.round()), (56, 55.0));
}

#[test]
fn without_a_basis_there_is_no_date_but_a_reason() {
    let line = |days: &[i64], per_day: i64| -> Vec<Sample> {
        let used = |day: i64| u64::try_from(50 * GIB.cast_signed() + day * per_day).expect("positive");
        days.iter().map(|day| sample(*day, used(*day), 0, true)).collect()
    };
    let growing = GIB.cast_signed();
    for (samples, why) in [
        (line(&[], growing), "0 samples so far, 5 are needed"),
        (line(&[0], growing), "1 sample so far, 5 are needed"),
        (line(&[0, 1, 2, 3, 4], growing), "the samples span 4.0 days, 7 are needed"),
        (line(&[0, 10, 20, 30, 40], -growing), "it does not grow"),
        (line(&[0, 10, 20, 30, 40], 0), "it does not grow"),
    ] {
        let found = forecast("/", &samples);
        assert_eq!(found.why_none.as_deref(), Some(why));
        assert!(dates(&found).iter().flatten().all(Option::is_none), "{found:?}");
    }
    let scattered: Vec<Sample> = [10, 60, 12, 55, 20, 52, 9, 58, 30, 57]
        .into_iter()
        .zip(0..)
        .map(|(used, day)| sample(day, used * GIB, 0, false))
        .collect();
    let found = forecast("/", &scattered);
    let why = found.why_none.expect("a reason");
    assert!(why.contains("with the policy: 0 samples"), "{why}");
    assert!(why.contains("without it: the samples scatter too much"), "{why}");
    assert_eq!(found.slope_without_policy, None);
}

#[test]
fn what_is_reached_needs_no_trend() {
    let found = forecast("/", &[sample(0, 85 * GIB, 0, false)]);
    assert_eq!(dates(&found)[0], [Some(0), None, None]);
}

#[test]
fn one_import_does_not_move_the_date() {
    let mut samples: Vec<Sample> =
        (0..20_i64).map(|day| sample(day, (10 + day.unsigned_abs()) * GIB, 0, true)).collect();
    samples[9].used = 70 * GIB;
    assert_eq!(dates(&forecast("/", &samples))[0], [Some(51), Some(61), Some(71)]);
}

proptest! {
    #[test]
    fn a_line_is_recovered_whatever_its_scale(
        slope in -1e9..1e9_f64, height in 0.0..1e14_f64, scale in 1e-3..1e6_f64,
        places in proptest::collection::btree_set(0_i32..100_000, 2..40),
    ) {
        let point = |x: &i32| Point { x: f64::from(*x) / 10.0, y: height + slope * f64::from(*x) / 10.0 };
        let points: Vec<Point> = places.iter().map(point).collect();
        let found = trend(&points).expect("a trend");
        prop_assert!((found.slope - slope).abs() <= 1e-3 + slope.abs() * 1e-6, "{found:?}");
        let scaled: Vec<Point> = points.iter().map(|p| Point { x: p.x, y: p.y * scale }).collect();
        let scaled = trend(&scaled).expect("a trend");
        prop_assert!((scaled.slope - found.slope * scale).abs() <= scale * (1e-3 + slope.abs() * 1e-6));
    }

    #[test]
    fn no_forecast_has_a_number_that_is_none_or_days_in_the_past(
        samples in proptest::collection::vec(
            (any::<i64>(), any::<u64>(), any::<u64>(), any::<u64>(), any::<bool>()), 0..30,
        ),
        near in any::<bool>(),
    ) {
        let samples: Vec<Sample> = samples
            .into_iter()
            .map(|(at, size, used, freed, after_run)| {
                let at = if near { at.rem_euclid(100 * DAY) } else { at };
                Sample { at, size, used, freed, after_run }
            })
            .collect();
        let found = forecast("/", &samples);
        let all = found.with_policy.iter().chain(&found.without_policy);
        for days in all.filter_map(|days| days.days) {
            prop_assert!(days.is_finite() && days >= 0.0, "{found:?}");
        }
        for slope in [found.slope_with_policy, found.slope_without_policy].into_iter().flatten() {
            prop_assert!(slope.is_finite(), "{found:?}");
        }
        prop_assert!(found.span_days.is_finite() && found.span_days >= 0.0);
        // Every missing date has its reason.
        let grows = found.slope_with_policy.is_some_and(|s| s > 0.0) && found.slope_without_policy.is_some_and(|s| s > 0.0);
        prop_assert!(grows || found.why_none.is_some());
    }

    #[test]
    fn later_levels_are_never_reached_earlier(used in 0..100 * GIB, slope in 1..GIB) {
        let samples: Vec<Sample> =
            (0..10_u64).map(|day| sample(day.cast_signed(), used + day * slope, 0, true)).collect();
        let days: Vec<f64> = forecast("/", &samples).with_policy.iter().filter_map(|days| days.days).collect();
        prop_assert!(days.windows(2).all(|pair| pair[0] <= pair[1]), "{days:?}");
    }
}

fn policy(after: Option<DropAfter>, newest: Option<u32>, unit: Option<IntegerUnit>) -> Policy {
    Policy {
        drop_after: after,
        keep_newest: newest,
        integer_unit: unit,
        take_over_native: false,
        source: PolicySource::Default,
    }
}

fn estimated(facts: &DatasetFacts, policy: Option<Policy>) -> TableEstimate {
    let zone = TimeZone::UTC;
    let around = Circumstances { now: NOW, zone: &zone, holds: &[], guards: GuardSettings::default() };
    let decided = decide(facts, policy.as_ref(), around);
    let plan = DatasetPlan {
        name: facts.name.clone(),
        axis: TimeAxis::new(facts.kind.clone(), policy.as_ref().and_then(|p| p.integer_unit)),
        policy,
        cutoff: decided.cutoff,
        space_dimensions: 0,
        chunks: decided.chunks,
        refusals: Vec::new(),
        warnings: Vec::new(),
    };
    estimate(&plan, facts, NOW, &zone)
}

fn rounded(value: Option<f64>) -> Option<i64> {
    #[allow(clippy::cast_possible_truncation)]
    value.map(|value| value.round() as i64)
}

#[test]
fn a_table_with_equal_daily_chunks_grows_by_one_of_them_a_day() {
    let found = estimated(&daily("t", 40), Some(policy(Some(days("30 days")), None, None)));
    assert_eq!(found.mean_chunk, Some(ByteCount(1_000)));
    assert_eq!(found.largest_chunk, Some(ByteCount(1_000)));
    assert_eq!((rounded(found.daily_bytes), rounded(found.daily_rows)), (Some(1_000), Some(100)));
    assert_eq!(found.steady_state, Some(ByteCount(31_000)));
    assert_eq!(found.one_more_month, Some(ByteCount(30_440)));
    // The chunk that ends first after the cutoff goes when the cutoff has come to its end.
    assert_eq!(found.next_due, Some(NOW + DAY));
    assert_eq!(found.why_unknown, None);
}

#[test]
fn what_is_still_filled_or_compressed_does_not_count_for_the_volume() {
    let mut facts = daily("t", 10);
    let set = |facts: &mut DatasetFacts, index: usize, bytes| {
        facts.chunks[index].parts[0].bytes = Some(ByteCount(bytes));
    };
    set(&mut facts, 9, 1);
    for index in 0..4 {
        facts.chunks[index].parts[0].state.compressed = true;
        set(&mut facts, index, 100);
    }
    let found = estimated(&facts, None);
    assert_eq!(rounded(found.daily_bytes), Some(1_000));
    assert_eq!(
        found.mean_chunk,
        Some(ByteCount(540)),
        "size divided by the number of chunks is something else"
    );
    assert_eq!(found.steady_state, None);
    assert_eq!(found.why_unknown.as_deref(), Some("no policy lets anything go, so that it only grows"));
}

#[test]
fn the_length_of_the_chunks_counts_and_gaps_do_not() {
    let mut facts = daily("t", 0);
    // Weeks of 7000 bytes each, and one week in four without data.
    for week in (0..40_i64).filter(|week| week % 4 != 0) {
        let mut chunk =
            super::super::testing::chunk(u32::try_from(week).expect("small"), week * 7 - 280, week * 7 - 273);
        chunk.parts[0].bytes = Some(ByteCount(7_000));
        facts.chunks.push(chunk);
    }
    assert_eq!(rounded(estimated(&facts, None).daily_bytes), Some(1_000));
}

#[test]
fn one_complete_chunk_is_divided_by_its_interval() {
    let mut facts = dataset("t");
    facts.chunks = vec![super::super::testing::chunk(1, -7, 0), super::super::testing::chunk(2, 0, 7)];
    facts.chunks[0].parts[0].bytes = Some(ByteCount(7_700));
    assert_eq!(rounded(estimated(&facts, None).daily_bytes), Some(1_100));
}

#[test]
fn a_number_axis_needs_a_unit() {
    let mut facts = dataset("t");
    (facts.kind, facts.integer_now) = (TimeKind::BigInt, Some(NOW / 1_000_000));
    facts.chunk_interval = Some(86_400);
    for (index, chunk) in (0_u32..).zip(&daily("u", 20).chunks) {
        let mut chunk = chunk.clone();
        chunk.range = TimeRange::new(chunk.range.start / 1_000_000, chunk.range.end / 1_000_000);
        chunk.parts[0].oid = index;
        facts.chunks.push(chunk);
    }
    let units = DropAfter::units(10 * 86_400).expect("units");
    let found = estimated(&facts, Some(policy(Some(units), None, None)));
    assert_eq!((found.daily_bytes, found.steady_state), (None, None));
    assert_eq!(found.why_unknown.as_deref(), Some("its time is a number, and its unit is not known"));
    let found = estimated(&facts, Some(policy(Some(units), None, Some(IntegerUnit::Seconds))));
    assert_eq!((rounded(found.daily_bytes), found.steady_state), (Some(1_000), Some(ByteCount(11_000))));
}

#[test]
fn why_there_is_no_volume_is_said() {
    let mut facts = daily("t", 3);
    for chunk in &mut facts.chunks {
        chunk.parts[0].state.compressed = true;
    }
    let why = |facts: &DatasetFacts| estimated(facts, None).why_unknown.expect("a reason");
    assert!(why(&facts).contains("compressed"));
    assert_eq!(why(&daily("t", 1)), "no chunk is complete yet");
    assert_eq!(why(&dataset("t")), "no chunk is complete yet");
    let mut facts = daily("t", 3);
    for chunk in &mut facts.chunks {
        chunk.parts[0].bytes = None;
    }
    assert_eq!(why(&facts), "no complete chunk's size is known");
    facts.kind = TimeKind::Other("uuid".into());
    assert!(why(&facts).contains("uuid"));
}

#[test]
fn by_count_and_by_age_the_larger_of_the_two_is_the_steady_state() {
    let facts = daily("t", 40);
    let of = |after, newest| estimated(&facts, Some(policy(after, newest, None))).steady_state;
    assert_eq!(of(None, Some(10)), Some(ByteCount(11_000)));
    assert_eq!(of(Some(days("3 days")), Some(10)), Some(ByteCount(11_000)));
    assert_eq!(of(Some(days("20 days")), Some(10)), Some(ByteCount(21_000)));
}

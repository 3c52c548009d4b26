use proptest::prelude::*;

use super::super::model::ByteCount;
use super::super::policy::PolicySource;
use super::super::testing::{DAY, NOW, chunk, daily, dataset, days, part};
use super::super::time_axis::{TimeKind, TimeRange};
use super::*;

fn policy(after: Option<&str>, keep_newest: Option<u32>) -> Policy {
    Policy {
        drop_after: after.map(days),
        keep_newest,
        integer_unit: None,
        take_over_native: false,
        source: PolicySource::CommandLine,
    }
}

fn decided(dataset: &DatasetFacts, policy: Option<&Policy>, holds: &[Hold]) -> Vec<ChunkPlan> {
    let around = Circumstances { now: NOW, zone: &TimeZone::UTC, holds, guards: GuardSettings::default() };
    decide(dataset, policy, around).chunks
}

fn words(chunks: &[ChunkPlan]) -> String {
    chunks.iter().map(|c| &c.decision.word()[..1]).collect()
}

#[test]
fn only_whole_ranges_before_the_cutoff_go() {
    let table = daily("t", 6);
    let chunks = decided(&table, Some(&policy(Some("3 days"), None)), &[]);
    assert_eq!(words(&chunks), "ddkkkk");
    assert_eq!(chunks[1].reason, Reason::Expired { cutoff: NOW - 3 * DAY });
    assert_eq!(chunks[2].reason, Reason::NotExpired { cutoff: NOW - 3 * DAY });
    assert_eq!(chunks[2].due, Some(chunks[2].chunk.range.end + 3 * DAY));
}

#[test]
fn without_a_policy_everything_stays() {
    let chunks = decided(&daily("t", 3), None, &[]);
    assert!(chunks.iter().all(|c| c.decision == Decision::Keep && c.reason == Reason::NoPolicy));
}

#[test]
fn keep_newest_counts_from_the_newest_that_has_begun() {
    let mut table = daily("t", 5);
    table.chunks.push(chunk(99, 400, 401));
    let chunks = decided(&table, Some(&policy(None, Some(2))), &[]);
    assert_eq!(words(&chunks), "dddkkk");
    assert_eq!(chunks[5].reason, Reason::InTheFuture);
    assert_eq!(chunks[3].reason, Reason::AmongNewest { keep: 2, rank: 2 });
    assert_eq!(chunks[0].reason, Reason::BeyondNewest { keep: 2, rank: 5 });
}

#[test]
fn both_together_keep_what_either_keeps() {
    let table = daily("t", 6);
    assert_eq!(words(&decided(&table, Some(&policy(Some("1 day"), Some(4))), &[])), "ddkkkk");
    assert_eq!(words(&decided(&table, Some(&policy(Some("4 days"), Some(1))), &[])), "dkkkkk");
}

#[test]
fn the_newest_chunk_stays_however_old_and_so_does_the_newest_that_has_begun() {
    let mut table = dataset("t");
    table.chunks = vec![chunk(1, -90, -89), chunk(2, -80, -79), chunk(3, 500, 501)];
    let chunks = decided(&table, Some(&policy(Some("3 days"), None)), &[]);
    assert_eq!(words(&chunks), "dkk");
    assert_eq!(chunks[1].reason, Reason::NewestChunk);
}

#[test]
fn frozen_tiered_and_open_chunks_stay() {
    let mut table = daily("t", 6);
    table.chunks[0].parts[0].state.frozen = true;
    table.chunks[1].parts[0].state.tiered = true;
    table.chunks[2].range.end = TimeRange::OPEN_END;
    let chunks = decided(&table, Some(&policy(Some("1 day"), None)), &[]);
    let reasons: Vec<&Reason> = chunks[..3].iter().map(|c| &c.reason).collect();
    assert_eq!(reasons, [&Reason::Frozen, &Reason::Tiered, &Reason::NoEnd]);
}

#[test]
fn an_integer_table_without_its_now_keeps_everything_and_says_why() {
    let table = DatasetFacts { kind: TimeKind::BigInt, ..daily("t", 4) };
    let chunks = decided(&table, Some(&policy(Some("1 day"), None)), &[]);
    assert!(chunks.iter().all(|c| c.reason == Reason::NoCutoff { problem: NoCutoff::NoIntegerNow }));
}

#[test]
fn an_integer_now_that_fails_keeps_everything_whatever_the_policy() {
    let error = Some("division by zero".to_owned());
    let table = DatasetFacts { kind: TimeKind::BigInt, integer_now_error: error, ..daily("t", 6) };
    for policy in [policy(None, Some(2)), policy(Some("1 day"), None)] {
        let chunks = decided(&table, Some(&policy), &[]);
        assert!(chunks.iter().all(|c| c.reason == Reason::NoCutoff { problem: NoCutoff::IntegerNowFails }));
    }
}

#[test]
fn a_range_around_a_kept_chunk_stays_too() {
    let mut table = dataset("t");
    table.chunks = vec![chunk(1, -20, -18), chunk(2, -20, -10), chunk(3, -1, 0)];
    table.chunks[0].parts[0].state.frozen = true;
    let chunks = decided(&table, Some(&policy(Some("3 days"), None)), &[]);
    assert_eq!(words(&chunks), "kkk");
    assert_eq!(chunks[1].reason, Reason::SurroundsKept { kept: part(1, 0).relation });
}

#[test]
fn a_hold_keeps_its_chunk() {
    let table = daily("t", 6);
    let hold = Hold {
        id: 7,
        dataset: table.name.clone(),
        chunk: Some(table.chunks[0].parts[0].relation.clone()),
        author: "ann".into(),
        reason: "audit".into(),
        expires_at: None,
        set_on: None,
    };
    let chunks = decided(&table, Some(&policy(Some("3 days"), None)), &[hold]);
    assert_eq!(words(&chunks), "kdkkkk");
    assert!(matches!(chunks[0].reason, Reason::Held { hold: 7, .. }));
}

#[test]
fn a_date_on_which_a_hold_will_still_keep_a_chunk_is_not_told() {
    let table = daily("t", 6);
    let hold = |expires_at| Hold {
        id: 7,
        dataset: table.name.clone(),
        chunk: None,
        author: "ann".into(),
        reason: "audit".into(),
        expires_at,
        set_on: None,
    };
    let goes = |holds: &[Hold]| -> Vec<Option<i64>> {
        let chunks = decided(&table, Some(&policy(Some("3 days"), None)), holds);
        chunks.iter().map(ChunkPlan::goes_at).collect()
    };
    let by_age = goes(&[]);
    assert_eq!(by_age[1..4], [None, Some(NOW + DAY), Some(NOW + 2 * DAY)]);
    assert_eq!(goes(&[hold(None)]), vec![None; 6]);
    let end = NOW + DAY + 1;
    assert_eq!(goes(&[hold(Some(end))])[..4], [Some(end), Some(end), Some(end), Some(NOW + 2 * DAY)]);
}

proptest! {
    /// The laws of deciding: nothing new goes, the newest stays, every chunk has one decision, and a
    /// longer retention never drops more.
    #[test]
    fn laws(
        lengths in prop::collection::vec((1..20_i64, 0..5_i64), 0..40),
        first in -400..10_i64,
        after in 1..300_i32,
        more in 0..100_i32,
        keep in prop::option::of(1..10_u32),
    ) {
        let mut at = first;
        let mut table = dataset("t");
        for (number, (length, gap)) in (1_u32..).zip(&lengths) {
            at += gap;
            let mut next = chunk(number, at, at + length);
            next.parts[0].bytes = Some(ByteCount(1));
            table.chunks.push(next);
            at += length;
        }
        let short = decided(&table, Some(&policy(Some(&format!("{after} days")), keep)), &[]);
        let long = decided(&table, Some(&policy(Some(&format!("{} days", after + more)), keep)), &[]);
        prop_assert_eq!(short.len(), table.chunks.len());
        let cutoff = NOW - i64::from(after) * DAY;
        for (now, later) in short.iter().zip(&long) {
            if now.decision == Decision::Drop {
                prop_assert!(now.chunk.range.end <= cutoff);
            }
            if later.decision == Decision::Drop {
                prop_assert_eq!(now.decision, Decision::Drop);
            }
        }
        if let Some(last) = short.last() {
            prop_assert_eq!(last.decision, Decision::Keep);
        }
        let kept = short.iter().filter(|c| c.decision == Decision::Keep).count();
        prop_assert!(kept >= usize::min(keep.unwrap_or(1) as usize, short.len()));
    }
}

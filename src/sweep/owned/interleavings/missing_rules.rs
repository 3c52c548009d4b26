//! With one rule switched off, the same search finds what goes wrong: so it would find it in the real ones.

use super::event::{Event, Fault};
use super::orders::{Found, LONGEST_PASS, Seen, TO_A_DROP, enumerate};
use super::world::World;
use crate::sweep::owned::testing::bent::Rule;

const CHECK: Event = Event::Check(Fault::None);

/// The same beginning is harmless with the rule, and leads somewhere bad without it.
#[track_caller]
fn is_missed(rule: Rule, beginning: &[Event], depth: usize, harm: &str) {
    is_missed_in(&World::new(false, None), rule, beginning, depth, harm);
}

#[track_caller]
fn is_missed_in(kind: &World, rule: Rule, beginning: &[Event], depth: usize, harm: &str) {
    let search = |without| -> Result<(), Found> {
        let world = kind.clone().lacking(without).after(beginning);
        enumerate(&world, &mut beginning.to_vec(), depth, &mut Seen::default())
    };
    assert_eq!(search(None), Ok(()), "with every rule");
    let (history, why) = search(Some(rule)).expect_err("nobody missed the rule");
    assert_eq!(why, harm, "{history:?}");
}

/// Data that nobody owns. After the second check a job that begins began after it was found.
const FAILED: &[Event] = &[Event::Start(0), Event::Write(0), Event::Fail(0), Event::Result(0)];

const LOST: &str = "data of a job that succeeded was dropped";
const KEPT: &str = "data that nobody owns is kept for ever";
const TAKEN: &str = "a pass took the row of an owned dataset that is there";

#[test]
fn without_claims_that_clear_an_orphan_mark_data_is_lost() {
    let marked = [Event::Start(0), Event::Write(0), CHECK];
    is_missed(Rule::AClaimClearsAnOrphanMark, &marked, 2, LOST);
}

#[test]
fn without_deletions_that_are_remembered_data_is_kept_for_ever() {
    is_missed(Rule::ADeletionIsRemembered, &[Event::Delete(0), Event::Start(0), Event::Write(0)], 2, KEPT);
}

#[test]
fn without_the_rule_that_all_owners_must_be_gone_data_is_lost() {
    let shared = [
        Event::Start(0),
        Event::Write(0),
        Event::Succeed(0),
        Event::Result(0),
        Event::Start(1),
        Event::Write(1),
    ];
    is_missed(Rule::AllOwnersMustBeGone, &shared, 3, LOST);
}

#[test]
fn without_the_epoch_rule_data_is_lost() {
    is_missed(
        Rule::TheEpochRule,
        &[Event::Start(0), Event::Write(0), CHECK, Event::Pause, CHECK, CHECK],
        2,
        LOST,
    );
}

#[test]
fn without_the_last_change_data_is_lost() {
    let old = [FAILED, &[CHECK, CHECK, Event::Start(1)]].concat();
    let written_again = [&old[..], &[Event::Write(1), Event::Pause, CHECK, CHECK]].concat();
    is_missed(Rule::TheLastChangeCounts, &written_again, 2, LOST);
}

#[test]
fn without_the_change_token_data_is_lost() {
    let old = [FAILED, &[CHECK, CHECK, Event::Start(1)]].concat();
    let counting = World::new(false, None).counting(true);
    for between in
        [&[Event::Write(1)][..], &[Event::Write(1), Event::Restart], &[Event::Restart, Event::Write(1)]]
    {
        // The first look after the write is long after it, and its grace begins there.
        let written_again = [&old[..], between, &[Event::Pause, CHECK]].concat();
        is_missed_in(&counting, Rule::TheLastChangeCounts, &written_again, 2, LOST);
    }
}

#[test]
fn without_recovery_of_what_was_claimed_data_is_lost() {
    let claimed =
        [Event::Start(0), Event::Write(0), Event::Succeed(0), Event::Result(0), CHECK, Event::LoseRow];
    is_missed(Rule::WhatWasClaimedIsRecovered, &claimed, 2, LOST);
}

#[test]
fn without_the_rule_that_only_the_same_row_is_settled_a_row_is_taken() {
    let due = World::new(false, None).after(TO_A_DROP[0]);
    let drops_before_it_stops = |step: &usize| {
        let mut world = due.clone();
        world.happen(Event::Check(Fault::StopsAt(*step)));
        world.written.is_none()
    };
    let step = (0..LONGEST_PASS).find(drops_before_it_stops).expect("a step after the drop");
    let anew = [
        Event::Check(Fault::StopsAt(step)),
        Event::Start(1),
        Event::Write(1),
        Event::Succeed(1),
        Event::Result(1),
        // The other replica's turn: it has nothing to settle.
        CHECK,
    ];
    let anew = [TO_A_DROP[0], &anew].concat();
    is_missed(Rule::OnlyTheSameRowIsSettled, &anew, 1, TAKEN);
}

#[test]
fn without_the_refusal_of_an_empty_list_a_row_is_taken() {
    let owned = [Event::Start(0), Event::Write(0), Event::Succeed(0), Event::Result(0), CHECK];
    is_missed(Rule::AnEmptyListIsRefused, &owned, 1, TAKEN);
}

//! Rows of others, case by case: the known faults of today's orchestrator, and what a person types.

use uuid::Uuid;

use super::adopt::{FoundRow, MARKED_BEFORE, MARKED_BY_OTHERS, WITHOUT_JOB};
use super::check::{Decision, Inventory, Settings, Wait};
use super::sighting::Sighting;
use super::{JobId, Ledger, OwnedName};

const HOUR: i64 = 3_600_000_000;
const SETTINGS: Settings = Settings {
    check_interval: HOUR,
    grace: 48 * HOUR,
    registration_lifetime: 48 * HOUR,
    longest_job: 720 * HOUR,
    cap_share: 2_500,
    cap_count: 5,
    accept_empty: false,
};

fn job(number: u128) -> JobId {
    JobId(Uuid::from_u128(number))
}

fn name() -> OwnedName {
    OwnedName("e".into())
}

fn found(dataset: bool, number: u128, marked_at: Option<i64>) -> FoundRow {
    let job = (number > 0).then(|| job(number));
    FoundRow { dataset: dataset.then(name), job, marked_at, registered_at: HOUR }
}

fn take_in(ledger: &mut Ledger, row: &FoundRow) -> Option<&'static str> {
    ledger.take_in(row, &|_| false, 10 * HOUR)
}

fn check(ledger: &mut Ledger, now: i64) -> Decision {
    let datasets = vec![Sighting { name: name(), last_change: Some(HOUR), change_token: None }];
    let inventory = Inventory { complete: true, datasets, live_jobs: Vec::new(), read_by: now };
    ledger.observe(&inventory, &SETTINGS, now).expect("a plausible inventory");
    let decision = ledger.decide(&name(), true, &SETTINGS, now);
    ledger.settle(&name(), &decision, now);
    ledger.announce();
    decision
}

/// What a dataset comes to when nothing else happens.
fn in_the_end(ledger: &mut Ledger) -> Decision {
    (11..20).for_each(|number| _ = check(ledger, number * HOUR));
    check(ledger, 1_000 * HOUR)
}

#[test]
fn an_active_row_is_a_claim_and_an_orphan_mark_waits_like_ours() {
    let mut ledger = Ledger::default();
    assert_eq!(take_in(&mut ledger, &found(true, 1, None)), None);
    assert_eq!(ledger.owners(&name()), [job(1)]);
    assert_eq!(in_the_end(&mut ledger), Decision::Owned(job(1)));
    let mut ledger = Ledger::default();
    assert_eq!(take_in(&mut ledger, &found(true, 0, Some(HOUR))), None);
    assert_eq!(check(&mut ledger, 11 * HOUR), Decision::Wait(Wait::Grace(49 * HOUR)));
    assert_eq!(in_the_end(&mut ledger), Decision::Drop);
}

#[test]
fn a_marked_row_with_both_ids_waits_for_a_person_whose_word_counts() {
    let mut ledger = Ledger::default();
    assert_eq!(take_in(&mut ledger, &found(true, 1, Some(HOUR))), Some(MARKED_BEFORE));
    assert_eq!(in_the_end(&mut ledger), Decision::Wait(Wait::Held));
    let mut confirmed = ledger.clone();
    confirmed.holds.remove(&name());
    assert_eq!(check(&mut confirmed, 1_001 * HOUR), Decision::Drop);
    ledger.cancel_mark(&name(), 2_000 * HOUR, 1_001 * HOUR);
    assert_eq!(check(&mut ledger, 1_002 * HOUR), Decision::Owned(job(1)));
}

#[test]
fn a_doubtful_mark_says_nothing_about_other_data_of_its_job() {
    let mut ledger = Ledger::default();
    take_in(&mut ledger, &found(true, 1, Some(HOUR)));
    ledger.succeeded(job(1), &OwnedName("x".into()), 11 * HOUR);
    assert_eq!(ledger.owners(&OwnedName("x".into())), [job(1)]);
}

#[test]
fn an_active_row_beside_a_tombstone_stays_and_is_listed() {
    for tombstone_first in [true, false] {
        let mut rows = [found(false, 1, Some(2 * HOUR)), found(true, 1, None)];
        if !tombstone_first {
            rows.reverse();
        }
        let mut ledger = Ledger::default();
        for row in &rows {
            take_in(&mut ledger, row);
        }
        assert_eq!(ledger.tombstones.get(&job(1)), Some(&(2 * HOUR)));
        assert_eq!(ledger.probable_leaks().collect::<Vec<_>>(), [&name()]);
        assert_eq!(in_the_end(&mut ledger), Decision::Owned(job(1)));
        ledger.deleted(job(1), 1_001 * HOUR);
        assert_eq!(ledger.rows[&name()].mark.as_ref().map(|mark| mark.at), Some(1_001 * HOUR));
    }
}

#[test]
fn a_registration_after_a_deletion_that_we_were_told_is_let_go() {
    let mut ledger = Ledger::default();
    ledger.deleted(job(1), 2 * HOUR);
    assert_eq!(ledger.take_in(&found(true, 1, None), &|_| true, 10 * HOUR), None);
    assert!(ledger.tombstones.is_empty());
    assert_eq!(in_the_end(&mut ledger), Decision::Drop);
}

#[test]
fn a_success_that_left_our_orphan_mark_standing_is_a_claim() {
    let mut ledger = Ledger::default();
    assert_eq!(check(&mut ledger, 5 * HOUR), Decision::Mark);
    assert_eq!(take_in(&mut ledger, &found(true, 1, Some(5 * HOUR))), None);
    assert_eq!(in_the_end(&mut ledger), Decision::Owned(job(1)));
}

#[test]
fn a_registration_that_others_mark_waits_for_a_person() {
    let mut ledger = Ledger::default();
    ledger.succeeded(job(1), &name(), HOUR);
    assert_eq!(take_in(&mut ledger, &found(true, 1, Some(9 * HOUR))), Some(MARKED_BY_OTHERS));
    assert_eq!(in_the_end(&mut ledger), Decision::Wait(Wait::Held));
    let mut shared = Ledger::default();
    shared.succeeded(job(2), &name(), HOUR);
    shared.succeeded(job(1), &name(), 2 * HOUR);
    take_in(&mut shared, &found(true, 1, Some(9 * HOUR)));
    assert_eq!(in_the_end(&mut shared), Decision::Owned(job(2)), "the other owner is left");
}

#[test]
fn a_mark_that_others_move_never_comes_earlier() {
    for (moved_to, counts_from) in [(2 * HOUR, 5 * HOUR), (8 * HOUR, 8 * HOUR)] {
        let mut ledger = Ledger::default();
        check(&mut ledger, 5 * HOUR);
        check(&mut ledger, 6 * HOUR);
        take_in(&mut ledger, &found(true, 0, Some(moved_to)));
        let mark = ledger.rows[&name()].mark.clone().expect("a mark");
        assert_eq!((mark.at, mark.seen, mark.announced), (counts_from, None, false));
    }
}

#[test]
fn a_row_that_names_no_job_is_kept_until_a_person_says_otherwise() {
    let mut ledger = Ledger::default();
    assert_eq!(take_in(&mut ledger, &found(true, 0, None)), Some(WITHOUT_JOB));
    assert_eq!(in_the_end(&mut ledger), Decision::Wait(Wait::Held));
    assert_eq!(ledger.rows[&name()].mark, None, "nobody else may drop it either");
    ledger.holds.remove(&name());
    assert_eq!(check(&mut ledger, 1_001 * HOUR), Decision::Mark);
}

#[test]
fn a_row_that_vanished_is_registered_again_while_its_claim_is_known() {
    let mut ledger = Ledger::default();
    take_in(&mut ledger, &found(true, 1, None));
    ledger.row_vanished(&name());
    assert_eq!(check(&mut ledger, 11 * HOUR), Decision::Recover(job(1)));
    ledger.take_in(&found(false, 7, None), &|_| false, 12 * HOUR);
    assert!(!ledger.deleted_jobs.contains_key(&job(7)), "no mark is no deletion");
}

//! The rules one by one: what each event does to the row, and what each decision waits for.

use uuid::Uuid;

use super::check::{Decision, Implausible, Inventory, Settings, Wait};
use super::live::LiveJob;
use super::sighting::Sighting;
use super::{JobId, Ledger, OwnedName};

mod for_ever;

const HOUR: i64 = 3_600_000_000;
const SETTINGS: Settings = Settings {
    check_interval: HOUR,
    grace: 48 * HOUR,
    registration_lifetime: 48 * HOUR,
    longest_job: 720 * HOUR,
    cap_share: 2_500,
    cap_count: 2,
    accept_empty: false,
};

fn job(number: u128) -> JobId {
    JobId(Uuid::from_u128(number))
}

fn name(text: &str) -> OwnedName {
    OwnedName(text.into())
}

/// A complete list of these, each last written at that instant, with nobody at work.
fn listed(datasets: &[(&str, i64)]) -> Inventory {
    let sighting =
        |(text, at): &(&str, i64)| Sighting { name: name(text), last_change: Some(*at), change_token: None };
    let datasets = datasets.iter().map(sighting).collect();
    Inventory { complete: true, datasets, live_jobs: Vec::new(), read_by: 0 }
}

/// One pass: what it decides about `e`.
fn check(ledger: &mut Ledger, inventory: &Inventory, now: i64) -> Decision {
    ledger.observe(inventory, &SETTINGS, now).expect("a plausible inventory");
    let decision = ledger.decide(&name("e"), true, &SETTINGS, now);
    ledger.settle(&name("e"), &decision, now);
    ledger.conclude(now);
    ledger.announce();
    decision
}

fn since(number: u128, at: i64) -> LiveJob {
    LiveJob { job: job(number), since: Some(at) }
}

fn mark(ledger: &Ledger) -> Option<i64> {
    ledger.rows[&name("e")].mark.as_ref().map(|mark| mark.at)
}

#[test]
fn a_claim_clears_every_mark_and_a_deletion_of_the_last_owner_sets_one() {
    let mut ledger = Ledger::default();
    assert_eq!(check(&mut ledger, &listed(&[("e", 0)]), HOUR), Decision::Mark);
    assert_eq!(mark(&ledger), Some(HOUR));
    ledger.succeeded(job(1), &name("e"), 2 * HOUR);
    ledger.succeeded(job(2), &name("e"), 3 * HOUR);
    assert_eq!((mark(&ledger), ledger.rows[&name("e")].job), (None, Some(job(2))));
    ledger.deleted(job(2), 4 * HOUR);
    assert_eq!((mark(&ledger), ledger.rows[&name("e")].job), (None, Some(job(1))), "the other owner is left");
    ledger.deleted(job(1), 5 * HOUR);
    assert_eq!((mark(&ledger), ledger.rows[&name("e")].job), (Some(5 * HOUR), Some(job(2))));
    assert!(ledger.tombstones.is_empty());
}

#[test]
fn a_deletion_before_the_result_is_a_tombstone_that_the_result_takes_over() {
    let mut ledger = Ledger::default();
    ledger.deleted(job(1), HOUR);
    ledger.deleted(job(1), 2 * HOUR);
    assert_eq!(ledger.tombstones.get(&job(1)), Some(&HOUR), "delivered twice, the first counts");
    ledger.succeeded(job(1), &name("e"), 3 * HOUR);
    assert!(ledger.tombstones.is_empty());
    assert_eq!(mark(&ledger), Some(3 * HOUR));
}

#[test]
fn every_event_may_arrive_twice() {
    let mut once = Ledger::default();
    once.succeeded(job(1), &name("e"), HOUR);
    once.failed(job(2), 2 * HOUR);
    once.deleted(job(1), 3 * HOUR);
    let mut twice = once.clone();
    twice.deleted(job(1), 4 * HOUR);
    twice.failed(job(2), 4 * HOUR);
    twice.succeeded(job(1), &name("e"), 4 * HOUR);
    assert_eq!(once, twice);
}

#[test]
fn a_cancelled_mark_stays_cancelled_under_a_deletion_that_comes_once_more() {
    let mut ledger = Ledger::default();
    ledger.succeeded(job(1), &name("e"), HOUR);
    ledger.deleted(job(1), 2 * HOUR);
    ledger.cancel_mark(&name("e"), 500 * HOUR, 3 * HOUR);
    assert_eq!(mark(&ledger), None);
    ledger.deleted(job(1), 4 * HOUR);
    let inventory = listed(&[("e", 0)]);
    check(&mut ledger, &inventory, 100 * HOUR);
    assert_eq!(check(&mut ledger, &inventory, 101 * HOUR), Decision::Wait(Wait::Held));
    assert_eq!(check(&mut ledger, &inventory, 500 * HOUR), Decision::Drop, "the hold has an end");
}

#[test]
fn a_marked_dataset_waits_for_everything_it_has_to_wait_for() {
    let mut ledger = Ledger::default();
    let inventory = listed(&[("e", HOUR)]);
    assert_eq!(check(&mut ledger, &inventory, HOUR), Decision::Mark);
    assert_eq!(check(&mut ledger, &inventory, 2 * HOUR), Decision::Wait(Wait::Grace(49 * HOUR)));
    let written = listed(&[("e", 3 * HOUR)]);
    assert_eq!(check(&mut ledger, &written, 50 * HOUR), Decision::Wait(Wait::Grace(51 * HOUR)));
    let mut unseen = ledger.clone();
    unseen.rows.get_mut(&name("e")).expect("a row").mark.as_mut().expect("a mark").seen = None;
    assert_eq!(check(&mut unseen, &written, 60 * HOUR), Decision::Wait(Wait::SecondLook));
    let mut unannounced = ledger.clone();
    unannounced.rows.get_mut(&name("e")).expect("a row").mark.as_mut().expect("a mark").announced = false;
    assert_eq!(check(&mut unannounced, &written, 60 * HOUR), Decision::Wait(Wait::NotAnnounced));
    let mut live = ledger.clone();
    live.job_is_live(since(9, 3 * HOUR), 60 * HOUR);
    assert_eq!(check(&mut live, &written, 60 * HOUR), Decision::Wait(Wait::LiveJobs(vec![job(9)])));
    let mut later = ledger.clone();
    later.job_is_live(since(9, 4 * HOUR), 60 * HOUR);
    assert_eq!(check(&mut later, &written, 60 * HOUR), Decision::Drop, "it cannot have written it");
    assert_eq!(check(&mut ledger, &written, 51 * HOUR + 1), Decision::Drop);
}

#[test]
fn a_job_ends_by_what_it_says_and_never_by_missing_in_a_list() {
    let mut ledger = Ledger::default();
    let mut inventory = listed(&[("e", HOUR)]);
    inventory.live_jobs.push(job(1).into());
    ledger.job_is_live(job(1).into(), 0);
    check(&mut ledger, &inventory, HOUR);
    inventory.live_jobs.clear();
    check(&mut ledger, &inventory, 60 * HOUR);
    assert_eq!(check(&mut ledger, &inventory, 99 * HOUR), Decision::Wait(Wait::LiveJobs(vec![job(1)])));
    ledger.failed(job(1), 100 * HOUR);
    assert_eq!(check(&mut ledger, &inventory, 101 * HOUR), Decision::Drop);
}

#[test]
fn a_success_with_an_unreadable_dataset_pins_what_that_job_may_have_written() {
    let mut ledger = Ledger::default();
    ledger.job_is_live(job(1).into(), 0);
    check(&mut ledger, &listed(&[("e", HOUR)]), HOUR);
    ledger.succeeded_with_an_unknown_dataset(job(1), 2 * HOUR);
    check(&mut ledger, &listed(&[("e", HOUR)]), 60 * HOUR);
    assert_eq!(check(&mut ledger, &listed(&[("e", HOUR)]), 1_000 * HOUR), Decision::Wait(Wait::Held));
}

#[test]
fn a_success_with_an_unreadable_dataset_pins_what_no_check_had_seen_by_then() {
    let mut ledger = Ledger::default();
    check(&mut ledger, &listed(&[("telegraf", 0)]), HOUR);
    ledger.succeeded_with_an_unknown_dataset(job(1), 2 * HOUR);
    check(&mut ledger, &listed(&[("telegraf", 0), ("e", HOUR + HOUR / 2)]), 60 * HOUR);
    let later = listed(&[("telegraf", 0), ("e", HOUR + HOUR / 2)]);
    assert_eq!(check(&mut ledger, &later, 1_000 * HOUR), Decision::Wait(Wait::Held));
    // A person lets it go, and the result is delivered once more.
    ledger.holds.clear();
    ledger.succeeded_with_an_unknown_dataset(job(1), 1_001 * HOUR);
    check(&mut ledger, &later, 1_002 * HOUR);
    assert_eq!(check(&mut ledger, &later, 1_003 * HOUR), Decision::Drop);
}

/// Where nobody keeps a list of jobs, nobody knows when it began.
#[test]
fn an_unreadable_success_of_a_job_that_nobody_saw_pins_every_orphan() {
    let mut ledger = Ledger::default();
    check(&mut ledger, &listed(&[("e", HOUR)]), HOUR);
    ledger.succeeded_with_an_unknown_dataset(job(1), 2 * HOUR);
    assert_eq!(check(&mut ledger, &listed(&[("e", HOUR)]), 1_000 * HOUR), Decision::Wait(Wait::Held));
}

#[test]
fn an_implausible_list_teaches_nothing() {
    let mut ledger = Ledger::default();
    for (number, text) in (1..).zip(["a", "b", "c", "e"]) {
        ledger.succeeded(job(number), &name(text), HOUR);
    }
    check(&mut ledger, &listed(&[("a", 0), ("b", 0), ("c", 0), ("e", 0)]), HOUR);
    let before = ledger.clone();
    let mut incomplete = listed(&[("a", 0)]);
    incomplete.complete = false;
    for (inventory, why) in [
        (incomplete, Implausible::Incomplete),
        (listed(&[]), Implausible::Empty { registered: 4 }),
        (listed(&[("a", 0)]), Implausible::SuddenLoss { missing: 3, allowed: 2 }),
    ] {
        assert_eq!(ledger.observe(&inventory, &SETTINGS, 2 * HOUR), Err(why));
        assert_eq!(ledger, before);
    }
}

#[test]
fn a_row_without_data_is_forgotten_late_and_its_claim_never() {
    let mut ledger = Ledger::default();
    ledger.succeeded(job(1), &name("e"), HOUR);
    ledger.succeeded(job(2), &name("x"), HOUR);
    let (both, without) = (listed(&[("e", 0), ("x", 0)]), listed(&[("x", 0)]));
    check(&mut ledger, &both, HOUR);
    assert_eq!(check(&mut ledger, &without, 2 * HOUR), Decision::Absent);
    assert_eq!(check(&mut ledger, &both, 49 * HOUR), Decision::Recover(job(1)), "it was there all the time");
    assert_eq!(mark(&ledger), None);
    check(&mut ledger, &without, 50 * HOUR);
    assert_eq!(check(&mut ledger, &without, 98 * HOUR), Decision::Absent);
    assert_eq!(check(&mut ledger, &without, 99 * HOUR), Decision::Forget);
    assert!(!ledger.rows.contains_key(&name("e")));
    assert_eq!(check(&mut ledger, &both, 100 * HOUR), Decision::Recover(job(1)));
}

#[test]
fn a_name_that_is_not_ours_is_never_marked_unless_it_was_claimed() {
    let mut ledger = Ledger::default();
    ledger.observe(&listed(&[("telegraf", 0)]), &SETTINGS, HOUR).expect("plausible");
    assert_eq!(ledger.decide(&name("telegraf"), false, &SETTINGS, HOUR), Decision::Foreign);
    ledger.succeeded(job(1), &name("telegraf"), HOUR);
    assert_eq!(ledger.decide(&name("telegraf"), false, &SETTINGS, HOUR), Decision::Owned(job(1)));
}

#[test]
fn a_name_that_comes_back_is_new_data() {
    let mut ledger = Ledger::default();
    let mut there = listed(&[("e", 0), ("x", 0)]);
    for sighting in &mut there.datasets {
        // A store that shows no writes.
        sighting.last_change = None;
    }
    check(&mut ledger, &there, HOUR);
    check(&mut ledger, &listed(&[("x", 0)]), 2 * HOUR);
    ledger.job_is_live(job(1).into(), 90 * HOUR);
    check(&mut ledger, &there, 100 * HOUR);
    assert_eq!(check(&mut ledger, &there, 101 * HOUR), Decision::Wait(Wait::Grace(148 * HOUR)));
    assert_eq!(check(&mut ledger, &there, 149 * HOUR), Decision::Wait(Wait::LiveJobs(vec![job(1)])));
}

#[test]
fn a_job_ends_by_its_age_and_no_younger_one_does() {
    let mut ledger = Ledger::default();
    let mut inventory = listed(&[("e", HOUR)]);
    inventory.live_jobs = vec![job(1).into(), since(2, HOUR - 100 * HOUR)];
    check(&mut ledger, &inventory, HOUR);
    // The list forgets both, which proves nothing.
    inventory.live_jobs.clear();
    check(&mut ledger, &inventory, 60 * HOUR);
    let mut at = |now: i64| check(&mut ledger, &inventory, now);
    let both = Wait::LiveJobs(vec![job(1), job(2)]);
    assert_eq!(at((720 - 99) * HOUR), Decision::Wait(both), "to the day, and 2 counts from when it began");
    assert_eq!(at((720 - 99) * HOUR + 1), Decision::Wait(Wait::LiveJobs(vec![job(1)])));
    assert_eq!(at(721 * HOUR), Decision::Wait(Wait::LiveJobs(vec![job(1)])), "seen at hour 1");
    assert_eq!(at(721 * HOUR + 1), Decision::Drop);
}

#[test]
fn a_live_job_counts_from_its_start_or_from_the_check_before() {
    let mut ledger = Ledger::default();
    let first_seen = |ledger: &Ledger, number| ledger.jobs[&job(number)].first_seen;
    ledger.job_is_live(job(1).into(), HOUR);
    assert_eq!(first_seen(&ledger, 1), 0, "no check would have seen it");
    check(&mut ledger, &listed(&[("e", 0)]), 5 * HOUR);
    let mut inventory = listed(&[("e", 0)]);
    inventory.live_jobs = vec![job(2).into(), since(3, 6 * HOUR), since(4, 90 * HOUR)];
    check(&mut ledger, &inventory, 9 * HOUR);
    assert_eq!(first_seen(&ledger, 2), 5 * HOUR);
    assert_eq!(first_seen(&ledger, 3), 6 * HOUR - HOUR / 12, "clocks differ");
    assert_eq!(first_seen(&ledger, 4), 9 * HOUR, "nobody begins in the future");
    let ages = [1, 2, 3, 4].map(|number| ledger.jobs[&job(number)].age_from / HOUR);
    assert_eq!(ages, [1, 9, 6, 9], "an age counts from the latest");
}

#[test]
fn what_was_written_while_a_check_read_counts_from_the_end_of_its_reading() {
    let mut ledger = Ledger::default();
    let mut inventory = listed(&[]);
    inventory.datasets =
        vec![Sighting { name: name("e"), last_change: None, change_token: Some("1".into()) }];
    inventory.read_by = 2 * HOUR;
    check(&mut ledger, &inventory, HOUR);
    assert_eq!(ledger.epoch(&name("e")), Some(2 * HOUR));
    inventory.datasets[0].change_token = Some("2".into());
    inventory.read_by = 8 * HOUR;
    check(&mut ledger, &inventory, 7 * HOUR);
    assert_eq!(ledger.epoch(&name("e")), Some(8 * HOUR));
}

#[test]
fn an_empty_list_proves_nothing_about_what_no_check_has_found() {
    let mut ledger = Ledger::default();
    ledger.succeeded(job(1), &name("e"), HOUR);
    for hour in [2, 3, 500, 900] {
        assert_eq!(check(&mut ledger, &listed(&[]), hour * HOUR), Decision::Absent);
        assert_eq!(mark(&ledger), None, "at hour {hour}");
    }
    assert_eq!(check(&mut ledger, &listed(&[("e", 0)]), 901 * HOUR), Decision::Owned(job(1)));
}

#[test]
fn a_registration_without_data_is_no_sign_of_anything_and_goes() {
    let mut ledger = Ledger::default();
    ledger.succeeded(job(1), &name("e"), HOUR);
    assert_eq!(check(&mut ledger, &listed(&[("x", 0)]), 2 * HOUR), Decision::Absent);
    assert_eq!(mark(&ledger), Some(2 * HOUR));
    assert_eq!(check(&mut ledger, &listed(&[("x", 0)]), 51 * HOUR), Decision::Forget);
}

/// Its lifetime without data begins with the claim, and what an empty list proves as well.
#[test]
fn a_claim_of_what_is_absent_is_a_new_registration() {
    let mut ledger = Ledger::default();
    let (both, without) = (listed(&[("e", 0), ("x", 0)]), listed(&[("x", 0)]));
    check(&mut ledger, &both, HOUR);
    assert_eq!(check(&mut ledger, &without, 2 * HOUR), Decision::Absent);
    ledger.succeeded(job(1), &name("e"), 100 * HOUR);
    assert_eq!(check(&mut ledger.clone(), &listed(&[]), 101 * HOUR), Decision::Absent);
    let mut by_nothing = ledger.clone();
    check(&mut by_nothing, &listed(&[]), 101 * HOUR);
    assert_eq!(mark(&by_nothing), None, "an empty list proves nothing about it");
    assert_eq!(check(&mut ledger, &without, 101 * HOUR), Decision::Absent, "not forgotten at the first look");
    assert_eq!(mark(&ledger), Some(101 * HOUR));
    ledger.succeeded(job(1), &name("e"), 120 * HOUR);
    assert_eq!(check(&mut ledger, &without, 149 * HOUR), Decision::Absent);
    assert_eq!(check(&mut ledger, &without, 150 * HOUR), Decision::Forget, "one that comes again is not new");
}

#[test]
fn a_list_that_is_not_complete_is_never_believed() {
    let mut ledger = Ledger::default();
    ledger.succeeded(job(1), &name("e"), HOUR);
    check(&mut ledger, &listed(&[("e", 0)]), HOUR);
    let before = ledger.clone();
    let accepting = Settings { accept_empty: true, ..SETTINGS };
    let partial = Inventory { complete: false, ..listed(&[]) };
    assert_eq!(ledger.observe(&partial, &accepting, 2 * HOUR), Err(Implausible::Incomplete));
    assert_eq!(ledger, before);
}

#[test]
fn an_empty_store_is_believed_where_a_person_says_so() {
    let mut ledger = Ledger::default();
    ledger.succeeded(job(1), &name("e"), HOUR);
    check(&mut ledger, &listed(&[("e", 0)]), HOUR);
    let empty = listed(&[]);
    let refused = Err(Implausible::Empty { registered: 1 });
    assert_eq!(ledger.observe(&empty, &SETTINGS, 2 * HOUR), refused);
    let accepting = Settings { accept_empty: true, ..SETTINGS };
    ledger.observe(&empty, &accepting, 2 * HOUR).expect("a person has looked");
    assert_eq!(ledger.decide(&name("e"), true, &SETTINGS, 2 * HOUR), Decision::Absent);
    assert_eq!(check(&mut ledger, &empty, 51 * HOUR), Decision::Forget, "and nobody is asked again");
    assert_eq!(check(&mut ledger, &listed(&[("e", 0)]), 60 * HOUR), Decision::Recover(job(1)));
}

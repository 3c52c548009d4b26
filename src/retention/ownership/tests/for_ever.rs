//! What would keep data for ever: a hold that outlives its reason, a store that is restarted again and again.

use super::super::event::Event;
use super::*;

/// It is for orphans. In the order in which the claim comes first there never is one.
#[test]
fn a_hold_for_a_result_that_nobody_can_read_ends_with_a_claim_and_in_either_order() {
    let inventory = listed(&[("e", HOUR)]);
    let in_order = |events: [fn(&mut Ledger); 2]| {
        let mut ledger = Ledger::default();
        ledger.job_is_live(job(1).into(), 0);
        ledger.job_is_live(job(2).into(), 0);
        check(&mut ledger, &inventory, HOUR);
        for event in events {
            event(&mut ledger);
        }
        check(&mut ledger, &inventory, 60 * HOUR);
        assert_eq!(check(&mut ledger, &inventory, 61 * HOUR), Decision::Owned(job(2)));
        assert!(ledger.holds.is_empty() && ledger.unread_holds.is_empty(), "{:?}", ledger.holds);
        ledger.deleted(job(2), 62 * HOUR);
        check(&mut ledger, &inventory, 63 * HOUR);
        assert_eq!(check(&mut ledger, &inventory, 120 * HOUR), Decision::Drop);
    };
    let unread = |ledger: &mut Ledger| ledger.succeeded_with_an_unknown_dataset(job(1), 2 * HOUR);
    let claim = |ledger: &mut Ledger| ledger.succeeded(job(2), &name("e"), 3 * HOUR);
    in_order([unread, claim]);
    in_order([claim, unread]);
}

#[test]
fn a_claim_ends_no_hold_of_a_person() {
    for (until, comes_first) in
        [(None, true), (Some(500 * HOUR), true), (None, false), (Some(500 * HOUR), false)]
    {
        let mut ledger = Ledger::default();
        check(&mut ledger, &listed(&[("e", HOUR)]), HOUR);
        let hold = Event::Hold { dataset: name("e"), until };
        let unread = Event::SucceededWithAnUnknownDataset(job(1));
        let events = if comes_first { [hold, unread] } else { [unread, hold] };
        for event in events {
            ledger.apply(&event, 2 * HOUR);
        }
        ledger.succeeded(job(2), &name("e"), 3 * HOUR);
        assert!(ledger.holds.contains_key(&name("e")), "{until:?}, first: {comes_first}");
    }
}

#[test]
fn what_waits_for_a_store_that_starts_too_often_is_told_and_what_a_job_wrote_is_not() {
    let after = |starts: i64, ended: Option<i64>| {
        let mut ledger = Ledger::default();
        if let Some(ended) = ended {
            ledger.job_is_live(since(1, HOUR), 0);
            ledger.failed(job(1), ended * HOUR);
        }
        for hour in 1..=starts * 40 {
            let token = Some(format!("{}", hour / 40).into());
            let mut inventory = listed(&[("e", 0)]);
            inventory.datasets[0] = Sighting { name: name("e"), last_change: None, change_token: token };
            assert_ne!(check(&mut ledger, &inventory, hour * HOUR), Decision::Drop);
        }
        ledger.waiting_in_vain(&SETTINGS, starts * 40 * HOUR).count()
    };
    assert_eq!((after(3, None), after(4, None), after(9, None)), (0, 1, 1), "three graces are 144 hours");
    assert_eq!(after(4, Some(159)), 0, "a job was at work all the time");
    assert_eq!(after(4, Some(100)), 1, "this one was not");
    assert_eq!(after(9, None), 1);
}

//! Two registries on one database, at work at the same time.

use timesweep::retention::ownership::OwnedName;
use timesweep::retention::ownership::event::Event;

use super::world::{HOUR, Place, SETTINGS, START, derived, id, listed, name};

/// The result of a job and its deletion from two replicas at the same moment, beside checks: what comes
/// out is what some order gives. Every dataset is claimed, and marked exactly where its job was deleted.
pub async fn replicas_lose_nothing(place: Place) {
    let jobs: Vec<u128> = (1..=60).collect();
    let names: Vec<String> = jobs.iter().map(|number| format!("e{number}")).collect();
    let (one, other) = (place.open().await, place.open().await);
    let replicas = async {
        for (number, text) in jobs.iter().zip(&names) {
            let succeeded = [Event::Succeeded { job: id(*number), dataset: name(text) }];
            let deleted = [Event::Deleted(id(*number))];
            let ended: &[Event] = if number % 2 == 0 { &deleted } else { &succeeded };
            let (heard, told) = tokio::join!(one.record(&succeeded, START), other.record(ended, START));
            assert!(heard.is_ok() && told.is_ok(), "{heard:?} {told:?}");
        }
    };
    let checks = async {
        let registry = place.open().await;
        let texts: Vec<&str> = names.iter().map(String::as_str).collect();
        for number in 1..=10 {
            let adopts = |_: &OwnedName| true;
            let checked = registry.check(&listed(&texts), &SETTINGS, &adopts, START + number).await;
            checked.expect("check").expect("plausible");
        }
    };
    tokio::join!(replicas, checks);
    let ledger = place.open().await.ledger().await.expect("the ledger");
    for (number, text) in jobs.iter().zip(&names) {
        let owned = number % 2 == 1;
        assert_eq!(ledger.owners(&name(text)).is_empty(), !owned, "{text}");
        assert_eq!(ledger.rows[&name(text)].mark.is_none(), owned, "{text}");
        assert_eq!(ledger.rows[&name(text)].job, Some(id(*number)), "{text}");
    }
    assert!(ledger.tombstones.is_empty());
    assert_eq!(place.rows().await, derived(&ledger));
}

/// Registries that are opened at once make the tables once.
pub async fn replicas_start_at_once(place: Place) {
    let open = async || _ = place.open().await;
    tokio::join!(open(), open(), open(), open());
    let registry = place.open().await;
    registry.record(&[Event::Deleted(id(1))], START + HOUR).await.expect("record");
    assert_eq!(place.rows().await, [(None, Some(id(1).0.to_string()), Some(START + HOUR))]);
}

/// One runner at a time; the second is told who the first is.
pub async fn one_runner_at_a_time(place: Place) {
    let (one, other) = (place.open().await, place.open().await);
    let mut lock = one.lock_runner("run one").await.expect("the lock");
    lock.verify().await.expect("held");
    let busy = other.lock_runner("run two").await.map(|_| ()).expect_err("busy");
    assert_eq!(busy.kind, timesweep::problem::Kind::Busy);
    assert!(busy.sentence.contains("run one"), "{busy}");
    drop(lock);
    for _ in 0..500 {
        if other.lock_runner("run two").await.is_ok() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the lock is never given back");
}

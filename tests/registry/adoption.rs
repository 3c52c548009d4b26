//! Rows that other programs wrote, before the registry was there and beside it.

use timesweep::registry::Registry;
use timesweep::retention::ownership::OwnedName;
use timesweep::retention::ownership::check::{Decision, Wait};
use timesweep::retention::ownership::event::Event;

use super::world::{HOUR, Place, SETTINGS, START, derived, id, listed, name};

async fn decision(registry: &dyn Registry, names: &[&str], hour: i64) -> Vec<Decision> {
    let adopts = |_: &OwnedName| true;
    let checked = registry.check(&listed(names), &SETTINGS, &adopts, START + hour * HOUR).await;
    registry.announce().await.expect("announce");
    let decisions = checked.expect("check").expect("plausible").decisions;
    decisions.into_iter().map(|(_, decision)| decision).collect()
}

/// What an existing installation looks like; `place` has the tables already, without any row.
pub async fn what_is_there_enters_the_ledger(place: Place) {
    place.insert(Some("active"), Some(1), None).await;
    place.insert(Some("deleted"), Some(2), Some(0)).await;
    place.insert(Some("leak"), Some(3), None).await;
    place.insert(None, Some(3), Some(1)).await;
    place.insert(None, Some(3), Some(2)).await;
    place.insert(Some("orphan"), None, Some(0)).await;
    place.insert(Some("unnamed"), None, None).await;
    place.insert(None, Some(4), Some(0)).await;
    let before = place.rows().await;
    let registry = place.open().await;
    let names = ["active", "deleted", "leak", "orphan", "unnamed"];
    for hour in [100, 101, 102, 103] {
        decision(&*registry, &names, hour).await;
    }
    let held = Decision::Wait(Wait::Held);
    let owned = |number| Decision::Owned(id(number));
    assert_eq!(
        decision(&*registry, &names, 500).await,
        [owned(1), held.clone(), owned(3), Decision::Drop, held]
    );
    assert_eq!(place.rows().await, before, "nothing was changed");
    let advice = registry.advice().await.expect("advice").join("\n");
    for text in ["1 dataset wait for a person (its row was marked", ": unnamed", "probable leaks): leak;"] {
        assert!(advice.contains(text), "{text}: {advice}");
    }
    let met = registry.record(&[Event::Deleted(id(3))], START + 501 * HOUR).await.expect("record");
    assert_eq!(met[0].let_go, [name("leak")]);
    // A success that was waiting takes the tombstone's row, and every other one of the job is gone.
    let late = Event::Succeeded { job: id(4), dataset: name("late") };
    registry.record(&[late], START + 502 * HOUR).await.expect("record");
    let ledger = registry.ledger().await.expect("the ledger");
    assert!(ledger.rows[&name("late")].mark.is_some());
    assert!(!ledger.tombstones.contains_key(&id(4)));
}

/// Today's orchestrator goes on beside us.
pub async fn what_others_change_is_taken_in(place: Place) {
    let registry = place.open().await;
    place.insert(Some("x"), Some(9), None).await;
    assert_eq!(decision(&*registry, &["e", "x"], 1).await, [Decision::Mark, Decision::Owned(id(9))]);
    // A success that leaves the mark of a check standing.
    place.run(&format!("UPDATE esdl_time_series_info SET job_id = '{}' WHERE esdl_id = 'e'", id(1).0)).await;
    for hour in [2, 50, 51, 52] {
        let decisions = decision(&*registry, &["e", "x"], hour).await;
        assert_eq!(decisions, [Decision::Owned(id(1)), Decision::Owned(id(9))]);
    }
    // A registration that is removed although its data is there.
    place.run("DELETE FROM esdl_time_series_info WHERE esdl_id = 'e'").await;
    assert_eq!(decision(&*registry, &["e", "x"], 53).await[0], Decision::Recover(id(1)));
    // A row that is there again under another row id.
    place.run("DELETE FROM esdl_time_series_info WHERE esdl_id = 'e'").await;
    place.insert(Some("e"), Some(1), None).await;
    registry.record(&[Event::Deleted(id(1))], START + 54 * HOUR).await.expect("record");
    let ledger = registry.ledger().await.expect("the ledger");
    assert_eq!(ledger.rows[&name("e")].mark.as_ref().map(|mark| mark.at), Some(START + 54 * HOUR));
    assert_eq!(place.rows().await, derived(&ledger));
}

/// A deletion that we were told of, of a job that others registered since the last check.
pub async fn a_deletion_meets_a_row_that_nobody_has_read_yet(place: Place) {
    let registry = place.open().await;
    place.insert(Some("e"), Some(1), None).await;
    registry.record(&[Event::Deleted(id(1))], START + HOUR).await.expect("record");
    for hour in [2, 3, 4, 5] {
        decision(&*registry, &["e"], hour).await;
    }
    assert_eq!(decision(&*registry, &["e"], 50).await, [Decision::Drop]);
    let ledger = registry.ledger().await.expect("the ledger");
    assert_eq!(place.rows().await, derived(&ledger));
}

/// Rows without a dataset and without a mark, or without anything, mean nothing and are left alone.
pub async fn rows_that_mean_nothing_stay(place: Place) {
    let registry = place.open().await;
    place.insert(None, Some(1), None).await;
    place.insert(None, None, Some(1)).await;
    let before = place.rows().await;
    let result = Event::Succeeded { job: id(1), dataset: name("e") };
    registry.record(&[result], START + HOUR).await.expect("record");
    assert_eq!(decision(&*registry, &["e"], 2).await, [Decision::Owned(id(1))]);
    let mut expected = before;
    expected.push((Some("e".into()), Some(id(1).0.to_string()), None));
    expected.sort();
    assert_eq!(place.rows().await, expected);
}

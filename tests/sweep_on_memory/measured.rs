//! What a run measures on the store in memory, and that it never fails because of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use timesweep::report::Verdict;
use timesweep::report::measure::Fate;
use timesweep::retention::model::ByteCount;

use super::meddled::Meddled;
use super::world::{DAY, NOW, World, blocker, table};

#[tokio::test]
async fn a_measurement_that_fails_is_unknown_and_fails_no_run() {
    let world = World::new(vec![table("t", 1, 20)]).await;
    let meddled = Meddled { no_sizes: true, ..Meddled::new(&world.memory) };
    let report = world.sweep_on(Arc::new(meddled)).await.expect("a report");
    assert_eq!((report.verdict, report.stopped.as_deref()), (Verdict::Done, None));
    assert_eq!(world.oids(), (17..=20).collect());
    let disk = report.disk.expect("a part of the report");
    assert_eq!((disk.before, disk.after), (None, None));
    assert!(disk.unknown[0].contains("cannot ask the server about its disk"), "{:?}", disk.unknown);
    let freed = report.freed.expect("a part of the report");
    assert_eq!((freed.expected, freed.measured), (report.datasets[0].bytes_freed(), None));
    let measure = report.datasets[0].measure.as_ref().expect("a part of the report");
    assert_eq!(measure.after, None);
    assert!(measure.why_unknown.as_deref().is_some_and(|why| why.contains("cannot measure tables")));
}

#[tokio::test]
async fn every_chunk_has_its_fate_and_every_reason_its_count() {
    let world = World::new(vec![table("t", 1, 10)]).await;
    world.memory.block(3, blocker(1));
    let all = (1..=10).map(|oid| 1 << oid).sum();
    world.memory.change(|facts| facts.database_bytes = Some(ByteCount(all)));
    let report = world.sweep().await;
    assert_eq!(report.disk, None, "the store in memory has none");
    let freed = report.freed.clone().expect("a part of the report");
    assert_eq!(freed.measured, Some(freed.expected));
    assert_eq!((freed.difference, freed.measured_again), (None, false));

    let dataset = &report.datasets[0];
    let measure = dataset.measure.as_ref().expect("a part of the report");
    let fates: Vec<Fate> = measure.chunks.iter().map(|mark| mark.fate).collect();
    let mut expected = vec![Fate::Dropped; 6];
    expected[2] = Fate::Stayed;
    expected.extend([Fate::Kept; 4]);
    assert_eq!(fates, expected);
    assert_eq!((measure.chunks_before, measure.chunks_after), (10, Some(5)));
    assert_eq!(measure.next_due, Some(NOW + DAY));
    let kept: Vec<(usize, ByteCount)> = dataset.kept.iter().map(|kept| (kept.chunks, kept.bytes)).collect();
    assert_eq!(kept, [(4, ByteCount((7..=10).map(|oid| 1 << oid).sum()))]);
    assert!(dataset.kept[0].reason.starts_with("has data newer than"), "{:?}", dataset.kept);
}

#[tokio::test]
async fn earlier_samples_are_the_tables_history() {
    let world = World::new(vec![table("t", 1, 10)]).await;
    world.sweep().await;
    world.memory.change(|facts| facts.now += 7 * DAY);
    world.memory.change(|facts| facts.our_now = facts.now);
    let report = world.sweep().await;
    let history = &report.datasets[0].measure.as_ref().expect("a part of the report").history;
    assert_eq!(history.iter().map(|point| point.at).collect::<Vec<_>>(), [NOW, NOW + 7 * DAY]);
    assert!(history[0].bytes > history[1].bytes, "{history:?}");
}

#[tokio::test]
async fn what_is_not_free_yet_is_measured_again() {
    let mut heavy = table("t", 21, 10);
    heavy.chunks.sort_by_key(|chunk| chunk.range.end);
    let world = World::new(vec![heavy]).await;
    let all = ByteCount((21..=30).map(|oid| 1 << oid).sum());
    world.memory.change(|facts| facts.database_bytes = Some(all));
    let late =
        Meddled { late_size: Some((all, Arc::new(AtomicUsize::new(1)))), ..Meddled::new(&world.memory) };
    let report = world.sweep_on(Arc::new(late)).await.expect("a report");
    let freed = report.freed.as_ref().expect("a part of the report");
    assert_eq!(freed.measured, Some(freed.expected), "{freed:?}");
    assert_eq!((&freed.difference, freed.measured_again), (&None, true));
    let disk = report.disk.expect("a part of the report");
    assert!(disk.unknown[0].starts_with("the file systems are unknown: "), "{:?}", disk.unknown);
}

#[tokio::test]
async fn a_signal_ends_the_wait_for_room_that_is_not_free_yet() {
    let mut heavy = table("t", 21, 10);
    heavy.chunks.sort_by_key(|chunk| chunk.range.end);
    let world = World::new(vec![heavy]).await;
    let all = ByteCount((21..=30).map(|oid| 1 << oid).sum());
    world.memory.change(|facts| facts.database_bytes = Some(all));
    let left = Arc::new(AtomicUsize::new(9));
    let late = Meddled { late_size: Some((all, Arc::clone(&left))), ..Meddled::new(&world.memory) };
    let stop = world.stop.clone();
    let signal = async {
        // The third pause is the first one that is long.
        while left.load(Ordering::SeqCst) > 6 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        stop.cancel();
        Instant::now()
    };
    let (report, signalled) = tokio::join!(world.sweep_on(Arc::new(late)), signal);
    assert!(signalled.elapsed() < Duration::from_secs(1), "it went on waiting for {:?}", signalled.elapsed());
    assert_eq!(report.expect("a report").verdict, Verdict::Done);
}

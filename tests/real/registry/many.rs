//! Many datasets: statements do not grow with them, and no event reads a whole table.

use std::time::{Duration, Instant};

use timesweep::registry::Registry;
use timesweep::retention::ownership::OwnedName;
use timesweep::retention::ownership::check::{Decision, Inventory};
use timesweep::retention::ownership::event::Event;

use super::super::support::TestDatabase;
use super::counter::Counter;
use super::world::{HOUR, Place, SETTINGS, START, id, inventory_of, name};

const MANY: u128 = 20_000;

fn names() -> Vec<OwnedName> {
    (0..MANY).map(|number| name(&id(number).0.to_string())).collect()
}

fn inventory(names: &[OwnedName]) -> Inventory {
    inventory_of(names.iter().cloned())
}

async fn check(registry: &dyn Registry, inventory: &Inventory, hour: i64) -> Vec<Decision> {
    let checked = registry.check(inventory, &SETTINGS, &|_| true, START + hour * HOUR).await;
    checked.expect("check").expect("plausible").decisions.into_iter().map(|(_, it)| it).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_call_needs_more_statements_for_more_datasets() {
    let database = TestDatabase::without_extension().await;
    let counter = Counter::before(&database).await;
    let registry = Place::Postgres(counter.url.clone()).open().await;
    let names = names();
    let inventory = inventory(&names);
    let (decisions, marking) = counter.during(check(&*registry, &inventory, 0)).await;
    assert!(decisions.iter().all(|decision| *decision == Decision::Mark));
    let results: Vec<Event> = (0..MANY)
        .zip(&names)
        .map(|(number, name)| Event::Succeeded { job: id(number + 1), dataset: name.clone() })
        .collect();
    let (_, recording) = counter.during(registry.record(&results, START + HOUR)).await;
    let (decisions, steady) = counter.during(check(&*registry, &inventory, 2)).await;
    assert!(decisions.iter().all(|decision| matches!(decision, Decision::Owned(_))));
    let deletions: Vec<Event> = (0..500).map(|number| Event::Deleted(id(number + 1))).collect();
    let (met, deleting) = counter.during(registry.record(&deletions, START + 3 * HOUR)).await;
    assert!(met.expect("record").iter().all(|met| met.known && met.let_go.len() == 1));
    let (ledger, reading) = counter.during(registry.ledger()).await;
    assert_eq!(ledger.expect("the ledger").rows.len(), names.len());
    let counts = [marking, recording, steady, deleting, reading];
    assert!(counts.iter().all(|count| *count < 60), "{counts:?}");
    assert!(steady < 20, "a check with nothing to do writes nothing: {counts:?}");
}

/// A sequential scan of a table with many rows would show in the server's own counts.
#[tokio::test(flavor = "multi_thread")]
async fn no_event_reads_a_whole_table() {
    let database = TestDatabase::without_extension().await;
    let place = Place::Postgres(database.url.clone());
    let registry = place.open().await;
    let names = names();
    check(&*registry, &inventory(&names), 0).await;
    let result = |number: u128| Event::Succeeded { job: id(number), dataset: names[0].clone() };
    let claims: Vec<Event> = (0..MANY)
        .zip(&names)
        .map(|(number, name)| Event::Succeeded { job: id(number + 1), dataset: name.clone() })
        .collect();
    registry.record(&claims, START).await.expect("record");
    database.run("ANALYZE").await;
    let read = "SELECT coalesce(sum(seq_tup_read), 0)::bigint FROM pg_stat_user_tables \
         WHERE relname IN ('esdl_time_series_info', 'timesweep_row', 'timesweep_claim', 'timesweep_seen_job', \
                           'timesweep_seen_dataset', 'timesweep_deleted_job')";
    drop(registry);
    settled(&database).await;
    let before = database.number(read).await;
    let registry = place.open().await;
    for (hour, event) in (1..).zip([
        result(MANY + 5),
        Event::Deleted(id(7)),
        Event::Deleted(id(MANY + 9)),
        Event::Failed(id(8)),
        Event::CancelMark { dataset: names[3].clone(), hold_until: START },
        Event::CancelTombstone(id(MANY + 9)),
    ]) {
        registry.record(&[event], START + hour * HOUR).await.expect("record");
    }
    drop(registry);
    settled(&database).await;
    let rows = database.number(read).await - before;
    assert!(rows < 1_000, "{rows} rows were read one by one");
}

/// What a server plans for empty tables takes the square of the time once there are many rows, and a session would
/// keep that plan until the server has new statistics.
#[tokio::test(flavor = "multi_thread")]
async fn who_came_when_everything_was_empty_is_as_quick_as_who_comes_later() {
    let database = TestDatabase::without_extension().await;
    let place = Place::Postgres(database.url.clone());
    let early = place.open().await;
    let nothing = inventory(&[]);
    check(&*early, &nothing, 0).await;
    let deletions: Vec<Event> = (0..MANY).map(|number| Event::Deleted(id(number + 1))).collect();
    for some in deletions.chunks(1_000) {
        early.record(some, START).await.expect("record");
    }
    let time = async |registry: &dyn Registry, hour| {
        let begin = Instant::now();
        check(registry, &nothing, hour).await;
        begin.elapsed()
    };
    let kept = time(&*early, 1).await;
    let late = place.open().await;
    let planned = time(&*late, 2).await;
    assert!(kept < planned * 5 + Duration::from_secs(2), "{kept:?} against {planned:?}");
}

/// Counts of a session are complete once it has ended.
async fn settled(database: &TestDatabase) {
    let left = "SELECT count(*) FROM pg_stat_activity \
         WHERE datname = current_database() AND application_name LIKE 'timesweep%'";
    super::super::support::eventually("the sessions end", async || database.number(left).await == 0).await;
}

/// By hand, for docs/benchmarks.md: `TIMESWEEP_MANY=100000 cargo nextest run --run-ignored only by_hand`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement, by hand"]
async fn times_by_hand() {
    let many: u128 = std::env::var("TIMESWEEP_MANY").map_or(MANY, |text| text.parse().expect("a number"));
    let database = TestDatabase::without_extension().await;
    let registry = Place::Postgres(database.url.clone()).open().await;
    let names: Vec<OwnedName> = (0..many).map(|number| name(&id(number).0.to_string())).collect();
    let listed = inventory(&names);
    let start = Instant::now();
    let mut last = start;
    let mut lap = |what: &str| {
        let status = std::fs::read_to_string("/proc/self/status").expect("our status");
        let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default().to_owned();
        println!("{what}: {} ms, {peak}", last.elapsed().as_millis());
        last = Instant::now();
    };
    lap("start");
    check(&*registry, &listed, 0).await;
    lap("marking");
    let claim =
        |(number, name): (u128, &OwnedName)| Event::Succeeded { job: id(number + 1), dataset: name.clone() };
    for (batch, part) in (0..).zip(names.chunks(5_000)) {
        let claims: Vec<Event> = (batch * 5_000..).zip(part).map(claim).collect();
        registry.record(&claims, START + HOUR).await.expect("record");
    }
    lap("claiming");
    check(&*registry, &listed, 2).await;
    lap("a check with nothing due");
    for batch in 0..10 {
        let deletions: Vec<Event> =
            (0..500).map(|number| Event::Deleted(id(batch * 500 + number + 1))).collect();
        registry.record(&deletions, START + 3 * HOUR).await.expect("record");
    }
    lap("5,000 deletions by 500");
    registry.ledger().await.expect("the ledger");
    lap("the ledger");
}

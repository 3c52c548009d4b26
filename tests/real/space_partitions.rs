//! Space partitions: siblings of one range go together or not at all, and nested ranges stay in order.

use timesweep::retention::model::Chunk;
use timesweep::store::{Change, DropFailure};

use super::direct;
use super::ledger::{self, Ledger, dropped_items};
use super::support::TestDatabase;

const RULES: &str =
    "[[policies]]\ntable = \"public.*\"\ndrop_after = \"3 days\"\n[caps]\nshare_of_bytes = \"100 %\"\n";

/// A table with one chunk per day and partition for `days` days; twenty devices fill every partition.
async fn partitioned_table(database: &TestDatabase, name: &str, partitions: u32, days: u32) {
    database
        .run(&format!(
            "CREATE TABLE {name} (ts timestamptz NOT NULL, device int NOT NULL, value float8); \
             SELECT create_hypertable('{name}', by_range('ts', interval '1 day')); \
             SELECT add_dimension('{name}', by_hash('device', {partitions})); {}",
            rows(name, 0, days)
        ))
        .await;
}

/// One row for each of twenty devices on each of these days before today.
fn rows(name: &str, from: u32, to: u32) -> String {
    format!(
        "INSERT INTO {name} SELECT date_trunc('day', now()) - day * interval '1 day' + interval '1 minute', device, 1 \
           FROM generate_series({from}, {to} - 1) day, generate_series(1, 20) device"
    )
}

#[tokio::test]
async fn siblings_of_one_range_are_one_item_and_go_together() {
    let database = TestDatabase::new().await;
    database.configuration(&format!("parallelism = 4\n{RULES}"));
    partitioned_table(&database, "t", 3, 20).await;
    let weights = ledger::expired(&database).await;
    assert_eq!(weights.len(), 16 * 3);
    let report = database.ran(&["run", "--apply", "--output", "json"]).with_code(0).json();
    assert_eq!(dropped_items(&report), 16);
    assert_eq!(database.chunks("t").await, 4 * 3);
    let ledger = Ledger::read(&database).await;
    assert_eq!((ledger.chunks, ledger.bytes, ledger.open), (16, weights.values().sum(), 0));
}

#[tokio::test]
async fn a_changed_number_of_partitions_gives_items_of_both_sizes() {
    let database = TestDatabase::new().await;
    database.configuration(RULES);
    partitioned_table(&database, "t", 2, 0).await;
    database
        .run(&format!("{}; SELECT set_number_partitions('t', 4); {}", rows("t", 6, 8), rows("t", 0, 6)))
        .await;
    let sizes: Vec<usize> =
        direct::table(&database, "t").await.chunks.iter().map(|chunk| chunk.parts.len()).collect();
    assert_eq!(sizes, [2, 2, 4, 4, 4, 4, 4, 4]);
    let report = database.ran(&["run", "--apply", "--output", "json"]).with_code(0).json();
    assert_eq!(dropped_items(&report), 4);
    assert_eq!(database.chunks("t").await, 4 * 4);
}

/// Daily chunks for one device, and around them one of four weeks that only the other partition has.
///
/// The server cuts new ranges at old ones as long as the time dimension is aligned, which it is from the
/// start; tables of early versions are not.
async fn nested_ranges(database: &TestDatabase) -> Vec<Chunk> {
    database
        .run(
            "CREATE TABLE t (ts timestamptz NOT NULL, device int NOT NULL, value float8); \
             SELECT create_hypertable('t', by_range('ts', interval '1 day')); \
             SELECT add_dimension('t', by_hash('device', 2)); \
             UPDATE _timescaledb_catalog.dimension SET aligned = false; \
             CREATE TABLE start AS SELECT time_bucket('28 days', now() - interval '84 days', origin => timestamptz 'epoch') AS at; \
             CREATE TABLE of_partition AS SELECT device, _timescaledb_functions.get_partition_hash(device) < 1073741823 AS first \
               FROM generate_series(1, 40) device",
        )
        .await;
    database
        .run(
            "INSERT INTO t SELECT start.at + day * interval '1 day', (SELECT min(device) FROM of_partition WHERE first), 1 \
               FROM start, generate_series(5, 8) day; \
             SELECT set_chunk_time_interval('t', interval '28 days'); \
             INSERT INTO t SELECT start.at + interval '20 days', (SELECT min(device) FROM of_partition WHERE NOT first), 1 FROM start; \
             SELECT set_chunk_time_interval('t', interval '1 day'); \
             INSERT INTO t SELECT now(), device, 1 FROM of_partition",
        )
        .await;
    let chunks = direct::table(database, "t").await.chunks;
    assert_eq!(chunks.len(), 6, "four days, the weeks around them, and today: {chunks:?}");
    assert!(chunks[0..4].iter().all(|inner| chunks[4].range.contains(inner.range)), "{chunks:?}");
    chunks
}

#[tokio::test]
async fn inner_ranges_go_before_the_one_around_them() {
    let database = TestDatabase::new().await;
    database.configuration(&format!("parallelism = 4\n{RULES}"));
    nested_ranges(&database).await;
    let weights = ledger::expired(&database).await;
    let report = database.ran(&["run", "--apply", "--output", "json"]).with_code(0).json();
    assert_eq!(report["verdict"], "done");
    assert_eq!((weights.len(), dropped_items(&report)), (5, 5));
    Ledger::read(&database).await.assert_counts(&weights);
}

#[tokio::test]
async fn a_range_around_a_held_chunk_stays_with_it() {
    let database = TestDatabase::new().await;
    database.configuration(RULES);
    let chunks = nested_ranges(&database).await;
    let held = chunks[1].parts[0].relation.to_string();
    database.ran(&["hold", "add", &held, "--reason", "audit"]).with_code(0);
    let plan = database.ran(&["plan", "--all"]).with_code(0).out;
    assert!(plan.contains(&held), "{plan}");
    database.ran(&["run", "--apply"]).with_code(0);
    let left: Vec<Chunk> = direct::table(&database, "t").await.chunks;
    assert_eq!(
        left.iter().map(|chunk| chunk.range).collect::<Vec<_>>(),
        [chunks[1].range, chunks[4].range, chunks[5].range]
    );
}

#[tokio::test]
async fn a_sibling_that_appears_after_the_plan_rolls_the_drop_back() {
    let database = TestDatabase::new().await;
    partitioned_table(&database, "t", 3, 0).await;
    database
        .run("INSERT INTO t SELECT now() - day * interval '1 day', 1, 1 FROM generate_series(0, 5) day")
        .await;
    let table = direct::table(&database, "t").await;
    assert_eq!(table.chunks[0].parts.len(), 1);
    // Rows of other devices arrive late, in a range that is to go.
    database
        .run("INSERT INTO t SELECT now() - interval '5 days', device, 1 FROM generate_series(2, 20) device")
        .await;
    let answer = direct::drop_them(&database, &table, &table.chunks[0..2]).await;
    let Err(DropFailure::Changed(changes)) = &answer else { panic!("{answer:?}") };
    let [(0, Change::Differs(what))] = changes.as_slice() else { panic!("{changes:?}") };
    assert!(what.contains("as well"), "{what}");
    assert_eq!(
        database.chunks("t").await,
        8,
        "nothing is dropped, neither the new rows nor the planned ones"
    );
}

#[tokio::test]
async fn an_inner_chunk_that_is_not_in_the_order_rolls_the_outer_one_back() {
    let database = TestDatabase::new().await;
    let chunks = nested_ranges(&database).await;
    let table = direct::table(&database, "t").await;
    let answer = direct::drop_them(&database, &table, &chunks[4..5]).await;
    assert!(matches!(answer, Err(DropFailure::Changed(_))), "{answer:?}");
    assert_eq!(database.chunks("t").await, 7);
}

/// The ranges of the order touch each other, and the one around their border lies in neither.
#[tokio::test]
async fn a_chunk_across_the_border_of_two_that_go_together_stays() {
    let database = TestDatabase::new().await;
    database
        .run(
            "CREATE TABLE t (ts timestamptz NOT NULL, device int NOT NULL, value float8); \
             SELECT create_hypertable('t', by_range('ts', interval '1 day')); \
             SELECT add_dimension('t', by_hash('device', 2)); \
             UPDATE _timescaledb_catalog.dimension SET aligned = false; \
             CREATE TABLE start AS SELECT time_bucket('3 days', now() - interval '84 days', origin => timestamptz 'epoch') AS at; \
             CREATE TABLE of_partition AS SELECT device, _timescaledb_functions.get_partition_hash(device) < 1073741823 AS first \
               FROM generate_series(1, 40) device",
        )
        .await;
    database
        .run(
            "INSERT INTO t SELECT start.at + day * interval '1 day', (SELECT min(device) FROM of_partition WHERE first), 1 \
               FROM start, generate_series(0, 1) day; \
             SELECT set_chunk_time_interval('t', interval '36 hours'); \
             INSERT INTO t SELECT start.at + interval '30 hours', (SELECT min(device) FROM of_partition WHERE NOT first), 1 FROM start",
        )
        .await;
    let table = direct::table(&database, "t").await;
    let chunks = &table.chunks;
    assert_eq!(chunks.len(), 3, "{chunks:?}");
    let (across, days): (Vec<Chunk>, Vec<Chunk>) =
        chunks.iter().cloned().partition(|chunk| chunk.range.end - chunk.range.start > 86_400_000_000);
    assert!(days[0].range.end == days[1].range.start && across[0].range.contains(days[0].range));
    assert!(across[0].range.end < days[1].range.end, "it lies in neither: {chunks:?}");
    direct::drop_them(&database, &table, &days).await.expect("both go");
    let left = direct::table(&database, "t").await.chunks;
    assert_eq!(left.iter().map(|chunk| chunk.range).collect::<Vec<_>>(), [across[0].range]);
}

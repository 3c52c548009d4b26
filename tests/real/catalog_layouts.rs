//! What only other versions and editions have, on catalog fixtures: compressed and tiered chunks, and the
//! catalog of 2.29, whose statements have to say the same as those for 2.19.

use sqlx::postgres::types::Oid;
use timesweep::retention::facts::DatasetFacts;
use timesweep::retention::model::{ByteCount, PartState};
use timesweep::retention::time_axis::TimeRange;

use super::direct;
use super::support::TestDatabase;

/// `t` with eight daily chunks: the oldest is compressed and has a companion, the second one is frozen.
async fn table_with_odd_chunks() -> TestDatabase {
    let database = TestDatabase::new().await;
    database.daily_table("t", 8).await;
    database
        .run(
            "CREATE TABLE companion WITH (autovacuum_enabled = false) AS SELECT number, repeat('x', 100) FROM generate_series(1, 2000) number; \
             INSERT INTO _timescaledb_catalog.compression_settings (relid, compress_relid) \
               SELECT c, 'companion' FROM show_chunks('t') c ORDER BY c LIMIT 1; \
             UPDATE _timescaledb_catalog.chunk SET status = 1 WHERE id = 1; \
             UPDATE _timescaledb_catalog.chunk SET status = 4 WHERE id = 2",
        )
        .await;
    database
}

fn states(table: &DatasetFacts) -> Vec<PartState> {
    table.chunks.iter().map(|chunk| chunk.parts[0].state).collect()
}

#[tokio::test]
async fn a_compressed_chunk_weighs_as_much_as_it_and_its_companion() {
    let database = table_with_odd_chunks().await;
    let table = direct::table(&database, "t").await;
    assert!(table.chunks[0].parts[0].state.compressed);
    let own = database.number("SELECT pg_total_relation_size((SELECT min(c) FROM show_chunks('t') c))").await;
    let companion = database.number("SELECT pg_total_relation_size('companion')").await;
    assert!(companion > 100_000, "{companion}");
    assert_eq!(table.chunks[0].bytes(), Some(ByteCount(u64::try_from(own + companion).expect("a size"))));
    assert_eq!(table.chunks[1].bytes(), Some(ByteCount(u64::try_from(own).expect("a size"))));
    let rows = table.chunks[0].rows();
    assert_eq!(rows, None, "the estimate of a compressed chunk says nothing");
}

/// What 2.29 has and 2.19 has not; the driver looks for exactly these.
const LAYOUT_OF_2_29: &str = "ALTER TABLE _timescaledb_catalog.chunk ADD COLUMN relid regclass; \
     UPDATE _timescaledb_catalog.chunk SET relid = format('%I.%I', schema_name, table_name)::regclass; \
     CREATE TABLE _timescaledb_catalog.continuous_aggs_materialization_ranges \
       (materialization_id int, lowest_modified_value bigint, greatest_modified_value bigint)";

/// Turns an older server's layout into that of 2.29; says whether it was one.
async fn brought_to_2_29(database: &TestDatabase) -> bool {
    let by_relation = "SELECT count(*) FROM pg_attribute \
         WHERE attrelid = '_timescaledb_catalog.chunk'::regclass AND attname = 'relid'";
    let older = database.number(by_relation).await == 0;
    if older {
        database.run(LAYOUT_OF_2_29).await;
    }
    older
}

#[tokio::test]
async fn both_catalog_layouts_tell_the_same_chunks() {
    let database = table_with_odd_chunks().await;
    let old = direct::table(&database, "t").await;
    let odd = PartState { compressed: true, ..PartState::default() };
    let frozen = PartState { frozen: true, ..PartState::default() };
    assert_eq!(states(&old)[0..3], [odd, frozen, PartState::default()]);
    if !brought_to_2_29(&database).await {
        return;
    }
    let new = direct::table(&database, "t").await;
    assert_eq!(new.chunks, old.chunks);
    // Proves that the new layout was read: the chunk is found by its relation alone.
    database.run("UPDATE _timescaledb_catalog.chunk SET relid = 0 WHERE id = 2").await;
    assert_eq!(states(&direct::table(&database, "t").await)[1], PartState::default());
}

#[tokio::test]
async fn pending_work_of_an_aggregate_in_the_new_layout_counts_as_not_materialized() {
    let database = TestDatabase::new().await;
    database.daily_table("t", 8).await;
    database.daily_table("mat", 1).await;
    database
        .run(
            "INSERT INTO _timescaledb_catalog.continuous_agg (mat_hypertable_id, raw_hypertable_id, user_view_schema, user_view_name, \
               partial_view_schema, partial_view_name, direct_view_schema, direct_view_name) \
             SELECT 2, 1, 'public', 't_daily', 's', 'partial', 's', 'direct'; \
             INSERT INTO _timescaledb_catalog.continuous_aggs_materialization_invalidation_log VALUES (2, 10, 19); \
             INSERT INTO _timescaledb_catalog.continuous_aggs_hypertable_invalidation_log VALUES (1, 20, 29)",
        )
        .await;
    let ranges = async || {
        let mut ranges = direct::table(&database, "t").await.aggregates[0].not_materialized.clone();
        ranges.sort_by_key(|range| range.start);
        ranges
    };
    let of_old_layout = [TimeRange::new(10, 20), TimeRange::new(20, 30)];
    assert_eq!(ranges().await, of_old_layout);
    brought_to_2_29(&database).await;
    assert_eq!(ranges().await, of_old_layout);
    database
        .run("INSERT INTO _timescaledb_catalog.continuous_aggs_materialization_ranges VALUES (2, 30, 39)")
        .await;
    assert_eq!(ranges().await, [of_old_layout[0], of_old_layout[1], TimeRange::new(30, 40)]);
}

#[tokio::test]
async fn a_tiered_chunk_is_listed_and_kept_and_never_the_newest() {
    let database = TestDatabase::new().await;
    database.configuration(
        "[[policies]]\ntable = \"public.t\"\nkeep_newest = 2\n[caps]\nshare_of_bytes = \"100 %\"\n",
    );
    database.daily_table("t", 6).await;
    database
        .run(
            "CREATE FOREIGN DATA WRAPPER far; CREATE SERVER away FOREIGN DATA WRAPPER far; \
             CREATE FOREIGN TABLE tiered (ts timestamptz NOT NULL, device int NOT NULL, value float8) SERVER away; \
             SET allow_system_table_mods = on; INSERT INTO pg_inherits VALUES ('tiered'::regclass, 't'::regclass, 1, false)",
        )
        .await;
    let table = direct::table(&database, "t").await;
    assert_eq!((table.chunks.len(), table.relations_in_catalog), (7, 7));
    let oid: Oid = sqlx::query_scalar("SELECT 'tiered'::regclass::oid")
        .fetch_one(&mut database.connect().await)
        .await
        .expect("an oid");
    let tiered: Vec<_> = table.chunks.iter().filter(|chunk| chunk.parts[0].state.tiered).collect();
    assert_eq!(tiered.len(), 1);
    assert_eq!(tiered[0].parts[0].oid, oid.0);

    let plan = database.ran(&["plan", "--all"]).with_code(0).out;
    let line = plan.lines().find(|line| line.contains("tiered")).expect("the tiered chunk is listed");
    assert!(line.contains("keep") || line.contains("kept"), "{line}");
    database.ran(&["run", "--apply"]).with_code(0);
    assert_eq!(database.chunks("t").await, 3, "the newest two that are here, and the one that is elsewhere");
    assert_eq!(database.number("SELECT count(*) FROM pg_class WHERE relname = 'tiered'").await, 1);
}

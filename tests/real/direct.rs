//! The driver itself, for what has to happen between a plan and its drop.

use std::sync::Arc;

use timesweep::config::{Config, Machine};
use timesweep::retention::facts::DatasetFacts;
use timesweep::retention::model::Chunk;
use timesweep::retention::name::RelationName;
use timesweep::store::{self, Change, Driver, DropFailure, DropOrder, Wanted};

use super::support::TestDatabase;

pub fn driver(database: &TestDatabase) -> Arc<dyn Driver> {
    driver_on(database, &database.url)
}

/// The same, where the driver reaches the database by another address.
pub fn driver_on(database: &TestDatabase, address: &str) -> Arc<dyn Driver> {
    let url = database.file("url");
    std::fs::write(&url, address).expect("a file for the url");
    let text = format!("[stores.main]\nurl = {{ file = {:?} }}", url.display().to_string());
    store::open(&Config::parse(&text, "test", &Machine).expect("a configuration").stores[0])
        .expect("a driver")
}

/// What a fresh driver says of a table in `public`.
pub async fn table(database: &TestDatabase, name: &str) -> DatasetFacts {
    let facts = driver(database).facts(&Wanted::default()).await.expect("facts");
    let name = RelationName::new("public", name);
    facts.datasets.into_iter().find(|dataset| dataset.name == name).expect("the table")
}

/// Drops these chunks of a table in one transaction, with its aggregates asked again.
pub async fn drop_them(
    database: &TestDatabase,
    table: &DatasetFacts,
    chunks: &[Chunk],
) -> Result<usize, DropFailure> {
    let order = DropOrder {
        dataset: table.name.clone(),
        kind: table.kind.clone(),
        chunks: chunks.to_vec(),
        protect_aggregates: true,
    };
    let mut dropper = driver(database).open_dropper().await.expect("a session");
    dropper.drop_chunks(&order).await.map(|dropped| dropped.chunks)
}

/// One chunk of `t`, of which `change` has made another one: the order is not done.
async fn refused_where(change: impl FnOnce(&mut Chunk, &DatasetFacts)) {
    let database = TestDatabase::new().await;
    database.daily_table("t", 5).await;
    database.daily_table("u", 5).await;
    let (t, u) = (table(&database, "t").await, table(&database, "u").await);
    let mut chunk = t.chunks[0].clone();
    change(&mut chunk, &u);
    let answer = drop_them(&database, &t, &[chunk]).await;
    assert_eq!(answer, Err(DropFailure::Changed(vec![(0, Change::Gone)])));
    assert_eq!((database.chunks("t").await, database.chunks("u").await), (5, 5));
}

#[tokio::test]
async fn a_chunk_with_the_planned_name_but_another_object_id_is_not_dropped() {
    refused_where(|chunk, _| chunk.parts[0].oid += 1_000_000).await;
}

#[tokio::test]
async fn a_chunk_with_the_planned_object_id_but_another_name_is_not_dropped() {
    refused_where(|chunk, _| chunk.parts[0].relation.name.push('x')).await;
}

#[tokio::test]
async fn a_chunk_of_another_hypertable_is_not_dropped() {
    refused_where(|chunk, other| *chunk = other.chunks[0].clone()).await;
}

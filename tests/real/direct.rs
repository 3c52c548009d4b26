//! The driver itself, for what has to happen between a plan and its drop.

use std::sync::Arc;

use timesweep::config::{Config, Machine};
use timesweep::retention::facts::DatasetFacts;
use timesweep::retention::model::Chunk;
use timesweep::retention::name::RelationName;
use timesweep::store::{self, Driver, DropFailure, DropOrder, Wanted};

use super::support::TestDatabase;

pub fn driver(database: &TestDatabase) -> Arc<dyn Driver> {
    let url = database.file("url");
    std::fs::write(&url, &database.url).expect("a file for the url");
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
) -> Result<(), DropFailure> {
    let order = DropOrder {
        dataset: table.name.clone(),
        kind: table.kind.clone(),
        chunks: chunks.to_vec(),
        protect_aggregates: true,
    };
    driver(database).open_dropper().await.expect("a session").drop_chunks(&order).await
}

//! What the suite needs of a store that a driver works on: a table, and somebody else who changes it.

use std::sync::Arc;

use async_trait::async_trait;
use timesweep::retention::facts::{DatasetFacts, StoreFacts};
use timesweep::retention::model::Chunk;
use timesweep::retention::name::{DatasetName, RelationName};
use timesweep::store::{Driver, DropOrder, Wanted};

/// A store with the table `public.t`, which has seven daily chunks of one part each, and `public.u` with two.
#[async_trait]
pub trait Ground: Send + Sync {
    fn driver(&self) -> Arc<dyn Driver>;

    /// Another session drops this chunk of `public.t`.
    async fn drop_elsewhere(&mut self, chunk: &Chunk);

    /// From now on the store will not drop this chunk of `public.t`.
    async fn freeze(&mut self, chunk: &Chunk);

    /// Another session reads this chunk in an open transaction until `release`.
    async fn lock(&mut self, chunk: &Chunk);

    async fn release(&mut self);

    /// Another session, which does nothing until the end; answers with its role.
    async fn connect(&mut self) -> String;
}

pub fn t() -> DatasetName {
    RelationName::new("public", "t")
}

pub async fn facts(ground: &dyn Ground) -> StoreFacts {
    ground.driver().facts(&Wanted::default()).await.expect("facts")
}

/// What the store says of `public.t`.
pub async fn table(ground: &dyn Ground) -> DatasetFacts {
    let all = facts(ground).await.datasets;
    all.into_iter().find(|dataset| dataset.name == t()).expect("the table")
}

pub async fn chunks(ground: &dyn Ground) -> Vec<Chunk> {
    table(ground).await.chunks
}

/// An order for these chunks of `public.t`.
pub async fn order(ground: &dyn Ground, chunks: &[Chunk]) -> DropOrder {
    DropOrder {
        dataset: t(),
        kind: table(ground).await.kind,
        chunks: chunks.to_vec(),
        protect_aggregates: true,
    }
}

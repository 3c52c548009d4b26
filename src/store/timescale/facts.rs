//! Reads all facts in one snapshot, so that no two of them contradict each other.

use std::collections::HashMap;

use jiff::Timestamp;
use sqlx::postgres::PgConnection;

use crate::problem::{Kind, Problem, Result};
use crate::retention::facts::{DatasetFacts, StoreFacts, Words};
use crate::retention::guard::activity;
use crate::retention::name::DatasetName;
use crate::store::Wanted;
use crate::store::postgres::idle::Idle;
use crate::store::postgres::rollback;

use super::catalog::Catalog;
use super::{aggregates, chunks, dependencies, hypertables, native, sizes, snapshot};

/// The facts, and the catalog that they were read from.
pub async fn read(
    connection: &mut PgConnection,
    idle: &Idle,
    wanted: &Wanted,
) -> Result<(StoreFacts, Catalog)> {
    match read_in_snapshot(connection, idle, wanted).await {
        Err(problem) if problem.kind == Kind::Busy => Err(name_the_drop(connection, problem).await),
        facts => facts,
    }
}

/// Sizes wait behind the locks of a drop at work: where that was too long, the drop is what people want to know.
async fn name_the_drop(connection: &mut PgConnection, waited: Problem) -> Problem {
    rollback(connection).await;
    let others = dependencies::other_drops(connection).await.unwrap_or_default();
    match activity::another_drop_is_running(&others) {
        Some(refusal) => Problem::busy(refusal.sentence).cause(waited.sentence).hint(refusal.way_out),
        None => waited,
    }
}

async fn read_in_snapshot(
    connection: &mut PgConnection,
    idle: &Idle,
    wanted: &Wanted,
) -> Result<(StoreFacts, Catalog)> {
    let catalog = snapshot(connection).await?;
    let our_now = Timestamp::now().as_microsecond();
    let mut datasets = hypertables::list(connection, wanted).await?;
    let not_datasets = hypertables::explain_missing(connection, &datasets, wanted).await?;
    attach(connection, &catalog, wanted, &mut datasets).await?;
    sizes::attach(connection, idle, &mut datasets).await?;
    let database_bytes = sizes::of_database(connection).await?;
    let other_drops = dependencies::other_drops(connection).await?;
    rollback(connection).await;
    let facts = StoreFacts {
        words: Words::Timescale,
        identity: catalog.identity.clone(),
        now: catalog.now,
        our_now,
        server: catalog.server(),
        read_only: catalog.read_only,
        database_bytes,
        datasets,
        not_datasets,
        sees_other_sessions: catalog.sees_other_sessions,
        other_drops,
        connection: catalog.connection.clone(),
    };
    Ok((facts, catalog))
}

async fn attach(
    connection: &mut PgConnection,
    catalog: &Catalog,
    wanted: &Wanted,
    datasets: &mut [DatasetFacts],
) -> Result<()> {
    let mut by_name: HashMap<DatasetName, &mut DatasetFacts> =
        datasets.iter_mut().map(|dataset| (dataset.name.clone(), dataset)).collect();
    chunks::attach(connection, catalog, wanted, &mut by_name).await?;
    native::attach(connection, &mut by_name).await?;
    dependencies::attach_foreign_keys(connection, &mut by_name).await?;
    aggregates::attach(connection, catalog, &mut by_name).await
}

//! The registry on PostgreSQL: the suite of `tests/registry/`, and what only a server can show.

#[path = "../registry/adoption.rs"]
mod adoption;
#[path = "../registry/differential.rs"]
mod differential;
#[path = "../registry/meddled.rs"]
mod meddled;
#[path = "../registry/pages.rs"]
mod pages;
#[path = "../registry/together.rs"]
mod together;
#[path = "../registry/world.rs"]
mod world;

mod counter;
mod crash;
mod many;
mod narrow;
pub mod omotes;
mod others;
mod silent;

use super::pooler::Pooler;
use super::support::TestDatabase;
use world::Place;

fn place(database: &TestDatabase) -> Place {
    Place::Postgres(database.url.clone())
}

#[tokio::test]
async fn a_server_does_what_the_ledger_does() {
    for seed in 0..6 {
        let database = TestDatabase::without_extension().await;
        differential::compare(place(&database), seed, 60).await;
    }
}

#[tokio::test]
async fn nothing_owned_is_due_whatever_others_write_into_the_table() {
    for seed in 0..4 {
        let database = TestDatabase::without_extension().await;
        meddled::nothing_owned_is_due(place(&database), seed, 60).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_registries_on_one_server_lose_nothing() {
    let database = TestDatabase::without_extension().await;
    together::replicas_lose_nothing(place(&database)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn registries_that_start_at_once_make_the_tables_once() {
    let database = TestDatabase::without_extension().await;
    together::replicas_start_at_once(place(&database)).await;
}

#[tokio::test]
async fn one_runner_at_a_time_uses_a_server() {
    let database = TestDatabase::without_extension().await;
    together::one_runner_at_a_time(place(&database)).await;
}

#[tokio::test]
async fn behind_a_transaction_pooler_nobody_becomes_the_runner() {
    let database = TestDatabase::without_extension().await;
    let registry = Place::Postgres(Pooler::before(&database).url).open().await;
    let Err(problem) = registry.lock_runner("run one").await else { panic!("there was no pooler") };
    assert_eq!(problem.kind, timesweep::problem::Kind::Refused);
    let said = "a transaction pooler is in front of the registry, so two runners could drop at the same time";
    assert!(problem.to_string().starts_with(said), "{problem}");
    let advice = registry.advice().await.expect("advice");
    assert!(advice[0].starts_with("a transaction pooler is in front of the registry"), "{advice:?}");
}

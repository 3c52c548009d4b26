//! What keeps a run from touching anything at all.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use timesweep::problem::Kind;
use timesweep::report::{Report, Verdict};
use timesweep::retention::facts::{AggregateFacts, OtherDrop, RefreshWindow, StoreFacts};
use timesweep::retention::guard::GuardName;
use timesweep::retention::model::StoreName;
use timesweep::retention::name::RelationName;
use timesweep::retention::rules::OnDependants;
use timesweep::store::Driver;
use timesweep::sweep::apply::Order;

use super::meddled::Meddled;
use super::world::{World, table};

/// Runs after this change; nothing may be tried.
async fn refused_after(change: impl FnOnce(&mut StoreFacts)) -> Report {
    let world = World::new(vec![table("t", 1, 8)]).await;
    world.memory.change(change);
    let before = world.oids();
    let report = world.sweep().await;
    assert_eq!(world.oids(), before);
    assert!(world.memory.order_sizes().is_empty(), "no order was tried");
    world.assert_journal_counts([]).await;
    report
}

fn guards(report: &Report) -> Vec<GuardName> {
    let tables = report.datasets.iter().flat_map(|dataset| &dataset.refusals);
    report.refusals.iter().chain(tables).map(|refusal| refusal.guard).collect()
}

#[tokio::test]
async fn clocks_that_are_apart_refuse_the_run() {
    let report = refused_after(|facts| facts.our_now += 301_000_000).await;
    assert_eq!((report.verdict, guards(&report)), (Verdict::Refused, vec![GuardName::Clock]));
}

#[tokio::test]
async fn a_standby_refuses_the_run() {
    let report = refused_after(|facts| facts.read_only = true).await;
    assert_eq!((report.verdict, guards(&report)), (Verdict::Refused, vec![GuardName::ReadOnly]));
}

#[tokio::test]
async fn a_listing_that_misses_a_chunk_refuses_the_table() {
    let report = refused_after(|facts| facts.datasets[0].relations_in_catalog += 1).await;
    assert_eq!((report.verdict, guards(&report)), (Verdict::Refused, vec![GuardName::Inventory]));
}

#[tokio::test]
async fn another_drop_makes_the_run_busy() {
    let other = OtherDrop {
        pid: 1,
        role: "app".into(),
        backend: "client backend".into(),
        statement: "CALL x()".into(),
    };
    let report = refused_after(|facts| facts.other_drops.push(other)).await;
    assert_eq!((report.verdict, guards(&report)), (Verdict::Busy, vec![GuardName::Activity]));
}

#[tokio::test]
async fn a_table_over_its_cap_is_refused_and_the_others_go() {
    let mut world = World::new(vec![table("t", 1, 8), table("u", 101, 30)]).await;
    world.config.rules.caps.chunks = 10;
    let report = world.sweep().await;
    assert_eq!((report.verdict, guards(&report)), (Verdict::Refused, vec![GuardName::CapCount]));
    world.assert_journal_counts(1..=4).await;
}

#[tokio::test]
async fn facts_that_cannot_be_read_are_an_error_and_no_run() {
    let world = World::new(vec![table("t", 1, 8)]).await;
    let meddled = Meddled { no_facts: true, ..Meddled::new(&world.memory) };
    let problem = world.sweep_on(Arc::new(meddled)).await.expect_err("no facts, no run");
    assert_eq!(problem.kind, Kind::Unreachable);
    assert_eq!(world.oids().len(), 8);
    assert!(world.memory.order_sizes().is_empty());
    assert!(world.state.last_run().await.expect("journal").is_none());
}

#[tokio::test]
async fn a_second_runner_is_busy_and_touches_nothing() {
    let world = World::new(vec![table("t", 1, 8)]).await;
    let lock = world.memory.lock_runner("the first").await.expect("a lock");
    let problem = world.sweep_on(Arc::new(world.memory.clone())).await.expect_err("busy");
    assert_eq!(problem.kind, Kind::Busy);
    assert_eq!(world.oids().len(), 8);
    drop(lock);
    assert_eq!(world.sweep().await.verdict, Verdict::Done);
}

#[tokio::test]
async fn a_plan_for_another_store_on_the_same_database_is_refused() {
    let mut world = World::new(vec![table("t", 1, 8)]).await;
    let plan = Box::new(world.plan().await);
    world.config.name = StoreName("other".into());
    let order = Order::Saved { plan, override_caps: false };
    let answer = world.apply_on(Arc::new(world.memory.clone()), order).await;
    let Err(problem) = answer else { panic!("the plan was applied") };
    assert_eq!(problem.kind, Kind::Refused);
    assert_eq!(problem.sentence, "the plan is for store main, this is other");
    assert!(world.memory.order_sizes().is_empty(), "no order was tried");
    assert_eq!(world.oids().len(), 8);
}

#[tokio::test]
async fn what_a_saved_plan_refused_is_refused_when_it_is_applied() {
    let world = World::new(vec![table("t", 1, 8)]).await;
    world.memory.change(|facts| {
        let aggregate = AggregateFacts {
            view: RelationName::new("public", "daily"),
            not_materialized: vec![facts.datasets[0].chunks[0].range],
            refresh: RefreshWindow::None,
        };
        facts.datasets[0].aggregates.push(aggregate);
    });
    let plan = Box::new(world.plan().await);
    let going = plan.going();
    let order = Order::Saved { plan, override_caps: false };
    let report = world.apply_on(Arc::new(world.memory.clone()), order).await.expect("a report");
    assert_eq!((report.verdict, guards(&report)), (Verdict::Refused, vec![GuardName::Dependants]));
    assert_eq!(report.chunks_dropped(), going, "the others go");
}

/// Which tables' orders have their aggregates asked again; `a` has an aggregate, `b` has none.
async fn asked_again(setting: OnDependants) -> BTreeMap<String, bool> {
    let mut world = World::new(vec![table("a", 1, 8), table("b", 101, 8)]).await;
    world.config.rules.guards.continuous_aggregates = setting;
    let aggregate = AggregateFacts {
        view: RelationName::new("public", "daily"),
        not_materialized: Vec::new(),
        refresh: RefreshWindow::None,
    };
    world.memory.change(|facts| facts.datasets[0].aggregates.push(aggregate));
    let orders = Arc::new(Mutex::new(BTreeMap::new()));
    let seen = Arc::clone(&orders);
    let mut driver = Meddled::new(&world.memory);
    driver.answer = Arc::new(move |order| {
        let table = order.dataset.name.clone();
        seen.lock().expect("the orders").insert(table, order.protect_aggregates);
        None
    });
    world.sweep_on(Arc::new(driver)).await.expect("a report");
    orders.lock().expect("the orders").clone()
}

#[tokio::test]
async fn orders_of_a_table_with_aggregates_have_them_asked_again() {
    let asked = |a, b| BTreeMap::from([("a".to_owned(), a), ("b".to_owned(), b)]);
    assert_eq!(asked_again(OnDependants::Refuse).await, asked(true, false));
    assert_eq!(asked_again(OnDependants::Allow).await, asked(false, false));
}

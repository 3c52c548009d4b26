//! Whatever happens in whatever order: what the plan keeps stays, and the journal tells the truth.

use std::collections::BTreeMap;

use proptest::prelude::*;
use timesweep::report::{ItemOutcome, Report};
use timesweep::store::memory::Trouble;
use timesweep::store::{Change, DropFailure};

use super::world::{World, blocker, table};

#[derive(Debug, Clone)]
struct Scenario {
    /// Days of each table.
    tables: Vec<u32>,
    frozen: Vec<u32>,
    locked: Vec<u32>,
    troubles: Vec<Trouble>,
    parallelism: usize,
}

fn trouble() -> impl Strategy<Value = Trouble> {
    let permanent = DropFailure::Permanent { message: "no".into(), hint: None };
    prop_oneof![
        4 => Just(Trouble::Works),
        2 => Just(Trouble::DoneButLost),
        2 => Just(Trouble::Fails(DropFailure::Waited("locked".into()))),
        1 => Just(Trouble::Fails(DropFailure::Unknown("broken".into()))),
        1 => Just(Trouble::Fails(permanent)),
        1 => (0_usize..6).prop_map(|index| {
            Trouble::Fails(DropFailure::Changed(vec![(index, Change::Differs("other".into()))]))
        }),
    ]
}

fn scenario() -> impl Strategy<Value = Scenario> {
    let oids = || prop::collection::vec(0_u32..39, 0..3);
    let tables = prop::collection::vec(0_u32..20, 1..4);
    (tables, oids(), oids(), prop::collection::vec(trouble(), 0..12), 1_usize..4).prop_map(
        |(tables, frozen, locked, troubles, parallelism)| Scenario {
            tables,
            frozen,
            locked,
            troubles,
            parallelism,
        },
    )
}

async fn world_of(scenario: &Scenario) -> World {
    let tables = (0_u32..).zip(&scenario.tables);
    let datasets = tables.map(|(number, days)| table(&format!("t{number}"), number * 100, *days)).collect();
    let mut world = World::new(datasets).await;
    world.config.execution.attempts = 2;
    world.config.execution.parallelism = scenario.parallelism;
    world.memory.change(|facts| {
        let chunks = facts.datasets.iter_mut().flat_map(|dataset| &mut dataset.chunks);
        for part in chunks.flat_map(|chunk| &mut chunk.parts) {
            part.state.frozen = scenario.frozen.contains(&(part.oid % 100));
        }
    });
    for oid in &scenario.locked {
        world.memory.block(*oid, blocker(1));
    }
    world.memory.expect(scenario.troubles.iter().cloned());
    world
}

/// Each planned chunk, by name, with the object id that the test knows it by.
async fn planned(world: &World) -> BTreeMap<String, u32> {
    let plan = world.plan().await;
    let going = plan.datasets.iter().flat_map(timesweep::retention::plan::DatasetPlan::going);
    going.map(|going| (going.chunk.label(), going.chunk.parts[0].oid)).collect()
}

fn outcomes(report: &Report) -> BTreeMap<String, ItemOutcome> {
    let all: Vec<_> = report.items().map(|(_, item)| (item.chunk.clone(), item.outcome.clone())).collect();
    let by_name: BTreeMap<_, _> = all.iter().cloned().collect();
    assert_eq!(all.len(), by_name.len(), "a chunk has two outcomes: {all:?}");
    by_name
}

async fn check(scenario: Scenario) {
    let world = world_of(&scenario).await;
    let before = world.oids();
    let planned = planned(&world).await;
    let report = world.sweep().await;
    let after = world.oids();

    let outcomes = outcomes(&report);
    assert!(planned.keys().eq(outcomes.keys()), "every chunk of the plan has an outcome, and no other");
    for oid in &before {
        assert!(
            after.contains(oid) || planned.values().any(|planned| planned == oid),
            "{oid} was to be kept"
        );
    }
    for (chunk, oid) in &planned {
        assert_eq!(
            outcomes[chunk] == ItemOutcome::Dropped,
            !after.contains(oid),
            "{chunk}: {:?}",
            outcomes[chunk]
        );
    }
    world.assert_journal_counts(before.difference(&after).copied()).await;

    for oid in &scenario.locked {
        world.memory.unblock(*oid);
    }
    // Troubles that the first run did not come to meet the second one; the third has none left.
    world.sweep().await;
    world.memory.expect([]);
    world.sweep().await;
    world.sweep().await;
    world.assert_journal_counts(before.difference(&world.oids()).copied()).await;
    for oid in &before {
        let kept = !planned.values().any(|planned| planned == oid);
        assert!(!kept || world.oids().contains(oid), "{oid} was to be kept");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_the_plan_keeps_is_ever_dropped_and_the_journal_sums_to_what_vanished(scenario in scenario()) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(check(scenario));
    }
}

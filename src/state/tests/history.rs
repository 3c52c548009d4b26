//! Which runs there were: on a database, at a place, cut off; and which of them may be forgotten.

use super::*;
use crate::problem::Kind;

#[tokio::test]
async fn the_runs_on_a_database_are_those_of_its_cluster_and_of_the_store_that_began() {
    let state = State::in_memory().await.expect("open");
    let other =
        |system: &str, database_oid: u32| StoreIdentity { system: system.into(), database_oid, ..identity() };
    let new = |store: &str, identity: StoreIdentity| NewRun {
        store: StoreName(store.into()),
        identity,
        ..new_run()
    };
    let ours = new("main", identity());
    for run in [
        ours.clone(),
        new("plant", identity()),
        new("main", other("7345", 7)),
        new("main", other("9999", identity().database_oid)),
        NewRun { plan_id: None, ..new("main", identity()) },
    ] {
        state.begin_run(&run).await.expect("begin");
    }
    let found = state.runs_on(&ours.store, &identity(), 10).await.expect("read");
    assert_eq!(found.iter().map(|record| record.run.id).collect::<Vec<_>>(), [ours.id]);
}

#[tokio::test]
async fn the_runs_at_a_place_are_its_own_also_those_that_never_began() {
    let state = State::in_memory().await.expect("open");
    let new = |store: &str, place: &str| NewRun {
        store: StoreName(store.into()),
        place: place.into(),
        ..new_run()
    };
    let runs = [
        new("main", "a:1/x"),
        new("main", "b:1/x"),
        NewRun { plan_id: None, ..new("main", "a:1/x") },
        new("other", "a:1/x"),
    ];
    for run in &runs {
        state.begin_run(run).await.expect("begin");
    }
    let at = async |places: &[(&str, Option<&str>)]| {
        let place =
            |(place, store): &(&str, Option<&str>)| ((*place).to_owned(), store.map(|s| StoreName(s.into())));
        let places: Vec<_> = places.iter().map(place).collect();
        let found = state.runs_at(&places, 10).await.expect("read");
        found
            .iter()
            .map(|found| runs.iter().position(|run| *run == found.run).expect("ours"))
            .collect::<Vec<_>>()
    };
    assert_eq!(at(&[("a:1/x", None)]).await, [3, 2, 0]);
    assert_eq!(at(&[("a:1/x", Some("main")), ("b:1/x", None)]).await, [2, 1, 0]);
    assert!(at(&[("c:1/x", None)]).await.is_empty() && at(&[]).await.is_empty());
    let begun = state.runs_begun_at("a:1/x", 10).await.expect("read");
    assert_eq!(begun.iter().map(|found| found.run.id).collect::<Vec<_>>(), [runs[3].id, runs[0].id]);
}

#[tokio::test]
async fn a_run_without_an_end_on_the_same_database_before_this_one_was_cut_off() {
    let state = State::in_memory().await.expect("open");
    let killed = begun(&state).await;
    let ids = state.write_intents(killed, &[intent(1), intent(2)]).await.expect("intents");
    state.write_outcomes(&[(ids[0], DROPPED)], 1, None).await.expect("outcome");
    let ended = begun(&state).await;
    state.finish_run(ended, 5, 0, "{}").await.expect("finish");
    for elsewhere in [
        NewRun { identity: StoreIdentity { database_oid: 5, ..identity() }, ..new_run() },
        NewRun { plan_id: None, ..new_run() },
    ] {
        state.begin_run(&elsewhere).await.expect("begin");
    }
    let ours = begun(&state).await;
    let later = begun(&state).await;
    let cut_off = async |before| {
        let found = state.cut_off_runs(&identity(), before).await.expect("read");
        found.iter().map(|record| record.run.id).collect::<Vec<_>>()
    };
    assert_eq!((cut_off(ours).await, cut_off(later).await), (vec![killed], vec![killed, ours]));
    let chunks = state.chunks_of_run(killed).await.expect("read");
    let outcomes: Vec<_> = chunks.into_iter().map(|chunk| chunk.outcome.map(|o| o.outcome)).collect();
    assert_eq!(outcomes, [Some(DROPPED), None]);
}

fn pass() -> NewRun {
    NewRun { command: "serve".into(), ..new_run() }
}

async fn passed(state: &State, run: &NewRun, exit_code: u8) -> RunId {
    state.begin_run(run).await.expect("begin");
    state.finish_run(run.id, 5, exit_code, "{}").await.expect("finish");
    run.id
}

async fn runs(state: &State) -> Vec<RunId> {
    state.runs(100).await.expect("read").into_iter().map(|record| record.run.id).collect()
}

#[tokio::test]
async fn a_pass_that_did_nothing_goes_once_a_later_one_has_ended() {
    let state = State::in_memory().await.expect("open");
    let first = passed(&state, &pass(), 0).await;
    assert_eq!(state.forget_quiet_pass(first).await.expect_err("the last one").kind, Kind::Refused);
    let second = passed(&state, &pass(), 0).await;
    state.forget_quiet_pass(first).await.expect("forgotten");
    state.forget_quiet_pass(first).await.expect("it is gone");
    assert_eq!(runs(&state).await, [second]);
    let elsewhere = NewRun { store: StoreName("other".into()), ..pass() };
    passed(&state, &elsewhere, 0).await;
    assert_eq!(state.forget_quiet_pass(second).await.expect_err("the last one there").kind, Kind::Refused);
    let statement = sqlx::query("DELETE FROM run_end");
    assert!(state.file.execute(statement).await.is_err(), "the end goes with its run alone");
}

#[tokio::test]
async fn no_run_goes_that_ended_badly_or_says_anything_about_a_drop() {
    let state = State::in_memory().await.expect("open");
    let apply = passed(&state, &new_run(), 0).await;
    let refused = passed(&state, &pass(), 4).await;
    let cut_off = state.begin_run(&pass()).await.expect("begin");
    let told = passed(&state, &pass(), 0).await;
    state.keep_told_report(told, "{\"told\": 1}").await.expect("told");
    let open = pass();
    state.begin_run(&open).await.expect("begin");
    let ids = state.write_intents(open.id, &[intent(1)]).await.expect("an intent");
    state.finish_run(open.id, 5, 0, "{}").await.expect("finish");
    let settler = passed(&state, &pass(), 0).await;
    state.write_outcomes(&[(ids[0], DROPPED)], 6, Some(settler)).await.expect("settled");
    let last = passed(&state, &pass(), 0).await;
    for run in [apply, refused, cut_off, told, open.id, settler] {
        assert_eq!(state.forget_quiet_pass(run).await.expect_err("it stays").kind, Kind::Refused, "{run}");
    }
    assert_eq!(runs(&state).await, [last, settler, open.id, told, cut_off, refused, apply]);
    let chunks = state.chunks_of_run(open.id).await.expect("read");
    assert_eq!(chunks[0].outcome.as_ref().and_then(|outcome| outcome.settled_by), Some(settler));
}

//! The journal: what is written is read again exactly, and nothing is ever changed.

use super::*;
use crate::problem::Kind;
use crate::retention::sessions::How;

#[tokio::test]
async fn a_run_is_read_as_it_was_written() {
    let state = State::in_memory().await.expect("open");
    let run = NewRun { command: NASTY.into(), plan_id: None, ..new_run() };
    state.begin_run(&run).await.expect("begin");
    let read = state.last_run().await.expect("read").expect("a run");
    assert_eq!(read, RunRecord { run: run.clone(), end: None });

    state.finish_run(run.id, 5, 255, "{\"a\": \"\u{1F4A5}\"}").await.expect("finish");
    let end = state.run(&run.id.to_string()).await.expect("read").expect("a run").end;
    assert_eq!(
        end,
        Some(RunEnd { ended_at: 5, exit_code: 255, report_json: "{\"a\": \"\u{1F4A5}\"}".into() })
    );
}

#[tokio::test]
async fn a_run_begins_once_and_ends_once() {
    let state = State::in_memory().await.expect("open");
    let run = new_run();
    state.begin_run(&run).await.expect("begin");
    assert_eq!(state.begin_run(&run).await.expect_err("twice").kind, Kind::Refused);
    state.finish_run(run.id, 5, 0, "{}").await.expect("finish");
    let twice = state.finish_run(run.id, 6, 3, "{}").await.expect_err("twice");
    assert_eq!(twice.kind, Kind::Refused);
    assert!(twice.sentence.contains("has ended before"), "{twice}");
    let unknown = RunId(Uuid::now_v7());
    assert!(state.finish_run(unknown, 6, 3, "{}").await.expect_err("unknown").sentence.contains("no run"));
}

#[tokio::test]
async fn runs_are_found_by_the_beginning_or_the_end_of_their_id_and_listed_newest_first() {
    let state = State::in_memory().await.expect("open");
    let named = |text: &str| RunId(Uuid::parse_str(text).expect("uuid"));
    let older = NewRun { id: named("01900000-0000-7000-8000-00000000000a"), started_at: 9, ..new_run() };
    let newer = NewRun { id: named("01900000-0000-7000-8000-00000000000b"), started_at: 3, ..new_run() };
    state.begin_run(&older).await.expect("begin");
    state.begin_run(&newer).await.expect("begin");

    let ids = |runs: Vec<RunRecord>| runs.into_iter().map(|record| record.run.id).collect::<Vec<_>>();
    assert_eq!(ids(state.runs(10).await.expect("runs")), [newer.id, older.id]);
    assert_eq!(ids(state.runs(1).await.expect("runs")), [newer.id]);
    assert_eq!(
        state.run("01900000-0000-7000-8000-00000000000A").await.expect("run").expect("one").run,
        older
    );
    assert_eq!(state.run("02").await.expect("run"), None);
    assert_eq!(state.run("%").await.expect("run"), None);
    let ambiguous = state.run("0190").await.expect_err("two");
    assert_eq!(ambiguous.kind, Kind::Usage);
    for run in [&older, &newer] {
        let named = format!("{} of ", run.id);
        assert!(ambiguous.causes.iter().any(|cause| cause.starts_with(&named)), "{ambiguous}");
    }
    assert_eq!(state.run("0000b").await.expect("run").expect("one").run, newer, "by its last letters");
    assert_eq!(state.run("7000-8000-00000000000a").await.expect("run").expect("one").run, older);
    assert_eq!(state.run("80000").await.expect("run"), None, "not by those in the middle");
    assert_eq!(state.run(" ").await.expect_err("nothing").kind, Kind::Usage);
}

#[tokio::test]
async fn open_intents_are_those_without_an_outcome_on_that_database() {
    let state = State::in_memory().await.expect("open");
    let run = begun(&state).await;
    let ids = state.write_intents(run, &[intent(1), intent(2), intent(3)]).await.expect("intents");
    let elsewhere = NewRun { identity: StoreIdentity { database_oid: 5, ..identity() }, ..new_run() };
    state.begin_run(&elsewhere).await.expect("begin");
    state.write_intents(elsewhere.id, &[intent(4)]).await.expect("intents");
    state.write_outcomes(&[(ids[1], DROPPED)], 1, None).await.expect("outcome");
    state.finish_run(run, 5, 3, "{}").await.expect("finish");

    let open = state.open_intents(&identity()).await.expect("open intents");
    let found: Vec<_> = open.iter().map(|open| (open.id, open.run, open.intent.clone())).collect();
    assert_eq!(found, [(ids[0], run, intent(1)), (ids[2], run, intent(3))]);
    let renamed = StoreIdentity { database: "renamed".into(), ..identity() };
    assert_eq!(state.open_intents(&renamed).await.expect("open intents"), open);
}

#[tokio::test]
async fn extreme_and_nasty_intents_are_read_as_they_were_written() {
    let state = State::in_memory().await.expect("open");
    let run = begun(&state).await;
    let name = RelationName::new(NASTY, format!("{NASTY}."));
    let nasty = Intent {
        dataset: name.clone(),
        range: TimeRange::new(i64::MIN, i64::MAX),
        parts: vec![IntentPart { oid: u32::MAX, relation: name.clone() }],
        bytes: None,
        reason: format!("{NASTY}\0 after a NUL"),
    };
    let empty = Intent {
        dataset: RelationName::new("", ""),
        range: TimeRange::new(i64::MAX, i64::MIN + 1),
        parts: vec![],
        bytes: Some(ByteCount(u64::MAX)),
        reason: String::new(),
    };
    let ids = state.write_intents(run, &[nasty.clone(), empty.clone()]).await.expect("intents");
    state
        .write_outcomes(&[(ids[0], Outcome::NotDropped { why: NASTY.into() })], i64::MIN, None)
        .await
        .expect("why");

    let history = state.outcomes_of_chunk(&identity(), Some(&name), &name).await.expect("history");
    assert_eq!(history.len(), 1);
    assert_eq!(history[0].intent, nasty);
    let recorded = history[0].outcome.clone().expect("an outcome");
    assert_eq!(recorded.outcome, Outcome::NotDropped { why: NASTY.into() });
    assert_eq!(recorded.at, i64::MIN);
    let open = state.open_intents(&identity()).await.expect("open intents");
    let largest = ByteCount(i64::MAX.unsigned_abs());
    assert_eq!(open[0].intent, Intent { bytes: Some(largest), ..empty });
}

#[tokio::test]
async fn ids_come_back_in_the_order_of_a_long_batch() {
    let state = State::in_memory().await.expect("open");
    let run = begun(&state).await;
    for batch in 0..3 {
        let intents: Vec<Intent> = (0..2_000).rev().map(|number| intent(batch * 10_000 + number)).collect();
        let ids = state.write_intents(run, &intents).await.expect("intents");
        let open = state.open_intents(&identity()).await.expect("open intents");
        for (id, intent) in ids.iter().zip(&intents) {
            assert_eq!(&open.iter().find(|open| open.id == *id).expect("open").intent, intent);
        }
    }
}

#[tokio::test]
async fn intents_of_an_unknown_run_are_refused() {
    let state = State::in_memory().await.expect("open");
    let unknown = state.write_intents(RunId(Uuid::now_v7()), &[intent(1)]).await.expect_err("unknown");
    assert_eq!(unknown.kind, Kind::Refused);
    assert_eq!(state.open_intents(&identity()).await.expect("open intents"), []);
    assert_eq!(state.write_intents(RunId(Uuid::now_v7()), &[]).await.expect("nothing"), []);
}

#[tokio::test]
async fn an_outcome_is_written_once_and_repeated_without_harm() {
    let state = State::in_memory().await.expect("open");
    let run = begun(&state).await;
    let ids = state.write_intents(run, &[intent(1), intent(2)]).await.expect("intents");
    let all = [(ids[0], DROPPED), (ids[1], Outcome::Gone)];
    state.write_outcomes(&all, 1, None).await.expect("first");
    state.write_outcomes(&all, 99, None).await.expect("the same again");
    state
        .write_outcomes(&[all[0].clone(), all[0].clone()], 99, None)
        .await
        .expect("the same twice in one batch");

    let history =
        state.outcomes_of_chunk(&identity(), None, &intent(1).parts[0].relation).await.expect("history");
    let expected = RecordedOutcome { outcome: DROPPED, at: 1, settled_by: None };
    assert_eq!(history[0].outcome, Some(expected));
}

#[tokio::test]
async fn a_different_outcome_is_refused_with_its_whole_batch() {
    let state = State::in_memory().await.expect("open");
    let run = begun(&state).await;
    let ids = state.write_intents(run, &[intent(1), intent(2)]).await.expect("intents");
    state.write_outcomes(&[(ids[1], DROPPED)], 1, None).await.expect("first");
    for different in [
        Outcome::Gone,
        Outcome::Dropped { bytes: None },
        Outcome::Dropped { bytes: Some(ByteCount(8)) },
        Outcome::NotDropped { why: "x".into() },
    ] {
        let batch = [(ids[0], Outcome::Gone), (ids[1], different)];
        let refused = state.write_outcomes(&batch, 2, None).await.expect_err("different");
        assert_eq!(refused.kind, Kind::Refused, "{refused}");
        assert!(refused.to_string().contains("has the outcome \"dropped\" already"), "{refused}");
    }
    assert_eq!(state.open_intents(&identity()).await.expect("open intents").len(), 1);
    let both = [(ids[0], Outcome::Gone), (ids[0], DROPPED)];
    assert_eq!(state.write_outcomes(&both, 2, None).await.expect_err("two in one batch").kind, Kind::Refused);
}

#[tokio::test]
async fn an_outcome_of_an_unknown_intent_or_by_an_unknown_run_is_refused() {
    let state = State::in_memory().await.expect("open");
    let run = begun(&state).await;
    let ids = state.write_intents(run, &[intent(1)]).await.expect("intents");
    let unknown = [(ids[0], DROPPED), (IntentId(ids[0].0 + 1), DROPPED)];
    let refused = state.write_outcomes(&unknown, 1, None).await.expect_err("unknown intent");
    assert_eq!(refused.kind, Kind::Refused);
    assert!(refused.sentence.contains("no such intent or run"), "{refused}");
    let nobody = Some(RunId(Uuid::now_v7()));
    assert_eq!(
        state.write_outcomes(&unknown[..1], 1, nobody).await.expect_err("unknown run").kind,
        Kind::Refused
    );
    assert_eq!(state.open_intents(&identity()).await.expect("open intents").len(), 1);
}

#[tokio::test]
async fn freed_bytes_count_each_dropped_intent_once() {
    let state = State::in_memory().await.expect("open");
    let run = begun(&state).await;
    let ids = state
        .write_intents(run, &[intent(1), intent(2), intent(3), intent(4), intent(5)])
        .await
        .expect("intents");
    let later = begun(&state).await;
    let huge = Outcome::Dropped { bytes: Some(ByteCount(u64::MAX)) };
    let unknown = Outcome::Dropped { bytes: None };
    let failed = Outcome::NotDropped { why: "lock timeout".into() };
    state
        .write_outcomes(&[(ids[0], DROPPED), (ids[1], unknown), (ids[2], failed)], 1, None)
        .await
        .expect("outcomes");
    state.write_outcomes(&[(ids[0], DROPPED), (ids[3], DROPPED)], 2, Some(later)).await.expect("settled");

    let freed = state.freed_bytes(run).await.expect("freed");
    assert_eq!(freed, FreedBytes { bytes: ByteCount(14), chunks: 3, chunks_of_unknown_size: 1 });
    assert_eq!(state.freed_bytes(later).await.expect("freed"), FreedBytes::default());
    state.write_outcomes(&[(ids[4], huge)], 3, None).await.expect("huge");
    assert!(state.freed_bytes(run).await.expect("freed").bytes > ByteCount(i64::MAX.unsigned_abs()));
}

#[tokio::test]
async fn the_history_of_a_chunk_tells_every_attempt_newest_first() {
    let state = State::in_memory().await.expect("open");
    let first = begun(&state).await;
    let cut_off = state.write_intents(first, &[intent(1), intent(2)]).await.expect("intents");
    let second = begun(&state).await;
    let failed = Outcome::NotDropped { why: "was cut off before the drop".into() };
    state.write_outcomes(&[(cut_off[0], failed.clone())], 2, Some(second)).await.expect("settled");
    let again = state.write_intents(second, &[intent(1)]).await.expect("intents");
    state.write_outcomes(&[(again[0], DROPPED)], 3, None).await.expect("outcome");

    let sibling = &intent(1).parts[1].relation;
    let history =
        state.outcomes_of_chunk(&identity(), Some(&intent(1).dataset), sibling).await.expect("history");
    let told: Vec<_> =
        history.into_iter().map(|entry| (entry.run, entry.outcome.expect("outcome"))).collect();
    let settled = RecordedOutcome { outcome: failed, at: 2, settled_by: Some(second) };
    let dropped = RecordedOutcome { outcome: DROPPED, at: 3, settled_by: None };
    assert_eq!(told, [(second, dropped), (first, settled)]);
    let elsewhere = RelationName::new("public", "other");
    assert_eq!(state.outcomes_of_chunk(&identity(), Some(&elsewhere), sibling).await.expect("history"), []);
}

#[tokio::test]
async fn the_journal_cannot_be_changed_by_any_statement() {
    let state = State::in_memory().await.expect("open");
    let run = begun(&state).await;
    let ids = state.write_intents(run, &[intent(1)]).await.expect("intents");
    state.write_outcomes(&[(ids[0], DROPPED)], 1, None).await.expect("outcome");
    state.finish_run(run, 2, 0, "{}").await.expect("finish");
    for statement in [
        "UPDATE run SET command = ''",
        "DELETE FROM run",
        "UPDATE run_end SET exit_code = 1",
        "DELETE FROM run_end",
        "UPDATE intent SET reason = ''",
        "DELETE FROM intent",
        "UPDATE outcome SET kind = 'gone'",
        "DELETE FROM outcome",
    ] {
        assert!(state.file.execute(sqlx::query(statement)).await.is_err(), "{statement}");
    }
}

#[tokio::test]
async fn whom_a_run_ends_is_written_before_and_never_changed() {
    let state = State::in_memory().await.expect("open");
    let run = begun(&state).await;
    let ending = SessionEnding {
        pid: 42,
        role: NASTY.into(),
        application: NASTY.into(),
        address: None,
        statement: NASTY.into(),
        since_seconds: -1,
        how: How::Terminate,
        in_the_way_of: None,
    };
    let other = SessionEnding {
        how: How::Cancel,
        address: Some("::1".into()),
        in_the_way_of: Some(NASTY.into()),
        ..ending.clone()
    };
    state.write_session_endings(run, &[ending.clone(), other.clone()], 1).await.expect("written");
    state.write_session_endings(run, &[], 2).await.expect("nothing to write");
    state.write_session_endings(run, std::slice::from_ref(&ending), 2).await.expect("written");
    let read = state.session_endings(run).await.expect("read");
    assert_eq!(read, [ending.clone(), other, ending.clone()]);
    let unknown = RunId(Uuid::now_v7());
    let refused = state.write_session_endings(unknown, &[ending], 3).await.expect_err("unknown run");
    assert_eq!(refused.kind, Kind::Refused);
    for change in ["UPDATE session_ending SET pid = 1", "DELETE FROM session_ending"] {
        let changed = state.file.execute(sqlx::query(change)).await;
        assert!(changed.is_err(), "{change}");
    }
    assert_eq!(state.session_endings(run).await.expect("read").len(), 3);
}

#[tokio::test]
async fn a_report_is_read_as_it_was_told() {
    let state = State::in_memory().await.expect("open");
    let run = begun(&state).await;
    state.keep_told_report(run, "{}").await.expect("nothing to keep before the end");
    state.finish_run(run, 5, 3, "{\"at\": \"the end\"}").await.expect("finish");
    let report =
        async || state.last_run().await.expect("read").expect("a run").end.expect("an end").report_json;
    state.keep_told_report(run, "{\"at\": \"the end\"}").await.expect("nothing new");
    assert_eq!(report().await, "{\"at\": \"the end\"}");
    state.keep_told_report(run, "{\"at\": \"last\"}").await.expect("kept");
    assert_eq!(report().await, "{\"at\": \"last\"}");
    let twice = state.keep_told_report(run, "{}").await.expect_err("the journal is append-only");
    assert_eq!(twice.kind, Kind::Refused);
    let on = state.runs_on(&new_run().store, &identity(), 5).await.expect("read");
    assert_eq!(on[0].end.as_ref().expect("an end").report_json, "{\"at\": \"last\"}");
}

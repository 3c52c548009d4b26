//! The outbox: one sender at a time, and what the next one finds when a sender was cut off.

use std::time::{Duration, Instant};

use timesweep::omotes::letter::{Content, Letter};
use timesweep::omotes::outbox::Outbox;
use timesweep::problem::Kind;
use timesweep::retention::ownership::JobId;
use uuid::Uuid;

use super::super::pooler::Pooler;
use super::super::proxy::Proxy;
use super::place::{KNOWN, Place, all_said, outcome, settings, start, submission};

fn task_of(letters: &[(i64, Letter)]) -> (i64, Uuid) {
    match letters {
        [(id, Letter { content: Content::Task { celery_id, .. }, .. })] => (*id, *celery_id),
        other => panic!("not one task: {other:?}"),
    }
}

#[tokio::test]
async fn one_sender_at_a_time_leads() {
    let mut place = Place::new().await;
    let mut second = Outbox::open(&settings(&place.database.url)).expect("an outbox");
    assert!(!second.take_lead().await.expect("an answer"));
    assert_eq!(second.next(1).await.expect_err("no lead").kind, Kind::Busy);
    place.outbox.give_up_lead().await;
    assert!(second.take_lead().await.expect("the lead"));
    // A sender whose session is gone can do nothing more.
    place
        .database
        .run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE datname = current_database() AND application_name = 'timesweep outbox'",
        )
        .await;
    assert_eq!(second.next(1).await.expect_err("a lost session").kind, Kind::Unreachable);
    super::super::support::eventually("the lead is free", async || {
        place.outbox.take_lead().await.expect("an answer")
    })
    .await;
}

#[tokio::test]
async fn letters_leave_in_their_order_and_wake_whoever_waits() {
    let mut place = Place::new().await;
    // Its session has to listen first.
    place.outbox.wait().await;
    let began = Instant::now();
    for _ in 0..5 {
        let (job, quick) = (Uuid::now_v7(), async {
            tokio::time::sleep(Duration::from_millis(20)).await;
        });
        quick.await;
        place.submit(&submission(job)).await;
        place.outbox.wait().await;
        assert_eq!(all_said(&place.sent().await), ["task"]);
    }
    assert!(began.elapsed() < Duration::from_secs(4), "it waited for the poll: {:?}", began.elapsed());
    let jobs: Vec<Uuid> = (0..30).map(|_| Uuid::now_v7()).collect();
    for job in &jobs {
        place.submit(&submission(*job)).await;
    }
    let some = place.outbox.next(10).await.expect("letters");
    assert_eq!(some.iter().map(|(_, letter)| letter.job.0).collect::<Vec<_>>(), jobs[..10]);
    assert_eq!(place.outbox.next(10).await.expect("letters"), some, "they stay until they are sent");
}

#[tokio::test]
async fn a_task_that_may_have_been_sent_gets_another_id() {
    let mut place = Place::new().await;
    let job = Uuid::now_v7();
    place.submit(&submission(job)).await;
    let (id, first) = task_of(&place.outbox.next(10).await.expect("letters"));
    assert_eq!(place.outbox.attempted(&[id]).await.expect("attempted"), [id]);
    place.outbox.give_up_lead().await;
    assert!(place.outbox.take_lead().await.expect("the lead"));
    let (_, second) = task_of(&place.outbox.next(10).await.expect("letters"));
    assert_ne!(first, second);
    assert_eq!(place.row(job).await.expect("a row"), ("REGISTERED".into(), Some(second.to_string())));
    place.sent().await;
    // The first run of it does not count any more.
    place.progress(start(job, first)).await;
    place.result(outcome(job, first, true)).await;
    assert_eq!(all_said(&place.sent().await), ["revoke"]);
    place.progress(start(job, second)).await;
    place.result(outcome(job, second, true)).await;
    assert_eq!(all_said(&place.sent().await), ["status RUNNING", "result SUCCEEDED `what it said`"]);
    assert!(place.is_empty().await);
}

#[tokio::test]
async fn a_task_that_is_at_work_or_over_is_not_sent_again() {
    for is_over in [false, true] {
        let mut place = Place::new().await;
        let job = Uuid::now_v7();
        place.submit(&submission(job)).await;
        let (id, task) = task_of(&place.outbox.next(10).await.expect("letters"));
        place.outbox.attempted(&[id]).await.expect("attempted");
        place.progress(start(job, task)).await;
        if is_over {
            place.result(outcome(job, task, false)).await;
        }
        place.outbox.give_up_lead().await;
        assert!(place.outbox.take_lead().await.expect("the lead"));
        let said = all_said(&place.sent().await);
        assert_eq!(said[0], "status RUNNING");
        assert!(!said.contains(&"task".into()), "{said:?}");
        if !is_over {
            assert_eq!(place.row(job).await.expect("a row"), ("RUNNING".into(), Some(task.to_string())));
        }
    }
}

#[tokio::test]
async fn a_task_that_was_taken_away_is_not_published() {
    let mut place = Place::new().await;
    let job = Uuid::now_v7();
    place.submit(&submission(job)).await;
    let (id, _) = task_of(&place.outbox.next(10).await.expect("letters"));
    place.delete(job).await;
    assert!(place.outbox.attempted(&[id]).await.expect("attempted").is_empty());
    place.outbox.sent(&[id]).await.expect("nothing to forget");
}

/// Together they are larger than what is read at once.
#[tokio::test]
async fn letters_that_wait_hide_no_others_however_large_they_are() {
    let mut place = Place::new().await;
    let (waiting, other) = (Uuid::now_v7(), Uuid::now_v7());
    let large = format!(
        "INSERT INTO timesweep_outbox (job, kind, body) \
         SELECT '{waiting}', 'result', convert_to(repeat('x', 15728640), 'UTF8') FROM generate_series(1, 4)"
    );
    place.database.run(&large).await;
    place.submit(&submission(other)).await;
    let first = place.outbox.next(10).await.expect("letters");
    assert!(first.iter().all(|(_, letter)| letter.job.0 == waiting) && first.len() == 3, "{}", first.len());
    let jobs = |letters: Vec<(i64, Letter)>| -> Vec<Uuid> {
        letters.iter().map(|(_, letter)| letter.job.0).collect()
    };
    let others = place.outbox.next_of_others(10, &[JobId(waiting)], &[]).await.expect("letters");
    assert_eq!(jobs(others), [other]);
    // So do tasks of a workflow, with everything of their jobs.
    let of_other = format!("INSERT INTO timesweep_outbox (job, kind, body) VALUES ('{other}', 'status', '')");
    place.database.run(&of_other).await;
    let workflows = [KNOWN.to_owned()];
    let others = place.outbox.next_of_others(10, &[], &workflows).await.expect("letters");
    assert_eq!(jobs(others), [waiting; 3]);
    assert!(place.outbox.next_of_others(10, &[JobId(waiting)], &workflows).await.expect("none").is_empty());
}

/// Takes two minutes.
#[tokio::test]
#[ignore = "for dev/soak"]
async fn a_sender_that_stands_still_leads_no_longer() {
    let mut place = Place::new().await;
    let mut other = Outbox::open(&settings(&place.database.url)).expect("an outbox");
    assert!(!other.take_lead().await.expect("an answer"));
    let began = Instant::now();
    while !other.take_lead().await.expect("an answer") {
        assert!(began.elapsed() < Duration::from_secs(150), "it still leads");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(place.outbox.next(1).await.is_err());
}

/// Two replicas could be handed the very session that leads, one after the other.
#[tokio::test]
async fn behind_a_transaction_pooler_nobody_sends_letters() {
    let mut place = Place::new().await;
    place.outbox.give_up_lead().await;
    let pooler = Pooler::before(&place.database);
    for _ in 0..2 {
        let mut outbox = Outbox::open(&settings(&pooler.url)).expect("an outbox");
        let problem = outbox.take_lead().await.expect_err("a pooler");
        assert_eq!(problem.kind, Kind::Refused);
        let said =
            "a transaction pooler is in front of the registry, so two replicas could send the same letters";
        assert!(problem.to_string().starts_with(said), "{problem}");
        assert_eq!(outbox.next(1).await.expect_err("no lead").kind, Kind::Busy);
    }
    assert!(place.outbox.take_lead().await.expect("nobody has the lead"));
}

/// As behind a pooler with one server session: the second transaction is never begun.
#[tokio::test]
async fn a_probe_for_a_pooler_that_gets_no_answer_leaves_the_lead_to_others() {
    let mut place = Place::new().await;
    place.outbox.give_up_lead().await;
    let proxy = Proxy::before(&place.database);
    proxy.hang_at("BEGIN\0");
    let mut outbox = Outbox::open(&settings(&proxy.url)).expect("an outbox");
    let patience = Duration::from_secs(20);
    let answer = tokio::time::timeout(patience, outbox.take_lead()).await.expect("an answer in time");
    let problem = answer.expect_err("there was no answer to the probe");
    let said = "a transaction pooler is probably in front of the registry: a second session got no answer";
    assert!(problem.kind == Kind::Refused && problem.to_string().starts_with(said), "{problem}");
    assert!(place.outbox.take_lead().await.expect("nobody has the lead"));
}

//! Two transactions at the same moment, and a server that goes away.

use std::sync::Arc;
use std::time::Duration;

use timesweep::amqp::taker::Taker;
use timesweep::omotes::takers::{Deletions, Submissions, TaskProgress, TaskResults};
use timesweep::problem::Kind;
use uuid::Uuid;

use super::super::support::eventually;
use super::place::{Place, all_said, deletion, outcome, start, submission};

/// Start and result come through two queues, and may be taken by two replicas.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_and_a_result_at_the_same_moment_break_nothing() {
    let mut place = Place::new().await;
    for _ in 0..20 {
        let job = Uuid::now_v7();
        let task = place.at_work(job).await;
        let progress = TaskProgress(Arc::clone(&place.replicas[0]));
        let results = TaskResults(Arc::clone(&place.replicas[1]));
        let (began, ended) = (start(job, task), outcome(job, task, true));
        let (began, ended) = ([began.as_slice()], [ended.as_slice()]);
        let (first, second) = tokio::join!(progress.take(&began), results.take(&ended));
        assert_eq!(first.and(second).expect("taken"), [None]);
        let said = all_said(&place.sent().await);
        assert!(said.contains(&"result SUCCEEDED `what it said`".into()), "{said:?}");
        assert!(place.is_empty().await);
        assert!(place.registration(job).await.is_some_and(|(dataset, marked)| dataset.is_some() && !marked));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_and_its_submission_at_the_same_moment_never_leave_a_job_at_work() {
    let mut place = Place::new().await;
    for _ in 0..30 {
        let job = Uuid::now_v7();
        let submissions = Submissions(Arc::clone(&place.replicas[0]));
        let deletions = Deletions(Arc::clone(&place.replicas[1]));
        let (submitted, deleted) = (prost::Message::encode_to_vec(&submission(job)), deletion(job));
        let (submitted, deleted) = ([submitted.as_slice()], [deleted.as_slice()]);
        let (first, second) = tokio::join!(submissions.take(&submitted), deletions.take(&deleted));
        assert_eq!(first.and(second).expect("taken"), [None]);
        let said = all_said(&place.sent().await);
        assert_eq!(said.iter().filter(|said| said.starts_with("result")).count(), 1, "{said:?}");
        assert!(said.contains(&"result CANCELLED ``".into()) && !said.contains(&"task".into()), "{said:?}");
        assert!(place.is_empty().await);
    }
}

/// Of one submission that two replicas take at once, one counts.
#[tokio::test(flavor = "multi_thread")]
async fn a_submission_that_two_replicas_take_at_once_begins_one_job() {
    let mut place = Place::new().await;
    for workflow in [super::place::KNOWN, super::place::UNKNOWN].repeat(10) {
        let mut message = submission(Uuid::now_v7());
        message.workflow_type = workflow.into();
        let body = prost::Message::encode_to_vec(&message);
        let bodies = [body.as_slice()];
        let (one, two) =
            (Submissions(Arc::clone(&place.replicas[0])), Submissions(Arc::clone(&place.replicas[1])));
        let (first, second) = tokio::join!(one.take(&bodies), two.take(&bodies));
        assert_eq!(first.and(second).expect("taken"), [None]);
        assert_eq!(place.sent().await.len(), 1, "{workflow}");
    }
}

#[tokio::test]
async fn sessions_that_were_cut_off_are_made_anew() {
    let mut place = Place::new().await;
    let job = Uuid::now_v7();
    let task = place.at_work(job).await;
    place.database.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name <> 'timesweep outbox'",
    ).await;
    place.progress(start(job, task)).await;
    place.result(outcome(job, task, true)).await;
    assert_eq!(all_said(&place.sent().await).len(), 2);
    assert!(place.is_empty().await);
}

/// The clock is turned, because people wait for minutes. The server itself would give up after one of them.
#[tokio::test]
async fn a_statement_that_is_never_answered_is_given_up_and_the_next_one_works() {
    let mut place = Place::new().await;
    let (deleted, running) = (Uuid::now_v7(), Uuid::now_v7());
    place.submit(&submission(deleted)).await;
    place.sent().await;
    let task = place.at_work(running).await;
    let deletions = Deletions(Arc::clone(place.first()));
    let progress = TaskProgress(Arc::clone(place.first()));
    let messages: [(&dyn Taker, Vec<u8>); 2] =
        [(&deletions, deletion(deleted)), (&progress, start(running, task))];
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'job'::regclass \
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    for (taker, body) in messages {
        let mut holder = place.database.connect().await;
        sqlx::raw_sql("BEGIN; LOCK TABLE job").execute(&mut holder).await.expect("a lock");
        let bodies = [body.as_slice()];
        let (given_up, ()) = tokio::join!(taker.take(&bodies), async {
            eventually("it waits", async || place.database.number(waits).await > 0).await;
            tokio::time::pause();
            tokio::time::advance(Duration::from_mins(7)).await;
            tokio::time::resume();
        });
        assert_eq!(given_up.expect_err("nobody answered").kind, Kind::Unreachable);
        sqlx::raw_sql("ROLLBACK").execute(&mut holder).await.expect("it goes");
        assert_eq!(taker.take(&bodies).await.expect("taken"), [None]);
    }
    assert!(place.row(deleted).await.is_none());
    assert_eq!(place.row(running).await.expect("a row").0, "RUNNING");
}

//! What time brings about: jobs that are out of time, and rows of which nothing was heard.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use timesweep::omotes::Rules;
use timesweep::omotes::letter::Content;
use timesweep::retention::ownership::JobId;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::super::support::eventually;
use super::place::{Place, all_said, dataset_of, open, outcome, rules, start, submission};

const CANCELLED: [&str; 2] = ["status CANCELLED", "result CANCELLED ``"];

#[tokio::test]
async fn jobs_out_of_time_are_deleted_and_stale_rows_go_without_ending_their_jobs() {
    let mut place = Place::new().await;
    let (late, stale, quick, unsent) = (Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7());
    for (job, timeout) in [(late, Some(60_000)), (stale, None), (quick, Some(3_600_000))] {
        let mut message = submission(job);
        message.timeout_ms = timeout;
        place.submit(&message).await;
        for letter in place.sent().await {
            if let Content::Task { celery_id, .. } = letter.content {
                place.progress(start(job, celery_id)).await;
            }
        }
    }
    place.sent().await;
    place.submit(&submission(unsent)).await;
    place
        .database
        .run(&format!(
            "UPDATE job SET running_at = now() - interval '3 minutes' WHERE job_id IN ('{late}', '{quick}'); \
         UPDATE job SET running_at = now() - interval '3 days' WHERE job_id = '{stale}'; \
         UPDATE job SET registered_at = now() - interval '3 days' WHERE job_id = '{unsent}'"
        ))
        .await;
    for replica in &place.replicas {
        replica.end_timed_out(&|| true).await.expect("timed out");
        replica.forget_stale(&|| true).await.expect("forgotten");
    }
    assert!(place.row(late).await.is_none() && place.row(stale).await.is_none());
    assert!(place.row(quick).await.is_some() && place.row(unsent).await.is_some());
    assert_eq!(all_said(&place.sent().await), ["task", "revoke", CANCELLED[0], CANCELLED[1]]);
    assert_eq!(place.registration(late).await, Some((None, true)));
    let ledger = place.registry.ledger().await.expect("the ledger");
    let ended = |job: Uuid| ledger.jobs[&JobId(job)].ended.is_some();
    assert!(ended(late) && !ended(stale));
}

/// The time-out is our guess; what a worker says of its success is a fact.
#[tokio::test]
async fn a_success_counts_also_where_time_had_ended_its_job() {
    let mut place = Place::new().await;
    let (late, deleted) = (Uuid::now_v7(), Uuid::now_v7());
    let tasks = [place.at_work(late).await, place.at_work(deleted).await];
    place.progress(start(late, tasks[0])).await;
    place.progress(start(deleted, tasks[1])).await;
    place
        .database
        .run("UPDATE job SET running_at = now() - interval '2 minutes', timeout_after_ms = 1")
        .await;
    place.first().end_timed_out(&|| false).await.expect("nothing");
    assert!(place.row(late).await.is_some(), "a result came to hand while the locks were waited for");
    place.first().end_timed_out(&|| true).await.expect("timed out");
    assert!(place.is_empty().await);
    place.delete(deleted).await;
    place.sent().await;
    for _ in 0..2 {
        place.result(outcome(late, tasks[0], true)).await;
        place.result(outcome(deleted, tasks[1], true)).await;
        assert_eq!(place.registration(late).await, Some((Some(dataset_of(late)), false)));
        assert_eq!(place.registration(deleted).await, Some((Some(dataset_of(deleted)), true)));
    }
    assert!(place.sent().await.is_empty(), "their clients were told");
    place.delete(late).await;
    place.result(outcome(late, tasks[0], true)).await;
    assert_eq!(place.registration(late).await, Some((Some(dataset_of(late)), true)));
}

/// Another replica may have its result in hand, and be slow.
#[tokio::test]
async fn a_job_is_given_a_while_beyond_its_time() {
    let mut place = Place::new().await;
    let job = Uuid::now_v7();
    let task = place.at_work(job).await;
    place.progress(start(job, task)).await;
    place
        .database
        .run("UPDATE job SET running_at = now() - interval '30 seconds', timeout_after_ms = 1")
        .await;
    place.first().end_timed_out(&|| true).await.expect("nothing");
    assert!(place.row(job).await.is_some());
    place.database.run("UPDATE job SET running_at = now() - interval '61 seconds'").await;
    place.first().end_timed_out(&|| true).await.expect("timed out");
    assert!(place.row(job).await.is_none());
}

/// Its result may wait in a queue that could not be read.
#[tokio::test]
async fn time_ends_no_job_while_the_workers_are_not_heard() {
    let mut place = Place::new().await;
    let job = Uuid::now_v7();
    let task = place.at_work(job).await;
    place.progress(start(job, task)).await;
    let late = "UPDATE job SET running_at = now() - interval '2 minutes', timeout_after_ms = 1";
    place.database.run(late).await;
    let quick = Rules { start_buffer: Duration::from_secs(1), rerun: Duration::from_millis(20), ..rules() };
    let (_, replica) = open(&place.database.url, quick).await;
    let (turns, is_heard) = (AtomicUsize::new(0), AtomicBool::new(false));
    let heard = || {
        turns.fetch_add(1, Ordering::SeqCst);
        is_heard.load(Ordering::SeqCst).then_some(Duration::from_secs(2))
    };
    let cancel = CancellationToken::new();
    tokio::join!(replica.tidy_for_ever(&heard, &cancel), async {
        eventually("it had its turns", async || turns.load(Ordering::SeqCst) > 3).await;
        assert!(place.row(job).await.is_some());
        is_heard.store(true, Ordering::SeqCst);
        eventually("it is out of time", async || place.row(job).await.is_none()).await;
        cancel.cancel();
    });
}

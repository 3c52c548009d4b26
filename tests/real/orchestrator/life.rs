//! One job at a time: what its row, its client and the registry see.

use std::sync::Arc;
use std::time::Duration;

use timesweep::amqp::taker::{Delivered, Taker};
use timesweep::omotes::letter::Content;
use timesweep::omotes::takers::{Submissions, TaskProgress};
use timesweep::retention::ownership::event::Event;
use timesweep::retention::ownership::{JobId, OwnedName};
use uuid::Uuid;

use super::place::{
    Place, UNKNOWN, all_said, dataset_of, deletion, fraction, outcome, rules, start, submission, take,
};

const CANCELLED: [&str; 2] = ["status CANCELLED", "result CANCELLED ``"];

#[tokio::test]
async fn a_job_goes_from_its_submission_to_its_result() {
    let mut place = Place::new().await;
    let job = Uuid::now_v7();
    place.submit(&submission(job)).await;
    assert_eq!(place.row(job).await.expect("a row").0, "REGISTERED");
    let letters = place.sent().await;
    let [letter] = letters.as_slice() else { panic!("{letters:?}") };
    let Content::Task { celery_id, workflow, priority, body } = &letter.content else { panic!("{letter:?}") };
    assert_eq!((workflow.as_str(), *priority), (super::place::KNOWN, 4));
    assert!(String::from_utf8_lossy(body).contains(&job.simple().to_string()));
    assert_eq!(place.row(job).await.expect("a row"), ("SUBMITTED".into(), Some(celery_id.to_string())));
    place.progress(start(job, *celery_id)).await;
    assert_eq!(place.row(job).await.expect("a row").0, "RUNNING");
    place.progress(fraction(job, *celery_id, 0.5)).await;
    place.result(outcome(job, *celery_id, true)).await;
    let said = all_said(&place.sent().await);
    assert_eq!(said, ["status RUNNING", "progress", "result SUCCEEDED `what it said`"]);
    assert!(place.is_empty().await);
    assert_eq!(place.registration(job).await, Some((Some(dataset_of(job)), false)));
}

#[tokio::test]
async fn what_is_turned_away_gets_its_result_once_and_no_row() {
    let mut place = Place::new().await;
    let (unknown, unstorable) = (Uuid::now_v7(), Uuid::now_v7());
    for _ in 0..2 {
        let mut message = submission(unknown);
        message.workflow_type = UNKNOWN.into();
        place.submit(&message).await;
        message = submission(unstorable);
        message.job_reference = Some("a\0b".into());
        place.submit(&message).await;
    }
    let said = all_said(&place.sent().await);
    let text = format!(
        "result ERROR `Workflow type {UNKNOWN} is unknown by orchestrator at the time this submission was received.`"
    );
    assert_eq!(
        said,
        [text, "result ERROR `The job reference has a character that cannot be stored.`".into()]
    );
    assert!(place.is_empty().await);
}

#[tokio::test]
async fn a_submission_that_comes_again_begins_nothing() {
    let mut place = Place::new().await;
    let job = Uuid::now_v7();
    let task = place.at_work(job).await;
    place.submit(&submission(job)).await;
    place.result(outcome(job, task, false)).await;
    place.submit(&submission(job)).await;
    assert_eq!(all_said(&place.sent().await), ["result ERROR `what it said`"]);
    assert!(place.is_empty().await);
}

#[tokio::test]
async fn a_row_that_another_program_left_without_a_task_gets_one() {
    let mut place = Place::new().await;
    let job = Uuid::now_v7();
    let row = "INSERT INTO job (job_id, workflow_type, status, registered_at, job_reference)";
    place.database.run(&format!("{row} VALUES ('{job}', 'grow_optimizer', 'REGISTERED', now(), '')")).await;
    let task = place.at_work(job).await;
    assert_eq!(place.row(job).await.expect("a row"), ("SUBMITTED".into(), Some(task.to_string())));
    place.submit(&submission(job)).await;
    assert!(place.sent().await.is_empty());
}

/// Ids of ours are UUIDs; a task that another program began may have any.
#[tokio::test]
async fn a_task_with_an_id_that_is_no_uuid_begins_and_ends_as_any_other() {
    let mut place = Place::new().await;
    let (job, deleted) = (Uuid::now_v7(), Uuid::now_v7());
    for job in [job, deleted] {
        let row = format!(
            "INSERT INTO job (job_id, celery_id, workflow_type, status, registered_at, submitted_at) \
             VALUES ('{job}', 'old-celery-1', 'grow_optimizer', 'SUBMITTED', now(), now())"
        );
        place.database.run(&row).await;
    }
    place.progress(start(job, "old-celery-2")).await;
    assert_eq!(place.row(job).await.expect("a row").0, "SUBMITTED", "another run");
    place.progress(start(job, "old-celery-1")).await;
    assert_eq!(place.row(job).await, Some(("RUNNING".into(), Some("old-celery-1".into()))));
    place.result(outcome(job, "old-celery-2", true)).await;
    place.result(outcome(job, "", true)).await;
    place.result(outcome(job, "old-celery-1", true)).await;
    place.delete(deleted).await;
    let said = all_said(&place.sent().await);
    let succeeded = ["status RUNNING", "result SUCCEEDED `what it said`"];
    assert_eq!(said, [succeeded, CANCELLED].concat(), "nothing can revoke them");
    assert!(place.is_empty().await);
    assert_eq!(place.registration(job).await, Some((Some(dataset_of(job)), false)));
}

#[tokio::test]
async fn a_row_without_a_task_of_a_workflow_that_nobody_knows_ends_with_one_result() {
    let mut place = Place::new().await;
    let job = Uuid::now_v7();
    let row = "INSERT INTO job (job_id, workflow_type, status, registered_at, job_reference)";
    place.database.run(&format!("{row} VALUES ('{job}', '{UNKNOWN}', 'REGISTERED', now(), '')")).await;
    let mut message = submission(job);
    message.workflow_type = UNKNOWN.into();
    for _ in 0..2 {
        place.submit(&message).await;
    }
    let said = all_said(&place.sent().await);
    assert!(matches!(said.as_slice(), [one] if one.starts_with("result ERROR `Workflow type")), "{said:?}");
    assert!(place.is_empty().await);
    let ledger = place.registry.ledger().await.expect("the ledger");
    assert!(ledger.jobs[&JobId(job)].ended.is_some(), "nobody waits for it");
}

/// Nobody heard that it began, and no check has seen it: what it wrote may be as old as the last check.
#[tokio::test]
async fn a_job_that_only_its_result_tells_of_was_at_work_since_the_last_check() {
    for is_success in [true, false] {
        let mut place = Place::new().await;
        let job = Uuid::now_v7();
        let task = place.at_work(job).await;
        place.result(outcome(job, task, is_success)).await;
        let ledger = place.registry.ledger().await.expect("the ledger");
        assert_eq!(ledger.jobs[&JobId(job)].first_seen, ledger.checked_at);
    }
}

#[tokio::test]
async fn a_timeout_larger_than_its_column_is_none() {
    let place = Place::new().await;
    for (timeout, kept) in [(None, 0), (Some(5), 1), (Some(u32::MAX), 0), (Some(i32::MAX as u32), 1)] {
        let job = Uuid::now_v7();
        let mut message = submission(job);
        message.timeout_ms = timeout;
        place.submit(&message).await;
        let query = format!("SELECT count(timeout_after_ms) FROM job WHERE job_id = '{job}'");
        assert_eq!(place.database.number(&query).await, kept, "{timeout:?}");
    }
}

#[tokio::test]
async fn a_worker_that_dies_again_and_again_ends_its_job_with_an_error() {
    let mut limit_of_two = rules();
    limit_of_two.delivery_limit = 2;
    let mut place = Place::with(limit_of_two).await;
    let job = Uuid::now_v7();
    let task = place.at_work(job).await;
    for _ in 0..3 {
        place.progress(start(job, task)).await;
    }
    let said = all_said(&place.sent().await);
    let text = "result ERROR `Job cannot be processed due to being retried the maximum number of times.`";
    assert_eq!(said, ["status RUNNING", "status RUNNING", "revoke", "status CANCELLED", text]);
    assert!(place.is_empty().await);
    // All of them in one batch come to the same.
    let job = Uuid::now_v7();
    let task = place.at_work(job).await;
    let bodies = vec![start(job, task); 4];
    take(&TaskProgress(Arc::clone(place.first())), &bodies).await;
    let said = all_said(&place.sent().await);
    let again = ["status RUNNING", "status RUNNING", "revoke", "status CANCELLED", text, "revoke"];
    assert_eq!(said, again);
    assert!(place.is_empty().await);
}

#[tokio::test]
async fn a_start_that_the_broker_delivers_again_is_not_another_start() {
    let mut place = Place::new().await;
    let job = Uuid::now_v7();
    let task = place.at_work(job).await;
    let taker = TaskProgress(Arc::clone(place.first()));
    let body = start(job, task);
    // Whether it was taken the first time nobody knows: then it counts.
    for _ in 0..3 {
        taker.take_delivered(&[&body], &[Delivered { again: true, id: None }]).await.expect("taken");
    }
    assert_eq!(all_said(&place.sent().await), ["status RUNNING"]);
    assert_eq!(place.database.number("SELECT count(*) FROM job_starts").await, 1);
}

/// The broker took it back from a replica that was cut off, and gave it to another, which was faster.
#[tokio::test]
async fn a_start_that_two_replicas_get_counts_once_whoever_is_first() {
    let mut place = Place::new().await;
    let job = Uuid::now_v7();
    let task = place.at_work(job).await;
    let body = start(job, task);
    let id = Some(Uuid::now_v7().simple().to_string());
    for (replica, again) in [(1, true), (0, false), (1, false)] {
        let taker = TaskProgress(Arc::clone(&place.replicas[replica]));
        taker.take_delivered(&[&body], &[Delivered { again, id: id.clone() }]).await.expect("taken");
    }
    assert_eq!(all_said(&place.sent().await), ["status RUNNING"]);
    let remembered = "SELECT count(*) FROM timesweep_start";
    assert_eq!(place.database.number(remembered).await, 1);
    place.result(outcome(job, task, true)).await;
    assert_eq!(place.database.number(remembered).await, 0, "as long as its row");
    // Another message is another start, also where its sender calls all of them alike.
    let mut place = Place::new().await;
    for id in [None, Some("its id".to_owned()), Some("job".to_owned()), Some("task".to_owned())] {
        let job = Uuid::now_v7();
        let task = place.at_work(job).await;
        let id = match id.as_deref() {
            Some("job") => Some(job.to_string()),
            Some("task") => Some(task.simple().to_string()),
            _ => id,
        };
        let taker = TaskProgress(Arc::clone(place.first()));
        for _ in 0..2 {
            let delivered = Delivered { again: false, id: id.clone() };
            taker.take_delivered(&[&start(job, task)], &[delivered]).await.expect("taken");
        }
        assert_eq!(all_said(&place.sent().await).len(), 4, "{id:?}");
    }
    assert!(place.is_empty().await);
}

#[tokio::test]
async fn a_run_that_does_not_count_is_revoked_and_changes_nothing() {
    let mut place = Place::new().await;
    let (job, unknown, other) = (Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7());
    let task = place.at_work(job).await;
    for body in [start(job, other), fraction(job, other, 0.1), start(unknown, other)] {
        place.progress(body).await;
        assert_eq!(all_said(&place.sent().await), ["revoke"]);
    }
    place.result(outcome(job, other, true)).await;
    assert!(place.sent().await.is_empty());
    assert_eq!(place.registration(job).await, None);
    assert_eq!(place.row(job).await.expect("a row"), ("SUBMITTED".into(), Some(task.to_string())));
}

#[tokio::test]
async fn a_success_is_registered_also_where_the_row_is_gone() {
    let mut place = Place::new().await;
    let (job, failed) = (Uuid::now_v7(), Uuid::now_v7());
    place.result(outcome(job, Uuid::now_v7(), true)).await;
    place.result(outcome(failed, Uuid::now_v7(), false)).await;
    assert!(place.sent().await.is_empty());
    assert_eq!(place.registration(job).await, Some((Some(dataset_of(job)), false)));
}

#[tokio::test]
async fn a_deletion_cancels_whatever_the_job_does() {
    let mut place = Place::new().await;
    let (waiting, running, unknown) = (Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7());
    // Its task has not left: it never does.
    place.submit(&submission(waiting)).await;
    place.delete(waiting).await;
    let said = all_said(&place.sent().await);
    assert_eq!(said, ["revoke", CANCELLED[0], CANCELLED[1]]);
    let task = place.at_work(running).await;
    place.progress(start(running, task)).await;
    place.delete(running).await;
    place.delete(running).await;
    let said = all_said(&place.sent().await);
    assert_eq!(said, ["status RUNNING", "revoke", CANCELLED[0], CANCELLED[1]]);
    place.result(outcome(running, task, true)).await;
    place.delete(unknown).await;
    assert!(place.sent().await.is_empty());
    assert!(place.is_empty().await);
    assert_eq!(place.registration(running).await, Some((Some(dataset_of(running)), true)));
    for tombstone in [waiting, unknown] {
        assert_eq!(place.registration(tombstone).await, Some((None, true)));
    }
}

/// What REST and the command line do.
#[tokio::test]
async fn a_deletion_through_the_registry_cancels_the_job_as_well() {
    let mut place = Place::new().await;
    let (job, unknown) = (Uuid::now_v7(), Uuid::now_v7());
    let task = place.at_work(job).await;
    place.progress(start(job, task)).await;
    assert_eq!(all_said(&place.sent().await), ["status RUNNING"]);
    let registry = timesweep::omotes::with_jobs(Arc::clone(place.first()));
    let [job_id, unknown_id] = [job, unknown].map(JobId);
    assert_eq!(registry.job_status(job_id).await.expect("a status").as_deref(), Some("RUNNING"));
    let now = registry.now().await.expect("the clock");
    let dataset = OwnedName("other".into());
    let events = [Event::Deleted(unknown_id), Event::Hold { dataset, until: None }, Event::Deleted(job_id)];
    let known: Vec<bool> =
        registry.record(&events, now).await.expect("recorded").iter().map(|met| met.known).collect();
    assert_eq!(known, [false, false, true]);
    assert_eq!(all_said(&place.sent().await), ["revoke", CANCELLED[0], CANCELLED[1]]);
    assert!(place.is_empty().await);
    assert_eq!(registry.job_status(job_id).await.expect("a status"), None);
    let ledger = registry.ledger().await.expect("the ledger");
    assert!(ledger.deleted_jobs.contains_key(&job_id) && ledger.holds.len() == 1);
}

#[tokio::test]
async fn a_job_that_was_deleted_before_its_submission_never_begins() {
    let mut place = Place::new().await;
    let job = Uuid::now_v7();
    place.delete(job).await;
    for _ in 0..2 {
        place.submit(&submission(job)).await;
    }
    assert_eq!(all_said(&place.sent().await), CANCELLED);
    assert!(place.is_empty().await);
}

#[tokio::test]
async fn messages_that_cannot_be_read_keep_nobody_waiting() {
    let mut place = Place::new().await;
    let job = Uuid::now_v7();
    let good = prost::Message::encode_to_vec(&submission(job));
    let no_id = prost::Message::encode_to_vec(&timesweep::amqp::wire::JobSubmission::default());
    let taker = Submissions(Arc::clone(place.first()));
    let reasons = taker.take(&[&[0xff; 9], &good, &no_id]).await.expect("taken");
    let expected = [Some("this is no JobSubmission message"), None, Some("its job id is not a UUID")];
    assert_eq!(reasons, expected);
    assert_eq!(all_said(&place.sent().await), ["task"]);
    let taker = TaskProgress(Arc::clone(place.first()));
    let nothing = timesweep::amqp::wire::TaskProgressUpdate {
        job_id: job.to_string(),
        ..timesweep::amqp::wire::TaskProgressUpdate::default()
    };
    let nothing = prost::Message::encode_to_vec(&nothing);
    let reasons = taker.take(&[&deletion(job)[..3], &nothing]).await.expect("taken");
    assert_eq!(reasons[1], Some("it says neither that a task began nor how far it is"));
    assert!(reasons[0].is_some());
}

/// A check of many datasets may hold the registry's lock for seconds.
#[tokio::test]
async fn a_job_gets_to_work_while_the_registry_is_locked() {
    let mut place = Place::new().await;
    let mut holder = place.database.connect().await;
    let lock = "SELECT pg_advisory_lock(1953066341, 1919248233)";
    sqlx::query(lock).execute(&mut holder).await.expect("the registry's lock");
    let job = Uuid::now_v7();
    let at_work = async {
        let task = place.at_work(job).await;
        place.progress(start(job, task)).await;
        place.progress(fraction(job, task, 0.5)).await;
        place.sent().await
    };
    let letters = tokio::time::timeout(Duration::from_secs(10), at_work).await.expect("nobody waits");
    assert_eq!(all_said(&letters), ["status RUNNING", "progress"]);
}

//! The whole: a real client, real Celery workers, and timesweep between them with the platform's own variables.

use prost::Message;
use timesweep::amqp::wire::JobDelete;

use super::installation::{
    CANCELLED, ERROR, Installation, STATUS_CANCELLED, STATUS_RUNNING, SUCCEEDED, between, dataset_of,
    parameters,
};
use crate::real::support::eventually;

#[tokio::test(flavor = "multi_thread")]
async fn a_job_goes_from_its_submission_to_its_result() {
    let place = Installation::new().await;
    let serving = place.serve().await;
    let _worker = place.worker("first", &["echo"]).await;
    let mut client = place.client().await;
    let workflows = client.hears(|told| told.get("workflows").is_some()).await;
    assert_eq!(workflows["workflows"], serde_json::json!(["echo", "rest"]));
    // The first task of a worker loads half of its libraries.
    let warm = client.submits("echo", parameters("", 0.0, 0)).await;
    client.result(&warm).await;

    let job = client.submits("echo", parameters("", 0.0, 3)).await;
    let submitted = client.hears(|told| told["job"] == job && told.get("submitted").is_some()).await;
    let running = client.status(&job, STATUS_RUNNING).await;
    let result = client.result(&job).await;
    println!(
        "running after {:.3} s, done after {:.3} s",
        between(&submitted, &running),
        between(&submitted, &result)
    );
    assert!(between(&submitted, &running) < 3.0, "{submitted} {running}");
    assert_eq!(result["result"], SUCCEEDED, "{result}");
    let mut progress: Vec<_> = client.told();
    progress.retain(|told| told["job"] == job && told.get("progress").is_some());
    let messages: Vec<_> = progress.iter().map(|told| told["message"].as_str().expect("a message")).collect();
    // A result comes through another queue, and may overtake the last word.
    assert_eq!(messages[..3], ["step 0", "step 1", "step 2"]);
    let dataset = dataset_of(&result);
    assert_eq!(
        place.owner(&dataset).await.as_deref(),
        Some(job.as_str()),
        "whoever got a result finds its row"
    );
    assert!(place.ground.has(&dataset).await);

    let failed = client.submits("echo", parameters("fail", 0.0, 0)).await;
    let result = client.result(&failed).await;
    assert_eq!(result["result"], ERROR);
    assert!(result["logs"].as_str().expect("logs").contains("this task was told to fail"), "{result}");
    let empty = client.submits("echo", parameters("nothing", 0.0, 0)).await;
    assert_eq!(client.result(&empty).await["result"], ERROR);

    let unknown = client.submits("sorcery", parameters("", 0.0, 0)).await;
    let result = client.result(&unknown).await;
    let said = "Workflow type sorcery is unknown by orchestrator at the time this submission was received.";
    assert_eq!((result["result"].as_i64(), result["logs"].as_str()), (Some(ERROR), Some(said)));
    place.no_job_is_left().await;
    let log = serving.log();
    let said = |job: &str| -> Vec<&str> {
        let lines = log.lines().filter(|line| line.contains(job));
        lines.map(|line| line.split_once(": ").map_or(line, |(_, rest)| rest)).collect()
    };
    let (began, submitted) = ("a task began", "a job was submitted");
    let with = |what: &str, job: &str| format!("{what} job={job} workflow=\"echo\"");
    for (job, end) in [(&job, "a job succeeded"), (&failed, "a job failed")] {
        let lines = [submitted, began, end].map(|what| with(what, job));
        assert!(said(job).iter().zip(&lines).all(|(said, line)| said.ends_with(line)), "{:?}", said(job));
        assert_eq!(said(job).len(), 3, "{:?}", said(job));
    }
    assert!(log.contains("nobody knows its workflow job=") && log.contains("workflow=\"sorcery\""), "{log}");
    assert!(!log.contains("this task was told to fail"), "what a job says is its client's own");
    serving.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_at_a_job_fails_it_with_the_known_text() {
    let place = Installation::new().await;
    let serving = place.serve().await;
    let _worker = place.worker("first", &["echo"]).await;
    let mut client = place.client().await;
    let job = client.submits("echo", parameters("die", 0.0, 0)).await;
    let result = client.result(&job).await;
    assert_eq!(result["result"], ERROR, "{result}");
    let said = "Job cannot be processed due to being retried the maximum number of times.";
    assert_eq!(result["logs"], said);
    client.status(&job, STATUS_CANCELLED).await;
    place.no_job_is_left().await;
    let next = client.submits("echo", parameters("", 0.0, 0)).await;
    assert_eq!(client.result(&next).await["result"], SUCCEEDED, "the worker goes on");
    serving.stop().await;
}

/// A service that keeps jobs in a database shows what it wrote last: for good the error with its text.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_works_at_a_status_has_the_error_of_its_job_last() {
    let place = Installation::new().await;
    let serving = place.serve().await;
    let _worker = place.worker("first", &["echo"]).await;
    let mut client = place.client_that_works_at_a_status(0.1);
    client.hears(|told| told.get("workflows").is_some()).await;
    let job = client.submits("echo", parameters("die", 0.5, 0)).await;
    client.result(&job).await;
    client.status(&job, STATUS_CANCELLED).await;
    let fate = client.fate(&job);
    assert_eq!(fate.last().expect("its end")["result"], ERROR, "{fate:#?}");
    serving.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_hard_has_its_task_begun_by_another_which_is_once_too_often() {
    let place = Installation::new().await;
    let serving = place.serve().await;
    let mut first = place.worker("first", &["echo"]).await;
    let mut client = place.client().await;
    let job = client.submits("echo", parameters("", 60.0, 0)).await;
    client.status(&job, STATUS_RUNNING).await;
    first.kill();
    let _second = place.worker("second", &["echo"]).await;
    let result = client.result(&job).await;
    assert!(
        result["logs"].as_str().expect("logs").contains("retried the maximum number of times"),
        "{result}"
    );
    eventually("the second run ends", async || place.at_work().is_empty()).await;
    serving.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_deleted_while_it_runs_is_cancelled_and_its_task_ends() {
    let place = Installation::new().await;
    let serving = place.serve().await;
    let _worker = place.worker("first", &["echo"]).await;
    let mut client = place.client().await;
    let running = client.submits("echo", parameters("", 300.0, 0)).await;
    let waiting = client.submits("echo", parameters("", 0.0, 0)).await;
    client.status(&running, STATUS_RUNNING).await;
    eventually("it is at work", async || place.at_work().len() == 1).await;
    client.order(&serde_json::json!({"delete": waiting}));
    client.order(&serde_json::json!({"delete": running}));
    let mut quickest = f64::MAX;
    for job in [&running, &waiting] {
        let deleting = client.hears(|told| told["job"] == *job && told.get("deleting").is_some()).await;
        let status = client.status(job, STATUS_CANCELLED).await;
        let result = client.result(job).await;
        assert_eq!((result["result"].as_i64(), result["logs"].as_str()), (Some(CANCELLED), Some("")));
        println!("cancelled after {:.3} s", between(&deleting, &status));
        assert!(between(&deleting, &result) < 3.0, "{deleting} {result}");
        quickest = quickest.min(between(&deleting, &result));
    }
    // Of two one may have met a machine that was busy.
    assert!(quickest < 1.0, "{quickest} s");
    eventually("its task ends", async || place.at_work().is_empty()).await;
    place.no_job_is_left().await;
    let next = client.submits("echo", parameters("", 0.0, 0)).await;
    assert_eq!(client.result(&next).await["result"], SUCCEEDED, "the worker goes on");
    assert_eq!(
        client
            .told()
            .iter()
            .filter(|told| told["job"] == waiting && told["status"] == STATUS_RUNNING)
            .count(),
        0
    );
    serving.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_can_read_is_kept_on_every_queue_and_jobs_go_on() {
    let place = Installation::new().await;
    let serving = place.serve().await;
    let _worker = place.worker("first", &["echo"]).await;
    let no_uuid = JobDelete { uuid: "job 1".into() }.encode_to_vec();
    let broken = [vec![0xff; 30], no_uuid, b"{\"uuid\": 1}".to_vec()];
    for queue in ["job_submissions", "job_deletions"] {
        place.clients.publish(queue, &broken).await;
    }
    for queue in ["omotes_task_result_events", "omotes_task_progress_events"] {
        place.workers.publish(queue, &broken).await;
    }
    place.clients.publish("timesweep_workflow_requests", &broken[..1]).await;
    let kept = async || {
        let letters = "timesweep_dead_letters";
        (place.clients.waiting(letters).await, place.workers.waiting(letters).await)
    };
    eventually("all are kept", async || kept().await == (7, 6)).await;
    let mut client = place.client().await;
    let job = client.submits("echo", parameters("", 0.0, 1)).await;
    assert_eq!(client.result(&job).await["result"], SUCCEEDED);
    assert_eq!(serving.health().await.code, 200);
    serving.stop().await;
}

/// What it is all for: a deletion ends the data as well, and nothing else does.
#[tokio::test(flavor = "multi_thread")]
async fn the_data_of_a_deleted_job_goes_and_that_of_a_successful_one_stays() {
    let mut place = Installation::new().await;
    place.more = vec![("JOB_RETENTION_SEC", "2".into()), ("TIMESWEEP_ALLOW_SHORT_GRACE", "1".into())];
    let serving = place.serve().await;
    let _worker = place.worker("first", &["echo"]).await;
    let mut client = place.client().await;
    let mut datasets = Vec::new();
    for _ in 0..2 {
        let job = client.submits("echo", parameters("", 0.0, 0)).await;
        datasets.push((job.clone(), dataset_of(&client.result(&job).await)));
    }
    place.ground.write("omotes_timeseries").await;
    let [(deleted, goes), (_, stays)] = datasets.try_into().expect("two");
    client.order(&serde_json::json!({"delete": deleted}));
    eventually("its data goes", async || !place.ground.has(&goes).await).await;
    assert!(place.ground.has(&stays).await && place.ground.has("omotes_timeseries").await);
    serving.stop().await;
}

//! The process is killed at every point of the journal, and started again.

use uuid::Uuid;

use super::place::{Place, RESULTS, esdl_with, id};
use crate::real::amqp::broker::deletion;
use crate::real::support::eventually;

struct Installation {
    place: Place,
    owner: Uuid,
    kept: String,
    deleted: Uuid,
    due: String,
}

/// One dataset that belongs to a job, one whose job was deleted, and its grace is over.
async fn installation() -> Installation {
    installation_on(Place::on_influx().await).await
}

async fn installation_on(mut place: Place) -> Installation {
    let short = std::mem::take(&mut place.times);
    place.times = short.replace("grace = \"2 s\"", "grace = \"1 hour\"");
    let (owner, kept, deleted, due) = (Uuid::now_v7(), id(), Uuid::now_v7(), id());
    let serving = place.serve().await;
    for (job, dataset) in [(owner, &kept), (deleted, &due)] {
        place.ground.write(dataset).await;
        place.succeeds(job, dataset).await;
        place.is_active(dataset, job).await;
    }
    serving.delete_job(deleted).await;
    place.is_marked(&due).await;
    serving.stop().await;
    place.times = short;
    Installation { place, owner, kept, deleted, due }
}

/// Killed at this point; `is_gone` and `has_row` afterwards; and then a new start.
async fn killed_at(point: &str, is_gone: bool, has_row: bool) {
    let with_a_file = Place::on_schemas().await.with_registry_in_a_file();
    for place in [Place::on_influx().await, with_a_file] {
        killed_on(place, point, is_gone, has_row).await;
    }
}

async fn killed_on(place: Place, point: &str, is_gone: bool, has_row: bool) {
    let Installation { place, owner, kept, deleted, due } = installation_on(place).await;
    let mut serving = place.serve_until_killed(point);
    assert_eq!(serving.ended().await, 909, "{}", serving.log());
    assert_eq!(!place.ground.has(&due).await, is_gone);
    assert_eq!(place.row(&due).await.is_some(), has_row);
    let serving = place.serve().await;
    place.goes(&due).await;
    place.is_active(&kept, owner).await;
    place.stays(&kept).await;
    assert!(place.is_deleted(deleted).await);
    serving.stop().await;
    let again = place.ran(&["run", "--apply", "--output", "json"]).with_code(0).json();
    let settled = again["owned"]["settled"].as_array().map_or(0, Vec::len);
    assert_eq!(settled, 0, "every intent has its outcome: {again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_before_the_intent_drops_nothing_and_the_next_start_does() {
    killed_at("before-dataset-intent", false, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_behind_the_intent_drops_nothing_and_the_next_start_does() {
    killed_at("dataset-intent-written", false, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_right_before_the_drop_drops_nothing_and_the_next_start_does() {
    killed_at("before-dataset-drop", false, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_right_behind_the_drop_leaves_a_row_that_the_next_start_forgets() {
    killed_at("dataset-dropped", true, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_before_the_outcome_leaves_an_intent_that_the_next_start_settles() {
    killed_at("dataset-row-forgotten", true, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dataset_that_is_written_again_after_a_kill_behind_its_drop_belongs_to_its_new_job() {
    let Installation { place, due, .. } = installation().await;
    let mut serving = place.serve_until_killed("dataset-dropped");
    assert_eq!(serving.ended().await, 909, "{}", serving.log());
    let job = Uuid::now_v7();
    place.ground.write(&due).await;
    place.succeeds(job, &due).await;
    let serving = place.serve().await;
    place.is_active(&due, job).await;
    place.stays(&due).await;
    serving.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_survive_a_kill_between_commit_and_acknowledgement() {
    let place = Place::on_influx().await;
    let (job, dataset) = (Uuid::now_v7(), id());
    place.ground.write(&dataset).await;
    place.succeeds(job, &dataset).await;
    let mut serving = place.serve_until_killed("amqp-recorded");
    assert_eq!(serving.ended().await, 909, "{}", serving.log());
    place.is_active(&dataset, job).await;
    eventually("it is delivered again", async || place.workers.waiting(RESULTS).await == 1).await;
    place.clients.publish("job_deletions", &[deletion(job)]).await;
    // The result comes once more in this process, and the deletion beside it.
    let mut serving = place.serve_until_killed("amqp-recorded:2");
    assert_eq!(serving.ended().await, 909, "{}", serving.log());
    let serving = place.serve().await;
    place.goes(&dataset).await;
    assert_eq!(place.count("timesweep_deleted_job").await, 1);
    serving.stop().await;
    assert_eq!(place.clients.waiting("job_deletions").await + place.workers.waiting(RESULTS).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_in_front_of_any_commit_of_the_registry_loses_no_message() {
    let place = Place::on_influx().await;
    place.serve().await.stop().await;
    let (jobs, dataset) = ([Uuid::now_v7(), Uuid::now_v7()], id());
    place.ground.write(&dataset).await;
    place.result(jobs[0], 0, Some(&esdl_with(&dataset))).await;
    place.clients.publish("job_deletions", &[deletion(jobs[1])]).await;
    for count in 1..=3 {
        for point in ["registry-before-writes", "registry-before-commit", "registry-committed"] {
            let mut serving = place.serve_until_killed(&format!("{point}:{count}"));
            assert_eq!(serving.ended().await, 909, "{point} {}", serving.log());
        }
    }
    let serving = place.serve().await;
    place.is_active(&dataset, jobs[0]).await;
    eventually("it is deleted", async || place.is_deleted(jobs[1]).await).await;
    place.stays(&dataset).await;
    serving.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_process_left_open_says_nothing_about_the_data_of_later() {
    let Installation { place, owner, kept, due, .. } = installation().await;
    let mut serving = place.serve_until_killed("dataset-dropped");
    assert_eq!(serving.ended().await, 909, "{}", serving.log());
    // A process on another host, whose journal knows nothing of it, goes on.
    let state = place.database.file("state-of-another-host.db").display().to_string();
    let other = place.serve_as(&["--state", &state]).await;
    other.listens().await;
    eventually("its registration is forgotten", async || place.row(&due).await.is_none()).await;
    let job = Uuid::now_v7();
    place.ground.write(&due).await;
    place.succeeds(job, &due).await;
    place.is_active(&due, job).await;
    other.stop().await;
    let serving = place.serve().await;
    place.stays(&due).await;
    place.is_active(&due, job).await;
    place.is_active(&kept, owner).await;
    serving.stop().await;
}

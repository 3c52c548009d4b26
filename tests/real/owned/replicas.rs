//! Two processes on one registry, one store and one broker: one checks and takes the messages, the other
//! stands by, and neither is silent about it.

use uuid::Uuid;

use super::place::{Place, id};
use super::serving::Serving;
use crate::real::support::eventually;

async fn second(place: &Place) -> Serving {
    let state = place.database.file("state-of-the-second.db").display().to_string();
    place.serve_as(&["--state", &state]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_stands_by_says_so_and_takes_over_the_messages() {
    let place = Place::on_influx().await;
    let first = place.serve().await;
    let mut other = second(&place).await;
    other.stands_by("deletions").await;
    eventually("it says why", async || other.log().contains("somebody else takes messages from")).await;
    // REST works on both of them.
    let (job, dataset) = (Uuid::now_v7(), id());
    place.ground.write(&dataset).await;
    place.succeeds(job, &dataset).await;
    place.is_active(&dataset, job).await;
    assert_eq!(other.delete_job(job).await.json["deleted"], true);
    place.goes(&dataset).await;
    assert_eq!(first.health().await.code, 200, "it has stolen nothing");
    first.kill().await;
    other.listens().await;
    let (job, dataset) = (Uuid::now_v7(), id());
    place.ground.write(&dataset).await;
    place.succeeds(job, &dataset).await;
    place.is_active(&dataset, job).await;
    place.client_deletes(&[job]).await;
    place.goes(&dataset).await;
    assert!(other.is_running());
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_that_check_at_once_drop_what_is_due_and_nothing_else() {
    let place = Place::on_influx().await.with_orchestrator().await;
    let first = place.serve().await;
    let other = second(&place).await;
    let owned: Vec<(Uuid, String)> = (0..6).map(|_| (Uuid::now_v7(), id())).collect();
    for (job, dataset) in &owned {
        place.ground.write(dataset).await;
        place.succeeds(*job, dataset).await;
    }
    for (job, dataset) in &owned {
        place.is_active(dataset, *job).await;
    }
    for (index, (job, _)) in owned.iter().take(3).enumerate() {
        let to = if index % 2 == 0 { &first } else { &other };
        assert_eq!(to.delete_job(*job).await.code, 200);
    }
    for (_, dataset) in &owned[..3] {
        place.goes(dataset).await;
    }
    place.outlasts_a_stray().await;
    let left = place.ground.names().await;
    assert!(owned[3..].iter().all(|(_, dataset)| left.contains(dataset)), "{left:?}");
    first.stop().await;
    other.stop().await;
}

/// A process that stands still holds the runner's lock and the queue: the other one says that it waits, and
/// what the first one meant to do is looked at once more when it goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_stood_still_and_goes_on_harms_nothing() {
    let place = Place::on_influx().await;
    let first = place.serve().await;
    let (job, dataset) = (Uuid::now_v7(), id());
    place.ground.write(&dataset).await;
    place.succeeds(job, &dataset).await;
    place.is_active(&dataset, job).await;
    first.freeze();
    let other = second(&place).await;
    let stray = id();
    place.ground.write(&stray).await;
    other.stands_by("deletions").await;
    first.thaw();
    place.goes(&stray).await;
    place.stays(&dataset).await;
    first.stop().await;
    other.stop().await;
}

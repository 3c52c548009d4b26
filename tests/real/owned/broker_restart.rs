//! The broker itself ends and comes back: what was confirmed to a client is done once, and timesweep listens again.

use uuid::Uuid;

use super::ground::Ground;
use super::place::{Place, id};
use crate::real::amqp::broker::{deletion, jobs};
use crate::real::own_broker::OwnBroker;
use crate::real::support::eventually;

/// The broker ends by this signal while deletions come in.
async fn restarted(signal: &str) {
    let broker = OwnBroker::start();
    let place = Place::with_brokers(Ground::schemas().await, broker.host().await, broker.host().await).await;
    let serving = place.serve().await;
    let (owner, kept, deleted, due) = (Uuid::now_v7(), id(), Uuid::now_v7(), id());
    for (job, dataset) in [(owner, &kept), (deleted, &due)] {
        place.ground.write(dataset).await;
        place.succeeds(job, dataset).await;
        place.is_active(dataset, job).await;
    }
    let (before, after) = (jobs(500), jobs(500));
    let bodies = |jobs: &[Uuid]| jobs.iter().copied().map(deletion).collect::<Vec<_>>();
    place.clients.publish("job_deletions", &bodies(&before)).await;
    broker.end(signal);
    for part in ["deletions", "results"] {
        serving.is_in_trouble(part).await;
    }
    // Everything else goes on.
    let by_rest = Uuid::now_v7();
    assert_eq!(serving.delete_job(by_rest).await.code, 200);
    place.passes(1).await;
    assert!(place.ground.has(&kept).await);
    broker.start_again();
    serving.listens().await;
    place.clients.publish("job_deletions", &bodies(&after)).await;
    place.client_deletes(&[deleted]).await;
    let told = i64::try_from(before.len() + after.len() + 2).expect("a count");
    eventually("all are deleted", async || place.count("timesweep_deleted_job").await == told).await;
    place.goes(&due).await;
    // One tombstone for each job that has no data, and nothing is left in a queue.
    assert_eq!(place.count("esdl_time_series_info WHERE esdl_id IS NULL").await, told - 1);
    for host in [&place.clients, &place.workers] {
        for queue in ["job_deletions", "timesweep_dead_letters", super::place::RESULTS] {
            assert_eq!(host.waiting(queue).await, 0, "{queue}");
        }
    }
    place.is_active(&kept, owner).await;
    place.stays(&kept).await;
    serving.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_restarted_costs_no_deletion_and_doubles_none() {
    restarted("TERM").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_killed_costs_no_deletion_and_doubles_none() {
    restarted("KILL").await;
}

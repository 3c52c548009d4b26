//! Messages by the public client and by workers: unreadable ones, repeated ones, and those that wait.

use uuid::Uuid;

use super::place::{Place, RESULTS, esdl_with, id};
use crate::real::amqp::broker::deletion;
use crate::real::support::eventually;

#[tokio::test(flavor = "multi_thread")]
async fn deletions_that_the_client_sent_while_nothing_ran_are_done_at_the_next_start() {
    let place = Place::on_influx().await;
    let (job, dataset) = (Uuid::now_v7(), id());
    place.ground.write(&dataset).await;
    let serving = place.serve().await;
    place.succeeds(job, &dataset).await;
    place.is_active(&dataset, job).await;
    serving.stop().await;
    place.client_deletes(&[job]).await;
    assert_eq!(place.clients.waiting("job_deletions").await, 1);
    let serving = place.serve().await;
    place.goes(&dataset).await;
    serving.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_come_again_change_nothing() {
    let place = Place::on_influx().await;
    let serving = place.serve().await;
    let (job, dataset) = (Uuid::now_v7(), id());
    place.ground.write(&dataset).await;
    for _ in 0..3 {
        place.succeeds(job, &dataset).await;
    }
    place.is_active(&dataset, job).await;
    place.stays(&dataset).await;
    place.client_deletes(&[job, job]).await;
    place.goes(&dataset).await;
    // After everything is over the result of a dead worker comes once more, and it writes once more.
    place.ground.write(&dataset).await;
    place.succeeds(job, &dataset).await;
    place.goes(&dataset).await;
    assert_eq!(place.count("timesweep_deleted_job").await, 1);
    serving.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_can_read_is_put_aside_and_the_next_message_counts() {
    let place = Place::on_influx().await;
    let serving = place.serve().await;
    let (job, dataset) = (Uuid::now_v7(), id());
    place.ground.write(&dataset).await;
    let bad = [vec![0xff; 30], b"17".to_vec(), Vec::new()];
    place.workers.publish(RESULTS, &bad).await;
    place.succeeds(job, &dataset).await;
    place.is_active(&dataset, job).await;
    place.clients.publish("job_deletions", &bad).await;
    place.clients.publish("job_deletions", &[deletion(job)]).await;
    place.goes(&dataset).await;
    eventually("all lie there", async || {
        place.clients.waiting("timesweep_dead_letters").await == 3
            && place.workers.waiting("timesweep_dead_letters").await == 3
    })
    .await;
    assert_eq!(serving.health().await.code, 200);
    serving.stop().await;
}

/// A result that cannot be read: what may be its data waits for a person.
async fn unreadable(esdl: Option<&str>) {
    let place = Place::on_influx().await.with_orchestrator().await;
    let serving = place.serve().await;
    let (job, dataset) = (Uuid::now_v7(), id());
    place.job_runs(job).await;
    place.ground.write(&dataset).await;
    place.is_marked(&dataset).await;
    place.passes(1).await;
    place.result(job, 0, esdl).await;
    eventually("it is held", async || place.count("timesweep_hold").await == 1).await;
    place.job_row_goes(job).await;
    // What appears before the next check may be its data as well.
    place.passes(2).await;
    place.stays(&dataset).await;
    let held = place.ran(&["hold", "list"]).with_code(0);
    for said in [&dataset, "timesweep", "nobody can read with what", &job.to_string()] {
        assert!(held.out.contains(said), "{said} in {held:?}");
    }
    place.ran(&["hold", "remove", &dataset]).with_code(0);
    place.goes(&dataset).await;
    serving.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_success_whose_esdl_is_no_xml_holds_what_may_be_its_data() {
    unreadable(Some("{\"id\": \"this is JSON\"}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_success_whose_esdl_has_no_id_holds_what_may_be_its_data() {
    unreadable(Some("<esdl:EnergySystem xmlns:esdl=\"http://www.tno.nl/esdl\" name=\"x\"/>")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_success_without_an_esdl_holds_what_may_be_its_data() {
    unreadable(None).await;
}

/// A fast job writes and reports between two checks, so nothing of it was ever seen.
#[tokio::test(flavor = "multi_thread")]
async fn a_success_that_cannot_be_read_keeps_data_that_no_check_has_seen_yet() {
    let mut place = Place::on_influx().await.with_orchestrator().await;
    place.times = place.times.replace("check_interval = \"1 s\"", "check_interval = \"1 hour\"");
    let serving = place.serve().await;
    place.passes(0).await;
    let (job, dataset) = (Uuid::now_v7(), id());
    place.job_runs(job).await;
    place.ground.write(&dataset).await;
    place.result(job, 0, Some("<broken")).await;
    let ended = format!("timesweep_seen_job WHERE job = '{job}' AND ended IS NOT NULL");
    eventually("its result came", async || place.count(&ended).await == 1).await;
    place.job_row_goes(job).await;
    serving.stop().await;
    place.times = place.times.replace("1 hour", "1 s");
    let serving = place.serve().await;
    place.passes(8).await;
    assert!(place.ground.has(&dataset).await, "the data of a successful job was dropped");
    serving.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_esdl_of_a_million_elements_is_a_result_like_any_other() {
    let place = Place::on_influx().await;
    let serving = place.serve().await;
    let (job, dataset) = (Uuid::now_v7(), id());
    place.ground.write(&dataset).await;
    let whole = esdl_with(&dataset);
    let opened = whole.trim_end_matches("/>");
    let esdl = format!("{opened}>{}</esdl:EnergySystem>", "<a i=\"1\"/>".repeat(1_000_000));
    place.result(job, 0, Some(&esdl)).await;
    place.is_active(&dataset, job).await;
    place.stays(&dataset).await;
    serving.stop().await;
}

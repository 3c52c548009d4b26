//! Beside other programs: databases of others on the same server, and rows that today's orchestrator wrote.

use uuid::Uuid;

use super::place::{Place, id};
use crate::real::own_influx::query;
use crate::real::support::eventually;

#[tokio::test(flavor = "multi_thread")]
async fn databases_of_others_stay_and_so_does_what_a_person_holds() {
    let place = Place::on_influx().await;
    let foreign = ["telegraf", "grafana-prod", "omotes_timeseries", "1b9d6bcdbbfd4b2d9b5dab8dfbbd4bed"];
    let theirs = id();
    for name in foreign.into_iter().chain([theirs.as_str()]) {
        place.ground.write(name).await;
    }
    // Before the first pass that applies, as the documentation says.
    let plan = place.ran(&["plan", "--all"]).with_code(0);
    assert!(foreign.iter().all(|name| plan.out.contains(name)), "{plan:?}");
    place.ran(&["hold", "add", &theirs, "--reason", "belongs to another program"]).with_code(0);
    let serving = place.serve().await;
    place.outlasts_a_stray().await;
    let left = place.ground.names().await;
    for name in foreign.into_iter().chain([theirs.as_str()]) {
        assert!(left.contains(name), "{name} was dropped");
    }
    serving.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_todays_system_left_marked_is_quarantined_until_a_person_confirms() {
    let place = Place::on_influx().await.with_orchestrator().await;
    let (job, dataset, leak) = (Uuid::now_v7(), id(), id());
    for name in [&dataset, &leak] {
        place.ground.write(name).await;
    }
    // A check marked the data while it was written, and the success of its job left the mark standing.
    place
        .orchestrator_writes(&format!("'{dataset}'"), &format!("'{job}'"), "now() - interval '30 days'")
        .await;
    // A deletion came before the result: two rows, and nobody ever removes the data.
    let deleted = Uuid::now_v7();
    place.orchestrator_writes("NULL", &format!("'{deleted}'"), "now() - interval '30 days'").await;
    place.orchestrator_writes(&format!("'{leak}'"), &format!("'{deleted}'"), "NULL").await;
    let serving = place.serve().await;
    place.stays(&dataset).await;
    assert!(place.ground.has(&leak).await);
    let check = place.ran(&["check"]).with_code(0);
    assert!(check.out.contains(&dataset) && check.out.contains(&leak), "{}", check.out);
    place.ran(&["hold", "remove", &dataset]).with_code(0);
    place.goes(&dataset).await;
    // Deleted once more, as the documentation says.
    serving.delete_job(deleted).await;
    place.goes(&leak).await;
    serving.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_by_todays_orchestrator_counts_and_its_job_can_be_deleted_here() {
    let place = Place::on_influx().await.with_orchestrator().await;
    let serving = place.serve().await;
    let (job, dataset) = (Uuid::now_v7(), id());
    place.job_runs(job).await;
    place.ground.write(&dataset).await;
    place.is_marked(&dataset).await;
    place.passes(3).await;
    // Its known fault: the success updates the row and leaves the mark.
    let update = format!("UPDATE esdl_time_series_info SET job_id = '{job}' WHERE esdl_id = '{dataset}'");
    place.database.run(&update).await;
    place.job_row_goes(job).await;
    eventually("its mark is gone", async || place.row(&dataset).await == Some((Some(job), false))).await;
    place.stays(&dataset).await;
    place.client_deletes(&[job]).await;
    place.goes(&dataset).await;
    serving.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn data_without_a_live_job_list_is_kept_by_its_grace_alone_and_every_report_says_so() {
    let place = Place::on_influx().await;
    let check = place.ran(&["check"]).with_code(0);
    assert!(check.out.contains("no list of running jobs is kept"), "{}", check.out);
    let serving = place.serve().await;
    place.passes(1).await;
    assert!(serving.log().contains("no list of running jobs is kept"), "{}", serving.log());
    serving.stop().await;
    // The table is there, and no job was ever seen in it.
    let beside = Place::on_influx().await.with_orchestrator().await;
    let check = beside.ran(&["check"]).with_code(0);
    assert!(!check.out.contains("no list of running jobs is kept"), "{}", check.out);
    assert!(check.out.contains("the table `job` says which jobs are at work"), "{}", check.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_fit_the_pattern_are_ours_and_no_others() {
    let mut place = Place::on_influx().await;
    place.times.push_str("\nadopt = \"results-*\"");
    let theirs = id();
    for name in ["results-1", "results", theirs.as_str()] {
        place.ground.write(name).await;
    }
    let serving = place.serve().await;
    place.goes("results-1").await;
    place.passes(3).await;
    assert!(place.ground.has(&theirs).await && place.ground.has("results").await);
    serving.stop().await;
    query(&place.ground.url(), &format!("DROP DATABASE \"{theirs}\"")).await;
}

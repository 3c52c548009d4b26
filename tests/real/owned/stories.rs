//! What becomes of the data of a job, from its first point to its end; the same on every kind of store.

use futures_util::StreamExt;
use uuid::Uuid;

use super::place::{Place, id};
use super::serving::Serving;
use crate::real::support::eventually;

/// The same story on InfluxDB and on schemas: the kind of store is one line of configuration.
macro_rules! on_every_store {
    ($($name:ident: $story:path),* $(,)?) => {
        mod on_influx {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                $story(super::Place::on_influx().await.with_orchestrator().await).await;
            })*
        }
        mod on_schemas {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                $story(super::Place::on_schemas().await.with_orchestrator().await).await;
            })*
        }
    };
}

on_every_store! {
    the_data_of_a_completed_job_stays_until_the_job_is_deleted: super::completed,
    a_deletion_before_the_result_counts_although_a_check_ran_in_between: super::deleted_before_its_result,
    a_failed_job_leaves_nothing_behind: super::failed,
    a_running_job_keeps_its_data_longer_than_its_grace_and_its_row: super::running,
    a_dataset_of_two_jobs_stays_until_both_are_deleted: super::two_jobs,
    a_cancelled_mark_saves_the_data_although_the_deletion_comes_again: super::cancelled,
}

async fn completed(place: Place) {
    let serving = place.serve().await;
    let (job, dataset) = (Uuid::now_v7(), id());
    place.job_runs(job).await;
    place.ground.write(&dataset).await;
    place.succeeds(job, &dataset).await;
    place.is_active(&dataset, job).await;
    place.job_row_goes(job).await;
    place.stays(&dataset).await;
    place.client_deletes(&[job]).await;
    place.goes(&dataset).await;
    assert!(place.is_deleted(job).await);
    serving.stop().await;
}

async fn deleted_before_its_result(place: Place) {
    let place = place.with_late_results();
    let serving = place.serve().await;
    let (job, dataset) = (Uuid::now_v7(), id());
    place.job_runs(job).await;
    place.ground.write(&dataset).await;
    place.client_deletes(&[job]).await;
    eventually("it is deleted", async || place.is_deleted(job).await).await;
    // A tombstone, and nothing that could be dropped for it.
    assert_eq!(place.count(&format!("esdl_time_series_info WHERE job_id = '{job}'")).await, 1);
    place.job_row_goes(job).await;
    place.passes(1).await;
    place.succeeds(job, &dataset).await;
    place.goes(&dataset).await;
    assert_eq!(place.count(&format!("esdl_time_series_info WHERE job_id = '{job}'")).await, 0);
    serving.stop().await;
}

async fn failed(place: Place) {
    let serving = place.serve().await;
    let (job, dataset) = (Uuid::now_v7(), id());
    place.job_runs(job).await;
    place.ground.write(&dataset).await;
    place.is_marked(&dataset).await;
    place.passes(6).await;
    assert!(place.ground.has(&dataset).await, "the job is at work, and may claim it");
    place.fails(job).await;
    place.job_row_goes(job).await;
    place.goes(&dataset).await;
    serving.stop().await;
}

async fn running(place: Place) {
    let serving = place.serve().await;
    let (job, dataset) = (Uuid::now_v7(), id());
    place.job_runs(job).await;
    place.ground.write(&dataset).await;
    place.is_marked(&dataset).await;
    place.passes(6).await;
    // Today's orchestrator removes the row of a job that runs for long.
    place.job_row_goes(job).await;
    place.passes(6).await;
    assert!(place.ground.has(&dataset).await, "its result has not come");
    place.succeeds(job, &dataset).await;
    place.is_active(&dataset, job).await;
    place.stays(&dataset).await;
    serving.delete_job(job).await;
    place.goes(&dataset).await;
    serving.stop().await;
}

async fn two_jobs(place: Place) {
    let place = place.with_late_results();
    let serving = place.serve().await;
    let (one, other, dataset) = (Uuid::now_v7(), Uuid::now_v7(), id());
    place.ground.write(&dataset).await;
    place.succeeds(one, &dataset).await;
    place.is_active(&dataset, one).await;
    place.succeeds(other, &dataset).await;
    place.is_active(&dataset, other).await;
    place.client_deletes(&[other]).await;
    place.is_active(&dataset, one).await;
    place.stays(&dataset).await;
    place.client_deletes(&[one]).await;
    place.goes(&dataset).await;
    serving.stop().await;
}

async fn cancelled(mut place: Place) {
    // Long enough to change one's mind.
    place.times = place.times.replace("grace = \"2 s\"", "grace = \"1 hour\"");
    let serving = place.serve().await;
    let (job, dataset) = (Uuid::now_v7(), id());
    place.ground.write(&dataset).await;
    place.succeeds(job, &dataset).await;
    place.is_active(&dataset, job).await;
    serving.delete_job(job).await;
    place.is_marked(&dataset).await;
    let listed = serving.get("/api/v1/marks").await;
    assert_eq!(listed["items"][0]["id"], dataset.as_str(), "{listed}");
    assert_eq!(serving.cancel_mark(&dataset).await.code, 200);
    place.is_active(&dataset, job).await;
    serving.delete_job(job).await;
    serving.stop().await;
    place.times = place.times.replace("1 hour", "1 s");
    let serving = place.serve().await;
    place.stays(&dataset).await;
    let datasets = serving.get("/api/v1/datasets").await;
    let is_ours = |item: &&serde_json::Value| item["name"] == dataset.as_str();
    let item =
        datasets["items"].as_array().expect("items").iter().find(is_ours).expect("the dataset").clone();
    assert_eq!(item["held"], true, "{item}");
    serving.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_and_a_result_at_the_same_moment_leak_nothing() {
    let place = Place::on_influx().await.with_orchestrator().await;
    let serving = place.serve().await;
    let pairs: Vec<(Uuid, String)> = (0..12).map(|_| (Uuid::now_v7(), id())).collect();
    for (_, dataset) in &pairs {
        place.ground.write(dataset).await;
    }
    let results = pairs.iter().map(|(job, dataset)| place.succeeds(*job, dataset));
    let deletions = pairs.iter().map(|(job, _)| serving.delete_job(*job));
    let (_, said) =
        tokio::join!(futures_util::future::join_all(results), futures_util::future::join_all(deletions));
    assert!(said.iter().all(|said| said.code == 200), "{said:?}");
    for (_, dataset) in &pairs {
        place.goes(dataset).await;
    }
    assert_eq!(place.count("esdl_time_series_info").await, 0);
    serving.stop().await;
}

/// Success and deletion of both, and a result that comes again, in an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Succeed(usize),
    Delete(usize),
}

/// Every order in which these can come.
fn orders(steps: &[Step]) -> Vec<Vec<Step>> {
    if steps.is_empty() {
        return vec![Vec::new()];
    }
    let mut all: Vec<Vec<Step>> = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        if steps[..index].contains(step) {
            continue;
        }
        let mut rest = steps.to_vec();
        rest.remove(index);
        all.extend(orders(&rest).into_iter().map(|mut order| {
            order.insert(0, *step);
            order
        }));
    }
    all
}

/// Each dataset goes through one order; those of which one job is left have to stay, the others to go.
async fn every_order(steps: &[Step]) {
    let mut place = Place::on_influx().await.with_orchestrator().await.with_late_results();
    place.times = place.times.replace("allow_short_grace", "cap_count = 1000\nallow_short_grace");
    let serving = place.serve().await;
    let orders = orders(steps);
    let cases: Vec<(Vec<Step>, [Uuid; 2], String)> =
        orders.into_iter().map(|order| (order, [Uuid::now_v7(), Uuid::now_v7()], id())).collect();
    let (place, serving) = (&place, &serving);
    let all = cases.iter().map(|(order, jobs, dataset)| async move {
        place.ground.write(dataset).await;
        for step in order {
            do_it(place, serving, *step, *jobs, dataset).await;
        }
    });
    futures_util::stream::iter(all).buffer_unordered(6).collect::<()>().await;
    let stays = !steps.contains(&Step::Delete(0));
    for (order, jobs, dataset) in &cases {
        if stays {
            place.is_active(dataset, jobs[0]).await;
        } else {
            eventually(&format!("{order:?} goes"), async || !place.ground.has(dataset).await).await;
        }
    }
    if stays {
        place.outlasts_a_stray().await;
        let left = place.ground.names().await;
        for (order, _, dataset) in &cases {
            assert!(left.contains(dataset), "{order:?}");
        }
    }
}

/// Does one step, and waits until it is written down.
async fn do_it(place: &Place, serving: &Serving, step: Step, jobs: [Uuid; 2], dataset: &str) {
    match step {
        Step::Succeed(who) => {
            place.succeeds(jobs[who], dataset).await;
            let claim = format!("timesweep_claim WHERE dataset = '{dataset}' AND job = '{}'", jobs[who]);
            eventually("it came", async || place.count(&claim).await == 1).await;
        }
        Step::Delete(who) => assert_eq!(serving.delete_job(jobs[who]).await.code, 200),
    }
}

const SUCCEED_TWICE: [Step; 3] = [Step::Succeed(0), Step::Succeed(0), Step::Succeed(1)];

#[tokio::test(flavor = "multi_thread")]
async fn in_every_order_of_results_and_one_deletion_the_data_of_the_other_job_stays() {
    every_order(&[&SUCCEED_TWICE[..], &[Step::Delete(1), Step::Delete(1)]].concat()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_every_order_of_results_and_both_deletions_the_data_goes() {
    every_order(&[&SUCCEED_TWICE[..], &[Step::Delete(0), Step::Delete(1)]].concat()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_worker_died_and_that_nobody_hears_of_again_ends_with_its_longest_time() {
    let mut place = Place::on_influx().await.with_orchestrator().await;
    place.times.push_str("\nlongest_job = \"6 min\"");
    let serving = place.serve().await;
    let (job, dataset) = (Uuid::now_v7(), id());
    place.job_runs(job).await;
    place.ground.write(&dataset).await;
    place.is_marked(&dataset).await;
    place.passes(5).await;
    assert!(place.ground.has(&dataset).await);
    place.job_row_goes(job).await;
    // Its row goes, no result ever comes, and the time passes.
    place.database.run("UPDATE timesweep_seen_job SET first_seen = first_seen - 600000000, age_from = age_from - 600000000").await;
    place.goes(&dataset).await;
    serving.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_without_data_is_marked_and_forgotten_and_its_job_is_remembered() {
    let place = Place::on_influx().await.with_orchestrator().await;
    let serving = place.serve().await;
    let (job, dataset) = (Uuid::now_v7(), id());
    // Of a store that lists nothing at all nobody believes that.
    place.ground.write("telegraf").await;
    place.ground.write(&dataset).await;
    place.succeeds(job, &dataset).await;
    place.is_active(&dataset, job).await;
    place.passes(1).await;
    place.ground.lose(&dataset).await;
    place.is_marked(&dataset).await;
    eventually("it is forgotten", async || place.row(&dataset).await.is_none()).await;
    // Somebody restores it: its job was never deleted.
    place.ground.write(&dataset).await;
    place.is_active(&dataset, job).await;
    place.stays(&dataset).await;
    serving.stop().await;
}

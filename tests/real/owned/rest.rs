//! The ways in that people and front ends use: REST and the command line.

use uuid::Uuid;

use super::place::{Place, id};
use super::serving::MAY_READ;

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_deleted_by_a_form_and_asking_twice_changes_nothing() {
    let place = Place::on_influx().await;
    let serving = place.serve().await;
    let (job, dataset) = (Uuid::now_v7(), id());
    place.ground.write(&dataset).await;
    place.succeeds(job, &dataset).await;
    place.is_active(&dataset, job).await;
    let form = || {
        let request = serving.request("POST", &format!("/job/{job}/delete"));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        request.bearer_auth(super::serving::MAY_DELETE).body("confirm=yes")
    };
    for _ in 0..2 {
        let said = serving.said(form()).await;
        assert_eq!((said.code, &said.json["deleted"]), (200, &true.into()), "{said:?}");
        assert_eq!(said.json["job_id"], job.to_string());
    }
    assert_eq!(place.count("timesweep_deleted_job").await, 1);
    place.goes(&dataset).await;
    let said = serving.delete_job(job).await;
    assert_eq!((said.code, &said.json["deleted"]), (200, &true.into()), "{said:?}");
    serving.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_job_is_not_deleted_and_its_late_result_finds_its_deletion() {
    let place = Place::on_influx().await;
    let serving = place.serve().await;
    let (job, dataset) = (Uuid::now_v7(), id());
    let said = serving.delete_job(job).await;
    assert_eq!((said.code, &said.json["deleted"]), (200, &false.into()), "{said:?}");
    place.ground.write(&dataset).await;
    place.succeeds(job, &dataset).await;
    place.goes(&dataset).await;
    serving.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_token_for_it_deletes_nothing() {
    let place = Place::on_influx().await;
    let serving = place.serve().await;
    let path = format!("/job/{}", Uuid::now_v7());
    for (code, request) in [
        (401, serving.request("DELETE", &path)),
        (401, serving.request("DELETE", &path).bearer_auth("a-token-that-is-wrong")),
        (403, serving.request("DELETE", &path).bearer_auth(MAY_READ)),
        (403, serving.request("POST", &format!("{path}/delete")).bearer_auth(MAY_READ)),
        (403, serving.request("POST", "/api/v1/marks/x/cancel").bearer_auth(MAY_READ)),
        (401, serving.request("GET", "/api/v1/marks")),
        (400, serving.request("DELETE", "/job/17").bearer_auth(super::serving::MAY_DELETE)),
        (400, serving.request("DELETE", "/job/%00").bearer_auth(super::serving::MAY_DELETE)),
        (404, serving.request("DELETE", "/job/").bearer_auth(super::serving::MAY_DELETE)),
        (404, serving.request("DELETE", "/job/1/cancel").bearer_auth(super::serving::MAY_DELETE)),
    ] {
        let said = serving.said(request).await;
        assert_eq!(said.code, code, "{said:?}");
        assert_eq!(said.json["status"], code, "a problem document: {said:?}");
    }
    assert_eq!(place.count("timesweep_deleted_job").await, 0);
    let log = serving.log();
    assert!(!log.contains("a-token-that"), "{log}");
    serving.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_wakes_the_loop_long_before_its_interval_ends() {
    let mut place = Place::on_influx().await;
    place.times = place.times.replace("check_interval = \"1 s\"", "check_interval = \"1 hour\"");
    let serving = place.serve().await;
    place.passes(0).await;
    let before = place.count("timesweep_check WHERE number >= 1").await;
    assert_eq!(before, 1, "the first pass is made at once");
    serving.delete_job(Uuid::now_v7()).await;
    place.passes(1).await;
    serving.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_deletes_lists_and_takes_back_while_the_loop_runs() {
    let mut place = Place::on_influx().await;
    place.times = place.times.replace("grace = \"2 s\"", "grace = \"1 hour\"");
    let serving = place.serve().await;
    let (job, dataset) = (Uuid::now_v7(), id());
    let text = job.to_string();
    place.ground.write(&dataset).await;
    place.succeeds(job, &dataset).await;
    place.is_active(&dataset, job).await;
    let said = place.ran(&["mark", "add", "--job", &text]).with_code(0);
    assert!(said.out.contains(&dataset), "{said:?}");
    place.is_marked(&dataset).await;
    let listed = place.ran(&["mark", "list"]).with_code(0);
    assert!(listed.out.contains(&dataset) && listed.out.contains(&text), "{listed:?}");
    let why = ["--author", "ann", "--reason", "for the review"];
    place.ran(&[&["mark", "cancel", dataset.as_str()][..], &why].concat()).with_code(0);
    place.is_active(&dataset, job).await;
    let held = place.ran(&["hold", "list", "--output", "json"]).with_code(0).json();
    assert_eq!(
        (held["holds"][0]["author"].as_str(), held["holds"][0]["reason"].as_str()),
        (Some("ann"), Some("for the review"))
    );
    let explained = place.ran(&["explain", &dataset]).with_code(0);
    assert!(explained.out.contains(&text), "{explained:?}");
    let check = place.ran(&["check"]).with_code(0);
    assert!(check.out.contains("1 owned") || check.out.contains("1 held"), "{check:?}");
    let unknown = Uuid::now_v7().to_string();
    place.ran(&["mark", "add", "--job", &unknown]).with_code(0);
    place.ran(&["mark", "cancel", "--job", &unknown]).with_code(0);
    place.ran(&["mark", "cancel", "--job", &unknown]).with_code(2);
    place.ran(&["hold", "remove", &dataset]).with_code(0);
    place.ran(&["mark", "add", "--job", &text]).with_code(0);
    place.ran(&["mark", "cancel", "--job", &text]).with_code(0);
    let held = place.ran(&["hold", "list"]).with_code(0).out;
    assert!(held.contains(&format!("the deletion of job {text} was cancelled")), "{held}");
    place.ran(&["mark", "add", "--job", "17"]).with_code(2);
    place.ran(&["mark", "cancel", "telegraf"]).with_code(2);
    serving.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tombstone_that_is_cancelled_lets_the_late_result_count() {
    let place = Place::on_influx().await;
    let serving = place.serve().await;
    let (job, dataset) = (Uuid::now_v7(), id());
    serving.delete_job(job).await;
    let listed = serving.get("/api/v1/marks").await;
    assert_eq!(listed["items"][0]["kind"], "tombstone", "{listed}");
    assert_eq!(serving.cancel_mark(&job.to_string()).await.code, 200);
    assert_eq!(serving.cancel_mark(&job.to_string()).await.code, 404);
    place.ground.write(&dataset).await;
    place.succeeds(job, &dataset).await;
    place.is_active(&dataset, job).await;
    place.stays(&dataset).await;
    assert_eq!(serving.cancel_mark(&dataset).await.code, 409);
    serving.stop().await;
}

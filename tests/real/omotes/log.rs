//! What the log of `serve` says of trouble that lasts, and of jobs that are lost.

use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use prost::Message;
use timesweep::amqp::wire::JobDelete;
use uuid::Uuid;

use super::installation::{Installation, parameters};
use crate::real::support::eventually;

fn count(log: &str, word: &str) -> usize {
    log.lines().filter(|line| line.contains(word)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_orchestrator_is_told_of_once_and_by_each_part_that_waits() {
    let mut place = Installation::new().await;
    place.more = vec![("LOG_LEVEL", "verbose".into())];
    let (theirs, channel) = place.clients.channel().await;
    let exclusive = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
    let name = "request_available_workflows";
    channel.queue_declare(name.into(), exclusive, FieldTable::default()).await.expect("its queue");
    let serving = place.starts().await;
    let health = async || serving.health().await;
    let waits = "waits_for_orchestrator";
    eventually("all five wait", async || {
        let parts = health().await.json["parts"].clone();
        let queues = ["submissions", "deletions", "progress", "results", "requests"];
        queues.iter().all(|part| parts[*part] == waits) && parts["letters"] == "ok" && parts["loop"] == "ok"
    })
    .await;
    let said = health().await;
    assert_eq!((said.code, said.json["status"].as_str()), (503, Some(waits)));
    theirs.close(200, "it was stopped".into()).await.expect("it goes");
    serving.listens().await;
    let log = serving.log();
    assert_eq!(count(&log, "another orchestrator is at work on"), 1, "{log}");
    assert_eq!(count(&log, "broke off"), 0, "{log}");
    assert_eq!(count(&log, "LOG_LEVEL is `verbose`"), 1, "{log}");
    assert_eq!(count(&log, "listening on"), 5, "{log}");
    for told in
        ["the broker of the clients", "the broker of the workers", "the database of jobs and registry"]
    {
        assert_eq!(count(&log, told), 1, "{log}");
    }
    assert!(log.contains("workflows=2") && log.contains("no tables of OMOTES: they are made"), "{log}");
    let [_, _, _, password] = place.clients.parts();
    assert!(!log.contains(&format!(":{password}@")), "{log}");
    serving.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_committed_is_told_once_and_when_it_can_again() {
    let mut place = Installation::new().await;
    place.more = vec![("LOG_LEVEL", "DEBUG".into())];
    let serving = place.serve().await;
    place.database.run("ALTER TABLE timesweep_deleted_job RENAME TO elsewhere").await;
    let deletion = JobDelete { uuid: Uuid::now_v7().to_string() }.encode_to_vec();
    place.clients.publish("job_deletions", &[deletion]).await;
    let tries = async || count(&serving.log(), "not listening, again in") >= 3;
    eventually("it tries again and again", tries).await;
    place.database.run("ALTER TABLE elsewhere RENAME TO timesweep_deleted_job").await;
    eventually("it is told", async || count(&serving.log(), "messages are taken again") == 1).await;
    let log = serving.log();
    assert_eq!(count(&log, "listening broke off"), 1, "{log}");
    assert_eq!(count(&log, " WARN timesweep::amqp::line"), 1, "{log}");
    let listening = log.lines().filter(|line| line.contains(" INFO ") && line.contains("listening on"));
    assert_eq!(listening.count(), 5, "{log}");
    // It was decided at each try, and committed once.
    assert_eq!(count(&log, "a job was deleted that has no row"), 1, "{log}");
    serving.stop().await;
}

/// Whoever deletes rows, or another orchestrator that was there meanwhile, tells nobody what became of the job.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_went_without_a_word_is_named_with_the_way_out() {
    let mut place = Installation::new().await;
    place.more = vec![("JOB_RETENTION_SEC", "2".into()), ("TIMESWEEP_ALLOW_SHORT_GRACE", "1".into())];
    let serving = place.serve().await;
    let mut client = place.client().await;
    // There is no worker: it stays where it is.
    let job = client.submits("echo", parameters("", 0.0, 0)).await;
    let known = format!("SELECT count(*) FROM timesweep_seen_job WHERE job = '{job}'");
    eventually("a pass has seen it", async || place.database.number(&known).await == 1).await;
    let dataset = Uuid::now_v7().to_string();
    place.ground.write(&dataset).await;
    let waits = async || place.ran(&["explain", &dataset]).with_code(0).out.contains("may still claim it");
    eventually("it waits for the job", waits).await;
    assert_eq!(count(&serving.log(), "not in the list of live jobs"), 0, "it is at work");
    let explained = place.ran(&["explain", &dataset]).with_code(0).out;
    assert!(!explained.contains("not in the list of live jobs"), "{explained}");
    place.database.run(&format!("DELETE FROM job WHERE job_id = '{job}'")).await;
    eventually("it is told", async || serving.log().contains("not in the list of live jobs")).await;
    let way_out = format!("timesweep mark add --job {job}");
    let checked = place.ran(&["check"]).with_code(0).out;
    assert!(checked.contains("advice: 1 dataset waits for 1 job that is not") && checked.contains(&way_out));
    let explained = place.ran(&["explain", &dataset]).with_code(0).out;
    assert!(explained.contains(&way_out), "{explained}");
    place.ran(&["mark", "add", "--job", &job]).with_code(0);
    eventually("it goes", async || !place.ground.has(&dataset).await).await;
    eventually("its drop is told", async || count(&serving.log(), " dropped dataset=") == 1).await;
    let log = serving.log();
    assert_eq!(count(&log, "not in the list of live jobs"), 1, "{log}");
    assert_eq!(count(&log, "datasets are newly marked"), 1, "{log}");
    serving.stop().await;
}

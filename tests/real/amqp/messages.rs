//! What comes in, and what becomes of it.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lapin::types::{AMQPValue, FieldArray, FieldTable};
use prost::Message;
use timesweep::amqp::wire::TaskResult;
use timesweep::config::ResultsSettings;
use timesweep::registry::memory::Memory;
use timesweep::retention::ownership::{JobId, OwnedName, Row};
use uuid::Uuid;

use super::broker::{Listening, TestBroker, deletion, durable, jobs};
use super::wire::{python, script};
use crate::real::support::eventually;

fn deleted(registry: &Memory) -> usize {
    registry.change(|ledger| ledger.deleted_jobs.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_by_the_real_client_becomes_a_mark_and_wakes_the_loop() {
    let (broker, registry) = (TestBroker::new().await, Memory::default());
    let listening = Listening::on(&broker.settings(), Arc::new(registry.clone())).await;
    let jobs = jobs(3);
    let mut client = Command::new(python());
    client.arg(script("delete_jobs.py")).args(broker.parts()).arg(&broker.vhost);
    let client = client.args(jobs.iter().map(Uuid::to_string)).output().expect("Python starts");
    assert!(client.status.success(), "{}", String::from_utf8_lossy(&client.stderr));
    eventually("all are deleted", async || deleted(&registry) == 3).await;
    let tombstones = registry.change(|ledger| ledger.tombstones.clone());
    assert!(jobs.iter().all(|job| tombstones.contains_key(&JobId(*job))));
    let woken = tokio::time::timeout(Duration::from_secs(10), listening.wake.woken()).await;
    assert!(woken.is_ok(), "the loop was not woken");
    listening.end().await.expect("a quiet end");
    assert_eq!(broker.waiting("job_deletions").await, 0, "everything is acknowledged");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_comes_twice_changes_nothing() {
    let (broker, registry) = (TestBroker::new().await, Memory::default());
    let job = Uuid::now_v7();
    broker.publish("job_deletions", &[deletion(job), deletion(job)]).await;
    let listening = Listening::on(&broker.settings(), Arc::new(registry.clone())).await;
    eventually("both came", async || listening.counters.deletions.recorded() == 2).await;
    let before = registry.change(|ledger| ledger.clone());
    broker.publish("job_deletions", &[deletion(job)]).await;
    eventually("it came again", async || listening.counters.deletions.recorded() == 3).await;
    assert_eq!(registry.change(|ledger| ledger.clone()), before);
    listening.end().await.expect("a quiet end");
}

fn result(job: Uuid, result_type: i32, esdl: Option<&str>) -> Vec<u8> {
    let output_esdl = esdl.map(str::to_owned);
    TaskResult { job_id: job.to_string(), result_type, output_esdl, ..TaskResult::default() }.encode_to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn results_of_tasks_become_claims_and_ends() {
    let (clients, workers, registry) = (TestBroker::new().await, TestBroker::new().await, Memory::default());
    let mut settings = clients.settings();
    let queue = "omotes_task_result_events".to_owned();
    settings.results = Some(ResultsSettings { broker: workers.settings().broker, queue: queue.clone() });
    let [succeeded, failed, unknown] = [Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7()];
    let esdl = "<?xml version='1.0'?><esdl:EnergySystem xmlns:esdl=\"http://www.tno.nl/esdl\" id=\"data\"/>";
    let results =
        [result(succeeded, 0, Some(esdl)), result(failed, 1, None), result(unknown, 0, Some("<broken"))];
    workers.publish(&queue, &results).await;
    let listening = Listening::on(&settings, Arc::new(registry.clone())).await;
    eventually("all came", async || listening.counters.results.recorded() == 3).await;
    let ledger = registry.change(|ledger| ledger.clone());
    let row = ledger.rows.get(&OwnedName("data".into()));
    assert_eq!(row, Some(&Row { job: Some(JobId(succeeded)), mark: None }));
    let ended = |job| ledger.jobs.get(&JobId(job)).is_some_and(|job| job.ended.is_some());
    assert!(ended(succeeded) && ended(failed) && ended(unknown));
    // Its deletion comes on the other virtual host.
    clients.publish("job_deletions", &[deletion(succeeded)]).await;
    eventually("it is deleted", async || deleted(&registry) == 1).await;
    let marked = registry.change(|ledger| ledger.rows[&OwnedName("data".into())].mark.is_some());
    assert!(marked, "the dataset belongs to nobody");
    listening.end().await.expect("a quiet end");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_can_read_lies_among_the_dead_letters_and_the_next_message_comes_through() {
    let (broker, registry) = (TestBroker::new().await, Memory::default());
    let unreadable = [vec![0xff; 30], b"{\"uuid\": \"x\"}".to_vec(), deletion_of("not a UUID"), Vec::new()];
    let mut bodies = unreadable.to_vec();
    bodies.insert(2, deletion(Uuid::now_v7()));
    bodies.push(deletion(Uuid::now_v7()));
    broker.publish("job_deletions", &bodies).await;
    let listening = Listening::on(&broker.settings(), Arc::new(registry.clone())).await;
    eventually("the readable ones came", async || deleted(&registry) == 2).await;
    eventually("the others are kept", async || listening.counters.deletions.dead_letters() == 4).await;
    listening.end().await.expect("a quiet end");
    assert_eq!(broker.waiting("job_deletions").await, 0);
    for body in unreadable {
        let kept = broker.take("timesweep_dead_letters").await;
        assert_eq!(kept.delivery.data, body, "the bytes are those that came");
        let properties = &kept.delivery.properties;
        assert_eq!(*properties.delivery_mode(), Some(2));
        assert_eq!(properties.message_id().as_ref().map(ToString::to_string).as_deref(), Some("its id"));
        let headers = properties.headers().clone().expect("headers");
        let header = |name: &str| match headers.inner().get(name) {
            Some(AMQPValue::LongString(text)) => text.to_string(),
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(header("x-timesweep-queue"), "job_deletions");
        let reason = header("x-timesweep-reason");
        assert!(reason.contains("no JobDelete message") || reason.contains("not a UUID"), "{reason}");
    }
}

/// The broker sends a message to the queues of its `CC` as well: also a copy of it.
#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_message_with_copies_for_others_is_kept_once_and_does_not_come_back() {
    let (broker, registry) = (TestBroker::new().await, Memory::default());
    let listening = Listening::on(&broker.settings(), Arc::new(registry.clone())).await;
    let (_connection, channel) = broker.channel().await;
    let mut headers = FieldTable::default();
    for name in ["CC", "BCC"] {
        let copies = FieldArray::from(vec![AMQPValue::LongString("job_deletions".into())]);
        headers.insert(name.into(), AMQPValue::FieldArray(copies));
    }
    let properties = lapin::BasicProperties::default().with_headers(headers);
    let plain = lapin::options::BasicPublishOptions::default();
    let published = channel.basic_publish("".into(), "job_deletions".into(), plain, &[0xff; 9], properties);
    assert!(published.await.expect("sent").await.expect("an answer").is_ack());
    let counters = &listening.counters.deletions;
    for round in 1..=3 {
        eventually("it is kept", async || counters.dead_letters() > 0).await;
        // A copy that came back would stand before this one.
        broker.publish("job_deletions", &[deletion(Uuid::now_v7())]).await;
        eventually("the next one came", async || deleted(&registry) == round).await;
    }
    assert_eq!(counters.dead_letters(), 1);
    listening.end().await.expect("a quiet end");
    assert_eq!(
        (broker.waiting("job_deletions").await, broker.waiting("timesweep_dead_letters").await),
        (0, 1)
    );
}

fn deletion_of(text: &str) -> Vec<u8> {
    timesweep::amqp::wire::JobDelete { uuid: text.into() }.encode_to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_before_the_first_start_is_kept_once_the_queue_was_declared() {
    let (broker, registry) = (TestBroker::new().await, Memory::default());
    Listening::on(&broker.settings(), Arc::new(registry.clone())).await.end().await.expect("a quiet end");
    let (_connection, channel) = broker.channel().await;
    let body = deletion(Uuid::now_v7());
    let published = channel.basic_publish(
        "omotes_exchange".into(),
        "job_deletions".into(),
        lapin::options::BasicPublishOptions { mandatory: true, ..Default::default() },
        &body,
        lapin::BasicProperties::default().with_delivery_mode(2),
    );
    let confirmed = published.await.expect("sent").await.expect("an answer");
    assert!(confirmed.take_message().is_none(), "the exchange leads to the queue");
    let listening = Listening::on(&broker.settings(), Arc::new(registry.clone())).await;
    eventually("it came", async || deleted(&registry) == 1).await;
    listening.end().await.expect("a quiet end");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_deletions_come_in_few_transactions() {
    let (broker, registry) = (TestBroker::new().await, Memory::default());
    let (_connection, channel) = broker.channel().await;
    durable(&channel, "job_deletions").await;
    let bodies: Vec<Vec<u8>> = jobs(10_000).into_iter().map(deletion).collect();
    super::broker::publish_on(&channel, "job_deletions", &bodies).await;
    let started = Instant::now();
    let listening = Listening::on(&broker.settings(), Arc::new(registry.clone())).await;
    eventually("all came", async || listening.counters.deletions.recorded() == 10_000).await;
    let batches = listening.counters.deletions.batches();
    println!("10,000 deletions in {:?}, {batches} transactions", started.elapsed());
    assert!(batches < 1_000, "{batches} transactions");
    assert_eq!(deleted(&registry), 10_000);
    listening.end().await.expect("a quiet end");
    assert_eq!(broker.waiting("job_deletions").await, 0);
}

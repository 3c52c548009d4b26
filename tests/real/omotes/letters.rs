//! Letters of the outbox on their way to clients and workers.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::{
    BasicConsumeOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, Consumer, ExchangeKind};
use prost::Message;
use timesweep::amqp::LineCounters;
use timesweep::amqp::wire::{TaskResult, task_result::ResultType};
use timesweep::config::{RegistrySettings, SetIn};
use timesweep::omotes::letter::{Content, Letter};
use timesweep::omotes::outbox::Outbox;
use timesweep::omotes::publisher::{Places, Publisher};
use timesweep::omotes::workflows::Workflows;
use timesweep::problem::Result;
use timesweep::retention::ownership::JobId;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::workflows::file;
use crate::real::amqp::broker::{TestBroker, settings};
use crate::real::support::{TestDatabase, eventually};
use crate::real::tcp_proxy::{Mode, TcpProxy};

const TABLES: [&str; 2] = [
    include_str!("../../../src/omotes/migrations/theirs.sql"),
    include_str!("../../../src/omotes/migrations/0001.sql"),
];
const WRITE: &str = "INSERT INTO timesweep_outbox (job, kind, celery_id, workflow, priority, body) \
     VALUES ($1::uuid, $2, $3::uuid, $4, 6, $5)";
pub const RESULTS: &str = "omotes_task_result_events";

pub struct Post {
    pub database: TestDatabase,
    pub clients: TestBroker,
    pub workers: TestBroker,
    pub clients_url: String,
    pub workers_url: String,
    /// Where workers report.
    pub events_url: String,
}

pub struct Sending {
    pub counters: Arc<LineCounters>,
    cancel: CancellationToken,
    task: JoinHandle<Result<()>>,
}

impl Sending {
    /// A letter leaves the outbox before it is counted.
    pub async fn has_failed(&self, letters: u64) {
        eventually("it is counted", async || self.counters.dead_letters() >= letters).await;
        assert_eq!(self.counters.dead_letters(), letters);
    }

    pub async fn end(self) {
        self.cancel.cancel();
        self.task.await.expect("it ends").expect("quietly");
    }
}

impl Post {
    pub async fn new() -> Self {
        Self::between(TestBroker::new().await, TestBroker::new().await).await
    }

    pub async fn between(clients: TestBroker, workers: TestBroker) -> Self {
        let database = TestDatabase::without_extension().await;
        for tables in TABLES {
            database.run(tables).await;
        }
        let (clients_url, workers_url) = (clients.url(), workers.url());
        let events_url = workers.url();
        Self { database, clients, workers, clients_url, workers_url, events_url }
    }

    pub fn sending(&self) -> Sending {
        let (counters, cancel) = (Arc::<LineCounters>::default(), CancellationToken::new());
        let (count, until) = (Arc::clone(&counters), cancel.clone());
        let registry = RegistrySettings {
            url: self.database.url.clone().into(),
            password: None,
            set_in: SetIn::default(),
        };
        let urls = [&self.clients_url, &self.workers_url, &self.events_url];
        let [clients, workers, events] = urls.map(|url| settings(url).broker);
        let task = tokio::spawn(async move {
            let workflows = Workflows::read(&file("workflows.json")).expect("workflows");
            let publisher = Publisher {
                outbox: Outbox::open(&registry).expect("an outbox"),
                places: Places { clients: &clients, tasks: &workers, events: (&events, RESULTS) },
                workflows: &workflows,
                counters: &count,
            };
            publisher.run(&until).await
        });
        Sending { counters, cancel, task }
    }

    pub async fn write(&self, letters: &[Letter]) {
        let mut connection = self.database.connect().await;
        for Letter { job, content } in letters {
            let workflow = match content {
                Content::Task { workflow, .. } => Some(workflow),
                _ => None,
            };
            let (kind, celery_id, body): (_, Option<Uuid>, &[u8]) = match content {
                Content::Task { celery_id, body, .. } => ("task", Some(*celery_id), body),
                Content::Revoke { celery_id } => ("revoke", Some(*celery_id), &[]),
                Content::Status(body) => ("status", None, body),
                Content::Progress(body) => ("progress", None, body),
                Content::Result(body) => ("result", None, body),
            };
            sqlx::query(WRITE)
                .bind(job.0.to_string())
                .bind(kind)
                .bind(celery_id.map(|id| id.to_string()))
                .bind(workflow)
                .bind(body)
                .execute(&mut connection)
                .await
                .expect("a letter is written");
        }
    }

    pub async fn is_empty(&self) {
        let left = async || self.database.number("SELECT count(*) FROM timesweep_outbox").await == 0;
        eventually("everything has left", left).await;
    }

    /// A client that listens to one key of a job.
    pub async fn client(&self, job: JobId, what: &str) -> Hearing {
        let (connection, channel) = self.clients.channel().await;
        let (exchange, plain) = ("omotes_exchange", ExchangeDeclareOptions::default());
        let declared =
            channel.exchange_declare(exchange.into(), ExchangeKind::Direct, plain, FieldTable::default());
        declared.await.expect("the same exchange");
        let key = format!("jobs.{}.{what}", job.0);
        Hearing::of(connection, channel, &key, Some(exchange), FieldTable::default()).await
    }

    pub async fn worker(&self, workflow: &str) -> Hearing {
        let (connection, channel) = self.workers.channel().await;
        Hearing::of(connection, channel, workflow, None, as_celery_declares_it()).await
    }
}

pub fn as_celery_declares_it() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-priority".into(), AMQPValue::LongInt(10));
    arguments
}

pub struct Hearing {
    _connection: Connection,
    _channel: Channel,
    consumer: Consumer,
}

impl Hearing {
    pub async fn of(
        connection: Connection,
        channel: Channel,
        queue: &str,
        exchange: Option<&str>,
        arguments: FieldTable,
    ) -> Self {
        let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(queue.into(), durable, arguments).await.expect("a queue");
        if let Some(exchange) = exchange {
            let options = QueueBindOptions::default();
            let none = FieldTable::default();
            channel
                .queue_bind(queue.into(), exchange.into(), queue.into(), options, none)
                .await
                .expect("bound");
        }
        let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let taken = channel.basic_consume(queue.into(), "test".into(), options, FieldTable::default());
        let consumer = taken.await.expect("a consumer");
        Self { _connection: connection, _channel: channel, consumer }
    }

    pub async fn next(&mut self) -> Delivery {
        let next = tokio::time::timeout(Duration::from_secs(30), self.consumer.next()).await;
        next.expect("in time").expect("a message").expect("a message")
    }
}

pub fn job() -> JobId {
    JobId(Uuid::now_v7())
}

pub fn progress(job: JobId, number: usize) -> Letter {
    Letter { job, content: Content::Progress(number.to_string().into_bytes()) }
}

pub fn task(job: JobId, celery_id: Uuid, body: Vec<u8>) -> Letter {
    Letter { job, content: Content::Task { celery_id, workflow: "simulator".into(), priority: 6, body } }
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_of_a_job_arrive_in_their_order_as_the_other_side_writes_them() {
    let post = Post::new().await;
    let (here, gone) = (job(), job());
    let mut client = post.client(here, "progress").await;
    let letters: Vec<Letter> = (0..700).map(|number| progress(here, number)).collect();
    post.write(&letters).await;
    let sending = post.sending();
    post.write(&[progress(gone, 0), Letter { job: gone, content: Content::Result(b"r".to_vec()) }]).await;
    for number in 0..700 {
        let came = client.next().await;
        assert_eq!(came.data, number.to_string().as_bytes());
        let properties = came.properties;
        assert_eq!((*properties.delivery_mode(), *properties.priority()), (Some(2), Some(0)));
        let id = properties.message_id().as_ref().expect("an id").to_string();
        assert!(id.len() == 32 && Uuid::try_parse(&id).is_ok(), "{id}");
        assert_eq!(properties.headers().as_ref().map(|headers| headers.inner().len()), Some(0));
        assert!(properties.content_type().is_none());
    }
    post.is_empty().await;
    assert_eq!(sending.counters.interruptions(), 0, "a client that is gone is no error");
    sending.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_reaches_its_queue_and_an_order_every_worker() {
    let post = Post::new().await;
    let (job, celery_id) = (job(), Uuid::now_v7());
    let mut worker = post.worker("simulator").await;
    let (_connection, channel) = post.workers.channel().await;
    let (pidbox, plain) = ("celery.pidbox", ExchangeDeclareOptions::default());
    let declared =
        channel.exchange_declare(pidbox.into(), ExchangeKind::Fanout, plain, FieldTable::default());
    declared.await.expect("as Celery declares it");
    let orders = post.workers.channel().await;
    let mut orders =
        Hearing::of(orders.0, orders.1, "worker.pidbox", Some(pidbox), FieldTable::default()).await;
    let sending = post.sending();
    post.write(&[
        task(job, celery_id, b"[[], {}, {}]".to_vec()),
        Letter { job, content: Content::Revoke { celery_id } },
    ])
    .await;
    let came = worker.next().await;
    assert_eq!((came.data.as_slice(), *came.properties.priority()), (b"[[], {}, {}]".as_slice(), Some(6)));
    let order: serde_json::Value = serde_json::from_slice(&orders.next().await.data).expect("JSON");
    assert_eq!(order["arguments"]["task_id"], celery_id.to_string());
    post.is_empty().await;
    sending.end().await;
}

/// Between a job's task and its order to end it lies the other broker.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_without_its_queue_is_sent_again_when_the_queue_is_there() {
    let post = Post::new().await;
    let sending = post.sending();
    eventually("it sends", async || sending.counters.listens()).await;
    let (_connection, channel) = post.workers.channel().await;
    channel.queue_delete("simulator".into(), QueueDeleteOptions::default()).await.expect("it goes");
    post.write(&[task(job(), Uuid::now_v7(), b"x".to_vec())]).await;
    eventually("it is noticed", async || sending.counters.interruptions() > 0).await;
    // Without a row of its job it was sent, as far as anybody knows.
    post.is_empty().await;
    eventually("the queue is there again", async || {
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let (_connection, channel) = post.workers.channel().await;
        channel.queue_declare("simulator".into(), passive, FieldTable::default()).await.is_ok()
    })
    .await;
    sending.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_broker_is_away_letters_wait_and_another_process_may_lead() {
    let mut place = Post::new().await;
    let [host, port, user, password] = place.clients.parts();
    let proxy = TcpProxy::before(&format!("{host}:{port}")).await;
    place.clients_url = format!("amqp://{user}:{password}@{}/{}", proxy.address, place.clients.vhost);
    let job = job();
    let mut client = place.client(job, "progress").await;
    let sending = place.sending();
    place.write(&[progress(job, 0)]).await;
    assert_eq!(client.next().await.data, b"0");
    proxy.set(Mode::CutAfter(0));
    for number in 1..50 {
        place.write(&[progress(job, number)]).await;
    }
    eventually("it is noticed", async || sending.counters.interruptions() > 0).await;
    // Its way is not cut.
    place.clients_url = place.clients.url();
    let other = place.sending();
    let mut heard = BTreeSet::new();
    let mut last = 0;
    while heard.len() < 49 {
        let number: usize =
            String::from_utf8(client.next().await.data).expect("a text").parse().expect("a number");
        assert!(number <= last + 1, "{number} after {last}");
        last = last.max(number);
        heard.insert(number);
    }
    place.is_empty().await;
    assert_eq!(other.counters.interruptions(), 0);
    sending.end().await;
    other.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_no_broker_takes_fails_its_job_and_keeps_nobody_waiting() {
    let post = Post::new().await;
    let (job, celery_id) = (job(), Uuid::now_v7());
    let (connection, channel) = post.workers.channel().await;
    let mut results = Hearing::of(connection, channel, RESULTS, None, FieldTable::default()).await;
    let mut client = post.client(job, "progress").await;
    // The broker's own limit is 16 MiB.
    post.write(&[progress(job, 0), task(job, celery_id, vec![b' '; 20 << 20]), progress(job, 1)]).await;
    let sending = post.sending();
    let result = TaskResult::decode(results.next().await.data.as_slice()).expect("a result");
    assert_eq!((result.job_id, result.celery_task_id), (job.0.to_string(), celery_id.to_string()));
    assert_eq!(result.result_type, i32::from(ResultType::Error));
    assert!(result.logs.contains("too large"), "{}", result.logs);
    assert_eq!(client.next().await.data, b"0");
    assert_eq!(client.next().await.data, b"1");
    post.is_empty().await;
    sending.has_failed(1).await;
    sending.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_lies_there_already_is_not_sent_again() {
    let post = Post::new().await;
    let (told, waiting) = (job(), job());
    // A sender before us sent the first one, and was killed before it could forget that.
    let (_connection, channel) = post.clients.channel().await;
    let (exchange, plain) = ("omotes_exchange", ExchangeDeclareOptions::default());
    let declared =
        channel.exchange_declare(exchange.into(), ExchangeKind::Direct, plain, FieldTable::default());
    declared.await.expect("the same exchange");
    let queue = |job: JobId| format!("jobs.{}.result", job.0);
    post.clients.publish(&queue(told), &[b"r".to_vec()]).await;
    post.clients.publish(&queue(waiting), &[]).await;
    for job in [told, waiting] {
        let (name, options) = (queue(job), QueueBindOptions::default());
        let name = name.as_str();
        let bound =
            channel.queue_bind(name.into(), exchange.into(), name.into(), options, FieldTable::default());
        bound.await.expect("bound");
    }
    let result = |job| Letter { job, content: Content::Result(b"r".to_vec()) };
    post.write(&[result(told), result(waiting)]).await;
    let sending = post.sending();
    post.is_empty().await;
    assert_eq!(post.clients.waiting(&queue(told)).await, 1);
    assert_eq!(post.clients.waiting(&queue(waiting)).await, 1);
    sending.end().await;
}

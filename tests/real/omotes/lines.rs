//! Queues that replicas share, and how they stand beside what was there before.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use lapin::options::{
    BasicConsumeOptions, BasicPublishOptions, ExchangeDeclareOptions, ExchangeDeleteOptions,
    QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ExchangeKind};
use prost::Message;
use timesweep::amqp::LineCounters;
use timesweep::amqp::line::{Line, Queue, Taken};
use timesweep::amqp::taker::{Delivered, Taker};
use timesweep::amqp::wire::RequestAvailableWorkflows;
use timesweep::config::{BrokerSettings, SetIn};
use timesweep::omotes::announcer::Announcer;
use timesweep::omotes::workflows::Workflows;
use timesweep::problem::{Kind, Problem, Result};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::workflows::file;
use crate::real::amqp::broker::{TestBroker, settings};
use crate::real::support::eventually;

/// Keeps what it takes; what begins with `?` nobody can read.
#[derive(Default)]
pub struct Keeper(pub Mutex<Vec<Vec<u8>>>);

#[async_trait]
impl Taker for Keeper {
    fn at_once(&self) -> u16 {
        3
    }

    async fn take(&self, bodies: &[&[u8]]) -> Result<Vec<Option<&'static str>>> {
        let unreadable = |body: &&[u8]| body.starts_with(b"?").then_some("nobody can read this");
        let taken = bodies.iter().filter(|body| unreadable(body).is_none()).map(|body| body.to_vec());
        self.0.lock().expect("the letters").extend(taken);
        Ok(bodies.iter().map(unreadable).collect())
    }
}

/// Takes one message for each permit, and fails where there will be none.
struct Slow {
    goes_on: Semaphore,
    ids: Mutex<Vec<String>>,
}

#[async_trait]
impl Taker for Slow {
    fn at_once(&self) -> u16 {
        3
    }

    async fn take(&self, bodies: &[&[u8]]) -> Result<Vec<Option<&'static str>>> {
        let count = u32::try_from(bodies.len()).expect("a few");
        let permits = self.goes_on.acquire_many(count).await;
        permits.map_err(|_| Problem::unreachable("there will be none"))?.forget();
        Ok(vec![None; bodies.len()])
    }

    async fn take_delivered(
        &self,
        bodies: &[&[u8]],
        delivered: &[Delivered],
    ) -> Result<Vec<Option<&'static str>>> {
        let answers = self.take(bodies).await?;
        self.ids.lock().expect("ids").extend(delivered.iter().filter_map(|it| it.id.clone()));
        Ok(answers)
    }
}

impl Keeper {
    fn count(&self) -> usize {
        self.0.lock().expect("the letters").len()
    }
}

struct Listening {
    counters: Arc<LineCounters>,
    cancel: CancellationToken,
    task: JoinHandle<Result<()>>,
}

impl Listening {
    fn starting(broker: &TestBroker, taker: Arc<dyn Taker>, name: &'static str, key: &'static str) -> Self {
        let (counters, cancel) = (Arc::<LineCounters>::default(), CancellationToken::new());
        let (count, until) = (Arc::clone(&counters), cancel.clone());
        let of_broker: BrokerSettings = settings(&broker.url()).broker;
        let task = tokio::spawn(async move {
            let queue = Queue {
                name,
                dead_letters: "timesweep_dead_letters",
                bound_to: Some(key),
                old_name: Some("job_cancellations"),
                taken: Taken::Together { clients: &of_broker },
            };
            let line = Line { taker: taker.as_ref(), broker: &of_broker, queue, counters: &count };
            line.listen(&until).await
        });
        Self { counters, cancel, task }
    }

    async fn on(broker: &TestBroker, taker: Arc<dyn Taker>) -> Self {
        let listening = Self::starting(broker, taker, "job_deletions", "job_deletions");
        eventually("it listens", async || listening.counters.listens()).await;
        listening
    }

    async fn end(self) {
        self.cancel.cancel();
        self.task.await.expect("it ends").expect("quietly");
    }
}

/// The orchestrator's own queue, as it declares it.
async fn orchestrator(broker: &TestBroker) -> Connection {
    let connection = broker.connect().await;
    let channel = connection.create_channel().await.expect("a channel");
    let alone = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
    let name = "request_available_workflows";
    channel.queue_declare(name.into(), alone, FieldTable::default()).await.expect("its queue");
    connection
}

fn texts(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|number| format!("message {number}").into_bytes()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_share_a_queue_and_each_message_is_taken_once() {
    let broker = TestBroker::new().await;
    let takers: [Arc<Keeper>; 2] = Default::default();
    let first = Listening::on(&broker, takers[0].clone()).await;
    let second = Listening::on(&broker, takers[1].clone()).await;
    broker.publish("job_deletions", &texts(200)).await;
    eventually("all came", async || takers[0].count() + takers[1].count() >= 200).await;
    assert!(takers.iter().all(|taker| taker.count() > 0), "both have work");
    first.end().await;
    second.end().await;
    let mut all: Vec<_> = takers.iter().flat_map(|taker| taker.0.lock().expect("it").clone()).collect();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 200);
    assert_eq!(broker.waiting("job_deletions").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_another_orchestrator_is_at_work_nothing_is_taken() {
    let broker = TestBroker::new().await;
    let theirs = orchestrator(&broker).await;
    broker.publish("job_deletions", &texts(5)).await;
    let taker = Arc::<Keeper>::default();
    let listening = Listening::starting(&broker, taker.clone(), "job_deletions", "job_deletions");
    let counters = Arc::clone(&listening.counters);
    let says = || counters.trouble().is_some_and(|why| why.contains("another orchestrator is at work on"));
    eventually("it says so", async || says()).await;
    eventually("it looks again", async || counters.interruptions() >= 3).await;
    assert!(!counters.listens() && taker.count() == 0);
    assert_eq!(broker.waiting("job_deletions").await, 5);
    theirs.close(200, "it was stopped".into()).await.expect("it goes");
    eventually("we take its place", async || taker.count() == 5).await;
    listening.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_old_queue_is_emptied_and_removed() {
    let broker = TestBroker::new().await;
    let taker = Arc::<Keeper>::default();
    let mut bodies = texts(7);
    bodies.push(b"? unreadable".to_vec());
    broker.publish("job_cancellations", &bodies).await;
    let listening = Listening::on(&broker, taker.clone()).await;
    assert_eq!(taker.count(), 7, "before anything else");
    assert_eq!(broker.waiting("timesweep_dead_letters").await, 1);
    let (_connection, channel) = broker.channel().await;
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let gone = channel.queue_declare("job_cancellations".into(), passive, FieldTable::default()).await;
    assert!(gone.expect_err("it is gone").to_string().contains("NOT_FOUND"));
    listening.end().await;
}

/// It publishes to the exchange, and knows nothing of a new queue.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_knows_the_old_name_alone_is_heard() {
    let broker = TestBroker::new().await;
    let taker = Arc::<Keeper>::default();
    for round in 1..=2 {
        let listening = Listening::on(&broker, taker.clone()).await;
        let (_connection, channel) = broker.channel().await;
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let (exchange, key) = ("omotes_exchange".into(), "job_cancellations".into());
        let sent = channel.basic_publish(exchange, key, options, b"a deletion", BasicProperties::default());
        let confirmed = sent.await.expect("sent").await.expect("an answer");
        assert!(confirmed.take_message().is_none(), "it went somewhere");
        eventually("it is heard", async || taker.count() == round).await;
        listening.end().await;
        channel
            .exchange_delete("omotes_exchange".into(), ExchangeDeleteOptions::default())
            .await
            .expect("it goes");
    }
}

/// What time may do depends on it.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_hand_or_waits_is_not_heard_yet() {
    let broker = TestBroker::new().await;
    let taker = Arc::new(Slow { goes_on: Semaphore::new(0), ids: Mutex::default() });
    let listening = Listening::on(&broker, taker.clone()).await;
    let heard = || listening.counters.has_heard_all_for();
    eventually("nothing waits", async || heard().is_some()).await;
    let before = heard().expect("heard");
    broker.publish("job_deletions", &texts(1)).await;
    eventually("it is in hand", async || heard().is_none()).await;
    broker.publish("job_deletions", &texts(1)).await;
    taker.goes_on.add_permits(2);
    eventually("nothing waits", async || heard().is_some()).await;
    assert!(heard().expect("heard") > before, "one at a time is no reason to begin anew");
    assert_eq!(taker.ids.lock().expect("ids").as_slice(), ["its id", "its id"]);
    // More than one batch holds.
    let before = heard().expect("heard");
    broker.publish("job_deletions", &texts(7)).await;
    eventually("some are in hand", async || heard().is_none()).await;
    taker.goes_on.add_permits(7);
    eventually("nothing waits", async || heard().is_some()).await;
    assert!(heard().expect("heard") < before, "it fell behind");
    taker.goes_on.close();
    broker.publish("job_deletions", &texts(1)).await;
    eventually("it fails", async || listening.counters.interruptions() > 0).await;
    assert!(heard().is_none());
    listening.end().await;
}

/// The broker says once that nothing comes any more, behind a message, and leaves the channel open.
#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_was_deleted_and_made_anew_is_listened_to_again() {
    let broker = TestBroker::new().await;
    let taker = Arc::new(Slow { goes_on: Semaphore::new(0), ids: Mutex::default() });
    let listening = Listening::on(&broker, taker.clone()).await;
    broker.publish("job_deletions", &texts(1)).await;
    eventually("it is in hand", async || listening.counters.has_heard_all_for().is_none()).await;
    broker.publish("job_deletions", &texts(1)).await;
    eventually("the next one as well", async || broker.waiting("job_deletions").await == 0).await;
    let (_connection, channel) = broker.channel().await;
    let deleted = channel.queue_delete("job_deletions".into(), QueueDeleteOptions::default());
    deleted.await.expect("it goes");
    broker.publish("job_deletions", &[]).await;
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    channel.queue_declare("job_deletions".into(), passive, FieldTable::default()).await.expect("it is there");
    taker.goes_on.add_permits(100);
    broker.publish("job_deletions", &texts(1)).await;
    eventually("it is taken", async || taker.ids.lock().expect("ids").len() == 3).await;
    listening.end().await;
}

/// Its headers say where else it is to go: to the queue that it came from.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_goes_nowhere_else() {
    let broker = TestBroker::new().await;
    let listening = Listening::on(&broker, Arc::<Keeper>::default()).await;
    let (_connection, channel) = broker.channel().await;
    let copies = vec![AMQPValue::LongString("job_deletions".into())];
    let mut headers = FieldTable::default();
    headers.insert("CC".into(), AMQPValue::FieldArray(copies.into()));
    let properties = BasicProperties::default().with_headers(headers);
    let (none, queue) = (BasicPublishOptions::default(), "job_deletions".into());
    let sent = channel.basic_publish("".into(), queue, none, b"? unreadable", properties);
    assert!(sent.await.expect("sent").await.expect("an answer").is_ack());
    eventually("it is kept", async || listening.counters.dead_letters() > 0).await;
    eventually("nothing waits", async || listening.counters.has_heard_all_for().is_some()).await;
    listening.end().await;
    // The same queue twice is one copy.
    assert_eq!(broker.waiting("timesweep_dead_letters").await, 1);
    assert_eq!(broker.waiting("job_deletions").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_old_queue_stays_as_long_as_somebody_uses_it() {
    let broker = TestBroker::new().await;
    let (_connection, channel) = broker.channel().await;
    broker.publish("job_cancellations", &[]).await;
    let (name, options) = ("job_cancellations", BasicConsumeOptions::default());
    let theirs = channel.basic_consume(name.into(), "theirs".into(), options, FieldTable::default());
    let _theirs = theirs.await.expect("a consumer");
    let listening = Listening::on(&broker, Arc::<Keeper>::default()).await;
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let there =
        channel.queue_declare(name.into(), passive, FieldTable::default()).await.expect("it is there");
    assert_eq!(there.consumer_count(), 1);
    listening.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_waits_for_its_broker_and_a_wrong_setting_ends_it() {
    let broker = TestBroker::new().await;
    let (counters, cancel) = (LineCounters::default(), CancellationToken::new());
    let [_, _, user, password] = broker.parts();
    let queue = |clients| Queue {
        name: "job_deletions",
        dead_letters: "timesweep_dead_letters",
        bound_to: None,
        old_name: None,
        taken: Taken::Together { clients },
    };
    let away = settings(&format!("amqp://{user}:{password}@127.0.0.1:1/{}", broker.vhost)).broker;
    let taker = Keeper::default();
    let line = Line { taker: &taker, broker: &away, queue: queue(&away), counters: &counters };
    let patient = tokio::time::timeout(Duration::from_secs(1), line.listen(&cancel)).await;
    assert!(patient.is_err(), "it goes on trying");
    assert!(counters.trouble().is_some_and(|why| why.contains("127.0.0.1:1/")));
    let mut nowhere = settings(&format!("{}_nowhere", broker.url())).broker;
    nowhere.set_in = SetIn::section("SDK_RABBITMQ_…", "url", "the login");
    let line = Line { taker: &taker, broker: &nowhere, queue: queue(&nowhere), counters: &counters };
    let problem = line.listen(&cancel).await.expect_err("a wrong setting");
    assert_eq!(problem.kind, Kind::Usage, "{problem}");
}

async fn client_hears(channel: &Channel) -> lapin::Consumer {
    let (name, exchange) = ("available_workflows.test", "omotes_exchange");
    let (plain, none) = (ExchangeDeclareOptions::default(), FieldTable::default);
    channel
        .exchange_declare(exchange.into(), ExchangeKind::Direct, plain, none())
        .await
        .expect("the same exchange");
    let alone = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(name.into(), alone, none()).await.expect("a queue");
    let (key, options) = ("available_workflows", QueueBindOptions::default());
    channel.queue_bind(name.into(), exchange.into(), key.into(), options, none()).await.expect("bound");
    let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
    channel.basic_consume(name.into(), "client".into(), options, none()).await.expect("a consumer")
}

#[tokio::test(flavor = "multi_thread")]
async fn workflows_are_announced_on_start_and_for_every_request() {
    use futures_util::StreamExt;
    let broker = TestBroker::new().await;
    let (_connection, channel) = broker.channel().await;
    let mut heard = client_hears(&channel).await;
    let workflows = Workflows::read(&file("workflows.json")).expect("workflows");
    let of_broker: &'static BrokerSettings = Box::leak(Box::new(settings(&broker.url()).broker));
    let announcer: Arc<dyn Taker> = Arc::new(Announcer::new(of_broker, &workflows));
    let (queue, key) = ("timesweep_workflow_requests", "request_available_workflows");
    let listening = Listening::starting(&broker, announcer, queue, key);
    let mut next = async || {
        let next = tokio::time::timeout(Duration::from_secs(20), heard.next()).await;
        next.expect("in time").expect("a message").expect("a message").data
    };
    assert_eq!(next().await, workflows.encoded());
    let body = RequestAvailableWorkflows {}.encode_to_vec();
    let asked = channel.basic_publish(
        "omotes_exchange".into(),
        key.into(),
        lapin::options::BasicPublishOptions::default(),
        &body,
        lapin::BasicProperties::default(),
    );
    asked.await.expect("sent").await.expect("taken");
    assert_eq!(next().await, workflows.encoded());
    broker.publish(queue, &[vec![0xff; 9]]).await;
    eventually("what nobody can read is kept", async || listening.counters.dead_letters() == 1).await;
    listening.end().await;
    assert_eq!(broker.waiting(queue).await, 0);
}

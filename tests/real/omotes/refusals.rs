//! Brokers that refuse one message or one queue: what belongs to it waits or ends, and everything else goes on.

use std::time::Duration;

use lapin::options::{BasicPublishOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Connection};
use prost::Message;
use timesweep::amqp::wire::job_result::ResultType as ResultOfJob;
use timesweep::amqp::wire::{JobResult, JobSubmission, TaskResult, task_result::ResultType};
use timesweep::omotes::letter::{Content, Letter};
use timesweep::retention::ownership::JobId;
use uuid::Uuid;

use super::installation::Installation;
use super::letters::{Hearing, Post, RESULTS, Sending, as_celery_declares_it, job, progress, task};
use crate::real::amqp::broker::{TestBroker, publish_on};
use crate::real::own_broker::OwnBroker;
use crate::real::support::eventually;
use crate::real::tcp_proxy::{Mode, TcpProxy};

/// Another workflow of `workflows.json` than the one of `task`.
const OTHER: &str = "everything";

fn task_of_other(job: JobId, body: &[u8]) -> Letter {
    let (celery_id, workflow) = (Uuid::now_v7(), OTHER.into());
    Letter { job, content: Content::Task { celery_id, workflow, priority: 4, body: body.to_vec() } }
}

pub fn result(job: JobId, body: Vec<u8>) -> Letter {
    Letter { job, content: Content::Result(body) }
}

impl Post {
    /// A row for each task among the letters, as its submission left it.
    async fn write_with_jobs(&self, letters: &[Letter]) {
        let row = "INSERT INTO job (job_id, celery_id, workflow_type, status, registered_at, job_reference) \
             VALUES ($1::text::uuid, $2, $3, 'REGISTERED', now(), '')";
        let mut connection = self.database.connect().await;
        for Letter { job, content } in letters {
            let Content::Task { celery_id, workflow, .. } = content else { continue };
            let row = sqlx::query(row).bind(job.0.to_string()).bind(celery_id.to_string()).bind(workflow);
            row.execute(&mut connection).await.expect("a job");
        }
        self.write(letters).await;
    }

    async fn letters_left(&self) -> i64 {
        self.database.number("SELECT count(*) FROM timesweep_outbox").await
    }

    /// As this connection declares the queue of the workflow `simulator`.
    async fn declares(&self, options: QueueDeclareOptions, arguments: FieldTable) -> Connection {
        let connection = self.workers.connect().await;
        let channel = connection.create_channel().await.expect("a channel");
        channel.queue_declare("simulator".into(), options, arguments).await.expect("a queue");
        connection
    }
}

/// A broker with something in between.
async fn before(broker: &TestBroker) -> (TcpProxy, String) {
    let [host, port, user, password] = broker.parts();
    let proxy = TcpProxy::before(&format!("{host}:{port}")).await;
    let url = format!("amqp://{user}:{password}@{}/{}", proxy.address, broker.vhost);
    (proxy, url)
}

async fn is_told(sending: &Sending, what: &str) {
    eventually("it is told", async || sending.counters.trouble().is_some_and(|why| why.contains(what))).await;
    assert!(sending.counters.listens(), "others go on");
}

/// Nothing was broken off meanwhile.
pub async fn all_is_well(post: &Post, sending: Sending) {
    post.is_empty().await;
    eventually("nothing is told any more", async || sending.counters.trouble().is_none()).await;
    assert_eq!(sending.counters.interruptions(), 0);
    sending.end().await;
}

fn id_of(task: &lapin::message::Delivery) -> String {
    task.properties.correlation_id().as_ref().expect("an id").to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_is_full_holds_its_own_jobs_alone() {
    let post = Post::new().await;
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    let _queue = post.declares(durable, as_celery_declares_it()).await;
    let (_connection, channel) = post.workers.channel().await;
    publish_on(&channel, "simulator", &[b"before".to_vec()]).await;
    post.workers.takes_no_more_than("simulator", 1).await;
    eventually("it is full", async || {
        let (plain, none) = (BasicPublishOptions::default(), BasicProperties::default());
        let published = channel.basic_publish("".into(), "simulator".into(), plain, b"more", none);
        published.await.expect("sent").await.expect("an answer").is_nack()
    })
    .await;
    let ([full, other], first) = ([job(), job()], Uuid::now_v7());
    let (mut of_full, mut of_other) =
        (post.client(full, "progress").await, post.client(other, "progress").await);
    let sending = post.sending();
    post.write_with_jobs(&[task(full, first, b"x".to_vec()), progress(full, 1), progress(other, 1)]).await;
    assert_eq!(of_other.next().await.data, b"1");
    is_told(&sending, "may be full").await;
    // What comes later goes as well.
    let mut workers_of_other = post.worker(OTHER).await;
    post.write_with_jobs(&[task_of_other(other, b"y"), progress(other, 2)]).await;
    assert_eq!(of_other.next().await.data, b"2");
    assert_eq!(workers_of_other.next().await.data, b"y");
    eventually("the others have left", async || post.letters_left().await == 2).await;
    let mut worker = post.worker("simulator").await;
    let mut came = worker.next().await;
    while came.data != b"x" {
        came = worker.next().await;
    }
    assert_ne!(id_of(&came), first.to_string(), "nobody knows what became of the first one");
    assert_eq!(of_full.next().await.data, b"1");
    all_is_well(&post, sending).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_is_declared_otherwise_fails_its_own_jobs_alone() {
    let post = Post::new().await;
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    let _queue = post.declares(durable, FieldTable::default()).await;
    let (failing, other, celery_id) = (job(), job(), Uuid::now_v7());
    let (connection, channel) = post.workers.channel().await;
    let mut results = Hearing::of(connection, channel, RESULTS, None, FieldTable::default()).await;
    let (mut client, mut worker) = (post.client(failing, "progress").await, post.worker(OTHER).await);
    let sending = post.sending();
    let bad = task(failing, celery_id, b"x".to_vec());
    post.write_with_jobs(&[bad, progress(failing, 1), task_of_other(other, b"y")]).await;
    let result = TaskResult::decode(results.next().await.data.as_slice()).expect("a result");
    assert_eq!((result.job_id, result.celery_task_id), (failing.0.to_string(), celery_id.to_string()));
    assert_eq!(result.result_type, i32::from(ResultType::Error));
    assert!(result.logs.contains("declared in another way"), "{}", result.logs);
    assert_eq!(worker.next().await.data, b"y");
    assert_eq!(client.next().await.data, b"1");
    post.is_empty().await;
    sending.has_failed(1).await;
    all_is_well(&post, sending).await;
}

/// Its failure is told to whoever takes the results of workers, perhaps on a third broker.
#[tokio::test(flavor = "multi_thread")]
async fn a_failure_that_cannot_be_told_waits_alone() {
    let mut post = Post::new().await;
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    let _queue = post.declares(durable, FieldTable::default()).await;
    let (connection, channel) = post.workers.channel().await;
    let mut results = Hearing::of(connection, channel, RESULTS, None, FieldTable::default()).await;
    let (proxy, url) = before(&post.workers).await;
    post.events_url = url;
    proxy.set(Mode::CutAfter(0));
    let (failing, other) = (job(), job());
    let mut worker = post.worker(OTHER).await;
    let sending = post.sending();
    let bad = task(failing, Uuid::now_v7(), b"x".to_vec());
    post.write_with_jobs(&[bad, task_of_other(other, b"y")]).await;
    assert_eq!(worker.next().await.data, b"y");
    is_told(&sending, "cannot be reached").await;
    proxy.set(Mode::Pass);
    let result = TaskResult::decode(results.next().await.data.as_slice()).expect("a result");
    assert_eq!(result.job_id, failing.0.to_string());
    all_is_well(&post, sending).await;
}

/// No more than docs/omotes.md asks for.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_may_do_no_more_than_is_needed_sends_results() {
    let mut post = Post::new().await;
    post.clients_url = post.clients.user_who_may("^omotes_exchange$", "^omotes_exchange$").await;
    let job = job();
    let mut client = post.client(job, "result").await;
    // The first round looks whether it was sent before.
    post.write(&[result(job, b"r".to_vec())]).await;
    let sending = post.sending();
    assert_eq!(client.next().await.data, b"r");
    all_is_well(&post, sending).await;
}

/// The queue of the workflow `simulator` is closed to us, until it opens.
async fn a_closed_queue_is_waited_for(post: &Post, said: &str, opens: impl Future<Output = ()>) {
    let (waiting, other, celery_id) = (job(), job(), Uuid::now_v7());
    let (mut of_waiting, mut of_other) =
        (post.client(waiting, "progress").await, post.client(other, "progress").await);
    let mut worker_of_other = post.worker(OTHER).await;
    let sending = post.sending();
    let waits = task(waiting, celery_id, b"x".to_vec());
    post.write_with_jobs(&[waits, progress(waiting, 1), task_of_other(other, b"y"), progress(other, 1)])
        .await;
    assert_eq!(worker_of_other.next().await.data, b"y");
    assert_eq!(of_other.next().await.data, b"1");
    is_told(&sending, said).await;
    assert_eq!(post.letters_left().await, 2, "they wait");
    opens.await;
    assert_eq!(of_waiting.next().await.data, b"1");
    let came = post.worker("simulator").await.next().await;
    assert_eq!((came.data.as_slice(), id_of(&came)), (b"x".as_slice(), celery_id.to_string()));
    assert_eq!(sending.counters.dead_letters(), 0, "no job has failed");
    all_is_well(post, sending).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_another_connection_has_for_itself_is_waited_for() {
    let post = Post::new().await;
    let alone = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
    let theirs = post.declares(alone, FieldTable::default()).await;
    a_closed_queue_is_waited_for(&post, "RESOURCE_LOCKED", async {
        theirs.close(200, "it goes".into()).await.expect("it goes");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_is_refused_to_our_user_is_waited_for() {
    let mut post = Post::new().await;
    post.workers_url = post.workers.user_who_may("^(?!simulator$)", ".*").await;
    a_closed_queue_is_waited_for(&post, "ACCESS_REFUSED", post.workers.let_the_user(".*", ".*")).await;
}

/// The broker closes the channel over it, and everything behind it is lost with the channel.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_does_not_let_us_publish_keeps_the_other_one_from_nothing() {
    let mut post = Post::new().await;
    post.clients_url = post.clients.user_who_may(".*", "^(?!omotes_exchange$)").await;
    let (here, other) = (job(), job());
    let (mut client, mut worker) = (post.client(here, "progress").await, post.worker(OTHER).await);
    let sending = post.sending();
    post.write_with_jobs(&[progress(here, 1), progress(here, 2), task_of_other(other, b"y")]).await;
    assert_eq!(worker.next().await.data, b"y");
    is_told(&sending, "does not let us publish").await;
    post.clients.let_the_user(".*", ".*").await;
    assert_eq!(client.next().await.data, b"1");
    assert_eq!(client.next().await.data, b"2");
    post.is_empty().await;
    eventually("nothing is told any more", async || sending.counters.trouble().is_none()).await;
    sending.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_no_broker_takes_is_told_as_an_error() {
    let post = Post::new().await;
    let job = job();
    let (mut results, mut news) = (post.client(job, "result").await, post.client(job, "progress").await);
    // The broker's own limit is 16 MiB.
    post.write(&[progress(job, 0), result(job, vec![b' '; 17 << 20]), progress(job, 1)]).await;
    let sending = post.sending();
    is_an_error(&mut results, job, 17 << 20).await;
    assert_eq!(news.next().await.data, b"0");
    assert_eq!(news.next().await.data, b"1");
    post.is_empty().await;
    sending.has_failed(1).await;
    all_is_well(&post, sending).await;
}

pub async fn is_an_error(results: &mut Hearing, job: JobId, bytes: usize) {
    let told = JobResult::decode(results.next().await.data.as_slice()).expect("a result");
    assert_eq!((told.uuid.as_str(), told.result_type()), (job.0.to_string().as_str(), ResultOfJob::Error));
    let logs = format!("The result of the job is too large for the message broker: it has {bytes} bytes.");
    assert_eq!(told.logs, logs);
}

/// This broker takes less than what goes alone anyway.
#[tokio::test(flavor = "multi_thread")]
async fn of_many_letters_the_one_that_no_broker_takes_is_found() {
    let broker = OwnBroker::taking_no_more_than(100_000);
    let post = Post::between(broker.host().await, broker.host().await).await;
    let (many, large) = (job(), job());
    let (mut news, mut results) = (post.client(many, "progress").await, post.client(large, "result").await);
    let letters: Vec<Letter> = (0..40)
        .map(|number| if number == 20 { result(large, vec![b' '; 200_000]) } else { progress(many, number) })
        .collect();
    post.write(&letters).await;
    let sending = post.sending();
    is_an_error(&mut results, large, 200_000).await;
    post.is_empty().await;
    let mut last = 0;
    while last < 39 {
        let number: usize =
            String::from_utf8(news.next().await.data).expect("a text").parse().expect("a number");
        assert!(number <= last + 2, "{number} after {last}");
        last = last.max(number);
    }
    sending.has_failed(1).await;
    assert_eq!(sending.counters.interruptions(), 1);
    sending.end().await;
}

/// The client library hands what comes back to whoever is answered next.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_came_back_is_the_one_that_goes_again() {
    let mut post = Post::new().await;
    let (proxy, url) = before(&post.workers).await;
    post.workers_url = url;
    let sending = post.sending();
    eventually("it sends", async || sending.counters.listens()).await;
    let (_connection, channel) = post.workers.channel().await;
    channel.queue_delete("simulator".into(), QueueDeleteOptions::default()).await.expect("it goes");
    // They come together, and so the broker confirms them together with others that somebody takes at once.
    let mut worker_of_other = post.worker(OTHER).await;
    proxy.set(Mode::Late(Duration::from_millis(200)));
    let both = |number: u8| [task_of_other(job(), b"y"), task(job(), Uuid::now_v7(), vec![number])];
    let letters: Vec<Letter> = (0..40).flat_map(both).collect();
    post.write_with_jobs(&letters).await;
    eventually("it is noticed", async || sending.counters.interruptions() > 0).await;
    proxy.set(Mode::Pass);
    post.is_empty().await;
    let mut worker = post.worker("simulator").await;
    let mut came = std::collections::BTreeSet::new();
    while came.len() < 40 {
        let next = tokio::time::timeout(Duration::from_secs(5), worker.next()).await;
        came.extend(next.unwrap_or_else(|_| panic!("only {came:?} came")).data);
    }
    for _ in 0..40 {
        assert_eq!(worker_of_other.next().await.data, b"y");
    }
    sending.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_that_wait_are_seen_on_the_page_of_health() {
    let mut place = Installation::new().await;
    place.workers.user_who_may("^(?!echo$)", ".*").await;
    let user = place.workers.vhost.clone();
    place.more = vec![("CELERY_RABBITMQ_USERNAME", user), ("CELERY_RABBITMQ_PASSWORD", "secret".into())];
    let serving = place.serve().await;
    let uuid = Uuid::now_v7().to_string();
    let submission = JobSubmission { uuid, workflow_type: "echo".into(), ..JobSubmission::default() };
    place.clients.publish("job_submissions", &[submission.encode_to_vec()]).await;
    serving.is_in_trouble("letters").await;
    place.workers.let_the_user(".*", ".*").await;
    serving.listens().await;
    assert_eq!(place.workers.waiting("echo").await, 1);
    serving.stop().await;
}

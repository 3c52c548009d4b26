//! A virtual host of its own for every test, and a program that listens there.

use std::sync::Arc;

use lapin::options::{BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use prost::Message;
use timesweep::amqp::wire::JobDelete;
use timesweep::amqp::{Counters, consume};
use timesweep::config::{AmqpSettings, BrokerSettings, SetIn};
use timesweep::problem::Result;
use timesweep::registry::Registry;
use timesweep::wake::Wake;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::real::support::eventually;

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set; start the tests with dev/test"))
}

fn http() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().expect("a client")
}

pub struct TestBroker {
    pub vhost: String,
    server: String,
    admin: String,
}

impl TestBroker {
    pub async fn new() -> Self {
        Self::on(&variable("TIMESWEEP_TEST_AMQP_URL"), &variable("TIMESWEEP_TEST_AMQP_ADMIN_URL")).await
    }

    /// On another broker than the one that the tests share.
    pub async fn on(server: &str, admin: &str) -> Self {
        let vhost = format!("test_{}", Uuid::now_v7().simple());
        let broker = Self { vhost, server: server.to_owned(), admin: admin.to_owned() };
        let answer = http().put(broker.address()).send().await.expect("the broker answers");
        assert!(answer.status().is_success(), "{answer:?}");
        broker
    }

    /// Something of this virtual host, through the broker's HTTP interface.
    async fn put(&self, what: &str, says: &serde_json::Value) {
        let answer = http().put(format!("{}/api/{what}", self.admin)).body(says.to_string()).send();
        let answer = answer.await.expect("the broker answers");
        assert!(answer.status().is_success(), "{answer:?}");
    }

    /// A queue of this name takes so many messages, and refuses others.
    pub async fn takes_no_more_than(&self, queue: &str, messages: u32) {
        let definition = serde_json::json!({"max-length": messages, "overflow": "reject-publish"});
        let pattern = format!("^{queue}$");
        let policy = serde_json::json!({"pattern": pattern, "definition": definition, "apply-to": "queues"});
        self.put(&format!("policies/{}/full", self.vhost), &policy).await;
    }

    /// The address for a user of this test alone, who may configure what the one pattern says, and write and read
    /// what the other one does.
    pub async fn user_who_may(&self, configure: &str, write: &str) -> String {
        let user = serde_json::json!({"password": "secret", "tags": ""});
        self.put(&format!("users/{}", self.vhost), &user).await;
        self.let_the_user(configure, write).await;
        let [host, port, ..] = self.parts();
        format!("amqp://{0}:secret@{host}:{port}/{0}", self.vhost)
    }

    pub async fn let_the_user(&self, configure: &str, write: &str) {
        let permissions = serde_json::json!({"configure": configure, "write": write, "read": write});
        self.put(&format!("permissions/{0}/{0}", self.vhost), &permissions).await;
    }

    /// Of the virtual host, for the broker's HTTP interface.
    fn address(&self) -> String {
        format!("{}/api/vhosts/{}", self.admin, self.vhost)
    }

    /// `host:port/virtual_host`, as sentences have it.
    pub fn place(&self) -> String {
        let [host, port, ..] = self.parts();
        format!("{host}:{port}/{}", self.vhost)
    }

    /// Every queue, exchange and binding of the virtual host.
    pub async fn everything(&self) -> serde_json::Value {
        let address = self.address().replace("/vhosts/", "/definitions/");
        let answer = http().get(address).send().await.expect("the broker answers");
        answer.json().await.expect("definitions")
    }

    /// What a user may do here: configure, write, read.
    pub async fn grant(&self, user: &TestUser, rights: [&str; 3]) {
        let address = format!("{}/api/permissions/{}/{}", self.admin, self.vhost, user.name);
        let [configure, write, read] = rights.map(|names| format!("^({names})$"));
        let rights = serde_json::json!({"configure": configure, "write": write, "read": read});
        put(&address, rights).await;
    }

    /// A user of this test alone, with the password `secret` and no rights.
    pub async fn user(&self) -> TestUser {
        let name = format!("user_{}", Uuid::now_v7().simple());
        let address = format!("{}/api/users/{name}", self.admin);
        put(&address, serde_json::json!({"password": "secret", "tags": ""})).await;
        TestUser { name, address }
    }

    pub fn url(&self) -> String {
        let (base, _) = self.server.rsplit_once('/').expect("the url ends in /vhost");
        format!("{base}/{}", self.vhost)
    }

    /// Host, port, user and password, as the Python side takes them.
    pub fn parts(&self) -> [String; 4] {
        let url: lapin::uri::AMQPUri = self.url().parse().expect("a url");
        let login = url.authority.userinfo;
        [url.authority.host, url.authority.port.to_string(), login.username, login.password]
    }

    pub fn settings(&self) -> AmqpSettings {
        settings(&self.url())
    }

    pub async fn connect(&self) -> Connection {
        Connection::connect(&self.url(), ConnectionProperties::default()).await.expect("the broker answers")
    }

    pub async fn channel(&self) -> (Connection, Channel) {
        let connection = self.connect().await;
        let channel = connection.create_channel().await.expect("a channel");
        channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms");
        (connection, channel)
    }

    /// Messages that wait in a queue; those in somebody's hands do not count.
    pub async fn waiting(&self, queue: &str) -> u32 {
        let (_connection, channel) = self.channel().await;
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let queue = channel.queue_declare(queue.into(), passive, FieldTable::default()).await;
        queue.map_or(0, |queue| queue.message_count())
    }

    pub async fn publish(&self, queue: &str, bodies: &[Vec<u8>]) {
        let (_connection, channel) = self.channel().await;
        durable(&channel, queue).await;
        publish_on(&channel, queue, bodies).await;
    }

    /// Takes one message out of a queue.
    pub async fn take(&self, queue: &str) -> lapin::message::BasicGetMessage {
        let (_connection, channel) = self.channel().await;
        let options = BasicGetOptions { no_ack: true };
        channel.basic_get(queue.into(), options).await.expect("the queue").expect("a message")
    }
}

pub struct TestUser {
    pub name: String,
    address: String,
}

async fn put(address: &str, value: serde_json::Value) {
    let request = http().put(address).header("content-type", "application/json").body(value.to_string());
    let answer = request.send().await.expect("the broker answers");
    assert!(answer.status().is_success(), "{answer:?}");
}

impl Drop for TestUser {
    fn drop(&mut self) {
        remove(self.address.clone());
    }
}

impl Drop for TestBroker {
    fn drop(&mut self) {
        remove(self.address());
        // Of `user_who_may`; mostly there is none.
        remove(format!("{}/api/users/{}", self.admin, self.vhost));
    }
}

fn remove(path: String) {
    let remove = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let _ = runtime.block_on(async { http().delete(path).send().await });
    };
    let _ = std::thread::spawn(remove).join();
}

pub fn settings(url: &str) -> AmqpSettings {
    AmqpSettings {
        broker: BrokerSettings {
            url: url.into(),
            password: None,
            ca_file: None,
            set_in: SetIn::section("[amqp]", "url", "`url` and `password`"),
        },
        deletions: "job_deletions".into(),
        dead_letters: "timesweep_dead_letters".into(),
        results: None,
    }
}

pub async fn durable(channel: &Channel, queue: &str) {
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(queue.into(), durable, FieldTable::default()).await.expect("a queue");
}

pub async fn publish_on(channel: &Channel, queue: &str, bodies: &[Vec<u8>]) {
    let mut confirmations = Vec::new();
    for body in bodies {
        let persistent = BasicProperties::default().with_delivery_mode(2).with_message_id("its id".into());
        let published =
            channel.basic_publish("".into(), queue.into(), BasicPublishOptions::default(), body, persistent);
        confirmations.push(published.await.expect("it is sent"));
    }
    for confirmation in confirmations {
        assert!(confirmation.await.expect("an answer").is_ack());
    }
}

pub fn deletion(job: Uuid) -> Vec<u8> {
    JobDelete { uuid: job.to_string() }.encode_to_vec()
}

pub fn jobs(count: usize) -> Vec<Uuid> {
    (0..count).map(|_| Uuid::now_v7()).collect()
}

/// A program that listens.
pub struct Listening {
    pub wake: Wake,
    pub counters: Arc<Counters>,
    pub cancel: CancellationToken,
    task: JoinHandle<Result<()>>,
}

impl Listening {
    pub async fn on(settings: &AmqpSettings, registry: Arc<dyn Registry>) -> Self {
        let listening = Self::starting(settings, registry);
        let counters = &listening.counters;
        eventually("the program listens", async || counters.deletions.listens()).await;
        listening
    }

    pub fn starting(settings: &AmqpSettings, registry: Arc<dyn Registry>) -> Self {
        let (wake, counters, cancel) = (Wake::default(), Arc::default(), CancellationToken::new());
        let (wake_it, count, until) = (wake.clone(), Arc::clone(&counters), cancel.clone());
        let settings = settings.clone();
        let task = tokio::spawn(async move { consume(&settings, registry, wake_it, count, until).await });
        Self { wake, counters, cancel, task }
    }

    pub async fn end(self) -> Result<()> {
        self.cancel.cancel();
        self.task.await.expect("the program ends")
    }

    pub async fn fails(self) -> timesweep::problem::Problem {
        self.task.await.expect("the program ends").expect_err("a problem")
    }
}

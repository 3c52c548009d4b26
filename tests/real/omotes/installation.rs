//! An installation of one test: a database, an InfluxDB, two virtual hosts, and the programs of the platform with
//! their own variables.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use serde_json::{Value, json};
use uuid::Uuid;

use super::workflows::file;
use crate::real::amqp::broker::TestBroker;
use crate::real::amqp::wire::python;
use crate::real::owned::ground::Ground;
use crate::real::owned::serving::Serving;
use crate::real::support::{Ran, TestDatabase, eventually};

pub const SUCCEEDED: i64 = 0;
pub const ERROR: i64 = 2;
pub const CANCELLED: i64 = 3;
pub const STATUS_RUNNING: i64 = 2;
pub const STATUS_CANCELLED: i64 = 4;

pub struct Installation {
    pub ground: Ground,
    pub database: TestDatabase,
    pub clients: TestBroker,
    pub workers: TestBroker,
    /// More variables, or others.
    pub more: Vec<(&'static str, String)>,
}

impl Installation {
    pub async fn new() -> Self {
        Self::with_clients_at(TestBroker::new().await).await
    }

    pub async fn with_clients_at(clients: TestBroker) -> Self {
        let database = TestDatabase::without_extension().await;
        let workers = TestBroker::new().await;
        Self { ground: Ground::influx(), database, clients, workers, more: Vec::new() }
    }

    /// As an operator gives them to the orchestrator.
    fn variables(&self) -> Vec<(String, String)> {
        let mut all = Vec::new();
        for (prefix, broker) in [("SDK", &self.clients), ("TASK", &self.workers), ("CELERY", &self.workers)] {
            all.extend(broker_variables(&format!("{prefix}_"), broker));
        }
        let postgres = Address::of(&self.database.url);
        let influx = Address::of(&self.ground.url());
        for (name, value) in [
            ("POSTGRESQL_HOST", postgres.host),
            ("POSTGRESQL_PORT", postgres.port),
            ("POSTGRESQL_USERNAME", postgres.user),
            ("POSTGRESQL_PASSWORD", postgres.password),
            ("POSTGRESQL_DATABASE", self.database.name.clone()),
            ("INFLUXDB_HOST", influx.host),
            ("INFLUXDB_PORT", influx.port),
            ("WORKFLOW_CONFIG_PATH", file("test_workflows.json").display().to_string()),
            ("TIMESWEEP_LISTEN", "127.0.0.1:0".into()),
        ] {
            all.push((name.into(), value));
        }
        all.extend(self.more.iter().map(|(name, value)| ((*name).into(), value.clone())));
        all
    }

    fn command(&self) -> Command {
        let name = Uuid::now_v7();
        let state = self.database.file(&format!("state-{name}.db")).display().to_string();
        let mut command = self.database.timesweep(&["serve", "--omotes", "--state", &state]);
        command.envs(self.variables());
        command
    }

    /// Another verb, with the same variables.
    pub fn ran(&self, arguments: &[&str]) -> Ran {
        let state = self.database.file("state.db").display().to_string();
        let mut command = self.database.timesweep(&[arguments, &["--omotes", "--state", &state]].concat());
        Ran::from(command.envs(self.variables()).output().expect("timesweep starts"))
    }

    /// Without waiting until it listens.
    pub async fn starts(&self) -> Serving {
        let log = self.database.file(&format!("serve-{}.log", Uuid::now_v7()));
        Serving::start(self.command(), log).await
    }

    pub async fn serve(&self) -> Serving {
        let serving = self.starts().await;
        serving.listens().await;
        serving
    }

    /// A process that kills itself at this point.
    pub fn serve_until_killed(&self, point: &str) -> Serving {
        let mut command = self.command();
        command.env("TIMESWEEP_KILL_AT", point);
        Serving::start_unheard(command, self.database.file(&format!("killed-{point}.log")))
    }

    /// A Celery worker that has begun to listen.
    pub async fn worker(&self, name: &str, workflows: &[&str]) -> Worker {
        let mut command = Command::new(python());
        command.arg(file("worker.py")).arg(name).args(workflows).process_group(0);
        command.envs(broker_variables("", &self.workers));
        command.env("TEST_INFLUX_URL", self.ground.url()).env("TEST_FOLDER", self.folder());
        let log = std::fs::File::create(self.database.file(&format!("worker-{name}.log"))).expect("a log");
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a log")).stderr(log);
        let before = self.consumers(workflows[0]).await;
        let worker = Worker { child: command.spawn().expect("a worker starts") };
        eventually("the worker listens", async || self.consumers(workflows[0]).await > before).await;
        worker
    }

    /// Whether there is a queue for a workflow.
    pub async fn declares(&self, workflow: &str) -> bool {
        let (_connection, channel) = self.workers.channel().await;
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(workflow.into(), passive, FieldTable::default()).await.is_ok()
    }

    async fn consumers(&self, workflow: &str) -> u32 {
        let (_connection, channel) = self.workers.channel().await;
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let queue = channel.queue_declare(workflow.into(), passive, FieldTable::default()).await;
        queue.map_or(0, |queue| queue.consumer_count())
    }

    fn folder(&self) -> std::path::PathBuf {
        self.database.file(".")
    }

    /// Processes that are working at a task.
    pub fn at_work(&self) -> Vec<u32> {
        let names = std::fs::read_dir(self.folder()).expect("the folder");
        let names = names.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let pids = names.filter_map(|name| name.strip_prefix("at-work-")?.parse().ok());
        pids.filter(|pid: &u32| Path::new(&format!("/proc/{pid}")).exists()).collect()
    }

    /// Once it has heard of the workflows.
    pub async fn client(&self) -> Client {
        let client = self.client_starts();
        client.hears(|told| told.get("workflows").is_some()).await;
        client
    }

    pub fn client_starts(&self) -> Client {
        self.client_that_works_at_a_status(0.0)
    }

    /// So many seconds at each, as one that writes it into a database.
    pub fn client_that_works_at_a_status(&self, seconds: f64) -> Client {
        let mut command = Command::new(python());
        command.arg(file("client.py")).args(self.clients.parts()).arg(&self.clients.vhost);
        command.arg(seconds.to_string());
        Client::start(command)
    }

    pub async fn no_job_is_left(&self) {
        let rows = "SELECT (SELECT count(*) FROM job) + (SELECT count(*) FROM job_starts)";
        eventually("no job is left", async || self.database.number(rows).await == 0).await;
    }

    /// The job that a dataset belongs to; `None` where it is marked or unknown.
    pub async fn owner(&self, dataset: &str) -> Option<String> {
        let row =
            "SELECT job_id::text FROM esdl_time_series_info WHERE esdl_id = $1 AND deactivated_at IS NULL";
        let owner = sqlx::query_scalar(row).bind(dataset);
        owner.fetch_optional(&mut self.database.connect().await).await.expect("the rows").flatten()
    }
}

fn broker_variables(prefix: &str, broker: &TestBroker) -> Vec<(String, String)> {
    let [host, port, user, password] = broker.parts();
    let vhost = broker.vhost.clone();
    let parts = [
        ("HOSTNAME", host),
        ("PORT", port),
        ("USERNAME", user),
        ("PASSWORD", password),
        ("VIRTUALHOST", vhost),
    ];
    parts.into_iter().map(|(name, value)| (format!("{prefix}RABBITMQ_{name}"), value)).collect()
}

struct Address {
    host: String,
    port: String,
    user: String,
    password: String,
}

impl Address {
    fn of(url: &str) -> Self {
        let url = reqwest::Url::parse(url).expect("a url");
        Self {
            host: url.host_str().expect("a host").to_owned(),
            port: url.port_or_known_default().expect("a port").to_string(),
            user: url.username().to_owned(),
            password: url.password().unwrap_or_default().to_owned(),
        }
    }
}

pub struct Worker {
    child: Child,
}

impl Worker {
    /// With all of its processes.
    pub fn kill(&mut self) {
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.child.wait();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A program that uses the platform's own client.
pub struct Client {
    child: Child,
    orders: ChildStdin,
    heard: Arc<Mutex<Vec<Value>>>,
}

impl Client {
    fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("a client starts");
        let (orders, said) = (child.stdin.take().expect("stdin"), child.stdout.take().expect("stdout"));
        let heard = Arc::<Mutex<Vec<Value>>>::default();
        let keep = Arc::clone(&heard);
        std::thread::spawn(move || {
            for line in BufReader::new(said).lines().map_while(Result::ok) {
                // The library itself prints as well.
                let Ok(told) = serde_json::from_str(&line) else { continue };
                keep.lock().expect("what it heard").push(told);
            }
        });
        Self { child, orders, heard }
    }

    pub fn order(&mut self, order: &Value) {
        writeln!(self.orders, "{order}").expect("the client takes orders");
    }

    pub fn told(&self) -> Vec<Value> {
        self.heard.lock().expect("what it heard").clone()
    }

    fn find(&self, is: impl Fn(&Value) -> bool) -> Option<Value> {
        self.heard.lock().expect("what it heard").iter().find(|told| is(told)).cloned()
    }

    pub async fn hears(&self, is: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + Duration::from_secs(90);
        loop {
            if let Some(told) = self.find(&is) {
                return told;
            }
            assert!(Instant::now() < deadline, "never heard, only {:#?}", self.told());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub async fn submits(&mut self, workflow: &str, parameters: Value) -> String {
        let before = self.submitted().len();
        self.order(&json!({"submit": {"workflow": workflow, "parameters": parameters}}));
        eventually("it is submitted", async || self.submitted().len() > before).await;
        self.submitted()[before].clone()
    }

    pub fn submitted(&self) -> Vec<String> {
        let of = |told: &Value| {
            told.get("submitted")?;
            told["job"].as_str().map(str::to_owned)
        };
        self.told().iter().filter_map(of).collect()
    }

    pub async fn result(&self, job: &str) -> Value {
        self.hears(|told| told["job"] == job && told.get("result").is_some()).await
    }

    pub async fn status(&self, job: &str, status: i64) -> Value {
        self.hears(|told| told["job"] == job && told["status"] == status).await
    }

    pub fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([format!("-{signal}"), pid]).status().expect("kill starts");
        assert!(sent.success());
    }

    /// All that it was told of a job's fate, in the order in which it was done with it.
    pub fn fate(&self, job: &str) -> Vec<Value> {
        let is_fate = |told: &Value| told.get("status").is_some() || told.get("result").is_some();
        self.told().into_iter().filter(|told| told["job"] == job && is_fate(told)).collect()
    }

    pub fn results(&self) -> usize {
        self.told().iter().filter(|told| told.get("result").is_some()).count()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn parameters(behaviour: &str, seconds: f64, steps: u32) -> Value {
    json!({"behaviour": behaviour, "seconds": seconds, "steps": steps})
}

/// The name that a result gives its data.
pub fn dataset_of(result: &Value) -> String {
    let esdl = result["esdl"].as_str().expect("an ESDL");
    let (_, rest) = esdl.split_once(" id=\"").expect("an id");
    rest.split('"').next().expect("its end").to_owned()
}

/// Seconds from one thing told to another.
pub fn between(first: &Value, second: &Value) -> f64 {
    second["at"].as_f64().expect("a time") - first["at"].as_f64().expect("a time")
}

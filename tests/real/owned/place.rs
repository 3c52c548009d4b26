//! A small installation for one test: a store, a registry, two virtual hosts, a configuration, and the
//! other programs of the platform as far as timesweep can see them.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use prost::Message;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};
use timesweep::amqp::wire::TaskResult;
use uuid::Uuid;

use super::ground::Ground;
use super::serving::{MAY_DELETE, MAY_READ, Serving};
use crate::real::amqp::broker::TestBroker;
use crate::real::amqp::wire::{python, script};
use crate::real::registry::omotes::TABLES;
use crate::real::support::{Ran, TestDatabase, eventually};

pub const RESULTS: &str = "omotes_task_result_events";

/// Every time is as short as it can be: what is written has to be claimed within its grace, also where other tests
/// are at work. A first pass marks, a second one sees the mark, a third one drops.
const SHORT: &str =
    "check_interval = \"1 s\"\ngrace = \"2 s\"\nregistration_lifetime = \"2 s\"\nallow_short_grace = true";

pub struct Place {
    pub ground: Ground,
    /// The registry's.
    pub database: TestDatabase,
    /// Where clients say what they want deleted.
    pub clients: TestBroker,
    /// Where workers say what became of their tasks.
    pub workers: TestBroker,
    /// What the program is told; a test may put a proxy in between.
    pub store_url: String,
    pub registry_url: String,
    pub clients_url: String,
    pub times: String,
    /// More of the configuration.
    pub more: String,
}

impl Place {
    pub async fn on_influx() -> Self {
        Self::on(Ground::influx()).await
    }

    pub async fn on_schemas() -> Self {
        Self::on(Ground::schemas().await).await
    }

    pub async fn on(ground: Ground) -> Self {
        Self::with_brokers(ground, TestBroker::new().await, TestBroker::new().await).await
    }

    pub async fn with_brokers(ground: Ground, clients: TestBroker, workers: TestBroker) -> Self {
        let database = TestDatabase::without_extension().await;
        let (store_url, registry_url, clients_url) = (ground.url(), database.url.clone(), clients.url());
        let (times, more) = (SHORT.to_owned(), String::new());
        Self { ground, database, clients, workers, store_url, registry_url, clients_url, times, more }
    }

    /// Where more has to happen between what is written and its claim.
    pub fn with_late_results(self) -> Self {
        Self { times: self.times.replace("grace = \"2 s\"", "grace = \"6 s\""), ..self }
    }

    /// With the tables of the platform's own orchestrator.
    pub async fn with_orchestrator(self) -> Self {
        self.database.run(TABLES).await;
        self
    }

    /// The registry is a file, as on one host without a server for it.
    pub fn with_registry_in_a_file(self) -> Self {
        let registry_url = self.database.file("registry.db").display().to_string();
        Self { registry_url, ..self }
    }

    fn has_registry_in_a_file(&self) -> bool {
        !self.registry_url.starts_with("postgres")
    }

    fn configure(&self) {
        let text = format!(
            "[state]\npath = {:?}\n[stores.results]\nkind = {:?}\nurl = {{ env = \"TEST_STORE_URL\" }}\n\
             [ownership]\nstore = \"results\"\n{}\n{}\n\
             [serve]\nlisten = \"127.0.0.1:0\"\n\
             [[serve.tokens]]\nname = \"front end\"\ntoken = {{ env = \"TEST_DELETE_TOKEN\" }}\nmay = [\"read\", \"delete\"]\n\
             [[serve.tokens]]\nname = \"reader\"\ntoken = {{ env = \"TEST_READ_TOKEN\" }}\nmay = [\"read\"]\n\
             [amqp]\nurl = {{ env = \"TEST_AMQP_URL\" }}\n\
             [amqp.results]\nurl = {{ env = \"TEST_AMQP_RESULTS_URL\" }}\n{}\n",
            self.database.file("state.db").display().to_string(),
            self.ground.kind(),
            // Without it the registry is a file beside the state.
            if self.has_registry_in_a_file() { "" } else { "registry = { env = \"TEST_REGISTRY_URL\" }" },
            self.times,
            self.more,
        );
        std::fs::write(self.database.file("timesweep.toml"), text).expect("the configuration is written");
    }

    /// The program with these arguments, as the configuration is now.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.configure();
        let mut command = self.database.timesweep(arguments);
        command.env("TEST_STORE_URL", &self.store_url).env("TEST_REGISTRY_URL", &self.registry_url);
        command.env("TEST_AMQP_URL", &self.clients_url).env("TEST_AMQP_RESULTS_URL", self.workers.url());
        command.env("TEST_DELETE_TOKEN", MAY_DELETE).env("TEST_READ_TOKEN", MAY_READ);
        command
    }

    pub fn ran(&self, arguments: &[&str]) -> Ran {
        Ran::from(self.command(arguments).output().expect("timesweep starts"))
    }

    fn log(&self) -> PathBuf {
        self.database.file(&format!("serve-{}.log", Uuid::now_v7()))
    }

    /// A process that serves, and listens to everything.
    pub async fn serve(&self) -> Serving {
        let serving = self.serve_as(&[]).await;
        serving.listens().await;
        serving
    }

    /// With more arguments, and whatever its health is.
    pub async fn serve_as(&self, arguments: &[&str]) -> Serving {
        Serving::start(self.command(&[&["serve"], arguments].concat()), self.log()).await
    }

    /// A process that kills itself at this point.
    pub fn serve_until_killed(&self, point: &str) -> Serving {
        let mut command = self.command(&["serve"]);
        command.env("TIMESWEEP_KILL_AT", point);
        Serving::start_unheard(command, self.log())
    }

    /// A worker reports; `esdl` of a success names the dataset.
    pub async fn result(&self, job: Uuid, result_type: i32, esdl: Option<&str>) {
        let output_esdl = esdl.map(str::to_owned);
        let result =
            TaskResult { job_id: job.to_string(), result_type, output_esdl, ..TaskResult::default() };
        self.workers.publish(RESULTS, &[result.encode_to_vec()]).await;
    }

    pub async fn succeeds(&self, job: Uuid, dataset: &str) {
        self.result(job, 0, Some(&esdl_with(dataset))).await;
    }

    pub async fn fails(&self, job: Uuid) {
        self.result(job, 1, None).await;
    }

    /// With the public client, as another program would.
    pub async fn client_deletes(&self, jobs: &[Uuid]) {
        let mut client = Command::new(python());
        client.arg(script("delete_jobs.py")).args(self.clients.parts()).arg(&self.clients.vhost);
        client.args(jobs.iter().map(Uuid::to_string));
        let client = tokio::task::spawn_blocking(move || client.output()).await.expect("a thread");
        let client = client.expect("Python starts");
        assert!(client.status.success(), "{}", String::from_utf8_lossy(&client.stderr));
    }

    /// The orchestrator has it at work.
    pub async fn job_runs(&self, job: Uuid) {
        self.database
            .run(&format!(
                "INSERT INTO job (job_id, workflow_type, status, registered_at) \
                 VALUES ('{job}', 'simulator', 'RUNNING', now())"
            ))
            .await;
    }

    /// The orchestrator's row of it goes, as a finished or a stale one does.
    pub async fn job_row_goes(&self, job: Uuid) {
        self.database.run(&format!("DELETE FROM job WHERE job_id = '{job}'")).await;
    }

    /// A row as the orchestrator of today writes it: SQL for each of the values.
    pub async fn orchestrator_writes(&self, dataset: &str, job: &str, marked_at: &str) {
        self.database
            .run(&format!(
                "INSERT INTO esdl_time_series_info (row_id, esdl_id, registered_at, deactivated_at, job_id) \
                 VALUES (gen_random_uuid(), {dataset}, now() - interval '1 hour', {marked_at}, {job})"
            ))
            .await;
    }

    /// The job in the row of a dataset, and whether it is marked; `None` without a row.
    pub async fn row(&self, dataset: &str) -> Option<(Option<Uuid>, bool)> {
        let query = format!(
            "SELECT CAST(job_id AS text), deactivated_at IS NOT NULL FROM esdl_time_series_info WHERE esdl_id = '{dataset}'"
        );
        let rows: Vec<(Option<String>, bool)> = if self.has_registry_in_a_file() {
            let mut file = self.registry_file().await;
            sqlx::query_as(AssertSqlSafe(query)).fetch_all(&mut file).await.expect("the rows")
        } else {
            let mut connection = self.database.connect().await;
            sqlx::query_as(AssertSqlSafe(query)).fetch_all(&mut connection).await.expect("the rows")
        };
        assert!(rows.len() < 2, "{dataset} has {} rows", rows.len());
        let job = |text: String| text.parse().expect("a UUID");
        rows.into_iter().next().map(|(owner, is_marked)| (owner.map(job), is_marked))
    }

    async fn registry_file(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(&self.registry_url);
        let options = options.busy_timeout(Duration::from_secs(30));
        SqliteConnection::connect_with(&options).await.expect("the registry's file")
    }

    async fn number(&self, query: &str) -> i64 {
        if !self.has_registry_in_a_file() {
            return self.database.number(query).await;
        }
        let query = AssertSqlSafe(query.to_owned());
        sqlx::query_scalar(query).fetch_one(&mut self.registry_file().await).await.expect("a number")
    }

    pub async fn count(&self, from: &str) -> i64 {
        self.number(&format!("SELECT count(*) FROM {from}")).await
    }

    pub async fn is_deleted(&self, job: Uuid) -> bool {
        self.count(&format!("timesweep_deleted_job WHERE job = '{job}'")).await == 1
    }

    pub async fn is_active(&self, dataset: &str, job: Uuid) {
        eventually("it belongs to the job", async || self.row(dataset).await == Some((Some(job), false)))
            .await;
    }

    pub async fn is_marked(&self, dataset: &str) {
        eventually("it is marked", async || self.row(dataset).await.is_some_and(|(_, marked)| marked)).await;
    }

    /// Dropped, and nothing is left of its row.
    pub async fn goes(&self, dataset: &str) {
        eventually("the dataset is dropped", async || !self.ground.has(dataset).await).await;
        eventually("its row is forgotten", async || self.row(dataset).await.is_none()).await;
    }

    /// So many more passes have looked at everything.
    pub async fn passes(&self, count: i64) {
        let number = "SELECT coalesce(max(number), 0) FROM timesweep_check";
        let wanted = self.number(number).await + count;
        eventually("passes", async || self.number(number).await >= wanted).await;
    }

    /// Until whatever could go by now has gone: a stray that appears now has been marked, waited for and
    /// dropped. Where a job of the orchestrator is at work, a stray waits for it: use `passes` there.
    pub async fn outlasts_a_stray(&self) {
        let stray = id();
        self.ground.write(&stray).await;
        self.passes(1).await;
        self.goes(&stray).await;
    }

    pub async fn stays(&self, dataset: &str) {
        self.outlasts_a_stray().await;
        assert!(self.ground.has(dataset).await, "{dataset} was dropped");
    }
}

/// The name of a dataset as an output ESDL has it.
pub fn id() -> String {
    Uuid::now_v7().to_string()
}

pub fn esdl_with(dataset: &str) -> String {
    format!(
        "<?xml version='1.0' encoding='UTF-8'?>\n\
         <esdl:EnergySystem xmlns:esdl=\"http://www.tno.nl/esdl\" name=\"out\" id=\"{dataset}\"/>"
    )
}

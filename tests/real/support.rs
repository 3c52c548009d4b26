//! A database of its own for every test, and the program as a user would start it.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};
use tempfile::TempDir;

/// Dropped, with everything in it, at the end of the test.
pub struct TestDatabase {
    pub url: String,
    pub name: String,
    server: String,
    folder: TempDir,
    roles: Mutex<Vec<String>>,
}

impl TestDatabase {
    pub async fn new() -> Self {
        Self::on(&server_url()).await
    }

    /// On another server than the one that the tests share.
    pub async fn on(server: &str) -> Self {
        let database = Self::empty_on(server).await;
        database.run("SET client_min_messages = warning; CREATE EXTENSION timescaledb").await;
        database
    }

    pub async fn without_extension() -> Self {
        Self::empty_on(&server_url()).await
    }

    pub async fn without_extension_on(server: &str) -> Self {
        Self::empty_on(server).await
    }

    async fn empty_on(server: &str) -> Self {
        let name = format!("test_{}", uuid::Uuid::now_v7().simple());
        let mut admin = connect(server).await;
        run(&mut admin, &format!("CREATE DATABASE {name} TEMPLATE template0")).await;
        let folder = tempfile::tempdir().expect("a folder for the test");
        let (url, server) = (url_on(server, &name), server.to_owned());
        Self { url, name, server, folder, roles: Mutex::default() }
    }

    /// How many runs of this state began; those that ended before have no plan.
    pub fn runs_that_began(&self) -> usize {
        let state = self.file("state.db").display().to_string();
        let listed = self.ran(&["report", "--list", "--output", "json", "--state", &state]);
        if listed.err.starts_with("error: there are no runs") {
            return 0;
        }
        let listed = listed.with_code(0).json();
        let runs = listed["runs"].as_array().expect("runs");
        runs.iter().filter(|run| !run["plan"].is_null()).count()
    }

    /// A role of this test alone, with the password `secret`; its name ends in `suffix`.
    pub async fn role(&self, suffix: &str) -> String {
        let role = format!("{}_{suffix}", self.name);
        self.run(&format!("CREATE ROLE {role} LOGIN PASSWORD 'secret'")).await;
        self.roles.lock().expect("the roles").push(role.clone());
        role
    }

    /// This database's address for another role.
    pub fn url_as(&self, role: &str, password: &str) -> String {
        let (_, place) = self.url.rsplit_once('@').expect("a role in the url");
        format!("postgres://{role}:{password}@{place}")
    }

    /// Another database of the same name in its place.
    pub async fn make_again(&self) {
        let mut admin = connect(&self.server).await;
        run(&mut admin, &format!("DROP DATABASE {} WITH (FORCE)", self.name)).await;
        run(&mut admin, &format!("CREATE DATABASE {} TEMPLATE template0", self.name)).await;
        self.run("SET client_min_messages = warning; CREATE EXTENSION timescaledb").await;
    }

    /// Runs statements in the server's own database.
    pub async fn run_outside(&self, statements: &str) {
        run(&mut connect(&self.server).await, statements).await;
    }

    pub async fn connect(&self) -> PgConnection {
        connect(&self.url).await
    }

    /// Runs statements; a failure ends the test.
    pub async fn run(&self, statements: &str) {
        run(&mut self.connect().await, statements).await;
    }

    pub async fn number(&self, query: &str) -> i64 {
        sqlx::query_scalar(AssertSqlSafe(query.to_owned()))
            .fetch_one(&mut self.connect().await)
            .await
            .expect(query)
    }

    /// A `timestamptz` hypertable with one chunk for each of the last `days` days, today included.
    pub async fn daily_table(&self, name: &str, days: u32) {
        let literal = name.replace('\'', "''");
        self.run(&format!(
            "CREATE TABLE {name} (ts timestamptz NOT NULL, device int NOT NULL DEFAULT 1, value float8); \
             SELECT create_hypertable('{literal}', 'ts', chunk_time_interval => interval '1 day'); \
             INSERT INTO {name} SELECT date_trunc('day', now()) - day * interval '1 day' + interval '1 minute', 1, 1.5 \
               FROM generate_series({days} - 1, 0, -1) day"
        ))
        .await;
    }

    /// Chunks that a hypertable still has.
    pub async fn chunks(&self, table: &str) -> i64 {
        // show_chunks() fails beside a drop.
        self.number(&format!("SELECT count(*) FROM pg_inherits WHERE inhparent = '{table}'::regclass")).await
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a configuration for this database; `more` is appended.
    pub fn configuration(&self, more: &str) -> PathBuf {
        let path = self.file("timesweep.toml");
        let state = self.file("state.db");
        let text = format!(
            "[state]\npath = {:?}\n[stores.main]\nurl = {{ env = \"TEST_DATABASE_URL\" }}\n{more}\n",
            state.display().to_string()
        );
        std::fs::write(&path, text).expect("the configuration is written");
        path
    }

    /// The program with a clean environment, this database's configuration and these arguments.
    pub fn timesweep(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_timesweep"));
        command.env_clear().env("TEST_DATABASE_URL", &self.url).env("HOME", self.folder.path());
        command.current_dir(self.folder.path());
        if self.file("timesweep.toml").exists() {
            command.arg("--config").arg(self.file("timesweep.toml"));
        }
        command.args(arguments);
        command
    }

    pub fn ran(&self, arguments: &[&str]) -> Ran {
        Ran::from(self.timesweep(arguments).output().expect("timesweep starts"))
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let (name, server) = (self.name.clone(), self.server.clone());
        let roles = std::mem::take(self.roles.get_mut().expect("the roles"));
        let drop_it = move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let mut admin = connect(&server).await;
                let statement = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
                let _ = admin.execute(AssertSqlSafe(statement)).await;
                for role in roles {
                    let _ = admin.execute(AssertSqlSafe(format!("DROP ROLE {role}"))).await;
                }
            });
        };
        let _ = std::thread::spawn(drop_it).join();
    }
}

/// What the program printed, and its exit code.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Ran {
    #[track_caller]
    pub fn with_code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "standard output:\n{}\nstandard error:\n{}", self.out, self.err);
        self
    }

    /// The JSON object on the last line of standard output.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        let last = self.out.lines().last().unwrap_or_default();
        serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {}\n{}", self.out, self.err))
    }
}

pub fn server_url() -> String {
    std::env::var("TIMESWEEP_TEST_POSTGRES_URL")
        .expect("TIMESWEEP_TEST_POSTGRES_URL is not set; start the tests with dev/test")
}

/// The test server's data folder, as this machine sees it.
pub fn server_folder() -> PathBuf {
    let folder = std::env::var("TIMESWEEP_TEST_POSTGRES_FOLDER")
        .expect("TIMESWEEP_TEST_POSTGRES_FOLDER is not set; eval \"$(dev/testbed env)\"");
    folder.into()
}

/// The test server's address with another database.
pub fn url_of(database: &str) -> String {
    url_on(&server_url(), database)
}

fn url_on(server: &str, database: &str) -> String {
    let (base, _) = server.rsplit_once('/').expect("the url ends in /database");
    format!("{base}/{database}")
}

async fn connect(url: &str) -> PgConnection {
    let options: PgConnectOptions = url.parse().expect("a url");
    PgConnection::connect_with(&options.disable_statement_logging()).await.expect("the test server answers")
}

async fn run(connection: &mut PgConnection, statements: &str) {
    sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(connection).await.expect(statements);
}

/// Waits for a condition, never for a time.
pub async fn eventually<F: AsyncFnMut() -> bool>(what: &str, mut is_true: F) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_true().await {
        assert!(Instant::now() < deadline, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

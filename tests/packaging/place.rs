//! A machine as the weekly run finds it: a TimescaleDB, a launcher, one configuration, and a Rundeck that knows the secrets.

use std::fs;
use std::process::Command;

use jiff::Timestamp;
use jiff::civil::Date;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};

use super::job::{Job, jobs};
use super::runner::{Execution, Rundeck};
use crate::support::{Ran, TestDatabase};

/// Chunks of the table before anything is dropped, and what the policy leaves.
pub const BEFORE: i64 = 8;
pub const AFTER: i64 = 4;

const DUE: &str = "INSERT INTO launcher VALUES (4711, 'pg1', 'due', 'platform', sysdate())";

pub struct Place {
    pub database: TestDatabase,
    pub rundeck: Rundeck,
    launcher: Launcher,
}

impl Place {
    /// A machine that is not due; `caps` is the share of bytes that a run may drop.
    pub async fn new(caps: &str) -> Self {
        let database = TestDatabase::new().await;
        database.daily_table("t", 8).await;
        let launcher = Launcher::new(&database.name).await;
        let (without, password) = without_password(&database.url);
        let configuration = format!(
            "[state]\npath = {:?}\n[stores.main]\nurl = \"{without}\"\npassword = {{ env = \"TIMESWEEP_DB_PASSWORD\" }}\n\
             [[policies]]\ntable = \"t\"\ndrop_after = \"3 days\"\n[caps]\nshare_of_bytes = \"{caps}\"\n\
             [gate]\nvm_name = \"pg1\"\ndays = [\"mon\", \"tue\", \"wed\", \"thu\", \"fri\", \"sat\", \"sun\"]\n\
             [gate.launcher]\nurl = \"{}\"\npassword = {{ env = \"TIMESWEEP_LAUNCHER_PASSWORD\" }}\n",
            database.file("state.db").display().to_string(),
            launcher.url
        );
        fs::write(database.file("gated.toml"), configuration).expect("the configuration");
        let mut rundeck = Rundeck::new();
        rundeck.keys.insert(key("db_password"), password);
        rundeck.keys.insert(key("launcher_password"), launcher.password.clone());
        Self { database, rundeck, launcher }
    }

    /// A machine that the launcher calls due today.
    pub async fn due(caps: &str) -> Self {
        let place = Self::new(caps).await;
        place.launcher.run(DUE).await;
        place
    }

    /// From now on nothing answers where the launcher was.
    pub fn lose_launcher(&self) {
        let path = self.database.file("gated.toml");
        let text = fs::read_to_string(&path).expect("the configuration");
        let (user, _) = self.launcher.url.rsplit_once('@').expect("a user");
        fs::write(&path, text.replace(&self.launcher.url, &format!("{user}@127.0.0.1:1/x")))
            .expect("written");
    }

    /// Runs the jobs of a file one after the other; the last one's execution is the answer.
    pub fn run(&mut self, file: &str) -> Vec<Execution> {
        jobs(file).iter().map(|job| self.run_job(job)).collect()
    }

    pub fn run_job(&mut self, job: &Job) -> Execution {
        let config = self.database.file("gated.toml").display().to_string();
        let folder = self.database.file("").display().to_string();
        let folder = folder.trim_end_matches('/');
        self.rundeck.run(job, &[("config", config.as_str()), ("folder", folder)])
    }

    /// As if midnight had passed since; gives its day.
    pub fn move_ticket_to_yesterday(&self) -> Date {
        let path = |day: &str| self.database.file(&format!("timesweep_pg1_{day}"));
        let (day, _) = self.tickets().remove(0);
        let yesterday = day.parse::<Date>().expect("a day").yesterday().expect("a day");
        let line = fs::read_to_string(path(&day)).expect("the ticket");
        let asked = line.split(',').nth(5).expect("seven fields");
        let earlier = asked.parse::<Timestamp>().expect("an instant") - jiff::SignedDuration::from_hours(24);
        fs::write(path(&day), line.replace(asked, &earlier.to_string())).expect("written");
        fs::rename(path(&day), path(&yesterday.to_string())).expect("moved");
        yesterday
    }

    /// The days that have a ticket, and what each says.
    pub fn tickets(&self) -> Vec<(String, String)> {
        let entries = fs::read_dir(self.database.file("")).expect("the folder");
        let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
        let mut tickets: Vec<_> = names
            .filter_map(|name| {
                let day = name.strip_prefix("timesweep_pg1_")?.to_owned();
                let line = fs::read_to_string(self.database.file(&name)).expect("the ticket");
                Some((day, line.trim_end().split(',').nth(6).expect("seven fields").to_owned()))
            })
            .collect();
        tickets.sort();
        tickets
    }

    /// A line as another scheduler starts it, with the secrets in its environment.
    pub fn shell(&self, line: &str) -> Ran {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", line]).env_clear().envs(&self.rundeck.environment);
        command.env("TIMESWEEP_CONFIG", self.database.file("gated.toml")).current_dir(self.database.file(""));
        for (variable, name) in [("DB", "db_password"), ("LAUNCHER", "launcher_password")] {
            command.env(format!("TIMESWEEP_{variable}_PASSWORD"), &self.rundeck.keys[&key(name)]);
        }
        Ran::from(command.output().expect("a shell"))
    }

    pub async fn chunks(&self) -> i64 {
        self.database.chunks("t").await
    }

    /// The field with index 6 of today's ticket; nothing without a ticket.
    pub fn ticket(&self) -> Option<String> {
        self.tickets().pop().map(|(_, word)| word)
    }
}

fn key(name: &str) -> String {
    format!("keys/project/timesweep/{name}")
}

/// `scheme://user:password@rest` as the url without its password, and the password.
fn without_password(url: &str) -> (String, String) {
    let (scheme, rest) = url.split_once("://").expect("a scheme");
    let (login, place) = rest.rsplit_once('@').expect("a user");
    let (user, password) = login.split_once(':').expect("a password");
    (format!("{scheme}://{user}@{place}"), password.to_owned())
}

/// A database of its own in the real MariaDB, with the table that the default statement asks.
struct Launcher {
    url: String,
    password: String,
    name: String,
}

impl Launcher {
    async fn new(name: &str) -> Self {
        let mut admin = connect("").await;
        let make = format!("CREATE DATABASE {name}");
        admin.execute(AssertSqlSafe(make)).await.expect("a database for the launcher");
        let (server, password) = without_password(&server_url());
        let launcher =
            Self { url: format!("{}/{name}", server.trim_end_matches('/')), password, name: name.to_owned() };
        let columns = "id INT, vm_name VARCHAR(64), status VARCHAR(16), who VARCHAR(64), start_time DATETIME";
        launcher.run(&format!("CREATE TABLE launcher ({columns})")).await;
        launcher
    }

    async fn run(&self, statement: &str) {
        let mut connection = connect(&self.name).await;
        connection.execute(AssertSqlSafe(statement.to_owned())).await.expect(statement);
    }
}

impl Drop for Launcher {
    fn drop(&mut self) {
        let statement = format!("DROP DATABASE IF EXISTS {}", self.name);
        let drop_it = move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async { connect("").await.execute(AssertSqlSafe(statement)).await.map(|_| ()) })
        };
        let _ = std::thread::spawn(drop_it).join();
    }
}

fn server_url() -> String {
    std::env::var("TIMESWEEP_TEST_MARIADB_URL")
        .expect("TIMESWEEP_TEST_MARIADB_URL is not set; start the tests with dev/test")
}

async fn connect(database: &str) -> MySqlConnection {
    let options: MySqlConnectOptions = server_url().parse().expect("a url");
    let options = if database.is_empty() { options } else { options.database(database) };
    MySqlConnection::connect_with(&options.disable_statement_logging()).await.expect("MariaDB answers")
}

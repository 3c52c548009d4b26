//! A launcher of its own for every test: a database with the usual table, and accounts that may only read.

use std::sync::Mutex;

use jiff::civil::Date;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    MariaDb,
    MySql,
}

pub const BOTH: [Server; 2] = [Server::MariaDb, Server::MySql];

impl Server {
    fn admin_url(self) -> String {
        let variable = match self {
            Self::MariaDb => "TIMESWEEP_TEST_MARIADB_URL",
            Self::MySql => "TIMESWEEP_TEST_MYSQL_URL",
        };
        std::env::var(variable)
            .unwrap_or_else(|_| panic!("{variable} is not set; start the tests with dev/test"))
    }

    /// `host:port` without a user.
    pub fn place(self) -> String {
        let url = self.admin_url();
        let (_, place) = url.rsplit_once('@').expect("a user in the url");
        place.split(['/', '?']).next().expect("a place").to_owned()
    }

    /// The authority that signed the server's certificate.
    pub fn authority(self) -> String {
        let url = self.admin_url();
        url.split_once("ssl-ca=").expect("an authority in the url").1.to_owned()
    }
}

/// Dropped, with its accounts, at the end of the test.
pub struct TestLauncher {
    pub server: Server,
    pub database: String,
    accounts: Mutex<Vec<String>>,
}

/// Every account's password.
pub const PASSWORD: &str = "sehr-geheim";

impl TestLauncher {
    pub async fn on(server: Server) -> Self {
        let name = format!("l{}", &uuid::Uuid::now_v7().simple().to_string()[18..]);
        let launcher = Self { server, database: name.clone(), accounts: Mutex::default() };
        launcher.run(&format!("CREATE DATABASE {name}")).await;
        launcher
            .run(&format!(
                "CREATE TABLE {name}.launcher (id int PRIMARY KEY, vm_name varchar(80) NOT NULL, \
                 status varchar(20), who varchar(80), start_time datetime)"
            ))
            .await;
        launcher
    }

    /// An account that may do this on the launcher's database; gives its url.
    pub async fn account(&self, prefix: &str, privileges: &str, how: &str) -> String {
        let account = format!("{prefix}{}", self.database);
        self.run(&format!("CREATE USER '{account}'@'%' IDENTIFIED BY '{PASSWORD}' {how}")).await;
        if !privileges.is_empty() {
            self.run(&format!("GRANT {privileges} ON {}.* TO '{account}'@'%'", self.database)).await;
        }
        let url = format!("mysql://{account}:{PASSWORD}@{}/{}", self.server.place(), self.database);
        self.accounts.lock().expect("the accounts").push(account);
        url
    }

    pub async fn reader(&self) -> String {
        self.account("r", "SELECT", "").await
    }

    pub async fn row(&self, id: u32, vm_name: &str, status: &str, start_time: &str) {
        let row = format!(
            "INSERT INTO {}.launcher VALUES ({id}, '{}', '{status}', 'dba', '{start_time}')",
            self.database,
            vm_name.replace('\'', "''")
        );
        self.run(&row).await;
    }

    pub async fn clear(&self) {
        self.run(&format!("DELETE FROM {}.launcher", self.database)).await;
    }

    pub async fn status_of(&self, id: u32) -> String {
        let query = format!("SELECT CAST(status AS CHAR) FROM {}.launcher WHERE id = {id}", self.database);
        sqlx::query_scalar(AssertSqlSafe(query))
            .fetch_one(&mut connect(self.server).await)
            .await
            .expect("a status")
    }

    pub async fn run(&self, statement: &str) {
        run(&mut connect(self.server).await, statement).await;
    }
}

impl Drop for TestLauncher {
    fn drop(&mut self) {
        let (server, database) = (self.server, self.database.clone());
        let accounts = std::mem::take(self.accounts.get_mut().expect("the accounts"));
        let drop_it = move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let mut admin = connect(server).await;
                run(&mut admin, &format!("DROP DATABASE {database}")).await;
                for account in accounts {
                    run(&mut admin, &format!("DROP USER '{account}'@'%'")).await;
                }
            });
        };
        let _ = std::thread::spawn(drop_it).join();
    }
}

async fn connect(server: Server) -> MySqlConnection {
    let options: MySqlConnectOptions = server.admin_url().parse().expect("a url");
    MySqlConnection::connect_with(&options.disable_statement_logging())
        .await
        .expect("the test server answers")
}

async fn run(connection: &mut MySqlConnection, statement: &str) {
    sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(connection).await.expect(statement);
}

/// Today in UTC, the zone of the tests.
pub fn today() -> Date {
    jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date()
}

/// `days = [...]` for a gate that opens today.
pub fn open_today() -> String {
    format!("days = [\"{}\"]\n", today().strftime("%A").to_string().to_lowercase())
}

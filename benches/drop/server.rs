//! The server that is measured on, and the two databases that the benchmark makes there.

use std::str::FromStr;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};

use crate::Outcome;

/// Holds a scenario's data; every run works on a copy.
pub const TEMPLATE: &str = "timesweep_bench_template";
/// The copy that is dropped from.
pub const COPY: &str = "timesweep_bench_copy";

const URL: &str = "TIMESWEEP_TEST_POSTGRES_URL";

#[derive(Debug, Clone)]
pub struct Server {
    options: PgConnectOptions,
}

impl Server {
    pub fn from_environment() -> Outcome<Self> {
        let url =
            std::env::var(URL).map_err(|_| format!("{URL} is not set; start this by `dev/bench drop`"))?;
        let options = PgConnectOptions::from_str(&url)?.application_name("bench").disable_statement_logging();
        Ok(Self { options })
    }

    pub async fn connect(&self, database: &str) -> Outcome<PgConnection> {
        Ok(PgConnection::connect_with(&self.options.clone().database(database)).await?)
    }

    /// What a program needs to get into that database, password included.
    pub fn url(&self, database: &str) -> String {
        self.options.clone().database(database).to_url_lossy().to_string()
    }

    /// An empty database with the extension.
    pub async fn create(&self, database: &str) -> Outcome<PgConnection> {
        self.drop(database).await?;
        self.execute(&format!("CREATE DATABASE {database}")).await?;
        let mut connection = self.connect(database).await?;
        connection.execute("CREATE EXTENSION timescaledb").await?;
        Ok(connection)
    }

    /// A copy of the template, in the same state whoever gets it: on disk, and nothing of it in memory.
    pub async fn copy_template(&self) -> Outcome<()> {
        self.drop(COPY).await?;
        self.empty_template().await?;
        self.execute(&format!("CREATE DATABASE {COPY} TEMPLATE {TEMPLATE} STRATEGY file_copy")).await?;
        self.execute("CHECKPOINT").await
    }

    /// A database that somebody is connected to cannot be copied, and TimescaleDB's workers come of themselves.
    async fn empty_template(&self) -> Outcome<()> {
        self.execute(&format!("ALTER DATABASE {TEMPLATE} ALLOW_CONNECTIONS false")).await?;
        self.execute(&format!(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{TEMPLATE}'"
        ))
        .await
    }

    pub async fn drop(&self, database: &str) -> Outcome<()> {
        self.execute(&format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)")).await
    }

    /// `PostgreSQL 17.11, TimescaleDB 2.19.3 (apache)`.
    pub async fn version(&self) -> Outcome<String> {
        let mut connection = self.create(COPY).await?;
        let version = sqlx::query_scalar(
            "SELECT format('PostgreSQL %s, TimescaleDB %s (%s)', split_part(current_setting('server_version'), ' ', 1), \
               extversion, current_setting('timescaledb.license')) FROM pg_extension WHERE extname = 'timescaledb'",
        )
        .fetch_one(&mut connection)
        .await?;
        connection.close().await?;
        self.drop(COPY).await?;
        Ok(version)
    }

    async fn execute(&self, statement: &str) -> Outcome<()> {
        let mut connection = PgConnection::connect_with(&self.options).await?;
        connection.execute(AssertSqlSafe(statement)).await?;
        Ok(connection.close().await?)
    }
}

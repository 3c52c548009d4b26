//! A registry's database on the server of the benchmark, and the folder with the configuration beside it.

#![allow(dead_code, reason = "every benchmark uses a part of it")]

use std::path::{Path, PathBuf};
use std::str::FromStr;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};
use tempfile::TempDir;
use uuid::Uuid;

use crate::Outcome;

const URL: &str = "TIMESWEEP_TEST_POSTGRES_URL";
const DATABASE: &str = "timesweep_bench_registry";

/// Removed with its folder; the database goes when the next one is made, or with its server.
pub struct Place {
    server: PgConnectOptions,
    folder: TempDir,
}

impl Place {
    /// An empty database, and a configuration with these sections that has its registry there.
    pub async fn new(influx: &str, sections: &str) -> Outcome<Self> {
        let url = std::env::var(URL).map_err(|_| format!("{URL} is not set; start this by `dev/bench`"))?;
        let server = PgConnectOptions::from_str(&url)?.disable_statement_logging();
        let mut connection = PgConnection::connect_with(&server).await?;
        for statement in [
            format!("DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)"),
            format!("CREATE DATABASE {DATABASE}"),
        ] {
            connection.execute(AssertSqlSafe(statement.as_str())).await?;
        }
        connection.close().await?;
        let place = Self { server: server.database(DATABASE), folder: tempfile::tempdir()? };
        let state = place.folder.path().join("state.db");
        let text = format!(
            "[state]\npath = \"{}\"\n\n[stores.main]\nkind = \"influxdb\"\nurl = \"{influx}\"\n\n[ownership]\n\
             registry = {{ env = \"BENCH_REGISTRY\" }}\ngrace = \"48 hours\"\ncheck_interval = \"48 hours\"\n{sections}",
            state.display()
        );
        std::fs::write(place.config(), text)?;
        Ok(place)
    }

    pub fn config(&self) -> PathBuf {
        self.path("timesweep.toml")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub async fn connect(&self) -> Outcome<PgConnection> {
        Ok(PgConnection::connect_with(&self.server).await?)
    }

    /// What a program needs to get in, password included; through another port where there is one.
    pub fn url(&self, port: Option<u16>) -> String {
        let port = port.unwrap_or_else(|| self.server.get_port());
        self.server.clone().port(port).to_url_lossy().to_string()
    }

    pub fn server_port(&self) -> u16 {
        self.server.get_port()
    }

    /// As OMOTES leaves them: one active row for each dataset, and a job of its own.
    pub async fn register(&self, count: usize) -> Outcome<()> {
        let mut connection = self.connect().await?;
        let tables = include_str!("../../src/registry/migrations/postgres_0001.sql");
        let theirs = tables.split_once("CREATE TABLE timesweep").map_or(tables, |(theirs, _)| theirs);
        connection.execute(AssertSqlSafe(theirs)).await?;
        let datasets: Vec<String> = (0..count).map(|number| dataset(number).to_string()).collect();
        let jobs: Vec<String> = (0..count).map(|number| job(number).to_string()).collect();
        sqlx::query(
            "INSERT INTO esdl_time_series_info (row_id, esdl_id, registered_at, job_id) \
             SELECT gen_random_uuid(), esdl_id, now(), job_id FROM unnest($1::text[], $2::text[]::uuid[]) AS x (esdl_id, job_id)",
        )
        .bind(datasets)
        .bind(jobs)
        .execute(&mut connection)
        .await?;
        connection.execute("VACUUM ANALYZE").await?;
        Ok(connection.close().await?)
    }
}

/// The last words of a program, for whoever has to find out why it failed.
pub fn last_words(output: &Path) -> String {
    let text = std::fs::read(output).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}

/// Names and jobs in no order that anybody could use.
pub fn dataset(number: usize) -> Uuid {
    scattered(number, 1)
}

pub fn job(number: usize) -> Uuid {
    scattered(number, 2)
}

fn scattered(number: usize, kind: u64) -> Uuid {
    let mut random = fastrand::Rng::with_seed(number as u64 * 4 + kind);
    uuid::Builder::from_random_bytes(random.u128(..).to_ne_bytes()).into_uuid()
}

//! The data of a scenario: hypertables with one chunk a day, so many of them expired.

use std::fmt;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Executor};

use crate::Outcome;
use crate::server::{Server, TEMPLATE};

/// What both sides are told to keep.
pub const KEEP: &str = "7 days";
/// Chunks of one day that reach into the kept time.
const KEPT_CHUNKS: u32 = 8;
/// Chunks that are filled in one transaction; each takes locks until its end.
const BATCH: u32 = 200;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChunkSize {
    Tiny,
    Megabyte,
}

impl ChunkSize {
    const fn rows(self) -> u32 {
        match self {
            Self::Tiny => 1,
            Self::Megabyte => 900,
        }
    }

    /// The third column: its type, and what stands in it.
    const fn value(self) -> (&'static str, &'static str) {
        match self {
            Self::Tiny => ("double precision", "0"),
            Self::Megabyte => ("text", "repeat('x', 1000)"),
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Fixture {
    pub tables: u32,
    /// Chunks of each table that have expired.
    pub expired: u32,
    /// One row in each chunk, or about 1 MB.
    pub size: ChunkSize,
    /// Whether rows refer to a small table.
    pub foreign_key: bool,
}

impl Fixture {
    pub const fn tiny(tables: u32, expired: u32) -> Self {
        Self { tables, expired, size: ChunkSize::Tiny, foreign_key: false }
    }

    pub fn table_names(self) -> impl Iterator<Item = String> {
        (1..=self.tables).map(|number| format!("readings_{number}"))
    }

    /// Makes the template database that every run gets a copy of.
    pub async fn build(self, server: &Server) -> Outcome<()> {
        let mut connection = server.create(TEMPLATE).await?;
        connection
            .execute("CREATE TABLE devices (id int PRIMARY KEY); INSERT INTO devices VALUES (1)")
            .await?;
        for table in self.table_names() {
            self.create_table(&mut connection, &table).await?;
            self.fill(&mut connection, &table).await?;
        }
        // Otherwise autovacuum would come in the middle of a run, and hold locks on chunks.
        connection.execute("VACUUM ANALYZE").await?;
        Ok(connection.close().await?)
    }

    async fn create_table(self, connection: &mut PgConnection, table: &str) -> Outcome<()> {
        let reference = if self.foreign_key { "REFERENCES devices" } else { "" };
        let (value, _) = self.size.value();
        let statements = format!(
            "CREATE TABLE {table} (ts timestamptz NOT NULL, device int NOT NULL {reference}, value {value}); \
             SELECT create_hypertable('{table}', 'ts', chunk_time_interval => interval '1 day')"
        );
        connection.execute(AssertSqlSafe(statements)).await?;
        Ok(())
    }

    /// The oldest first, as data comes in.
    async fn fill(self, connection: &mut PgConnection, table: &str) -> Outcome<()> {
        let (chunks, rows, (_, value)) = (self.expired + KEPT_CHUNKS, self.size.rows(), self.size.value());
        for youngest in (0..chunks).step_by(BATCH as usize).collect::<Vec<_>>().into_iter().rev() {
            let oldest = chunks.min(youngest + BATCH) - 1;
            let statement = format!(
                "INSERT INTO {table} SELECT {start} + r * interval '1 minute', 1, {value} \
                 FROM generate_series({oldest}, {youngest}, -1) AS day, generate_series(1, {rows}) AS r",
                start = day_start("day")
            );
            connection.execute(AssertSqlSafe(statement)).await?;
        }
        Ok(())
    }

    /// Expired chunks that are there.
    pub async fn expired_chunks(self, connection: &mut PgConnection) -> Outcome<u32> {
        let mut count = 0;
        for table in self.table_names() {
            let statement =
                format!("SELECT count(*) FROM show_chunks('{table}', older_than => interval '{KEEP}')");
            let chunks: i64 =
                sqlx::query_scalar(AssertSqlSafe(statement)).fetch_one(&mut *connection).await?;
            count += u32::try_from(chunks)?;
        }
        Ok(count)
    }

    /// The start of an expired chunk with as many expired ones before as after it.
    pub async fn middle(self, connection: &mut PgConnection) -> Outcome<String> {
        let days = KEPT_CHUNKS + self.expired / 2;
        let statement = format!("SELECT ({})::text", day_start(&days.to_string()));
        Ok(sqlx::query_scalar(AssertSqlSafe(statement)).fetch_one(connection).await?)
    }
}

impl fmt::Display for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.tables > 1 {
            write!(f, "{} hypertables × ", self.tables)?;
        }
        let size = match self.size {
            ChunkSize::Tiny => "one row",
            ChunkSize::Megabyte => "1 MB",
        };
        write!(f, "{} chunks of {size}", self.expired)
    }
}

/// The start of the day that many days ago, where its chunk begins.
fn day_start(days: &str) -> String {
    format!("date_trunc('day', now(), 'UTC') - {days} * interval '1 day'")
}

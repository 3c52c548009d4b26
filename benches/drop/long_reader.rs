//! A report or a dump: a transaction that has read one old chunk and stays open.

use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor};
use tokio::task::JoinHandle;

use crate::Outcome;
use crate::fixture::Fixture;
use crate::server::{COPY, Server};

pub struct LongReader {
    task: JoinHandle<Outcome<u32>>,
}

impl LongReader {
    /// Comes back when the chunk has been read and its lock is held.
    pub async fn start(server: &Server, fixture: Fixture, lasts: Duration) -> Outcome<Self> {
        let mut connection = server.connect(COPY).await?;
        let start = fixture.middle(&mut connection).await?;
        // The time as a constant, so that the server opens this one chunk only.
        let read = format!("BEGIN; SELECT count(*) FROM readings_1 WHERE ts = '{start}'");
        connection.execute(AssertSqlSafe(read)).await?;
        Ok(Self { task: tokio::spawn(stay(connection, fixture, lasts)) })
    }

    /// How many expired chunks were left when the transaction ended.
    pub async fn chunks_left_at_its_end(self) -> Outcome<u32> {
        self.task.await?
    }
}

async fn stay(mut connection: PgConnection, fixture: Fixture, lasts: Duration) -> Outcome<u32> {
    tokio::time::sleep(lasts).await;
    let left = fixture.expired_chunks(&mut connection).await?;
    connection.execute("COMMIT").await?;
    Ok(left)
}

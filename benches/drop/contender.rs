//! The two sides: the statement that people use today, and timesweep.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnection;
use sqlx::postgres::types::Oid;
use sqlx::{AssertSqlSafe, Connection, Executor};

use crate::Outcome;
use crate::child::{self, Ended};
use crate::crowd::sqlstate;
use crate::fixture::{Fixture, KEEP};
use crate::scenario::Task;
use crate::server::{COPY, Server};

/// When a side that comes to no end is stopped.
const GIVE_UP: Duration = Duration::from_mins(10);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    OneCall,
    Timesweep,
}

impl Side {
    pub const BOTH: [Self; 2] = [Self::OneCall, Self::Timesweep];
}

/// How one side did.
#[derive(Debug, Default)]
pub struct Finish {
    pub total: Duration,
    /// How it ended, where that was not as ordered.
    pub note: Option<String>,
    pub peak_memory: Option<u64>,
}

pub async fn work(server: &Server, side: Side, task: Task, fixture: Fixture) -> Outcome<Finish> {
    match (side, task) {
        (Side::OneCall, Task::Drop) => call_drop_chunks(server, fixture).await,
        (Side::OneCall, Task::Plan) => read_chunks_and_sizes(server, fixture).await,
        (Side::Timesweep, Task::Drop) => timesweep(server, &["run", "--apply"]).await,
        (Side::Timesweep, Task::Plan) => timesweep(server, &["plan"]).await,
    }
}

async fn call_drop_chunks(server: &Server, fixture: Fixture) -> Outcome<Finish> {
    let begin = Instant::now();
    let mut connection = server.connect(COPY).await?;
    let mut note = None;
    for table in fixture.table_names() {
        let attempt = tokio::time::timeout(GIVE_UP, retry_on_deadlock(&mut connection, &table)).await;
        note = note.or(attempt.unwrap_or_else(|_| Some("given up".into())));
    }
    Ok(Finish { total: begin.elapsed(), note, peak_memory: None })
}

/// Tries until it works, or until another error than a deadlock comes: then its SQLSTATE. Tells the retries.
async fn retry_on_deadlock(connection: &mut PgConnection, table: &str) -> Option<String> {
    let statement = format!("SELECT drop_chunks('{table}', older_than => interval '{KEEP}')");
    let mut deadlocks = 0;
    loop {
        match connection.execute(AssertSqlSafe(statement.as_str())).await {
            Ok(_) => return (deadlocks > 0).then(|| format!("deadlock victim {deadlocks} ×")),
            Err(error) => match sqlstate(&error).as_deref() {
                Some("40P01") => deadlocks += 1,
                Some(code) => return Some(format!("failed with {code}")),
                None => return Some(error.to_string()),
            },
        }
    }
}

/// What a plan has to ask for at least: the chunks, and the size of each.
async fn read_chunks_and_sizes(server: &Server, fixture: Fixture) -> Outcome<Finish> {
    let begin = Instant::now();
    let mut connection = server.connect(COPY).await?;
    for table in fixture.table_names() {
        let chunks: Vec<Oid> = sqlx::query_scalar("SELECT c::oid FROM show_chunks($1::text::regclass) c")
            .bind(table)
            .fetch_all(&mut connection)
            .await?;
        let _sizes: Vec<(Oid, i64)> =
            sqlx::query_as("SELECT c, pg_total_relation_size(c) FROM unnest($1::oid[]) c")
                .bind(chunks)
                .fetch_all(&mut connection)
                .await?;
    }
    connection.close().await?;
    Ok(Finish { total: begin.elapsed(), ..Finish::default() })
}

async fn timesweep(server: &Server, arguments: &[&str]) -> Outcome<Finish> {
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("timesweep.toml");
    std::fs::write(&config, configuration(folder.path()))?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_timesweep"));
    command.args(arguments).arg("--config").arg(&config).env("TIMESWEEP_STORE_URL", server.url(COPY));
    let output = folder.path().join("output");
    let ended = tokio::task::spawn_blocking(move || {
        let ended = child::run(&mut command, &output, GIVE_UP)?;
        explain(&ended, &output)?;
        std::io::Result::Ok(ended)
    })
    .await??;
    let note = (!ended.status.success()).then(|| ended.status.to_string());
    Ok(Finish { total: ended.took, note, peak_memory: Some(ended.peak_memory) })
}

/// Shows the last words of a program that did not do all it should.
fn explain(ended: &Ended, output: &Path) -> std::io::Result<()> {
    if !ended.status.success() {
        let text = String::from_utf8_lossy(&std::fs::read(output)?).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        eprintln!(
            "bench: timesweep ended with {}:\n{}",
            ended.status,
            lines[lines.len().saturating_sub(15)..].join("\n")
        );
    }
    Ok(())
}

/// All that has expired may go at once here: everything but the last week is thrown away on purpose.
fn configuration(folder: &Path) -> String {
    format!(
        "[state]\npath = \"{}\"\n\n\
         [stores.main]\nurl = {{ env = \"TIMESWEEP_STORE_URL\" }}\n\n\
         [[policies]]\ntable = \"public.*\"\ndrop_after = \"{KEEP}\"\n\n\
         [caps]\nshare_of_bytes = \"100 %\"\nchunks = 100000\n",
        folder.join("state.db").display()
    )
}

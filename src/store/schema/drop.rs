//! Drops one schema in one transaction, or nothing of it.
//!
//! First its tables are locked, then it is asked who depends on them: nobody can add a view or a foreign
//! key in between. A lock that is not free makes the whole transaction start anew after a pause, nobody
//! waits for long behind ours. Invariant: it is committed only if the schema that was looked at is the one
//! that is gone.

use std::time::Duration;

use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgConnection, PgDatabaseError, PgSeverity};
use sqlx::{AssertSqlSafe, Executor};

use super::dependents;
use super::list::RESERVED;
use crate::config::ExecutionSettings;
use crate::retention::name::quote_identifier;
use crate::retention::ownership::OwnedName;
use crate::store::owned::DropTrouble;
use crate::store::postgres::idle::Idle;
use crate::store::postgres::{database_error, rollback};

/// Longer than any statement may take on the server.
const ANSWER_WITHIN: Duration = Duration::from_mins(15);
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Why a try has not dropped it.
enum Failed {
    /// Somebody holds a lock.
    Waited(String),
    For(DropTrouble),
}

type Outcome<T> = Result<T, Failed>;

/// Tries until it is gone, or for as often as the settings say.
pub async fn drop_schema(
    idle: &Idle,
    settings: &ExecutionSettings,
    name: &OwnedName,
) -> Result<(), DropTrouble> {
    let mut pause = FIRST_PAUSE;
    let mut tries = 1;
    loop {
        let attempt = tokio::time::timeout(ANSWER_WITHIN, one_try(idle, settings, name)).await;
        match attempt.unwrap_or_else(|_| Err(unknown("the server has not answered for 15 minutes"))) {
            Ok(()) => return Ok(()),
            Err(Failed::For(DropTrouble::Unknown(why))) => return look_again(idle, name, why).await,
            Err(Failed::For(trouble)) => return Err(trouble),
            Err(Failed::Waited(why)) if tries >= settings.attempts => {
                let hint = "somebody reads or writes it; the next pass tries again".into();
                return Err(DropTrouble::Refused { message: why, hint: Some(hint) });
            }
            Err(Failed::Waited(_)) => tokio::time::sleep(pause).await,
        }
        tries += 1;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// A transaction whose answer was lost may still be committed while it is listed.
async fn look_again(idle: &Idle, name: &OwnedName, why: String) -> Result<(), DropTrouble> {
    let look = async {
        let mut session = idle.take("reader").await.ok()?;
        let found = find(&mut session, name).await.ok()?;
        idle.give_back(session);
        Some(found.is_none())
    };
    match tokio::time::timeout(Duration::from_secs(30), look).await {
        Ok(Some(true)) => Ok(()),
        _ => Err(DropTrouble::Unknown(why)),
    }
}

async fn one_try(idle: &Idle, settings: &ExecutionSettings, name: &OwnedName) -> Outcome<()> {
    let session = idle.take("dropper").await;
    let mut session = session.map_err(|problem| refused(problem.to_string(), problem.hint.as_deref()))?;
    let done = drop_and_commit(&mut session, settings, name).await;
    if !matches!(done, Err(Failed::For(DropTrouble::Unknown(_)))) {
        rollback(&mut session).await;
        idle.give_back(session);
    }
    done
}

async fn drop_and_commit(
    session: &mut PgConnection,
    settings: &ExecutionSettings,
    name: &OwnedName,
) -> Outcome<()> {
    execute(session, &begin_statement(settings.lock_timeout)).await?;
    // Compared as text: an identifier that is too long would be cut, and would then name another schema.
    let Some((schema, reserved)) = find(session, name).await? else { return Ok(()) };
    if reserved {
        return Err(refused("it is one of the server's own schemas, or an extension's", None));
    }
    refuse_dependents(session, schema).await?;
    if let Some(lock) = lock_statement(session, schema).await? {
        execute(session, &lock).await?;
        refuse_dependents(session, schema).await?;
    }
    execute(session, &format!("DROP SCHEMA {} CASCADE", quote_identifier(&name.0))).await?;
    if is_there(session, schema).await? {
        return Err(refused("another schema has taken its name meanwhile", None));
    }
    execute(session, "COMMIT").await
}

fn begin_statement(lock_timeout: Duration) -> String {
    format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL lock_timeout = '{}ms'; \
         SET LOCAL statement_timeout = '10min'; SET LOCAL idle_in_transaction_session_timeout = '60s'; \
         SET LOCAL application_name = 'timesweep dropper'; SET LOCAL search_path = pg_catalog",
        lock_timeout.as_millis().max(1)
    )
}

async fn find(session: &mut PgConnection, name: &OwnedName) -> Outcome<Option<(Oid, bool)>> {
    let statement =
        format!("SELECT n.oid, {RESERVED} FROM pg_catalog.pg_namespace n WHERE n.nspname::text = $1::text");
    let found = sqlx::query_as(AssertSqlSafe(statement)).bind(&*name.0).fetch_optional(session).await;
    found.map_err(|error| failed(&error))
}

async fn is_there(session: &mut PgConnection, schema: Oid) -> Outcome<bool> {
    let found = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_namespace WHERE oid = $1)");
    found.bind(schema).fetch_one(session).await.map_err(|error| failed(&error))
}

/// Every table at once, with all of its chunks and partitions.
async fn lock_statement(session: &mut PgConnection, schema: Oid) -> Outcome<Option<String>> {
    let tables: Option<String> = sqlx::query_scalar(
        "SELECT pg_catalog.string_agg(pg_catalog.format('%I.%I', n.nspname, c.relname), ', ' ORDER BY c.oid) \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.oid = $1 AND c.relkind IN ('r', 'p')",
    )
    .bind(schema)
    .fetch_one(session)
    .await
    .map_err(|error| failed(&error))?;
    Ok(tables.map(|tables| format!("LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE")))
}

async fn refuse_dependents(session: &mut PgConnection, schema: Oid) -> Outcome<()> {
    let outside = dependents::outside(session, schema).await.map_err(|error| failed(&error))?;
    if outside.is_empty() {
        return Ok(());
    }
    let message = format!("others depend on it: {}", outside.join("; "));
    Err(refused(message, Some("drop them, or take them out of this schema's way, if nobody needs them")))
}

async fn execute(session: &mut PgConnection, statement: &str) -> Outcome<()> {
    let done = session.execute(sqlx::raw_sql(AssertSqlSafe(statement.to_owned()))).await;
    done.map(|_| ()).map_err(|error| failed(&error))
}

/// An error without a SQLSTATE is a broken connection, and after a fatal one the server has ended the session.
fn failed(error: &sqlx::Error) -> Failed {
    let Some(database) = database_error(error) else { return unknown(&error.to_string()) };
    if matches!(database.severity(), PgSeverity::Fatal | PgSeverity::Panic) {
        return unknown(database.message());
    }
    match database.code() {
        // The last two: gone between two statements, so the next try finds nothing.
        "55P03" | "40P01" | "40001" | "3F000" | "42P01" => Failed::Waited(database.message().to_owned()),
        code => refused(described(database), hint_for(code)),
    }
}

fn described(error: &PgDatabaseError) -> String {
    let detail = error.detail().and_then(|text| text.lines().next()).map(|line| format!(" ({line})"));
    format!("{}{}", error.message(), detail.unwrap_or_default())
}

fn hint_for(code: &str) -> Option<&'static str> {
    Some(match code {
        "42501" => "GRANT our role the role that owns the schema and what is in it",
        "53200" => "the server's lock table is full; raise max_locks_per_transaction",
        "25006" => "the server is read-only",
        _ => return None,
    })
}

fn refused(message: impl Into<String>, hint: Option<&str>) -> Failed {
    Failed::For(DropTrouble::Refused { message: message.into(), hint: hint.map(str::to_owned) })
}

fn unknown(why: &str) -> Failed {
    Failed::For(DropTrouble::Unknown(why.to_owned()))
}

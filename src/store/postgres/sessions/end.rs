//! Ends sessions: the only place that does, and each one by a statement that looks again before it acts.
//!
//! Invariant: the statement that signals a process has, in its own WHERE, that the process is still the
//! same session (by its start), a client of a listed role in this database, none of ours, and, where it
//! was in the way of a chunk, that it still holds a lock there.

use std::time::{Duration, Instant};

use sqlx::AssertSqlSafe;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgConnection, PgDatabaseError};

use super::{DROPS, OURS, STARTED_AT};
use crate::problem::Result;
use crate::retention::sessions::{How, SessionFacts};
use crate::store::postgres::{database_error, in_plain_words, read_failed};
use crate::store::{EndAnswer, EndOrder};

/// How long all sessions of an order together may take to go.
const GONE_WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// When the session's statement began, microseconds since 1970 UTC.
const STATEMENT_AT: &str = "(extract(epoch FROM a.query_start) * 1000000)::bigint";

/// `$1` process, `$2` its start, `$3` the listed roles, `$4` the relations on which it has to hold a lock,
/// or null.
fn end_statement(how: How) -> String {
    let (function, statement_at, state) = match how {
        How::Cancel => ("pg_cancel_backend", STATEMENT_AT, "AND a.state = 'active'"),
        How::Terminate => ("pg_terminate_backend", "NULL::bigint", ""),
    };
    format!(
        "SELECT pg_catalog.{function}(a.pid), {statement_at} FROM pg_catalog.pg_stat_activity a \
         WHERE a.pid = $1 AND {STARTED_AT} = $2 AND a.usename::text = ANY($3::text[]) {state} \
           AND a.datname = pg_catalog.current_database() AND a.backend_type = 'client backend' AND NOT {OURS} \
           AND NOT {DROPS} \
           AND ($4::oid[] IS NULL OR EXISTS (SELECT 1 FROM pg_catalog.pg_locks l WHERE l.pid = a.pid \
             AND l.locktype = 'relation' AND l.granted AND l.relation = ANY($4::oid[]) AND l.database = \
               (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())))"
    )
}

/// The same session, and with `$3` the same statement.
fn still_there_statement() -> String {
    format!(
        "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_stat_activity a WHERE a.pid = $1 AND {STARTED_AT} = $2 \
           AND ($3::bigint IS NULL OR (a.state = 'active' AND {STATEMENT_AT} = $3)))"
    )
}

/// What a signal was sent to: a session, or its statement that began then.
struct Sent<'a> {
    session: &'a SessionFacts,
    statement_at: Option<i64>,
}

/// One answer for each session of the order. Where `relations` are given, it has to hold a lock on one.
pub async fn end(
    connection: &mut PgConnection,
    order: &EndOrder,
    relations: Option<&[u32]>,
) -> Result<Vec<EndAnswer>> {
    let relations: Option<Vec<Oid>> = relations.map(|oids| oids.iter().copied().map(Oid).collect());
    let mut sent = Vec::new();
    for (session, how) in &order.sessions {
        sent.push(signal(connection, &order.roles, session, *how, relations.as_ref()).await?);
    }
    let until = Instant::now() + GONE_WITHIN;
    let mut answers = Vec::new();
    for sent in sent {
        answers.push(match sent {
            Ok(sent) => wait_until_gone(connection, &sent, until).await?,
            Err(answer) => answer,
        });
    }
    Ok(answers)
}

async fn signal<'a>(
    connection: &mut PgConnection,
    roles: &[String],
    session: &'a SessionFacts,
    how: How,
    relations: Option<&Vec<Oid>>,
) -> Result<std::result::Result<Sent<'a>, EndAnswer>> {
    let signalled = sqlx::query_as::<_, (bool, Option<i64>)>(AssertSqlSafe(end_statement(how)))
        .bind(session.pid)
        .bind(session.started_at)
        .bind(roles)
        .bind(relations)
        .fetch_optional(connection)
        .await;
    match signalled {
        Ok(Some((true, statement_at))) => Ok(Ok(Sent { session, statement_at })),
        // Gone between the look and the signal, or not the one that was meant any more.
        Ok(Some((false, _)) | None) => Ok(Err(EndAnswer::Passed)),
        Err(error) if database_error(&error).is_some_and(|error| error.code() == "42501") => {
            Ok(Err(EndAnswer::NotAllowed(reason(&error))))
        }
        Err(error) => Err(read_failed("end a session", &error)),
    }
}

/// The server's own words, with the detail that says who may.
fn reason(error: &sqlx::Error) -> String {
    let detail = database_error(error).and_then(PgDatabaseError::detail);
    let detail = detail.map(|text| format!(" ({})", text.lines().next().unwrap_or_default()));
    format!("{}{}", in_plain_words(error), detail.unwrap_or_default())
}

async fn wait_until_gone(
    connection: &mut PgConnection,
    sent: &Sent<'_>,
    until: Instant,
) -> Result<EndAnswer> {
    loop {
        let there: bool = sqlx::query_scalar(AssertSqlSafe(still_there_statement()))
            .bind(sent.session.pid)
            .bind(sent.session.started_at)
            .bind(sent.statement_at)
            .fetch_one(&mut *connection)
            .await
            .map_err(|error| read_failed("see whether a session has ended", &error))?;
        if !there {
            return Ok(EndAnswer::Ended);
        }
        if Instant::now() >= until {
            return Ok(EndAnswer::StillThere);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statement_that_ends_a_session_looks_again_at_everything() {
        for how in [How::Cancel, How::Terminate] {
            let statement = end_statement(how);
            for condition in [
                "a.pid = $1 AND (extract(epoch FROM a.backend_start) * 1000000)::bigint = $2",
                "a.usename::text = ANY($3::text[])",
                "a.datname = pg_catalog.current_database()",
                "a.backend_type = 'client backend'",
                "NOT (a.pid = pg_catalog.pg_backend_pid() OR a.application_name LIKE 'timesweep%'",
                "AND NOT (a.state <> 'idle' AND a.query ~* '\\m(drop_chunks?|",
                "l.granted AND l.relation = ANY($4::oid[])",
            ] {
                assert!(statement.contains(condition), "{condition}: {statement}");
            }
        }
        assert!(end_statement(How::Cancel).contains("a.state = 'active'"));
    }
}

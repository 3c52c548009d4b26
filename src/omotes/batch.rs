//! Some messages of one queue, as one transaction.
//!
//! Where events of the registry follow, the transaction is the registry's and under its lock from the start;
//! otherwise it is one of our own. Invariant: the registry's lock is never waited for with a job's row locked.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use sqlx::Executor;
use sqlx::postgres::PgConnection;

use super::Rules;
use super::patience::{SHORT, WORK, within};
use super::reading::Message;
use super::rows::{self, Need};
use super::told::Told;
use crate::crash_point;
use crate::problem::{Problem, Result};
use crate::registry::beside::{Beside, Neighbour};
use crate::retention::ownership::JobId;
use crate::retention::ownership::event::Event;

/// How often a transaction is started again when another one is in between.
const ATTEMPTS: usize = 5;

const BEGIN: &str = "BEGIN; SET LOCAL lock_timeout = '60s'; SET LOCAL statement_timeout = '5min'; \
     SET LOCAL plan_cache_mode = 'force_custom_plan'; \
     SET LOCAL idle_in_transaction_session_timeout = '2min'";

pub(super) struct Batch<'a> {
    pub messages: &'a [Message],
    pub need: Need,
    pub rules: &'a Rules,
    /// Asked behind all locks: nothing is done where it no longer holds.
    pub still: &'a (dyn Fn() -> bool + Sync),
    pub found: Found,
}

/// What the last attempt came upon.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// A job is deleted by this.
    pub deletes: bool,
    /// Jobs that had a row.
    pub rows: BTreeSet<JobId>,
    /// For the log, once it is committed.
    pub told: Vec<Told>,
}

#[async_trait]
impl Beside for Batch<'_> {
    async fn work(&mut self, connection: &mut PgConnection) -> sqlx::Result<Vec<Event>> {
        let jobs: BTreeSet<JobId> = self.messages.iter().map(Message::job).collect();
        let mut desk = rows::load(connection, &jobs, self.need, self.rules).await?;
        if !(self.still)() {
            return Ok(Vec::new());
        }
        self.found.rows = desk.jobs.keys().copied().collect();
        for message in self.messages {
            message.decide(&mut desk, self.rules);
        }
        crash_point::reach("omotes-before-writes");
        rows::write(connection, &desk).await?;
        self.found.deletes = desk.follows.events.iter().any(|event| matches!(event, Event::Deleted(_)));
        self.found.told = desk.told;
        Ok(desk.follows.events)
    }
}

/// Sessions for transactions that leave the registry alone.
pub(super) struct Alone {
    place: Neighbour,
    idle: Mutex<Vec<PgConnection>>,
}

impl Alone {
    pub(super) fn on(place: Neighbour) -> Self {
        Self { place, idle: Mutex::default() }
    }

    /// Says whether it did the work: not where an event follows, and then nothing is written.
    pub(super) async fn try_to(&self, work: &mut dyn Beside) -> Result<bool> {
        let doing = "record what became of jobs";
        for _ in 0..ATTEMPTS {
            let mut session = self.begin(doing).await?;
            match within(WORK, attempt(&mut session, work)).await {
                Ok(is_done) => {
                    self.give_back(session);
                    return Ok(is_done);
                }
                Err(error) if self.place.is_conflict(&error) => {}
                Err(error) => return Err(self.place.problem(doing, &error)),
            }
            if within(SHORT, session.execute(sqlx::raw_sql("ROLLBACK"))).await.is_ok() {
                self.give_back(session);
            }
        }
        Err(Problem::busy(format!("cannot {doing}: another program keeps changing the same rows"))
            .hint("try again; nothing was changed"))
    }

    /// Rows of one query outside of any transaction.
    pub(super) async fn ids(&self, doing: &str, query: &'static str, given: i64) -> Result<Vec<String>> {
        let mut session = self.begin(doing).await?;
        let found = within(WORK, sqlx::query_scalar(query).bind(given).fetch_all(&mut session)).await;
        let found = found.map_err(|error| self.place.problem(doing, &error))?;
        within(SHORT, session.execute(sqlx::raw_sql("COMMIT")))
            .await
            .map_err(|error| self.place.problem(doing, &error))?;
        self.give_back(session);
        Ok(found)
    }

    async fn begin(&self, doing: &str) -> Result<PgConnection> {
        // One that waited may have been cut off meanwhile.
        while let Some(mut session) = self.waiting() {
            if within(SHORT, session.execute(sqlx::raw_sql(BEGIN))).await.is_ok() {
                return Ok(session);
            }
        }
        let mut session = self.place.session("jobs").await?;
        let begun = within(SHORT, session.execute(sqlx::raw_sql(BEGIN))).await;
        begun.map_err(|error| self.place.problem(doing, &error))?;
        Ok(session)
    }

    fn waiting(&self) -> Option<PgConnection> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn give_back(&self, session: PgConnection) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(session);
    }
}

async fn attempt(session: &mut PgConnection, work: &mut dyn Beside) -> sqlx::Result<bool> {
    let is_done = work.work(session).await?.is_empty();
    if is_done {
        crash_point::reach("omotes-before-commit");
    }
    let end = if is_done { "COMMIT" } else { "ROLLBACK" };
    session.execute(sqlx::raw_sql(end)).await?;
    if is_done {
        crash_point::reach("omotes-committed");
    }
    Ok(is_done)
}

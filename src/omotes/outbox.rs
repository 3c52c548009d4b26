//! Letters that are committed and have not left yet: how they are written, and how whoever sends them reads them.
//!
//! Invariants: letters of one job leave in the order in which they were written, by one sender at a time on
//! all hosts; a letter goes only after it was sent; and a task that may have been sent before gets another
//! Celery id before it is sent again, so that of two runs one counts.

mod listener;
mod row;

use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Executor, Row as _};

use super::letter::Letter;
use super::patience::{SHORT, WORK, within};
use crate::config::RegistrySettings;
use crate::crash_point;
use crate::problem::{Problem, Result};
use crate::registry::beside::Neighbour;
use crate::retention::ownership::JobId;
use crate::session::pooler::Way;
use listener::Listener;

pub(super) use row::{uuid, write};

const DANGER: &str = "two replicas could send the same letters at the same time";

/// Where a notification gets lost, letters wait no longer than this.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// "time", "send" as two numbers.
const TAKE_LEAD: &str = "SELECT pg_catalog.pg_try_advisory_lock(1953066341, 1936027236)";

/// Where the sender's host is gone without a word, the server finds out within a minute, and another one leads; where
/// its process stands still (whoever leads looks for letters each second), after two (from PostgreSQL 14 on).
/// And no plan outlives the moment for which it was made: the outbox is empty at first.
const PREPARE: &str = "SET plan_cache_mode = force_custom_plan; \
     SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3; \
     SET idle_in_transaction_session_timeout = '2min'; \
     SELECT pg_catalog.set_config(name, '120000', false) FROM pg_catalog.pg_settings WHERE name = 'idle_session_timeout'";

macro_rules! next {
    ($but:literal) => {
        concat!(
            "SELECT id, job::text, kind, celery_id::text, workflow, priority, body FROM ( \
               SELECT *, sum(octet_length(body)) OVER (ORDER BY id) - octet_length(body) AS before FROM ( \
                 SELECT * FROM timesweep_outbox WHERE job <> ALL ($2::text[]::uuid[])",
            $but,
            " ORDER BY id LIMIT $1) AS first) AS sized WHERE before < 33554432 ORDER BY id"
        )
    };
}

/// The first letters, together no larger than a few of the largest.
const NEXT: &str = next!("");
/// Nor jobs whose task is one of these workflows. Nothing of theirs is read but their ids.
const NEXT_OF_OTHER_WORKFLOWS: &str = next!(
    " AND job NOT IN (SELECT task.job FROM timesweep_outbox task \
       WHERE task.kind = 'task' AND task.workflow = ANY ($3))"
);

const ATTEMPTED: &str =
    "UPDATE timesweep_outbox SET attempted_at = clock_timestamp() WHERE id = ANY ($1) RETURNING id";

/// Jobs before letters, as everywhere.
const LOCK_JOBS_OF_SENT: &str = "SELECT 1 FROM job WHERE job_id IN \
       (SELECT job FROM timesweep_outbox WHERE id = ANY ($1) AND kind = 'task') ORDER BY job_id FOR UPDATE";

const SUBMITTED: &str = "UPDATE job SET status = 'SUBMITTED', submitted_at = clock_timestamp() \
     FROM timesweep_outbox o WHERE o.id = ANY ($1) AND o.kind = 'task' AND o.job = job.job_id \
       AND job.celery_id = o.celery_id::text AND job.status = 'REGISTERED'";

const SENT: &str = "DELETE FROM timesweep_outbox WHERE id = ANY ($1)";

const LOCK_JOBS_OF_ATTEMPTED: &str = "SELECT 1 FROM job WHERE job_id IN \
       (SELECT job FROM timesweep_outbox WHERE kind = 'task' AND attempted_at IS NOT NULL) \
     ORDER BY job_id FOR UPDATE";

/// The job is gone, or its task is at work: it was sent.
const FORGET_SENT: &str = "DELETE FROM timesweep_outbox o WHERE o.kind = 'task' AND o.attempted_at IS NOT NULL \
     AND NOT EXISTS (SELECT FROM job WHERE job.job_id = o.job AND job.celery_id = o.celery_id::text \
       AND job.status = 'REGISTERED')";

const GIVE_NEW_IDS: &str = "WITH renewed AS ( \
       UPDATE timesweep_outbox SET celery_id = gen_random_uuid(), attempted_at = NULL \
       WHERE kind = 'task' AND attempted_at IS NOT NULL RETURNING job, celery_id) \
     UPDATE job SET celery_id = renewed.celery_id::text FROM renewed WHERE job.job_id = renewed.job";

/// What a sender needs. Its lead ends with its session: give it up as soon as the broker is gone.
pub struct Outbox {
    place: Neighbour,
    /// The session that leads; everything goes over it, so that nothing is done without the lead.
    session: Option<PgConnection>,
    /// No transaction pooler is between us and the server.
    is_direct: bool,
    listener: Listener,
}

impl Outbox {
    /// Connects only when it is asked for the lead.
    pub fn open(settings: &RegistrySettings) -> Result<Self> {
        let place = Neighbour::of(settings)?;
        let listener = Listener::on(place.options("outbox listener"));
        Ok(Self { place, session: None, is_direct: false, listener })
    }

    /// Whether we are the one who sends from now on. Settles then what the sender before us left open: call it
    /// again after every connection to the broker that broke, with `give_up_lead` before.
    pub async fn take_lead(&mut self) -> Result<bool> {
        if self.session.is_some() {
            return Ok(true);
        }
        let mut session = self.place.session("outbox").await?;
        self.refuse_pooler(&mut session).await?;
        let failed = |error: sqlx::Error| self.place.problem("become the sender of letters", &error);
        if !within(SHORT, lead(&mut session)).await.map_err(failed)? {
            let _ = within(SHORT, session.close()).await;
            return Ok(false);
        }
        within(WORK, settle(&mut session)).await.map_err(failed)?;
        self.session = Some(session);
        Ok(true)
    }

    /// There the lead would mean nothing. What is between us and the server stays what it is while we run.
    async fn refuse_pooler(&mut self, session: &mut PgConnection) -> Result<()> {
        if !self.is_direct {
            Neighbour::refuse_pooler(self.place.way(session).await?, DANGER)?;
            self.is_direct = true;
        }
        Ok(())
    }

    /// Somebody else may send.
    pub async fn give_up_lead(&mut self) {
        if let Some(session) = self.session.take() {
            let _ = within(SHORT, session.close()).await;
        }
    }

    /// The first letters in their order, at most `limit` (and at least one, where there is any). They stay the
    /// first until they are `sent`.
    pub async fn next(&mut self, limit: u16) -> Result<Vec<(i64, Letter)>> {
        self.next_of_others(limit, &[], &[]).await
    }

    /// The same without the letters of these jobs, and of those whose task is of these workflows, however many and
    /// large they are.
    pub async fn next_of_others(
        &mut self,
        limit: u16,
        jobs: &[JobId],
        workflows: &[String],
    ) -> Result<Vec<(i64, Letter)>> {
        let (place, session) = self.leading()?;
        let statement = if workflows.is_empty() { NEXT } else { NEXT_OF_OTHER_WORKFLOWS };
        let jobs: Vec<String> = jobs.iter().map(|job| job.0.to_string()).collect();
        let query = sqlx::query(statement).bind(i64::from(limit)).bind(jobs);
        let query = if workflows.is_empty() { query } else { query.bind(workflows) };
        let rows = within(WORK, query.fetch_all(session)).await;
        let letters = rows.and_then(|rows| rows.iter().map(row::read).collect());
        letters.map_err(|error| place.problem("read the letters that are to be sent", &error))
    }

    /// Tasks are about to be published. Committed by itself; answers those that still stand (a deletion may
    /// have taken one away): publish these alone.
    pub async fn attempted(&mut self, letters: &[i64]) -> Result<Vec<i64>> {
        let (place, session) = self.leading()?;
        let rows = within(WORK, sqlx::query(ATTEMPTED).bind(letters).fetch_all(session)).await;
        crash_point::reach("outbox-attempted");
        let ids = rows.and_then(|rows| rows.iter().map(|row| row.try_get(0)).collect());
        ids.map_err(|error| place.problem("remember which tasks are being sent", &error))
    }

    /// The broker has confirmed them: they go, and the jobs of tasks among them are submitted.
    pub async fn sent(&mut self, letters: &[i64]) -> Result<()> {
        let (place, session) = self.leading()?;
        crash_point::reach("outbox-before-sent");
        let sent = within(WORK, sent_on(session, letters)).await;
        crash_point::reach("outbox-sent");
        sent.map_err(|error| place.problem("forget the letters that were sent", &error))
    }

    /// Until there may be new letters; a second at most. May be given up at any time.
    pub async fn wait(&self) {
        let _ = tokio::time::timeout(LONGEST_WAIT, self.listener.heard()).await;
    }

    fn leading(&mut self) -> Result<(&Neighbour, &mut PgConnection)> {
        match &mut self.session {
            Some(session) => Ok((&self.place, session)),
            None => Err(Problem::busy("another process sends the letters of the outbox")),
        }
    }
}

/// Refuses to begin where it is certain that no letter could ever be sent.
pub async fn refuse_certain_pooler(settings: &RegistrySettings) -> Result<()> {
    let place = Neighbour::of(settings)?;
    let way = match place.session("outbox").await {
        Ok(mut session) => place.way(&mut session).await,
        Err(away) => Err(away),
    };
    // A server that is away or says nothing may be back soon.
    if way == Ok(Way::Pooler) { Neighbour::refuse_pooler(Way::Pooler, DANGER) } else { Ok(()) }
}

async fn lead(session: &mut PgConnection) -> sqlx::Result<bool> {
    session.execute(sqlx::raw_sql(PREPARE)).await?;
    session.fetch_one(sqlx::raw_sql(TAKE_LEAD)).await?.try_get(0)
}

async fn settle(session: &mut PgConnection) -> sqlx::Result<()> {
    let mut transaction = session.begin().await?;
    for statement in [LOCK_JOBS_OF_ATTEMPTED, FORGET_SENT, GIVE_NEW_IDS] {
        sqlx::query(statement).execute(&mut *transaction).await?;
    }
    crash_point::reach("outbox-before-settled");
    transaction.commit().await
}

async fn sent_on(session: &mut PgConnection, letters: &[i64]) -> sqlx::Result<()> {
    let mut transaction = session.begin().await?;
    for statement in [LOCK_JOBS_OF_SENT, SUBMITTED, SENT] {
        sqlx::query(statement).bind(letters).execute(&mut *transaction).await?;
    }
    transaction.commit().await
}

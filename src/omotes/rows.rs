//! The rows of a batch: read under lock, and written with all that follows. Every statement on `job` and
//! `job_starts` that a message leads to is here.
//!
//! Invariants: rows are locked in the order of their ids, before anything else of their jobs is read; and a
//! submission never crosses a deletion of the same job, though it has no row to lock yet.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};
use uuid::Uuid;

use super::Rules;
use super::desk::{Desk, Follows, Job, Status};
use super::outbox;
use super::outbox::uuid;
use super::reading;
use crate::registry::beside::Neighbour;
use crate::retention::ownership::JobId;

/// Submissions go beside each other, deletions alone. "time", "subm" as two numbers.
const BESIDE_SUBMISSIONS: &str = "SELECT pg_catalog.pg_advisory_xact_lock_shared(1953066341, 1937072749)";
const WITHOUT_SUBMISSIONS: &str = "SELECT pg_catalog.pg_advisory_xact_lock(1953066341, 1937072749)";

macro_rules! jobs {
    ($given:literal) => {
        concat!("ANY ($", $given, "::text[]::uuid[])")
    };
}

const LOCKED: &str = concat!(
    "SELECT job_id::text, celery_id, status::text, \
       coalesce(status = 'RUNNING' \
         AND running_at + (timeout_after_ms + $3::bigint) * interval '1 millisecond' < clock_timestamp(), false), \
       coalesce(running_at, submitted_at, registered_at) < clock_timestamp() - $2::bigint * interval '1 second', \
       workflow_type \
     FROM job WHERE job_id = ",
    jobs!("1"),
    " ORDER BY job_id FOR UPDATE"
);
/// How often each began, and the messages that said so.
const STARTS: &str = concat!(
    "SELECT job_id::text, count(*), NULL FROM job_starts WHERE job_id = ",
    jobs!("1"),
    " GROUP BY job_id UNION ALL SELECT job::text, 0, message::text FROM timesweep_start WHERE job = ",
    jobs!("1")
);
const OVER: &str = concat!("SELECT job::text FROM timesweep_job_over WHERE job = ", jobs!("1"));

const REGISTER: &str = "INSERT INTO job (job_id, celery_id, workflow_type, status, registered_at, timeout_after_ms, job_reference) \
     SELECT job::uuid, celery_id, workflow, 'REGISTERED', clock_timestamp(), timeout_ms, reference \
     FROM unnest($1::text[], $2::text[], $3::text[], $4::int4[], $5::text[]) \
       AS x (job, celery_id, workflow, timeout_ms, reference)";
const CHANGE: &str = "UPDATE job SET celery_id = x.celery_id, status = x.status::jobstatus, \
       running_at = CASE WHEN x.began THEN clock_timestamp() ELSE job.running_at END \
     FROM unnest($1::text[], $2::text[], $3::text[], $4::bool[]) AS x (job, celery_id, status, began) \
     WHERE job.job_id = x.job::uuid";
const START: &str = "INSERT INTO job_starts (job_id, started_at) \
     SELECT job::uuid, clock_timestamp() + place * interval '1 microsecond' \
     FROM unnest($1::text[]) WITH ORDINALITY AS x (job, place) ON CONFLICT DO NOTHING";
const REMOVE_STARTS: &str = concat!("DELETE FROM job_starts WHERE job_id = ", jobs!("1"));
const REMOVE: &str = concat!("DELETE FROM job WHERE job_id = ", jobs!("1"));
const REMOVE_TASKS: &str = concat!("DELETE FROM timesweep_outbox WHERE kind = 'task' AND job = ", jobs!("1"));
const END: &str =
    "INSERT INTO timesweep_job_over (job) SELECT unnest($1::text[])::uuid ON CONFLICT DO NOTHING";
const ENDED_BY_TIME: &str =
    concat!("SELECT job::text FROM timesweep_job_over WHERE by_time AND job = ", jobs!("1"));
const END_BY_TIME: &str = concat!("UPDATE timesweep_job_over SET by_time = true WHERE job = ", jobs!("1"));
const DELETE: &str =
    concat!("UPDATE timesweep_job_over SET by_time = false WHERE by_time AND job = ", jobs!("1"));
const COUNT: &str = "INSERT INTO timesweep_start (job, message) \
     SELECT * FROM unnest($1::text[]::uuid[], $2::text[]::uuid[]) ON CONFLICT DO NOTHING";
const REMOVE_COUNTED: &str = concat!("DELETE FROM timesweep_start WHERE job = ", jobs!("1"));
/// Of two replicas that turn one job away at once, the second starts again and finds it over.
const TURN_AWAY: &str = "INSERT INTO timesweep_job_over (job) SELECT unnest($1::text[])::uuid";

/// What the messages of a batch need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    Submissions,
    /// Of jobs that may be submitted at the same moment.
    Deletions,
    Runs,
}

pub(super) async fn load(
    connection: &mut PgConnection,
    jobs: &BTreeSet<JobId>,
    need: Need,
    rules: &Rules,
) -> sqlx::Result<Desk> {
    match need {
        Need::Submissions => _ = sqlx::query(BESIDE_SUBMISSIONS).execute(&mut *connection).await?,
        Need::Deletions => _ = sqlx::query(WITHOUT_SUBMISSIONS).execute(&mut *connection).await?,
        Need::Runs => {}
    }
    let ids = texts(jobs);
    let stale_after = i64::try_from(rules.retention.as_secs()).unwrap_or(i64::MAX);
    let locked = sqlx::query(LOCKED).bind(&ids).bind(stale_after).bind(rules.patience_ms());
    let rows = locked.fetch_all(&mut *connection).await?;
    let jobs_found = rows.iter().map(job).collect::<sqlx::Result<BTreeMap<JobId, Job>>>()?;
    let mut desk = Desk { jobs: jobs_found, ..Desk::default() };
    // In statements of their own: what was committed while the rows were waited for has to be seen.
    if need == Need::Runs {
        load_runs(connection, &ids, &mut desk).await?;
    }
    if need == Need::Submissions {
        let over = sqlx::query(OVER).bind(&ids).fetch_all(&mut *connection).await?;
        desk.over = over.iter().map(id).collect::<sqlx::Result<_>>()?;
        desk.deleted = Neighbour::deleted_among(connection, jobs.iter().copied()).await?;
    }
    Ok(desk)
}

async fn load_runs(connection: &mut PgConnection, ids: &[String], desk: &mut Desk) -> sqlx::Result<()> {
    for row in sqlx::query(STARTS).bind(ids).fetch_all(&mut *connection).await? {
        let (starts, message): (i64, Option<&str>) = (row.try_get(1)?, row.try_get(2)?);
        let message = message.map(uuid).transpose()?;
        desk.jobs.entry(id(&row)?).and_modify(|job| {
            job.starts += starts;
            job.counted.extend(message);
        });
    }
    if desk.jobs.len() == ids.len() {
        return Ok(());
    }
    let over = sqlx::query(ENDED_BY_TIME).bind(ids).fetch_all(connection).await?;
    desk.ended_by_time = over.iter().map(id).collect::<sqlx::Result<_>>()?;
    Ok(())
}

pub(super) async fn write(connection: &mut PgConnection, desk: &Desk) -> sqlx::Result<()> {
    let follows = &desk.follows;
    register(connection, follows).await?;
    change(connection, desk).await?;
    on_jobs(connection, START, &follows.started).await?;
    count(connection, &follows.counted).await?;
    for statement in [REMOVE_TASKS, REMOVE_COUNTED, REMOVE_STARTS, REMOVE] {
        on_jobs(connection, statement, &follows.removed).await?;
    }
    on_jobs(connection, END, &follows.ended).await?;
    on_jobs(connection, END_BY_TIME, &follows.ended_by_time).await?;
    on_jobs(connection, DELETE, &follows.deleted).await?;
    on_jobs(connection, TURN_AWAY, &follows.turned_away).await?;
    outbox::write(connection, &follows.letters).await
}

async fn register(connection: &mut PgConnection, follows: &Follows) -> sqlx::Result<()> {
    let new = &follows.registered;
    if new.is_empty() {
        return Ok(());
    }
    sqlx::query(REGISTER)
        .bind(texts(new.keys()))
        .bind(new.values().map(|job| job.celery_id.to_string()).collect::<Vec<_>>())
        .bind(new.values().map(|job| job.workflow.as_str()).collect::<Vec<_>>())
        .bind(new.values().map(|job| job.timeout_ms).collect::<Vec<_>>())
        .bind(new.values().map(|job| job.reference.as_str()).collect::<Vec<_>>())
        .execute(connection)
        .await
        .map(|_| ())
}

async fn change(connection: &mut PgConnection, desk: &Desk) -> sqlx::Result<()> {
    let changed = desk.follows.changed.iter().filter_map(|job| Some((job, desk.jobs.get(job)?)));
    let changed: Vec<(&JobId, &Job)> = changed.collect();
    if changed.is_empty() {
        return Ok(());
    }
    let began = |job: &JobId| desk.follows.started.contains(job);
    sqlx::query(CHANGE)
        .bind(texts(changed.iter().map(|(job, _)| *job)))
        .bind(changed.iter().map(|(_, row)| row.celery_id.as_deref()).collect::<Vec<_>>())
        .bind(changed.iter().map(|(_, row)| row.status.label()).collect::<Vec<_>>())
        .bind(changed.iter().map(|(job, _)| began(job)).collect::<Vec<_>>())
        .execute(connection)
        .await
        .map(|_| ())
}

async fn count(connection: &mut PgConnection, counted: &[(JobId, Uuid)]) -> sqlx::Result<()> {
    if counted.is_empty() {
        return Ok(());
    }
    sqlx::query(COUNT)
        .bind(texts(counted.iter().map(|(job, _)| job)))
        .bind(counted.iter().map(|(_, message)| message.to_string()).collect::<Vec<_>>())
        .execute(connection)
        .await
        .map(|_| ())
}

async fn on_jobs<'a>(
    connection: &mut PgConnection,
    statement: &'static str,
    jobs: impl IntoIterator<Item = &'a JobId>,
) -> sqlx::Result<()> {
    let ids = texts(jobs);
    if !ids.is_empty() {
        sqlx::query(statement).bind(ids).execute(connection).await?;
    }
    Ok(())
}

fn texts<'a>(jobs: impl IntoIterator<Item = &'a JobId>) -> Vec<String> {
    jobs.into_iter().map(|job| job.0.to_string()).collect()
}

fn id(row: &PgRow) -> sqlx::Result<JobId> {
    uuid(row.try_get(0)?).map(JobId)
}

fn job(row: &PgRow) -> sqlx::Result<(JobId, Job)> {
    let celery_id: Option<String> = row.try_get(1)?;
    let job = Job {
        celery_id: celery_id.as_deref().and_then(reading::celery_id),
        workflow: row.try_get(5)?,
        status: Status::of(row.try_get(2)?),
        overdue: row.try_get(3)?,
        stale: row.try_get(4)?,
        ..Job::default()
    };
    Ok((id(row)?, job))
}

impl Status {
    fn label(self) -> &'static str {
        match self {
            Self::Registered => "REGISTERED",
            Self::Submitted => "SUBMITTED",
            Self::Running => "RUNNING",
        }
    }

    fn of(label: &str) -> Self {
        match label {
            "REGISTERED" => Self::Registered,
            "RUNNING" => Self::Running,
            _ => Self::Submitted,
        }
    }
}

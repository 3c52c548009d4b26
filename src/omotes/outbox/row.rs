//! A letter as a row of `timesweep_outbox`.
//!
//! Invariant: what is read is the letter that was written.

use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};
use uuid::Uuid;

use super::super::letter::{Content, Letter};
use super::listener::CHANNEL;
use crate::retention::ownership::JobId;

const WRITE: &str = "INSERT INTO timesweep_outbox (job, kind, celery_id, workflow, priority, body) \
     SELECT job::uuid, kind, celery_id::uuid, workflow, priority, body \
     FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::int2[], $6::bytea[]) WITH ORDINALITY \
       AS x (job, kind, celery_id, workflow, priority, body, place) ORDER BY place";

/// Writes letters in their order and wakes whoever sends them, both with the commit of this transaction.
pub async fn write(connection: &mut PgConnection, letters: &[Letter]) -> sqlx::Result<()> {
    if letters.is_empty() {
        return Ok(());
    }
    let rows: Vec<Columns<'_>> = letters.iter().map(Columns::of).collect();
    sqlx::query(WRITE)
        .bind(letters.iter().map(|letter| letter.job.0.to_string()).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.kind).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.celery_id.map(|id| id.to_string())).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.workflow).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.priority).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.body).collect::<Vec<_>>())
        .execute(&mut *connection)
        .await?;
    sqlx::query("SELECT pg_catalog.pg_notify($1, '')").bind(CHANNEL).execute(connection).await.map(|_| ())
}

#[derive(Default)]
struct Columns<'a> {
    kind: &'static str,
    celery_id: Option<Uuid>,
    workflow: Option<&'a str>,
    priority: Option<i16>,
    body: &'a [u8],
}

impl<'a> Columns<'a> {
    fn of(letter: &'a Letter) -> Self {
        let only = |kind, body: &'a Vec<u8>| Self { kind, body, ..Self::default() };
        match &letter.content {
            Content::Task { celery_id, workflow, priority, body } => Self {
                celery_id: Some(*celery_id),
                workflow: Some(workflow),
                priority: Some(i16::from(*priority)),
                ..only("task", body)
            },
            Content::Revoke { celery_id } => {
                Self { kind: "revoke", celery_id: Some(*celery_id), ..Self::default() }
            }
            Content::Status(body) => only("status", body),
            Content::Progress(body) => only("progress", body),
            Content::Result(body) => only("result", body),
        }
    }
}

pub(super) fn read(row: &PgRow) -> sqlx::Result<(i64, Letter)> {
    let job = JobId(uuid(&row.try_get::<String, _>(1)?)?);
    let celery_id = || uuid(&row.try_get::<String, _>(3)?);
    let body = || row.try_get::<Vec<u8>, _>(6);
    let content = match row.try_get::<&str, _>(2)? {
        "task" => Content::Task {
            celery_id: celery_id()?,
            workflow: row.try_get(4)?,
            priority: u8::try_from(row.try_get::<i16, _>(5)?).unwrap_or_default(),
            body: body()?,
        },
        "revoke" => Content::Revoke { celery_id: celery_id()? },
        "status" => Content::Status(body()?),
        "progress" => Content::Progress(body()?),
        _ => Content::Result(body()?),
    };
    Ok((row.try_get(0)?, Letter { job, content }))
}

pub(in crate::omotes) fn uuid(text: &str) -> sqlx::Result<Uuid> {
    Uuid::parse_str(text).map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

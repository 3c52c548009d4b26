//! One job: what became of it, and deleting it, after which its data belongs to nobody.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::answer::{Trouble, Troubles};
use super::app::App;
use super::pages::instant;
use crate::retention::ownership::event::Event;
use crate::retention::ownership::{JobId, Ledger, OwnedName};

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct JobView {
    job_id: Uuid,
    /// `registered`, `submitted` or `running`; absent where it is not at work.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<String>,
    /// It succeeded, failed, was deleted, or nobody heard of it for too long.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    ended_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    deleted_at: Option<String>,
    /// What it reported success with.
    datasets: Vec<DatasetOfJob>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DatasetOfJob {
    name: String,
    /// Let go since; absent where another job owns it as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    marked_at: Option<String>,
}

/// What is known of a job: whether it is at work, and what becomes of its data.
#[utoipa::path(
    get, path = "/job/{job_id}", operation_id = "get_job", tag = "jobs",
    params(("job_id" = Uuid, Path)),
    responses(
        (status = 200, description = "It is known", body = JobView),
        (status = 404, description = "Nobody has heard of this job", content_type = "application/problem+json", body = Trouble),
        Troubles,
    ),
    security(("token" = [])),
)]
pub(super) async fn get_job(
    State(app): State<App>,
    Path(job_id): Path<String>,
) -> Result<Json<JobView>, Trouble> {
    let job = JobId(id(&job_id)?);
    // First what it does: who ends meanwhile is in the registry by then.
    let status = app.job_status(job).await?;
    let (ledger, _) = app.about(None, Some(job)).await?;
    view(&ledger, job, status).map(Json).ok_or_else(|| {
        Trouble::new(StatusCode::NOT_FOUND, "nobody has heard of this job")
            .hint("a job is known while it is at work, and once it succeeded or was deleted")
    })
}

fn view(ledger: &Ledger, job: JobId, status: Option<String>) -> Option<JobView> {
    let seen = ledger.jobs.get(&job);
    let deleted_at = ledger.deleted_jobs.get(&job);
    let marked_at = |name: &OwnedName| ledger.rows.get(name)?.mark.as_ref().map(|mark| instant(mark.at));
    let of_job = |name: &OwnedName| DatasetOfJob { name: name.0.to_string(), marked_at: marked_at(name) };
    let datasets: Vec<DatasetOfJob> = ledger.claims.by(job).map(of_job).collect();
    let is_known = status.is_some() || seen.is_some() || deleted_at.is_some() || !datasets.is_empty();
    is_known.then(|| JobView {
        job_id: job.0,
        ended_at: seen.and_then(|seen| seen.ended).map(instant).filter(|_| status.is_none()),
        status: status.map(|status| status.to_lowercase()),
        deleted_at: deleted_at.copied().map(instant),
        datasets,
    })
}

fn id(text: &str) -> Result<Uuid, Trouble> {
    Uuid::parse_str(text).map_err(|_| Trouble::bad_request("the id of a job is a UUID, and this is none"))
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct JobDeleted {
    job_id: Uuid,
    /// Whether the job was known. An unknown one is remembered as deleted all the same: its result may be on its way.
    deleted: bool,
}

/// Cancel a job where timesweep is its orchestrator, and let go of its data; a result that comes later finds
/// the job deleted.
#[utoipa::path(
    delete, path = "/job/{job_id}", operation_id = "delete_job", tag = "jobs",
    params(("job_id" = Uuid, Path)),
    responses((status = 200, description = "It is deleted from now on, known or not", body = JobDeleted), Troubles),
    security(("token" = [])),
)]
pub(super) async fn delete_job(
    State(app): State<App>,
    Path(job_id): Path<String>,
) -> Result<Json<JobDeleted>, Trouble> {
    let job_id = id(&job_id)?;
    let met = app.record(Event::Deleted(JobId(job_id))).await?;
    Ok(Json(JobDeleted { job_id, deleted: met.known }))
}

/// The same for clients that cannot send DELETE.
#[utoipa::path(
    post, path = "/job/{job_id}/delete", operation_id = "delete_job_by_post", tag = "jobs",
    params(("job_id" = Uuid, Path)),
    responses((status = 200, description = "It is deleted from now on, known or not", body = JobDeleted), Troubles),
    security(("token" = [])),
)]
pub(super) async fn delete_job_by_post(
    state: State<App>,
    job_id: Path<String>,
) -> Result<Json<JobDeleted>, Trouble> {
    delete_job(state, job_id).await
}

//! Deleting a job: its data belongs to nobody from now on.

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::answer::{Trouble, Troubles};
use super::app::App;
use crate::retention::ownership::JobId;
use crate::retention::ownership::event::Event;

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct JobDeleted {
    job_id: Uuid,
    /// Whether the job was known. An unknown one is remembered as deleted all the same: its result may be on its way.
    deleted: bool,
}

/// Let go of a job's data; a result that comes later finds the job deleted.
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
    let job_id = Uuid::parse_str(&job_id)
        .map_err(|_| Trouble::bad_request("the id of a job is a UUID, and this is none"))?;
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

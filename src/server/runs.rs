//! The runs of the journal, as far as they are everybody's concern.

use axum::Json;
use axum::extract::{Query, State};
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::{Trouble, Troubles};
use super::app::App;
use super::pages::{List, Page};

/// One pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RunView {
    pub id: String,
    pub store: String,
    pub command: String,
    /// RFC 3339.
    #[schema(format = DateTime)]
    pub started_at: String,
    /// Absent while it is at work, and for ever where it was cut off.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub ended_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<u8>,
}

/// Runs, newest first.
#[utoipa::path(
    get, path = "/api/v1/runs", operation_id = "list_runs", tag = "lists", params(Page),
    responses((status = 200, description = "A page of runs", body = List<RunView>), Troubles),
    security(("token" = [])),
)]
pub(super) async fn list_runs(
    State(app): State<App>,
    Query(page): Query<Page>,
) -> Result<Json<List<RunView>>, Trouble> {
    let limit = page.limit()?;
    let insight = app.insight.clone();
    let runs = app.undropped(async move { insight.runs(page.cursor.as_deref(), limit + 1).await }).await?;
    Ok(Json(List::of(runs, limit, |run| run.id.as_str())))
}

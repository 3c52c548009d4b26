//! Whether everything works, for whoever watches. It needs no token, so it tells nothing else.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::app::App;

/// The parts of the daemon by name, and how each one is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    pub parts: Vec<(&'static str, Condition)>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HealthView {
    status: Condition,
    parts: BTreeMap<&'static str, Condition>,
}

/// The worst of them is the condition of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    Ok,
    /// Another replica does this, and we take over when it ends.
    Standby,
    /// An orchestrator of the other kind is at work, and we take its place when it is stopped.
    WaitsForOrchestrator,
    Trouble,
}

impl From<bool> for Condition {
    fn from(works: bool) -> Self {
        if works { Self::Ok } else { Self::Trouble }
    }
}

/// Whether every part works.
#[utoipa::path(
    get, path = "/health", operation_id = "health", tag = "health",
    responses(
        (status = 200, description = "Everything works, or stands by for another replica", body = HealthView),
        (status = 503, description = "A part waits for another orchestrator to be stopped, or is in trouble; the log says why", body = HealthView),
    ),
)]
pub(super) async fn health(State(app): State<App>) -> (StatusCode, Json<HealthView>) {
    let parts = app.insight.health().parts;
    let status = parts.iter().map(|(_, condition)| *condition).max().unwrap_or(Condition::Ok);
    let code = match status {
        Condition::Ok | Condition::Standby => StatusCode::OK,
        Condition::WaitsForOrchestrator | Condition::Trouble => StatusCode::SERVICE_UNAVAILABLE,
    };
    (code, Json(HealthView { status, parts: parts.into_iter().collect() }))
}

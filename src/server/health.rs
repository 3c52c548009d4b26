//! Whether everything works, for whoever watches. It needs no token, so it tells nothing else.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::app::App;

/// The parts of the daemon by name, and whether each one works.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    pub parts: Vec<(&'static str, bool)>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HealthView {
    status: Condition,
    parts: BTreeMap<&'static str, Condition>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Condition {
    Ok,
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
        (status = 200, description = "Everything works", body = HealthView),
        (status = 503, description = "A part is in trouble; the log says why", body = HealthView),
    ),
)]
pub(super) async fn health(State(app): State<App>) -> (StatusCode, Json<HealthView>) {
    let parts = app.insight.health().parts;
    let works = parts.iter().all(|(_, works)| *works);
    let code = if works { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let parts = parts.into_iter().map(|(name, works)| (name, works.into())).collect();
    (code, Json(HealthView { status: works.into(), parts }))
}

//! The description of all of this, made from the handlers themselves (OpenAPI 3.1).

use axum::http::header;
use axum::response::IntoResponse;
use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::routes;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "timesweep",
        version = "1",
        description = "Let go of the data of jobs, see what is known about it, and keep what shall stay. Requests write marks; only the daemon's own checks remove anything, after a grace period."
    ),
    modifiers(&Bearer)
)]
pub(super) struct Empty;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut Document) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        document.components.get_or_insert_default().add_security_scheme("token", scheme);
    }
}

/// This document.
#[utoipa::path(
    get, path = "/openapi.json", operation_id = "openapi", tag = "health",
    responses((status = 200, description = "The description of everything here (OpenAPI 3.1)", content_type = "application/json", body = serde_json::Value)),
)]
pub(super) async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], text())
}

/// The handlers do not change while the program runs.
pub(super) fn text() -> &'static str {
    static TEXT: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    TEXT.get_or_init(|| routes::handlers().into_openapi().to_pretty_json().unwrap_or_default())
}

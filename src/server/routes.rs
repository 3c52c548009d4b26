//! Every address, and what stands in front of all of them.
//!
//! Invariant: an address is added through `routes!` only, so that the description has it; a test holds to that.

use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::{from_fn_with_state, map_response};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;
use super::{answer, datasets, document, guard, health, holds, jobs, marks, runs};

/// The longest body that anybody has a use for.
const BODY: usize = 64 << 10;
/// From the end of a request's head to the beginning of its answer.
const ANSWERING: Duration = Duration::from_secs(30);

pub(super) fn handlers() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(document::Empty::openapi())
        .routes(routes!(jobs::get_job, jobs::delete_job))
        .routes(routes!(jobs::delete_job_by_post))
        .routes(routes!(datasets::list_datasets))
        .routes(routes!(marks::list_marks))
        .routes(routes!(marks::cancel_mark))
        .routes(routes!(runs::list_runs))
        .routes(routes!(holds::list_holds, holds::add_hold))
        .routes(routes!(holds::remove_hold))
        .routes(routes!(health::health))
        .routes(routes!(document::openapi))
}

/// The last layer is the first that sees a request.
pub(super) fn router(app: &App) -> Router {
    let (router, _) = handlers().with_state(app.clone()).split_for_parts();
    router
        .fallback(nothing_here)
        .layer(from_fn_with_state(app.clone(), guard::guard))
        .layer(DefaultBodyLimit::disable())
        .layer(RequestBodyLimitLayer::new(BODY))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, ANSWERING))
        .layer(CatchPanicLayer::new())
        .layer(map_response(answer::only_problems))
}

async fn nothing_here() -> answer::Trouble {
    answer::Trouble::new(StatusCode::NOT_FOUND, "there is nothing under this address")
        .hint("GET /openapi.json lists every address")
}

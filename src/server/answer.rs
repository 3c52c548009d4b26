//! Whatever is wrong, as a problem document (RFC 9457).
//!
//! Invariant: an answer of 400 and above has this form, whoever made it: a handler, the router, a limit or
//! a panic (only `/health` has a form of its own). It repeats no secret, since a [`Problem`] holds none.

use axum::Json;
use axum::body::to_bytes;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::{IntoResponses, ToSchema};

use crate::problem::{Kind, Problem, printable};

const MEDIA_TYPE: &str = "application/problem+json";
/// What others say about an error is not longer; the rest of it is nobody's concern.
const LONGEST_DETAIL: usize = 4096;

/// What went wrong (RFC 9457).
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct Trouble {
    /// Always `about:blank`: the status says which kind it is.
    #[serde(rename = "type")]
    kind: &'static str,
    title: String,
    status: u16,
    /// A sentence for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    detail: String,
    /// The way out.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

/// The answers that every request may get.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "only its description is used")]
pub(super) enum Troubles {
    #[response(status = 400, content_type = "application/problem+json", description = "Not understood")]
    NotUnderstood(Trouble),
    #[response(
        status = 401,
        content_type = "application/problem+json",
        description = "No token, or one that nobody knows"
    )]
    WhoAreYou(Trouble),
    #[response(
        status = 403,
        content_type = "application/problem+json",
        description = "The token lacks the right"
    )]
    MayNot(Trouble),
    #[response(
        status = 503,
        content_type = "application/problem+json",
        description = "The registry cannot be asked now, or did not answer in time"
    )]
    NotNow(Trouble),
}

impl Trouble {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error").to_owned();
        Self { kind: "about:blank", title, status: status.as_u16(), detail: detail.into(), hint: None }
    }

    pub(super) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    pub(super) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "something here is broken; the log says what")
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<Problem> for Trouble {
    fn from(problem: Problem) -> Self {
        tracing::warn!("a request failed: {problem}");
        let status = match problem.kind {
            Kind::Unreachable | Kind::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Kind::Refused => StatusCode::CONFLICT,
            Kind::Usage | Kind::Partial => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self { hint: problem.hint, ..Self::new(status, printable(problem.sentence)) }
    }
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer realm=\"timesweep\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

/// Gives the errors of the router, its extractors and its limits the same form.
pub(super) async fn only_problems(response: Response) -> Response {
    let status = response.status();
    let media_type = response.headers().get(header::CONTENT_TYPE);
    let is_error = status.is_client_error() || status.is_server_error();
    // The answers of handlers are JSON: a problem, or the health of a daemon that is not well.
    let is_plain = media_type.is_none_or(|found| found.as_bytes().starts_with(b"text/plain"));
    if !is_error || !is_plain {
        return response;
    }
    let allowed = response.headers().get(header::ALLOW).cloned();
    let said = to_bytes(response.into_body(), LONGEST_DETAIL).await.unwrap_or_default();
    let mut problem = Trouble::new(status, printable(String::from_utf8_lossy(&said).trim())).into_response();
    if let Some(allowed) = allowed {
        problem.headers_mut().insert(header::ALLOW, allowed);
    }
    problem
}

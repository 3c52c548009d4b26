//! Deletion marks: what is let go, and a person's word that it shall stay.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::answer::{Trouble, Troubles};
use super::app::App;
use super::datasets::{DatasetState, state_of};
use super::pages::{List, Page, instant};
use crate::registry::pages::Listed;
use crate::retention::ownership::event::Event;
use crate::retention::ownership::{JobId, Ledger, Mark, OwnedName};

/// How long a dataset is held whose mark was cancelled, in microseconds: a deletion that is delivered once
/// more changes nothing before. Whoever wants another end sets a hold.
const HELD: i64 = 30 * 86_400 * 1_000_000;

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MarkView {
    /// What cancels it: the name of the dataset, or the job's id of a tombstone.
    id: String,
    kind: MarkKind,
    #[schema(format = DateTime)]
    marked_at: String,
    /// At least one check has seen it.
    seen: bool,
    /// A report that named it is out.
    announced: bool,
    /// Where the page goes on.
    #[serde(skip)]
    key: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum MarkKind {
    /// Every job that claimed it was deleted.
    Deleted,
    /// Nobody ever claimed it.
    Orphan,
    /// It is owned, and the store does not have it any more.
    Absent,
    /// A deleted job whose result has not come.
    Tombstone,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MarkCancelled {
    id: String,
    kind: MarkKind,
    /// Until then the dataset stays whatever comes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    held_until: Option<String>,
}

/// Marked datasets by name, then deleted jobs that no result came from.
#[utoipa::path(
    get, path = "/api/v1/marks", operation_id = "list_marks", tag = "lists", params(Page),
    responses((status = 200, description = "A page of marks", body = List<MarkView>), Troubles),
    security(("token" = [])),
)]
pub(super) async fn list_marks(
    State(app): State<App>,
    Query(page): Query<Page>,
) -> Result<Json<List<MarkView>>, Trouble> {
    let limit = page.limit()?;
    let cursor = page.cursor.as_deref().unwrap_or_default();
    let mut marks = Vec::new();
    if let Some(after) = behind(DATASETS, cursor) {
        let (marked, _) = app.page(Listed::Marked, Some(after), limit + 1).await?;
        let mark =
            |name| Some(dataset_mark(&marked.ledger, name, marked.ledger.rows.get(name)?.mark.as_ref()?));
        marks.extend(marked.names.iter().filter_map(mark));
    }
    let more = limit + 1 - marks.len();
    if let Some(after) = behind(JOBS, cursor).filter(|_| more > 0) {
        let tombstones = app.tombstones(Some(after), more).await?;
        marks.extend(tombstones.into_iter().map(|(job, at)| tombstone(job, at)));
    }
    Ok(Json(List::of(marks, limit, |mark: &MarkView| mark.key.as_str())))
}

/// What keys begin with: datasets come before jobs.
const DATASETS: &str = "dataset:";
const JOBS: &str = "job:";

/// Behind which text the part of the list whose keys begin with this goes on: behind the empty one at its
/// beginning, nowhere where the cursor is past it.
fn behind<'a>(part: &str, cursor: &'a str) -> Option<&'a str> {
    match cursor.strip_prefix(part) {
        Some(after) => Some(after),
        None => (cursor < part).then_some(""),
    }
}

fn dataset_mark(ledger: &Ledger, name: &OwnedName, mark: &Mark) -> MarkView {
    MarkView {
        id: name.0.to_string(),
        kind: kind_of(ledger, name),
        marked_at: instant(mark.at),
        seen: mark.seen.is_some(),
        announced: mark.announced,
        key: format!("{DATASETS}{}", name.0),
    }
}

fn kind_of(ledger: &Ledger, name: &OwnedName) -> MarkKind {
    match state_of(ledger, name) {
        DatasetState::Owned => MarkKind::Absent,
        DatasetState::Deleted => MarkKind::Deleted,
        DatasetState::Orphan | DatasetState::Unregistered => MarkKind::Orphan,
    }
}

fn tombstone(job: JobId, at: i64) -> MarkView {
    let id = job.0.to_string();
    let key = format!("{JOBS}{id}");
    MarkView { id, kind: MarkKind::Tombstone, marked_at: instant(at), seen: false, announced: false, key }
}

/// Keep what was let go: a marked dataset, which is held for 30 days as well, or the result of a deleted job.
#[utoipa::path(
    post, path = "/api/v1/marks/{id}/cancel", operation_id = "cancel_mark", tag = "marks",
    params(("id" = String, Path, description = "The name of a marked dataset, or the job's id of a tombstone")),
    responses(
        (status = 200, description = "It stays", body = MarkCancelled),
        (status = 404, description = "Nothing is marked under this id", content_type = "application/problem+json", body = Trouble),
        (status = 409, description = "The dataset is not marked", content_type = "application/problem+json", body = Trouble),
        Troubles,
    ),
    security(("token" = [])),
)]
pub(super) async fn cancel_mark(
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Json<MarkCancelled>, Trouble> {
    let dataset = OwnedName(id.as_str().into());
    let job = Uuid::parse_str(&id).ok().map(JobId);
    let (ledger, now) = app.about(Some(&dataset), job).await?;
    if let Some(row) = ledger.rows.get(&dataset) {
        if row.mark.is_none() {
            return Err(Trouble::new(StatusCode::CONFLICT, "this dataset is not marked"));
        }
        let (kind, hold_until) = (kind_of(&ledger, &dataset), now.saturating_add(HELD));
        app.record(Event::CancelMark { dataset, hold_until }).await?;
        return Ok(Json(MarkCancelled { id, kind, held_until: Some(instant(hold_until)) }));
    }
    let job = job.filter(|job| ledger.tombstones.contains_key(job)).ok_or_else(nothing_is_marked)?;
    app.record(Event::CancelTombstone(job)).await?;
    Ok(Json(MarkCancelled { id, kind: MarkKind::Tombstone, held_until: None }))
}

fn nothing_is_marked() -> Trouble {
    Trouble::new(
        StatusCode::NOT_FOUND,
        "no dataset of this name is known, and no tombstone of a job with this id",
    )
    .hint("GET /api/v1/marks lists what is marked")
}

//! What is known about each dataset.

use axum::Json;
use axum::extract::{Query, State};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::answer::{Trouble, Troubles};
use super::app::App;
use super::pages::{List, Page, instant};
use crate::registry::pages::Listed;
use crate::retention::ownership::{Ledger, OwnedName};

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DatasetView {
    name: String,
    state: DatasetState,
    /// Jobs that claimed it and were not deleted, the newest last.
    owners: Vec<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    marked_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    first_seen: Option<String>,
    /// The last write that its store can show.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    last_change: Option<String>,
    /// The store does not have it any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    absent_since: Option<String>,
    held: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum DatasetState {
    /// A job that was not deleted claimed it.
    Owned,
    /// Every job that claimed it was deleted.
    Deleted,
    /// Nobody ever claimed it; it is marked.
    Orphan,
    /// Nobody claimed it and it is not marked: foreign, or not looked at yet.
    Unregistered,
}

/// All datasets that are known here, by name.
#[utoipa::path(
    get, path = "/api/v1/datasets", operation_id = "list_datasets", tag = "lists", params(Page),
    responses((status = 200, description = "A page of datasets", body = List<DatasetView>), Troubles),
    security(("token" = [])),
)]
pub(super) async fn list_datasets(
    State(app): State<App>,
    Query(page): Query<Page>,
) -> Result<Json<List<DatasetView>>, Trouble> {
    let limit = page.limit()?;
    let (known, now) = app.page(Listed::Known, page.cursor.as_deref(), limit + 1).await?;
    let views = known.names.iter().map(|name| view(&known.ledger, name, now)).collect();
    Ok(Json(List::of(views, limit, |view: &DatasetView| view.name.as_str())))
}

fn view(ledger: &Ledger, name: &OwnedName, now: i64) -> DatasetView {
    let (row, seen) = (ledger.rows.get(name), ledger.datasets.get(name));
    DatasetView {
        name: name.0.to_string(),
        state: state_of(ledger, name),
        owners: ledger.owners(name).into_iter().map(|job| job.0).collect(),
        marked_at: row.and_then(|row| row.mark.as_ref()).map(|mark| instant(mark.at)),
        first_seen: seen.map(|seen| instant(seen.first_seen)),
        last_change: seen.and_then(|seen| seen.last_change).map(instant),
        absent_since: seen.and_then(|seen| seen.absent_since).map(instant),
        held: ledger.holds.get(name).is_some_and(|until| until.is_none_or(|until| now < until)),
    }
}

pub(super) fn state_of(ledger: &Ledger, name: &OwnedName) -> DatasetState {
    let row = ledger.rows.get(name);
    // A row that the adopted program wrote counts although no claim is known.
    let is_active = row.is_some_and(|row| row.mark.is_none() && row.job.is_some());
    let was_claimed = ledger.claims.contains(name) || row.is_some_and(|row| row.job.is_some());
    if is_active || !ledger.owners(name).is_empty() {
        DatasetState::Owned
    } else if was_claimed {
        DatasetState::Deleted
    } else if row.is_some() {
        DatasetState::Orphan
    } else {
        DatasetState::Unregistered
    }
}

//! Pins on datasets.
//!
//! Invariant: setting a hold never shortens one that is there; who wants that removes it first.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer::{Trouble, Troubles};
use super::app::App;
use super::pages::{List, Page, instant};
use crate::registry::pages::Listed;
use crate::retention::ownership::OwnedName;
use crate::retention::ownership::event::Event;

const LONGEST_NAME: usize = 255;

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HoldView {
    dataset: String,
    /// Absent: until a person removes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    until: Option<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewHold {
    /// A name in the store; it need not be there yet.
    dataset: String,
    /// RFC 3339; absent or null: until a person removes it.
    #[schema(format = DateTime)]
    until: Option<String>,
}

fn view(dataset: &OwnedName, until: Option<i64>) -> HoldView {
    HoldView { dataset: dataset.0.to_string(), until: until.map(instant) }
}

/// Holds in force, by the name of their dataset.
#[utoipa::path(
    get, path = "/api/v1/holds", operation_id = "list_holds", tag = "lists", params(Page),
    responses((status = 200, description = "A page of holds", body = List<HoldView>), Troubles),
    security(("token" = [])),
)]
pub(super) async fn list_holds(
    State(app): State<App>,
    Query(page): Query<Page>,
) -> Result<Json<List<HoldView>>, Trouble> {
    let limit = page.limit()?;
    let (held, _) = app.page(Listed::Held, page.cursor.as_deref(), limit + 1).await?;
    let until = |dataset: &OwnedName| held.ledger.holds.get(dataset).copied().flatten();
    let holds = held.names.iter().map(|dataset| view(dataset, until(dataset))).collect();
    Ok(Json(List::of(holds, limit, |hold: &HoldView| hold.dataset.as_str())))
}

/// Pin a dataset.
#[utoipa::path(
    post, path = "/api/v1/holds", operation_id = "add_hold", tag = "holds", request_body = NewHold,
    responses(
        (status = 200, description = "It is held", body = HoldView),
        (status = 409, description = "It is held for longer already", content_type = "application/problem+json", body = Trouble),
        Troubles,
    ),
    security(("token" = [])),
)]
pub(super) async fn add_hold(
    State(app): State<App>,
    Json(hold): Json<NewHold>,
) -> Result<Json<HoldView>, Trouble> {
    let dataset = name(hold.dataset)?;
    let until = hold.until.as_deref().map(end).transpose()?;
    let (ledger, now) = app.about(Some(&dataset), None).await?;
    if until.is_some_and(|until| until <= now) {
        return Err(Trouble::bad_request("`until` has passed already"));
    }
    let lasts_longer =
        |there: &Option<i64>| there.is_none_or(|there| until.is_some_and(|until| until < there));
    if ledger.holds.get(&dataset).is_some_and(|there| until.is_some() && lasts_longer(there)) {
        return Err(Trouble::new(StatusCode::CONFLICT, "this dataset is held for longer already")
            .hint("remove that hold first"));
    }
    app.record(Event::Hold { dataset: dataset.clone(), until }).await?;
    Ok(Json(view(&dataset, until)))
}

/// Remove a pin.
#[utoipa::path(
    delete, path = "/api/v1/holds/{dataset}", operation_id = "remove_hold", tag = "holds",
    params(("dataset" = String, Path)),
    responses(
        (status = 204, description = "It is not held any more"),
        (status = 404, description = "There is no such hold", content_type = "application/problem+json", body = Trouble),
        Troubles,
    ),
    security(("token" = [])),
)]
pub(super) async fn remove_hold(
    State(app): State<App>,
    Path(dataset): Path<String>,
) -> Result<StatusCode, Trouble> {
    let met = app.record(Event::Unhold(name(dataset)?)).await?;
    if met.known {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(Trouble::new(StatusCode::NOT_FOUND, "this dataset is not held"))
}

/// What a database could not store is no name.
fn name(text: String) -> Result<OwnedName, Trouble> {
    if text.is_empty() || text.len() > LONGEST_NAME || text.contains(char::is_control) {
        return Err(Trouble::bad_request("the name of a dataset has 1 to 255 letters on one line"));
    }
    Ok(OwnedName(text.into()))
}

fn end(text: &str) -> Result<i64, Trouble> {
    let instant: jiff::Timestamp = text
        .parse()
        .map_err(|_| Trouble::bad_request("`until` has to be an instant such as 2026-12-31T00:00:00Z"))?;
    Ok(instant.as_microsecond())
}

//! Lists, a page at a time.
//!
//! A page begins behind its cursor, which is the last thing of the page before: what comes or goes between
//! two pages moves nothing else.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answer::Trouble;

const USUAL: usize = 100;
const MOST: usize = 1000;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Page {
    /// How many at most, 1 to 1000; 100 by default.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<usize>,
    /// `next` of the page before.
    pub cursor: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct List<T> {
    pub items: Vec<T>,
    /// The cursor of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl Page {
    pub(super) fn limit(&self) -> Result<usize, Trouble> {
        match self.limit {
            None => Ok(USUAL),
            Some(limit @ 1..=MOST) => Ok(limit),
            Some(_) => Err(Trouble::bad_request(format!("`limit` has to be 1 to {MOST}"))),
        }
    }
}

impl<T> List<T> {
    /// `items` has one more than the limit where another page follows.
    pub(super) fn of(mut items: Vec<T>, limit: usize, key: impl Fn(&T) -> &str) -> Self {
        let has_more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| has_more).map(|last| key(last).to_owned());
        Self { items, next }
    }
}

/// An instant as RFC 3339; what lies outside of its years is cut to them.
pub(super) fn instant(microseconds: i64) -> String {
    let shown = jiff::Timestamp::from_microsecond(microseconds);
    shown.unwrap_or(if microseconds < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX }).to_string()
}

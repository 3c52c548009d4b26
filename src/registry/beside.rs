//! Tables of others in the registry's database: rows of theirs and events of ours as one transaction.
//!
//! The registry learns nothing of what stands there. Invariants: the registry's lock comes first, then whatever
//! the work locks; and the work may run several times, each time on what is there then.

use async_trait::async_trait;
use sqlx::postgres::PgConnection;

use crate::problem::Problem;
use crate::retention::ownership::event::Event;

pub use super::database::neighbour::Neighbour;

/// Reads and writes tables of its own, and says what happened by that.
#[async_trait]
pub trait Beside: Send {
    /// In the open transaction, once for each attempt: nothing of an attempt before counts.
    async fn work(&mut self, connection: &mut PgConnection) -> sqlx::Result<Vec<Event>>;
}

pub(super) fn not_here() -> Problem {
    Problem::usage("jobs of OMOTES and the registry have to be in one PostgreSQL database")
        .hint("let `registry` in [ownership] be the postgres:// URL of the OMOTES database")
}

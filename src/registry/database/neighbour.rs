//! Sessions on the registry's database for whoever keeps tables beside it.
//!
//! Invariant: the same server, role and limits as the registry's own, and no password in an error or `Debug`.

use std::collections::BTreeSet;

use sqlx::Executor;
use sqlx::postgres::{PgConnectOptions, PgConnection};

use super::connection::Columns;
use super::load::ids;
use super::postgres::{BEGIN_EXCLUSIVE, Postgres};
use super::statements::POSTGRES;
use super::{Place, place};
use crate::config::RegistrySettings;
use crate::problem::{Problem, Result};
use crate::retention::ownership::JobId;
use crate::session::pooler::Way;

#[derive(Debug, Clone)]
pub struct Neighbour(Postgres);

impl Neighbour {
    /// Refuses a registry that is no PostgreSQL database.
    pub fn of(settings: &RegistrySettings) -> Result<Self> {
        place::postgres(settings)?.map(Self).ok_or_else(crate::registry::beside::not_here)
    }

    /// Without the password.
    pub fn address(&self) -> String {
        self.0.address()
    }

    pub async fn session(&self, task: &str) -> Result<PgConnection> {
        self.0.session(task).await
    }

    /// Whether a session of ours reaches the server itself; `ours` may be used afterwards only if it does.
    pub async fn way(&self, ours: &mut PgConnection) -> Result<Way> {
        self.0.way(ours).await
    }

    /// `danger`: what the lock of a session would have kept from happening.
    pub fn refuse_pooler(way: Way, danger: &str) -> Result<()> {
        Postgres::refuse_pooler(way, danger)
    }

    /// For a listener, which makes its sessions by itself.
    pub fn options(&self, task: &str) -> PgConnectOptions {
        self.0.options(task)
    }

    /// Begins a transaction under the registry's lock.
    pub async fn begin_exclusive(&self, connection: &mut PgConnection) -> sqlx::Result<()> {
        connection.execute(sqlx::raw_sql(BEGIN_EXCLUSIVE)).await.map(|_| ())
    }

    /// Which of these jobs were deleted, as far as this transaction sees.
    pub async fn deleted_among(
        connection: &mut PgConnection,
        jobs: impl Iterator<Item = JobId>,
    ) -> sqlx::Result<BTreeSet<JobId>> {
        let rows = sqlx::query(POSTGRES.deleted_of).bind(ids(jobs)).fetch_all(connection).await?;
        let id = |row: &sqlx::postgres::PgRow| row.id(0)?.map(JobId).ok_or(sqlx::Error::RowNotFound);
        rows.iter().map(id).collect()
    }

    pub fn is_conflict(&self, error: &sqlx::Error) -> bool {
        self.0.is_conflict(error)
    }

    pub fn problem(&self, doing: &str, error: &sqlx::Error) -> Problem {
        self.0.problem(doing, error)
    }
}

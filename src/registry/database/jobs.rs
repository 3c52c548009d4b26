//! The list of jobs that an orchestrator beside us, or inside of this program, keeps in the same database.
//!
//! It is only read here. Invariant: where there is no such list, nobody knows of any job.

use super::connection::Connection;
use super::{DatabaseRegistry, load};
use crate::problem::Result;
use crate::retention::ownership::JobId;
use crate::retention::ownership::live::LiveJob;

impl DatabaseRegistry {
    async fn read_live_jobs(&self, connection: &mut Connection) -> sqlx::Result<Option<Vec<LiveJob>>> {
        let statements = self.place.statements();
        if connection.read(statements.has_job_table, &[], load::some).await?.is_empty() {
            return Ok(None);
        }
        connection.read(statements.live_jobs, &[], load::live_job).await.map(Some)
    }

    /// `None` where nobody keeps a list.
    pub(super) async fn job_list(&self) -> Result<Option<Vec<LiveJob>>> {
        let doing = "read the jobs that are at work";
        let mut connection = self.begin(false, doing).await?;
        let jobs = self.read_live_jobs(&mut connection).await;
        if connection.run("ROLLBACK").await.is_ok() {
            self.give_back(connection);
        }
        jobs.map_err(|error| self.place.problem(doing, &error))
    }

    pub(super) async fn status_of_job(&self, job: JobId) -> Result<Option<String>> {
        let doing = "read what a job does";
        let mut connection = self.begin(false, doing).await?;
        let status = self.read_status(&mut connection, job).await;
        if connection.run("ROLLBACK").await.is_ok() {
            self.give_back(connection);
        }
        status.map_err(|error| self.place.problem(doing, &error))
    }

    async fn read_status(&self, connection: &mut Connection, job: JobId) -> sqlx::Result<Option<String>> {
        let statements = self.place.statements();
        if connection.read(statements.has_job_table, &[], load::some).await?.is_empty() {
            return Ok(None);
        }
        let id = job.0.to_string();
        let found =
            connection.read(statements.job_status, &[&id], |row| Ok(row.text(0)?.map(str::to_owned))).await?;
        Ok(found.into_iter().flatten().next())
    }
}

//! A unit of work that begins in tables of others.
//!
//! Invariant: their rows and our events are committed together or not at all.

use super::connection::{Connection, within_limit};
use super::load::{Loaded, Scope};
use super::{ATTEMPTS, DatabaseRegistry, many_conflicts};
use crate::problem::Result;
use crate::registry::beside::{Beside, not_here};
use crate::retention::ownership::event::{Event, Met};

const DOING: &str = "record what became of jobs";

impl DatabaseRegistry {
    pub(super) async fn change_beside(&self, work: &mut dyn Beside) -> Result<Vec<Met>> {
        let _turn = self.turn.lock().await;
        for attempt in 1..=ATTEMPTS {
            let mut connection = self.begin_attempt(attempt, DOING).await?;
            let outcome = match &mut connection {
                Connection::Sqlite(_) => return Err(not_here()),
                Connection::Postgres(session) => within_limit(work.work(session)).await,
            };
            let outcome = match outcome {
                Ok(events) => self.apply_beside(&mut connection, &events).await,
                Err(error) => Err(error),
            };
            if let Some(met) = self.conclude(connection, outcome, DOING).await? {
                return Ok(met);
            }
        }
        Err(many_conflicts(DOING))
    }

    async fn apply_beside(
        &self,
        connection: &mut Connection,
        events: &[Event],
    ) -> sqlx::Result<Option<Vec<Met>>> {
        if events.is_empty() {
            connection.run("COMMIT").await?;
            return Ok(Some(Vec::new()));
        }
        let now = self.place.now(connection).await?;
        let mut apply = |loaded: &mut Loaded| loaded.apply(events);
        let done = self.attempt(connection, &Scope::of(events), now, &mut apply).await?;
        Ok(done.map(|(met, _)| met))
    }
}

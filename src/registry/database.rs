//! The registry in a database: load what a unit of work concerns, let the ledger do it, write the difference.
//!
//! All of it is one transaction under one lock of the registry, so that units of several replicas follow
//! each other. Other programs write `esdl_time_series_info` without that lock: a unit that names its rows
//! locks them (`FOR UPDATE`), and a check, which reads all of them, locks none (it would rewrite the whole
//! table and make every registration wait) but changes a row only if it is still what was read; otherwise
//! it starts again, at last with the others kept out. Invariant: nothing of a unit is there before all of it is.

mod advice;
mod beside;
mod connection;
mod difference;
mod idle;
mod jobs;
mod load;
pub(super) mod neighbour;
mod pages;
mod place;
mod postgres;
mod schema;
mod sqlite;
mod statements;
mod write;

use async_trait::async_trait;

use super::beside::Beside;
use super::memory::{check_ledger, same_row};
use super::pages::{Listed, Page};
use super::{Adopts, Checked, Reasons, Registry, RunnerLock, SeenRow};
use crate::config::RegistrySettings;
use crate::crash_point;
use crate::problem::{Problem, Result};
use crate::retention::ownership::check::{Decision, Implausible, Inventory, Settings};
use crate::retention::ownership::event::{Event, Met};
use crate::retention::ownership::live::LiveJob;
use crate::retention::ownership::sighting::Sighting;
use crate::retention::ownership::{JobId, Ledger, Mark, OwnedName};

use connection::Connection;
use idle::Idle;
use load::{Loaded, Scope};
use pages::Wanted;
use schema::Schema;
use statements::Statements;
use write::Written;

/// How often a unit is begun when another program is in between.
const ATTEMPTS: usize = 5;

/// What differs between the kinds of database.
#[async_trait]
trait Place: Send + Sync {
    fn statements(&self) -> &'static Statements;

    fn schema(&self) -> &'static Schema;

    async fn connect(&self) -> Result<Connection>;

    /// Begins a transaction that excludes every other one of the registry.
    async fn begin_exclusive(&self, connection: &mut Connection) -> sqlx::Result<()>;

    /// In such a transaction: nobody else writes `esdl_time_series_info` until its end.
    async fn keep_others_out(&self, connection: &mut Connection) -> sqlx::Result<()>;

    /// Begins a transaction that sees one instant and writes nothing.
    async fn begin_snapshot(&self, connection: &mut Connection) -> sqlx::Result<()>;

    async fn now(&self, connection: &mut Connection) -> sqlx::Result<i64>;

    async fn lock_runner(&self, run: &str) -> Result<Box<dyn RunnerLock>>;

    /// Another program's transaction was in the way, and trying again may help.
    fn is_conflict(&self, error: &sqlx::Error) -> bool;

    fn problem(&self, doing: &str, error: &sqlx::Error) -> Problem;

    /// Where its runner's lock counts.
    async fn reach(&self) -> Result<String>;
}

pub(super) struct DatabaseRegistry {
    place: Box<dyn Place>,
    idle: Idle,
    /// Units of this process wait here, in turn, and not each with a connection of its own.
    turn: tokio::sync::Mutex<()>,
}

/// Opens the registry, makes or renews its tables, and takes in what is there when it is new.
pub(super) async fn open(settings: &RegistrySettings) -> Result<DatabaseRegistry> {
    let place = place::of(settings)?;
    let mut connection = place.connect().await?;
    let is_new = schema::migrate(&*place, &mut connection).await?;
    let registry = DatabaseRegistry { place, idle: Idle::default(), turn: tokio::sync::Mutex::default() };
    registry.give_back(connection);
    if is_new {
        let now = registry.now().await?;
        registry.change("adopt the rows that are there", &Scope::whole(), now, |_| ()).await?;
    }
    Ok(registry)
}

impl DatabaseRegistry {
    fn give_back(&self, connection: Connection) {
        self.idle.give_back(connection);
    }

    async fn begin(&self, exclusive: bool, doing: &str) -> Result<Connection> {
        // One that waited may have been cut off meanwhile.
        while let Some(mut connection) = self.idle.one_that_answers().await {
            if self.begin_on(&mut connection, exclusive).await.is_ok() {
                return Ok(connection);
            }
        }
        let mut connection = self.place.connect().await?;
        let begun = self.begin_on(&mut connection, exclusive).await;
        begun.map(|()| connection).map_err(|error| self.place.problem(doing, &error))
    }

    /// Others may change the same rows faster than we read them: the last attempt does not depend on their pauses.
    async fn begin_attempt(&self, attempt: usize, doing: &str) -> Result<Connection> {
        let mut connection = self.begin(true, doing).await?;
        if attempt == ATTEMPTS {
            let kept_out = self.place.keep_others_out(&mut connection).await;
            kept_out.map_err(|error| self.place.problem(doing, &error))?;
        }
        Ok(connection)
    }

    async fn begin_on(&self, connection: &mut Connection, exclusive: bool) -> sqlx::Result<()> {
        if exclusive {
            self.place.begin_exclusive(connection).await
        } else {
            self.place.begin_snapshot(connection).await
        }
    }

    /// One unit of work. `work` may run several times, each time on what is there then.
    async fn change<T: Send>(
        &self,
        doing: &str,
        scope: &Scope<'_>,
        now: i64,
        work: impl FnMut(&mut Loaded) -> T + Send,
    ) -> Result<T> {
        self.change_and_keep(doing, scope, now, work).await.map(|(answer, _)| answer)
    }

    /// The same, with what it loaded as it is afterwards.
    async fn change_and_keep<T: Send>(
        &self,
        doing: &str,
        scope: &Scope<'_>,
        now: i64,
        mut work: impl FnMut(&mut Loaded) -> T + Send,
    ) -> Result<(T, Ledger)> {
        let _turn = self.turn.lock().await;
        for attempt in 1..=ATTEMPTS {
            let mut connection = self.begin_attempt(attempt, doing).await?;
            let outcome = self.attempt(&mut connection, scope, now, &mut work).await;
            if let Some(answer) = self.conclude(connection, outcome, doing).await? {
                return Ok(answer);
            }
        }
        Err(many_conflicts(doing))
    }

    /// What an attempt came to; `None` where it has to be started again.
    async fn conclude<T>(
        &self,
        mut connection: Connection,
        outcome: sqlx::Result<Option<T>>,
        doing: &str,
    ) -> Result<Option<T>> {
        match outcome {
            Ok(Some(answer)) => {
                self.give_back(connection);
                return Ok(Some(answer));
            }
            Ok(None) => {}
            Err(error) if self.place.is_conflict(&error) => {}
            Err(error) => return Err(self.place.problem(doing, &error)),
        }
        if connection.run("ROLLBACK").await.is_ok() {
            self.give_back(connection);
        }
        Ok(None)
    }

    async fn attempt<T: Send>(
        &self,
        connection: &mut Connection,
        scope: &Scope<'_>,
        now: i64,
        work: &mut (impl FnMut(&mut Loaded) -> T + Send),
    ) -> sqlx::Result<Option<(T, Ledger)>> {
        let statements = self.place.statements();
        let mut loaded = load::load(connection, statements, scope, true, now).await?;
        let answer = work(&mut loaded);
        let changes = difference::changes(&loaded);
        let ledger = std::mem::take(&mut loaded.ledger);
        drop(loaded);
        crash_point::reach("registry-before-writes");
        if write::write(connection, statements, changes).await? == Written::Conflict {
            return Ok(None);
        }
        crash_point::reach("registry-before-commit");
        connection.run("COMMIT").await?;
        crash_point::reach("registry-committed");
        Ok(Some((answer, ledger)))
    }

    /// What is there, with what others changed taken in, and nothing written.
    async fn look(&self, doing: &str, scope: &Scope<'_>, now: Option<i64>) -> Result<Loaded> {
        let mut connection = self.begin(false, doing).await?;
        let loaded = self.look_on(&mut connection, scope, now).await;
        if connection.run("ROLLBACK").await.is_ok() {
            self.give_back(connection);
        }
        loaded.map_err(|error| self.place.problem(doing, &error))
    }

    async fn look_on(
        &self,
        connection: &mut Connection,
        scope: &Scope<'_>,
        now: Option<i64>,
    ) -> sqlx::Result<Loaded> {
        let now = match now {
            Some(now) => now,
            None => self.place.now(connection).await?,
        };
        load::load(connection, self.place.statements(), scope, false, now).await
    }
}

fn many_conflicts(doing: &str) -> Problem {
    Problem::busy(format!("cannot {doing}: another program keeps changing the same rows"))
        .hint("try again; nothing was changed")
}

fn ids_of(live: &[LiveJob]) -> Vec<JobId> {
    live.iter().map(|live| live.job).collect()
}

fn scope_of_check(inventory: &Inventory) -> Scope<'_> {
    Scope { check: Some(inventory), live: ids_of(&inventory.live_jobs), ..Scope::default() }
}

#[async_trait]
impl Registry for DatabaseRegistry {
    async fn now(&self) -> Result<i64> {
        let doing = "read the registry's clock";
        let mut connection = self.begin(false, doing).await?;
        let now = self.place.now(&mut connection).await;
        if connection.run("ROLLBACK").await.is_ok() {
            self.give_back(connection);
        }
        now.map_err(|error| self.place.problem(doing, &error))
    }

    async fn record(&self, events: &[Event], now: i64) -> Result<Vec<Met>> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let apply = |loaded: &mut Loaded| loaded.apply(events);
        self.change("record what happened", &Scope::of(events), now, apply).await
    }

    async fn record_beside(&self, work: &mut dyn Beside) -> Result<Vec<Met>> {
        self.change_beside(work).await
    }

    async fn live_jobs(&self) -> Result<Vec<LiveJob>> {
        self.job_list().await.map(Option::unwrap_or_default)
    }

    async fn job_status(&self, job: JobId) -> Result<Option<String>> {
        self.status_of_job(job).await
    }

    async fn has_job_list(&self) -> Result<bool> {
        Ok(self.job_list().await?.is_some())
    }

    async fn check(
        &self,
        inventory: &Inventory,
        settings: &Settings,
        adopts: &Adopts,
        now: i64,
    ) -> Result<std::result::Result<Checked, Implausible>> {
        let check = |loaded: &mut Loaded| {
            let checked = check_ledger(&mut loaded.ledger, inventory, settings, adopts, now);
            loaded.checked_at = checked.is_ok().then_some(now);
            checked
        };
        let (checked, ledger) =
            self.change_and_keep("check the datasets", &scope_of_check(inventory), now, check).await?;
        Ok(checked.map(|decided| decided.with(ledger)))
    }

    async fn preview(
        &self,
        inventory: &Inventory,
        settings: &Settings,
        adopts: &Adopts,
        now: i64,
    ) -> Result<std::result::Result<Checked, Implausible>> {
        let mut loaded = self.look("preview a check", &scope_of_check(inventory), Some(now)).await?;
        let checked = check_ledger(&mut loaded.ledger, inventory, settings, adopts, now);
        Ok(checked.map(|decided| decided.with(loaded.ledger)))
    }

    async fn announce(&self) -> Result<()> {
        let doing = "remember that the report is out";
        let _turn = self.turn.lock().await;
        let mut connection = self.begin(true, doing).await?;
        let failed = |error: sqlx::Error| self.place.problem(doing, &error);
        connection.run(self.place.statements().announce).await.map_err(failed)?;
        connection.run("COMMIT").await.map_err(failed)?;
        self.give_back(connection);
        Ok(())
    }

    async fn marked_row(&self, dataset: &OwnedName) -> Result<Option<SeenRow>> {
        let loaded = self.look("read a mark", &Scope::dataset(dataset), None).await?;
        let row = loaded.ledger.rows.get(dataset);
        Ok(row.and_then(|row| Some(SeenRow { job: row.job, marked_at: row.mark.as_ref()?.at })))
    }

    async fn decide_again(
        &self,
        sighting: &Sighting,
        live_jobs: &[LiveJob],
        settings: &Settings,
        adopts: &Adopts,
        now: i64,
    ) -> Result<Decision> {
        let scope = Scope { running: true, live: ids_of(live_jobs), ..Scope::dataset(&sighting.name) };
        let decide = |loaded: &mut Loaded| {
            loaded.ledger.decide_again(sighting, live_jobs, adopts(&sighting.name), settings, now)
        };
        self.change("decide once more before a drop", &scope, now, decide).await
    }

    async fn dropped(&self, dataset: &OwnedName, row: &SeenRow) -> Result<bool> {
        let now = self.now().await?;
        let forget = |loaded: &mut Loaded| {
            let same = same_row(&loaded.ledger, dataset, row);
            if same {
                loaded.ledger.dropped(dataset);
            }
            same
        };
        self.change("remove the row of a dropped dataset", &Scope::dataset(dataset), now, forget).await
    }

    async fn restart_grace(&self, dataset: &OwnedName, row: &SeenRow, now: i64) -> Result<bool> {
        let mark_again = |loaded: &mut Loaded| {
            let same = same_row(&loaded.ledger, dataset, row);
            if let (true, Some(row)) = (same, loaded.ledger.rows.get_mut(dataset)) {
                row.mark = Some(Mark { at: now, seen: None, announced: false });
            }
            same
        };
        self.change("let a grace start anew", &Scope::dataset(dataset), now, mark_again).await
    }

    async fn ledger(&self) -> Result<Ledger> {
        Ok(self.look("read the registry", &Scope::whole(), None).await?.ledger)
    }

    async fn about(&self, datasets: &[OwnedName], jobs: &[JobId]) -> Result<Ledger> {
        self.part(datasets, jobs).await
    }

    async fn page(&self, listed: Listed, after: Option<&str>, limit: usize, now: i64) -> Result<Page> {
        self.read_page(Wanted { listed, after, limit, now }).await
    }

    async fn reasons(&self, held: &[OwnedName]) -> Result<Reasons> {
        let scope = Scope { datasets: held.iter().cloned().collect(), ..Scope::default() };
        Ok(self.look("read why datasets are held", &scope, None).await?.reasons)
    }

    async fn tombstones(&self, after: Option<&str>, limit: usize) -> Result<Vec<(JobId, i64)>> {
        self.read_tombstones(after, limit).await
    }

    async fn lock_runner(&self, run: &str) -> Result<Box<dyn RunnerLock>> {
        self.place.lock_runner(run).await
    }

    async fn advice(&self) -> Result<Vec<String>> {
        let loaded = self.look("read the registry", &Scope::whole(), None).await?;
        Ok(advice::advice(&loaded, self.has_job_list().await?, self.place.reach().await?))
    }
}

//! Pages read from the tables: a statement names the candidates of a page, and what is known of them is read
//! as for any unit of work.
//!
//! A candidate may turn out not to be one, once the rows of others are taken in; then more are read.
//! Invariant: a statement of a list has a limit, and every name that belongs on the page is among the candidates.

use std::collections::BTreeSet;

use super::load::{self, Loaded, Scope};
use super::{Connection, DatabaseRegistry, Statements};
use crate::problem::Result;
use crate::registry::pages::{Listed, Page};
use crate::retention::ownership::{JobId, Ledger, OwnedName};

/// A part of a list.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub listed: Listed,
    pub after: Option<&'a str>,
    pub limit: usize,
    pub now: i64,
}

/// The first text that may stand behind this one. No name holds a zero, and a database would not even take one.
fn behind(text: &str) -> String {
    format!("{}\u{1}", text.split('\0').next().unwrap_or_default())
}

fn statement(statements: &'static Statements, listed: Listed) -> &'static str {
    match listed {
        Listed::Known => statements.known_from,
        Listed::Marked => statements.marked_from,
        Listed::Held => statements.held_from,
    }
}

impl DatabaseRegistry {
    pub(super) async fn part(&self, datasets: &[OwnedName], jobs: &[JobId]) -> Result<Ledger> {
        let doing = "read a part of the registry";
        let mut connection = self.begin(false, doing).await?;
        let part = self.part_on(&mut connection, datasets, jobs).await;
        if connection.run("ROLLBACK").await.is_ok() {
            self.give_back(connection);
        }
        part.map_err(|error| self.place.problem(doing, &error))
    }

    async fn part_on(
        &self,
        connection: &mut Connection,
        datasets: &[OwnedName],
        jobs: &[JobId],
    ) -> sqlx::Result<Ledger> {
        // A database would not even take a name with a zero.
        let datasets = datasets.iter().filter(|name| !name.0.contains('\0'));
        let mut names: BTreeSet<OwnedName> = datasets.cloned().collect();
        if !jobs.is_empty() {
            let list = load::ids(jobs.iter().copied());
            let registered = self.place.statements().registered_by;
            names.extend(connection.read(registered, &[&list], load::only_name).await?);
        }
        let now = self.place.now(connection).await?;
        self.known_of(connection, names, jobs.iter().copied().collect(), now).await
    }

    /// With what rows of others say of the jobs, and no check has taken in yet.
    async fn known_of(
        &self,
        connection: &mut Connection,
        datasets: BTreeSet<OwnedName>,
        jobs: BTreeSet<JobId>,
        now: i64,
    ) -> sqlx::Result<Ledger> {
        let scope = Scope { datasets, jobs, ..Scope::default() };
        let Loaded { mut ledger, before, .. } = self.look_on(connection, &scope, Some(now)).await?;
        let claimants = ledger.claims.iter().flat_map(|(_, claims)| claims.iter().map(|claim| claim.job));
        let list = load::ids(claimants.chain(scope.jobs.iter().copied()).collect::<BTreeSet<_>>());
        let deleted = self.place.statements().tombstones_of;
        for (job, at) in connection.read(deleted, &[&list], load::tombstone).await? {
            ledger.deleted_jobs.entry(job).or_insert(at);
            if scope.jobs.contains(&job) && !before.tombstones.contains_key(&job) {
                ledger.tombstones.entry(job).or_insert(at);
            }
        }
        Ok(ledger)
    }

    pub(super) async fn read_page(&self, wanted: Wanted<'_>) -> Result<Page> {
        let doing = "read a page of the registry";
        let mut connection = self.begin(false, doing).await?;
        let page = self.page_on(&mut connection, wanted).await;
        if connection.run("ROLLBACK").await.is_ok() {
            self.give_back(connection);
        }
        page.map_err(|error| self.place.problem(doing, &error))
    }

    async fn page_on(&self, connection: &mut Connection, wanted: Wanted<'_>) -> sqlx::Result<Page> {
        let statement = statement(self.place.statements(), wanted.listed);
        let mut from = wanted.after.map(behind).unwrap_or_default();
        let mut names = Vec::new();
        for round in 0.. {
            let limit = wanted.limit - names.len();
            let candidates =
                connection.read(statement, &[&from, &limit.to_string()], load::only_name).await?;
            let ledger = self.known(connection, &candidates, wanted.now).await?;
            let belongs = |name: &&OwnedName| wanted.listed.has(&ledger, name, wanted.now);
            names.extend(candidates.iter().filter(belongs).cloned());
            let last = candidates.last().filter(|_| candidates.len() == limit && names.len() < wanted.limit);
            match last {
                Some(last) => from = behind(&last.0),
                None if round == 0 => return Ok(Page { names, ledger }),
                None => break,
            }
        }
        let ledger = self.known(connection, &names, wanted.now).await?;
        Ok(Page { names, ledger })
    }

    async fn known(
        &self,
        connection: &mut Connection,
        names: &[OwnedName],
        now: i64,
    ) -> sqlx::Result<Ledger> {
        self.known_of(connection, names.iter().cloned().collect(), BTreeSet::new(), now).await
    }

    /// As their table has them, which is what the ledger has once the next check has taken everything in.
    pub(super) async fn read_tombstones(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(JobId, i64)>> {
        let doing = "read the deleted jobs of the registry";
        let mut connection = self.begin(false, doing).await?;
        let (statement, from) =
            (self.place.statements().tombstones_from, after.map(behind).unwrap_or_default());
        let found = connection.read(statement, &[&from, &limit.to_string()], load::tombstone).await;
        if connection.run("ROLLBACK").await.is_ok() {
            self.give_back(connection);
        }
        found.map_err(|error| self.place.problem(doing, &error))
    }
}

//! Another program writes whatever it likes into the table, between any two steps.
//!
//! No dataset whose job reported success, here or there, and was not deleted, here or there, is ever due;
//! and after each check the table is what the ledger has.

use std::collections::BTreeSet;
use std::sync::Arc;

use fastrand::Rng;
use timesweep::registry::Registry;
use timesweep::retention::ownership::OwnedName;
use timesweep::retention::ownership::check::Decision;
use timesweep::retention::ownership::event::Event;
use uuid::Uuid;

use super::pages;
use super::world::{HOUR, Place, SETTINGS, START, derived, id, inventory_of, name};

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

struct Meddled {
    place: Place,
    registry: Arc<dyn Registry>,
    random: Rng,
    now: i64,
    claims: BTreeSet<(u128, usize)>,
    deleted: BTreeSet<u128>,
    steps: Vec<String>,
}

pub async fn nothing_owned_is_due(place: Place, seed: u64, steps: usize) {
    let registry = place.open().await;
    let (random, claims, deleted) = (Rng::with_seed(seed), BTreeSet::new(), BTreeSet::new());
    let steps_taken = vec![format!("seed {seed}")];
    let mut meddled = Meddled { place, registry, random, now: START, claims, deleted, steps: steps_taken };
    for _ in 0..steps {
        meddled.now += meddled.random.i64(1..=8 * HOUR);
        meddled.step().await;
        if meddled.random.u8(..3) == 0 {
            pages::say_what_the_ledger_says(&*meddled.registry, meddled.now).await;
        }
    }
}

impl Meddled {
    async fn step(&mut self) {
        match self.random.u8(..10) {
            0..=3 => self.check().await,
            4 | 5 => self.event().await,
            _ => self.meddle().await,
        }
    }

    async fn event(&mut self) {
        let (job, index) = (self.random.u128(1..=4), self.random.usize(..NAMES.len()));
        let event = match self.random.u8(..3) {
            0 => {
                let job = if self.random.bool() { job } else { 100 + index as u128 };
                self.deleted.insert(job);
                Event::Deleted(id(job))
            }
            1 => Event::JobIsLive(id(job)),
            _ => {
                self.claims.insert((job, index));
                Event::Succeeded { job: id(job), dataset: name(NAMES[index]) }
            }
        };
        self.steps.push(format!("{event:?}"));
        self.registry
            .record(&[event], self.now)
            .await
            .unwrap_or_else(|why| panic!("{why}: {:#?}", self.steps));
    }

    /// What today's orchestrator does, and what a person might type. Each dataset has one job of others, so
    /// that none of their registrations is written over before anybody can read it.
    async fn meddle(&mut self) {
        let index = self.random.usize(..NAMES.len());
        let (text, number) = (NAMES[index], 100 + index as u128);
        let (job, row, at) = (id(number).0, Uuid::now_v7(), self.place.instant(self.now));
        let table = "esdl_time_series_info";
        let statement = match self.random.u8(..9) {
            0..=2 => {
                self.claims.insert((number, index));
                format!(
                    "INSERT INTO {table} (row_id, esdl_id, registered_at, job_id) VALUES ('{row}', '{text}', {at}, \
                     '{job}') ON CONFLICT (esdl_id) DO UPDATE SET job_id = excluded.job_id"
                )
            }
            3 => {
                self.deleted.insert(number);
                format!(
                    "UPDATE {table} SET deactivated_at = {at} WHERE job_id = '{job}' AND deactivated_at IS NULL"
                )
            }
            4 => {
                self.deleted.insert(number);
                format!(
                    "INSERT INTO {table} (row_id, registered_at, job_id, deactivated_at) \
                     VALUES ('{row}', {at}, '{job}', {at})"
                )
            }
            5 => format!(
                "INSERT INTO {table} (row_id, esdl_id, registered_at, deactivated_at) \
                 VALUES ('{row}', '{text}', {at}, {at}) ON CONFLICT (esdl_id) DO NOTHING"
            ),
            6 => format!("DELETE FROM {table} WHERE esdl_id = '{text}'"),
            7 => format!("UPDATE {table} SET deactivated_at = NULL WHERE esdl_id = '{text}'"),
            _ => format!("DELETE FROM {table} WHERE esdl_id IS NULL AND job_id = '{job}'"),
        };
        self.steps.push(statement.clone());
        self.place.run(&statement).await;
    }

    async fn check(&mut self) {
        let all = NAMES.iter().map(|text| name(text));
        let inventory = inventory_of(all.filter(|_| self.random.u8(..6) > 0));
        self.steps.push(format!("check {inventory:?}"));
        let adopts = |_: &OwnedName| true;
        let checked = self.registry.check(&inventory, &SETTINGS, &adopts, self.now).await;
        let checked = checked.unwrap_or_else(|why| panic!("{why}: {:#?}", self.steps));
        self.registry.announce().await.expect("announce");
        for (dataset, decision) in checked.map(|checked| checked.decisions).unwrap_or_default() {
            self.assert_nobody_owns(&dataset, &decision);
        }
        let ledger = self.registry.ledger().await.expect("the ledger");
        let expected: BTreeSet<_> = derived(&ledger).into_iter().collect();
        // Tombstones of others may be there twice, with their own instants.
        let is_row = |row: &super::world::PlainRow| row.0.is_some();
        let rows = self.place.rows().await;
        let found: Vec<_> = rows.iter().filter(|row| is_row(row)).collect();
        assert_eq!(found, expected.iter().filter(|row| is_row(row)).collect::<Vec<_>>(), "{:#?}", self.steps);
        let jobs = |row: &super::world::PlainRow| row.0.is_none().then(|| row.1.clone());
        let told: BTreeSet<_> = expected.iter().filter_map(jobs).collect();
        assert_eq!(rows.iter().filter_map(jobs).collect::<BTreeSet<_>>(), told, "{:#?}", self.steps);
    }

    fn assert_nobody_owns(&self, dataset: &OwnedName, decision: &Decision) {
        if *decision != Decision::Drop {
            return;
        }
        let owner =
            |(job, index): &&(u128, usize)| name(NAMES[*index]) == *dataset && !self.deleted.contains(job);
        let owner = self.claims.iter().find(owner);
        assert_eq!(owner, None, "{dataset:?} is due after {:#?}", self.steps);
    }
}

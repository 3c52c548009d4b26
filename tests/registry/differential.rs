//! Anything that can happen to a registry, drawn at random, on a database and in memory at once.
//!
//! After every step the answers, the ledgers and the table that others see are the same.

use std::sync::Arc;

use fastrand::Rng;
use timesweep::registry::memory::Memory;
use timesweep::registry::{Checked, Registry};
use timesweep::retention::ownership::check::{Inventory, Settings};
use timesweep::retention::ownership::event::Event;
use timesweep::retention::ownership::live::LiveJob;
use timesweep::retention::ownership::sighting::Sighting;
use timesweep::retention::ownership::{Ledger, OwnedName};

use super::pages;
use super::world::{HOUR, Place, SETTINGS, START, derived, id, name};

/// Quotes, blanks and signs that mean something in SQL or JSON are ordinary letters here.
const NAMES: [&str; 6] = ["a", "b", "0b1", "d'\"", "Größe \\u0041 %", "f{}[],$1"];

struct Both {
    place: Place,
    database: Arc<dyn Registry>,
    memory: Memory,
    now: i64,
    random: Rng,
    /// For the sentence when a step goes wrong.
    steps: Vec<String>,
}

pub async fn compare(place: Place, seed: u64, steps: usize) {
    let database = place.open().await;
    let (memory, random) = (Memory::default(), Rng::with_seed(seed));
    let mut both = Both { place, database, memory, now: START, random, steps: Vec::new() };
    for _ in 0..steps {
        both.now += both.random.i64(1..=5 * HOUR);
        both.step().await;
        both.assert_same(seed).await;
        if both.random.u8(..6) == 0 {
            pages::say_what_the_ledger_says(&*both.database, both.now).await;
            pages::list_the_tombstones_of_the_ledger(&*both.database).await;
        }
    }
}

impl Both {
    async fn step(&mut self) {
        match self.random.u8(..20) {
            0..=8 => self.record().await,
            9..=13 => self.check().await,
            14 => self.preview().await,
            15 => {
                self.told("announce");
                self.database.announce().await.expect("announce");
                self.memory.announce().await.expect("announce");
            }
            16 => self.drop_one().await,
            17 => self.restart_grace().await,
            18 => self.decide_again().await,
            _ => {
                self.told("open again");
                self.database = self.place.open().await;
            }
        }
    }

    fn told(&mut self, step: impl Into<String>) {
        self.steps.push(step.into());
    }

    fn any_name(&mut self) -> OwnedName {
        name(self.random.choice(NAMES).expect("a name"))
    }

    fn event(&mut self) -> Event {
        let (job, dataset) = (id(self.random.u128(1..=5)), self.any_name());
        let later = self.now + self.random.i64(-HOUR..=30 * HOUR);
        match self.random.u8(..14) {
            0 => Event::JobIsLive(job),
            1..=5 => Event::Succeeded { job, dataset },
            6 => Event::SucceededWithAnUnknownDataset(job),
            7 => Event::Failed(job),
            8 | 9 => Event::Deleted(job),
            10 => Event::CancelMark { dataset, hold_until: later },
            11 => Event::CancelTombstone(job),
            12 => Event::Hold { dataset, until: self.random.bool().then_some(later) },
            _ => Event::Unhold(dataset),
        }
    }

    async fn record(&mut self) {
        let events: Vec<Event> = (0..self.random.usize(1..5)).map(|_| self.event()).collect();
        self.told(format!("{events:?}"));
        let met = self.database.record(&events, self.now).await.expect("record");
        assert_eq!(met, self.memory.record(&events, self.now).await.expect("record"), "{:#?}", self.steps);
    }

    fn inventory(&mut self) -> Inventory {
        let mut datasets = Vec::new();
        for text in NAMES {
            if self.random.u8(..4) > 0 {
                datasets.push(self.sighting(name(text)));
            }
        }
        if self.random.u8(..10) == 0 {
            datasets.clear();
        }
        let live_jobs = (1..=5).filter(|_| self.random.u8(..5) == 0).collect::<Vec<_>>();
        let live_jobs = live_jobs.into_iter().map(|number| self.live_job(number)).collect();
        let read_by = self.now + self.random.i64(-HOUR..=HOUR);
        Inventory { complete: self.random.u8(..8) > 0, datasets, live_jobs, read_by }
    }

    /// With an instant, a token, both or neither.
    fn sighting(&mut self, name: OwnedName) -> Sighting {
        let at = self.now - self.random.i64(0..40 * HOUR);
        let token = self.random.choice(["0:1", "0:2", "1:1 '\"{}$1"]).map(Arc::from);
        let last_change = self.random.bool().then_some(at);
        Sighting { name, last_change, change_token: token.filter(|_| self.random.u8(..4) > 0) }
    }

    fn live_job(&mut self, number: u128) -> LiveJob {
        let since = self.now - self.random.i64(-HOUR..60 * HOUR);
        LiveJob { job: id(number), since: self.random.bool().then_some(since) }
    }

    async fn check(&mut self) {
        let inventory = self.inventory();
        self.told(format!("check {inventory:?}"));
        let adopts = |name: &OwnedName| *name.0 != *"b";
        let settings = Settings { accept_empty: self.random.bool(), longest_job: 30 * HOUR, ..SETTINGS };
        let checked = self.database.check(&inventory, &settings, &adopts, self.now).await.expect("check");
        let model = self.memory.check(&inventory, &settings, &adopts, self.now).await.expect("check");
        assert_eq!(checked.map(compared), model.map(compared), "{:#?}", self.steps);
    }

    async fn preview(&mut self) {
        let inventory = self.inventory();
        self.told(format!("preview {inventory:?}"));
        let shown = self.database.preview(&inventory, &SETTINGS, &|_| true, self.now).await.expect("preview");
        let model = self.memory.preview(&inventory, &SETTINGS, &|_| true, self.now).await.expect("preview");
        assert_eq!(shown.map(compared), model.map(compared), "{:#?}", self.steps);
    }

    async fn drop_one(&mut self) {
        let dataset = self.any_name();
        self.told(format!("drop {dataset:?}"));
        let row = self.database.marked_row(&dataset).await.expect("a look");
        assert_eq!(row, self.memory.marked_row(&dataset).await.expect("a look"), "{:#?}", self.steps);
        let Some(mut row) = row else { return };
        if self.random.u8(..4) == 0 {
            row.marked_at += 1;
        }
        let dropped = self.database.dropped(&dataset, &row).await.expect("dropped");
        assert_eq!(dropped, self.memory.dropped(&dataset, &row).await.expect("dropped"), "{:#?}", self.steps);
    }

    async fn restart_grace(&mut self) {
        let dataset = self.any_name();
        self.told(format!("restart the grace of {dataset:?}"));
        let Some(row) = self.memory.marked_row(&dataset).await.expect("a look") else { return };
        let done = self.database.restart_grace(&dataset, &row, self.now).await.expect("restart");
        assert_eq!(done, self.memory.restart_grace(&dataset, &row, self.now).await.expect("restart"));
    }

    async fn decide_again(&mut self) {
        let (dataset, job) = (self.any_name(), self.random.u128(1..=5));
        let (written, live) = (self.sighting(dataset), [self.live_job(job)]);
        self.told(format!("decide {written:?} with {live:?}"));
        let again = self.database.decide_again(&written, &live, &SETTINGS, &|_| true, self.now).await;
        let model = self.memory.decide_again(&written, &live, &SETTINGS, &|_| true, self.now).await;
        assert_eq!(again.expect("decide"), model.expect("decide"), "{:#?}", self.steps);
    }

    async fn assert_same(&self, seed: u64) {
        let ledger = self.database.ledger().await.expect("the ledger");
        let model = self.memory.ledger().await.expect("the ledger");
        assert_eq!(ledger, model, "seed {seed}, after {:#?}", self.steps);
        assert_eq!(self.place.rows().await, derived(&model), "seed {seed}, after {:#?}", self.steps);
    }
}

/// What a pass reads of the ledger after a check; a database leaves out what is over.
fn compared(mut checked: Checked) -> (Checked, bool) {
    let ledger = std::mem::take(&mut checked.ledger);
    let was_listed = ledger.jobs.values().any(|job| job.ended != Some(job.first_seen));
    let running = ledger.jobs.iter().filter(|(_, job)| job.ended.is_none()).map(|(job, seen)| (*job, *seen));
    let jobs = running.collect();
    let Ledger { rows, datasets, holds, .. } = ledger;
    checked.ledger = Ledger { jobs, rows, datasets, holds, ..Ledger::default() };
    (checked, was_listed)
}

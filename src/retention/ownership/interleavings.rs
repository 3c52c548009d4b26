//! Two jobs that may write the same dataset, in every order of what can happen to them.
//!
//! Safety: what a job wrote that succeeds and is not deleted is never dropped, whenever its success is
//! heard of. Liveness: what nobody owns is gone within the bound. Short orders are enumerated, long ones drawn.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::check::{Decision, Inventory, Settings};
use super::live::LiveJob;
use super::sighting::Sighting;
use super::{JobId, Ledger, OwnedName};

const MINUTE: i64 = 60_000_000;
const SETTINGS: Settings = Settings {
    check_interval: 60 * MINUTE,
    grace: 600 * MINUTE,
    registration_lifetime: 6_000 * MINUTE,
    longest_job: 20_000 * MINUTE,
    cap_share: 2_500,
    cap_count: 5,
    accept_empty: false,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Start(usize),
    Write(usize),
    /// The job is done; nobody has heard of it yet.
    Succeed(usize),
    Fail(usize),
    /// The result arrives, for the first time or again.
    Result(usize),
    Delete(usize),
    Check,
    /// The store is away, or answers with nothing.
    BadCheck,
    EmptyCheck,
    /// Longer than the grace goes by without anything.
    Pause,
    /// The store forgets what it counted.
    Restart,
}

const EVENTS: [Event; 17] = [
    Event::Start(0),
    Event::Start(1),
    Event::Write(0),
    Event::Write(1),
    Event::Succeed(0),
    Event::Succeed(1),
    Event::Fail(0),
    Event::Fail(1),
    Event::Result(0),
    Event::Result(1),
    Event::Delete(0),
    Event::Delete(1),
    Event::Check,
    Event::BadCheck,
    Event::EmptyCheck,
    Event::Pause,
    Event::Restart,
];

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum End {
    #[default]
    Running,
    Succeeded,
    Failed,
}

#[expect(clippy::struct_excessive_bools, reason = "what happened and what did not")]
#[derive(Debug, Clone, Default)]
struct Job {
    started: Option<i64>,
    wrote: bool,
    end: End,
    heard: bool,
    deleted: bool,
    /// It has failed, and nobody will ever tell.
    vanished: bool,
}

/// What the store tells of writes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Store {
    #[default]
    KeepsTimes,
    Counts,
}

/// When we hear of a job that is at work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum HeardOf {
    #[default]
    AtItsStart,
    ByAList,
    ByAListWithTimes,
}

#[derive(Debug, Clone, Default)]
struct World {
    ledger: Ledger,
    jobs: [Job; 2],
    now: i64,
    /// The store's only dataset, with its last write.
    written: Option<i64>,
    /// Whose data was dropped although they had not been deleted by then.
    lost: BTreeSet<usize>,
    /// A list without anything took the row of an owned dataset that is there.
    taken: bool,
    store: Store,
    starts: u64,
    writes: u64,
    heard_of: HeardOf,
    /// At the end nobody tells of the jobs that fail.
    in_silence: bool,
}

fn id(job: usize) -> JobId {
    JobId(Uuid::from_u128(job as u128 + 1))
}

fn dataset() -> OwnedName {
    OwnedName("esdl".into())
}

impl World {
    fn is_possible(&self, event: Event) -> bool {
        let job = |index: usize| &self.jobs[index];
        let running = |index: usize| job(index).started.is_some() && job(index).end == End::Running;
        match event {
            Event::Start(index) => job(index).started.is_none(),
            Event::Write(index) | Event::Fail(index) => running(index),
            Event::Succeed(index) => running(index) && job(index).wrote,
            Event::Result(index) => job(index).end != End::Running,
            Event::Delete(_) | Event::Check | Event::BadCheck | Event::EmptyCheck | Event::Pause => true,
            Event::Restart => self.store == Store::Counts && self.writes > 0,
        }
    }

    fn happen(&mut self, event: Event) {
        self.now += MINUTE;
        let now = self.now;
        match event {
            Event::Start(index) => {
                self.jobs[index].started = Some(now);
                if self.heard_of == HeardOf::AtItsStart {
                    self.ledger.job_is_live(id(index).into(), now);
                }
            }
            Event::Write(index) => {
                self.jobs[index].wrote = true;
                self.written = Some(now);
                self.writes += 1;
            }
            Event::Succeed(index) => self.jobs[index].end = End::Succeeded,
            Event::Fail(index) => self.jobs[index].end = End::Failed,
            Event::Result(index) => self.hear(index),
            Event::Delete(index) => {
                self.jobs[index].deleted = true;
                self.ledger.deleted(id(index), now);
            }
            Event::Check => self.check(true, self.written),
            Event::BadCheck => self.check(false, self.written),
            Event::EmptyCheck => self.check(true, None),
            Event::Pause => self.now += SETTINGS.grace,
            Event::Restart => (self.starts, self.writes) = (self.starts + 1, 0),
        }
    }

    fn hear(&mut self, index: usize) {
        self.jobs[index].heard = true;
        match self.jobs[index].end {
            End::Succeeded => self.ledger.succeeded(id(index), &dataset(), self.now),
            End::Failed => self.ledger.failed(id(index), self.now),
            End::Running => {}
        }
    }

    fn live(&self) -> Vec<LiveJob> {
        let live = |index: &usize| {
            let job = &self.jobs[*index];
            job.started.is_some() && !job.heard && !job.deleted && !job.vanished
        };
        let since =
            |index: usize| self.jobs[index].started.filter(|_| self.heard_of == HeardOf::ByAListWithTimes);
        (0..2).filter(live).map(|index| LiveJob { job: id(index), since: since(index) }).collect()
    }

    fn sighting(&self) -> Sighting {
        let times = self.written.filter(|_| self.store == Store::KeepsTimes);
        let token = (self.store == Store::Counts).then(|| format!("{}:{}", self.starts, self.writes));
        Sighting { name: dataset(), last_change: times, change_token: token.map(Into::into) }
    }

    fn check(&mut self, complete: bool, listed: Option<i64>) {
        self.now += SETTINGS.check_interval;
        let datasets = listed.map(|_| self.sighting()).into_iter().collect();
        let inventory = Inventory { complete, datasets, live_jobs: self.live(), read_by: self.now };
        let is_active = |ledger: &Ledger| ledger.rows.get(&dataset()).is_some_and(|row| row.mark.is_none());
        let was_active = is_active(&self.ledger);
        if self.ledger.observe(&inventory, &SETTINGS, self.now).is_err() {
            return;
        }
        let decision = self.ledger.decide(&dataset(), true, &SETTINGS, self.now);
        self.ledger.settle(&dataset(), &decision, self.now);
        if decision == Decision::Drop {
            self.written = None;
            self.ledger.dropped(&dataset());
            let lost = (0..2).filter(|index| self.jobs[*index].wrote && !self.jobs[*index].deleted);
            self.lost.extend(lost);
        }
        self.ledger.announce();
        self.taken |= self.written.is_some() && was_active && !is_active(&self.ledger) && listed.is_none();
    }

    /// Nobody who succeeded, whenever, may have lost data.
    fn is_safe(&self) -> bool {
        !self.taken && self.lost.iter().all(|index| self.jobs[*index].end != End::Succeeded)
    }

    /// Everything ends and is heard of, nothing else happens: within the bound only owned data is left.
    fn settle_down(mut self) -> Result<(), String> {
        for index in 0..2 {
            if self.jobs[index].started.is_some() && self.jobs[index].end == End::Running {
                self.happen(Event::Fail(index));
                self.jobs[index].vanished = self.in_silence;
            }
            if self.jobs[index].started.is_some() && !self.jobs[index].vanished {
                self.happen(Event::Result(index));
            }
        }
        let owned = (0..2).any(|index| self.jobs[index].end == End::Succeeded && !self.jobs[index].deleted);
        let had_data = self.written.is_some();
        // What nobody has seen yet is marked by the first check; from there on the bound counts.
        self.happen(Event::Check);
        if self.in_silence {
            self.now += SETTINGS.longest_job;
        }
        let until = self.now + SETTINGS.grace + 3 * SETTINGS.check_interval;
        while self.now + SETTINGS.check_interval + MINUTE <= until {
            self.happen(Event::Check);
        }
        if !self.is_safe() {
            return Err("data of a job that succeeded was dropped".into());
        }
        match (owned && had_data, self.written.is_some()) {
            (false, true) => Err("data that nobody owns is kept for ever".into()),
            (true, false) => Err("owned data is gone".into()),
            _ => Ok(()),
        }
    }
}

fn told(history: &[Event], why: &str) -> String {
    format!("{why}, after {history:?}")
}

/// Every order of up to `depth` events.
fn enumerate(world: &World, history: &mut Vec<Event>, depth: usize, seen: &mut usize) {
    *seen += 1;
    assert!(world.is_safe(), "{}", told(history, "data of a job that succeeded was dropped"));
    if depth == 0 {
        world.clone().settle_down().unwrap_or_else(|why| panic!("{}", told(history, &why)));
        return;
    }
    for event in EVENTS.into_iter().filter(|event| world.is_possible(*event)) {
        let mut next = world.clone();
        next.happen(event);
        history.push(event);
        enumerate(&next, history, depth - 1, seen);
        history.pop();
    }
}

fn draw(random: &mut fastrand::Rng, mut world: World, length: usize) {
    let mut history = Vec::new();
    for _ in 0..length {
        let possible: Vec<Event> = EVENTS.into_iter().filter(|event| world.is_possible(*event)).collect();
        let event = possible[random.usize(..possible.len())];
        history.push(event);
        world.happen(event);
        assert!(world.is_safe(), "{}", told(&history, "data of a job that succeeded was dropped"));
    }
    world.settle_down().unwrap_or_else(|why| panic!("{}", told(&history, &why)));
}

fn kinds() -> Vec<World> {
    let mut kinds = Vec::new();
    for store in [Store::KeepsTimes, Store::Counts] {
        for heard_of in [HeardOf::AtItsStart, HeardOf::ByAList, HeardOf::ByAListWithTimes] {
            for in_silence in [false, true] {
                kinds.push(World { store, heard_of, in_silence, ..World::default() });
            }
        }
    }
    kinds
}

#[test]
fn every_short_order_keeps_what_is_owned_and_drops_what_is_not() {
    let mut seen = 0;
    for world in kinds() {
        let is_first =
            (world.store, world.heard_of) == (Store::Counts, HeardOf::ByAList) && !world.in_silence;
        enumerate(&world, &mut Vec::new(), if is_first { 5 } else { 4 }, &mut seen);
    }
    assert!(seen > 60_000, "{seen}");
}

#[test]
fn long_orders_keep_what_is_owned_and_drop_what_is_not() {
    let mut random = fastrand::Rng::with_seed(7);
    for world in kinds() {
        for _ in 0..3_000 {
            let length = random.usize(6..24);
            draw(&mut random, world.clone(), length);
        }
    }
}

/// Minutes; `dev/soak` runs it.
#[test]
#[ignore = "takes minutes; dev/soak runs it"]
fn every_longer_order_keeps_what_is_owned_and_drops_what_is_not() {
    for world in kinds() {
        let mut seen = 0;
        enumerate(&world, &mut Vec::new(), 6, &mut seen);
        println!("{:?} {:?} {}: {seen}", world.store, world.heard_of, world.in_silence);
    }
}

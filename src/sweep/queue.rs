//! Which chunks are tried next, and how many in one transaction.
//!
//! Fresh chunks come first; one that had to wait for a lock is put back and tried again, with growing
//! pauses, when nothing fresh is left. Batches grow only while transactions stay short. The store waits
//! for the first chunk of a batch alone: batches that wait for each of their chunks never finish under a
//! busy reader (20 chunks per transaction livelocked in the measurements that this follows).

mod item;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::retention::plan::{ChunkPlan, DatasetPlan};
use crate::retention::time_axis::TimeAxis;
use crate::store::Dropped;

pub use item::Item;

/// No transaction drops more relations than this: their locks fill a table that all sessions share.
const MOST_RELATIONS: usize = 64;
/// A transaction that holds its locks for so long lets no batch grow; twice as long makes it smaller.
const COMFORTABLE: Duration = Duration::from_millis(30);
/// The same where somebody waits for them.
const COMFORTABLE_BESIDE_READERS: Duration = Duration::from_millis(15);
/// So many transactions after a lock time-out a dataset counts as calm again.
const CALM_AFTER: u32 = 20;
/// Where readers are in the way, they have the table to themselves for so long after each commit, for
/// each of its chunks: about the time that the server takes to plan a query of the whole table again. A
/// plan that becomes invalid while it is made is made once more.
const REST_FOR_EACH_CHUNK: Duration = Duration::from_micros(50);
const FIRST_BATCH: usize = 8;

/// Chunks of one dataset, to be tried in one transaction.
#[derive(Debug)]
pub struct Batch {
    pub lane: usize,
    pub items: Vec<Item>,
}

#[derive(Debug)]
pub enum Next {
    Try(Batch),
    /// Nothing can be tried before this instant, or before another worker is done; the instant is never past.
    Wait(Option<Instant>),
    Finished,
}

/// The work of one run.
#[derive(Debug)]
pub struct Queue {
    lanes: Vec<Lane>,
}

/// The chunks of one dataset.
#[derive(Debug)]
pub struct Lane {
    pub dataset: crate::retention::name::DatasetName,
    pub axis: TimeAxis,
    /// Continuous aggregates are asked again before each drop.
    pub protect_aggregates: bool,
    serial: Option<SerialGroup>,
    overlapping: bool,
    /// Of the whole dataset, those that stay too.
    chunks_left: usize,
    workers: usize,
    fresh: VecDeque<Item>,
    /// Must go alone, because a batch with them failed for good.
    single: VecDeque<Item>,
    again: Vec<(Instant, Item)>,
    batch: BatchSize,
    /// Those who waited for us go first.
    resting_until: Option<Instant>,
}

/// Lanes that must not be worked on by two connections at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SerialGroup {
    /// Chunks of this dataset share catalog rows or lie inside one another.
    Itself,
    /// A drop locks referenced tables, which other datasets may reference as well.
    ForeignKeys,
}

impl Queue {
    pub fn builder(attempts: u32) -> QueueBuilder {
        QueueBuilder { attempts, lanes: Vec::new() }
    }

    pub fn lane(&self, index: usize) -> &Lane {
        &self.lanes[index]
    }

    pub fn is_empty(&self) -> bool {
        self.lanes.iter().all(Lane::is_empty)
    }

    pub fn next(&mut self, now: Instant) -> Next {
        let fresh = self.best_lane(|lane| lane.has_fresh() && !lane.is_resting(now));
        let candidate = fresh.or_else(|| self.best_lane(|lane| lane.is_ready(now) && !lane.is_resting(now)));
        if let Some(index) = candidate {
            return Next::Try(self.lanes[index].take_batch(index, now));
        }
        if self.lanes.iter().all(|lane| lane.workers == 0 && lane.is_empty()) {
            return Next::Finished;
        }
        Next::Wait(self.first_ready())
    }

    /// When the next chunk can be tried. A dataset that must not be worked on is left out: whoever works
    /// on it tells when it is done, and its instants may be long past.
    fn first_ready(&self) -> Option<Instant> {
        let free = self.lanes.iter().filter(|lane| self.is_free(lane));
        free.filter_map(Lane::first_ready).min()
    }

    /// The lane with the fewest workers among those that may be worked on and have what is asked for.
    fn best_lane(&self, wanted: impl Fn(&Lane) -> bool) -> Option<usize> {
        let usable = self.lanes.iter().enumerate().filter(|(_, lane)| self.is_free(lane) && wanted(lane));
        usable.min_by_key(|(_, lane)| lane.workers).map(|(index, _)| index)
    }

    /// One more worker may work on this lane.
    fn is_free(&self, lane: &Lane) -> bool {
        let foreign_keys = |other: &Lane| other.serial == Some(SerialGroup::ForeignKeys) && other.workers > 0;
        match lane.serial {
            // Where readers are in the way, two waiting drops make each of them wait twice as long.
            None => lane.workers == 0 || !lane.batch.is_contended(),
            Some(SerialGroup::Itself) => lane.workers == 0,
            Some(SerialGroup::ForeignKeys) => !self.lanes.iter().any(foreign_keys),
        }
    }

    /// Chunks of a batch were dropped; somebody held one of those that stayed.
    pub fn went_well(&mut self, lane: usize, dropped: Dropped, stayed: Vec<Item>) {
        let lane = &mut self.lanes[lane];
        lane.workers -= 1;
        lane.chunks_left = lane.chunks_left.saturating_sub(dropped.chunks);
        lane.resting_until = lane.batch.is_contended().then(|| dropped.released + lane.rest());
        if stayed.is_empty() {
            lane.batch.went_well(dropped);
        } else {
            lane.batch.others_were_held();
            lane.put_back(stayed);
        }
    }

    /// A lock on the first chunk was not to be had. Answers with the chunk if its tries are used up.
    pub fn had_to_wait(&mut self, lane: usize, mut items: Vec<Item>, now: Instant) -> Vec<Item> {
        let lane = &mut self.lanes[lane];
        lane.workers -= 1;
        lane.batch.had_to_wait();
        let others = items.split_off(items.len().min(1));
        lane.put_back(others);
        items.into_iter().filter_map(|item| lane.try_later(item, now)).collect()
    }

    /// Puts chunks back that were only in the company of one that cannot go.
    pub fn try_again(&mut self, lane: usize, items: Vec<Item>) {
        self.lanes[lane].workers -= 1;
        self.lanes[lane].fresh.extend(items);
    }

    /// One of these cannot go, and nobody knows which: each is tried alone.
    pub fn try_alone(&mut self, lane: usize, items: Vec<Item>) {
        self.lanes[lane].workers -= 1;
        self.lanes[lane].single.extend(items);
    }

    /// A batch ended for good, without success.
    pub fn ended(&mut self, lane: usize) {
        self.lanes[lane].workers -= 1;
    }

    /// Empties the queue: what was not tried to its end.
    pub fn take_rest(&mut self) -> Vec<(usize, Item)> {
        let mut rest = Vec::new();
        for (index, lane) in self.lanes.iter_mut().enumerate() {
            let again = lane.again.drain(..).map(|(_, item)| item);
            let waiting = lane.fresh.drain(..).chain(lane.single.drain(..)).chain(again);
            rest.extend(waiting.map(|item| (index, item)));
        }
        rest
    }
}

impl Lane {
    fn has_fresh(&self) -> bool {
        !self.fresh.is_empty() || !self.single.is_empty()
    }

    fn rest(&self) -> Duration {
        REST_FOR_EACH_CHUNK * u32::try_from(self.chunks_left).unwrap_or(u32::MAX)
    }

    fn is_resting(&self, now: Instant) -> bool {
        self.resting_until.is_some_and(|until| now < until)
    }

    /// When something of this lane can be tried, as far as its own chunks decide.
    fn first_ready(&self) -> Option<Instant> {
        let waiting = self.again.iter().map(|(ready, _)| *ready).min();
        if self.has_fresh() {
            self.resting_until
        } else {
            waiting.max(self.resting_until.filter(|_| waiting.is_some()))
        }
    }

    fn is_ready(&self, now: Instant) -> bool {
        self.again.iter().any(|(ready, _)| *ready <= now)
    }

    fn is_empty(&self) -> bool {
        !self.has_fresh() && self.again.is_empty()
    }

    /// The newest chunk of a batch comes first, because it is the one that the store waits for: a reader
    /// of the latest row then waits for that one and holds none of the older ones. Where ranges lie inside
    /// one another, the inner ones have to go first.
    fn take_batch(&mut self, index: usize, now: Instant) -> Batch {
        let mut items = self.take(now);
        if !self.overlapping {
            items.reverse();
        }
        self.workers += 1;
        Batch { lane: index, items }
    }

    fn put_back(&mut self, items: Vec<Item>) {
        self.fresh.extend(items);
    }

    /// Answers with the chunk if its tries are used up.
    fn try_later(&mut self, mut item: Item, now: Instant) -> Option<Item> {
        item.tries += 1;
        let Some(pause) = item.pause(now) else { return Some(item) };
        self.again.push((now + pause, item));
        None
    }

    fn take(&mut self, now: Instant) -> Vec<Item> {
        if let Some(item) = self.single.pop_front() {
            return vec![item];
        }
        if self.fresh.is_empty() {
            let ready = self.again.iter().position(|(at, _)| *at <= now);
            return ready.map(|index| self.again.remove(index).1).into_iter().collect();
        }
        let mut items = Vec::new();
        let mut relations = 0;
        while let Some(item) = self.fresh.front() {
            relations += item.plan.chunk.parts.len();
            let full = items.len() >= self.batch.size() || relations > MOST_RELATIONS;
            if full && !items.is_empty() {
                break;
            }
            items.extend(self.fresh.pop_front());
        }
        items
    }
}

/// Collects the lanes of a run.
#[derive(Debug)]
pub struct QueueBuilder {
    attempts: u32,
    lanes: Vec<Lane>,
}

impl QueueBuilder {
    /// Adds what goes of a dataset. `locks_others`: a drop locks tables that this one references.
    pub fn add(&mut self, plan: &DatasetPlan, locks_others: bool, protect_aggregates: bool) {
        let pauses = item::pauses(self.attempts);
        let item = |chunk: &ChunkPlan| Item::new(chunk, pauses);
        self.lanes.push(Lane {
            dataset: plan.name.clone(),
            axis: plan.axis.clone(),
            protect_aggregates,
            serial: serial_group(plan, locks_others),
            overlapping: overlapping(plan),
            chunks_left: plan.chunks.len(),
            workers: 0,
            fresh: plan.going().map(item).collect(),
            single: VecDeque::new(),
            again: Vec::new(),
            batch: BatchSize::new(locks_others),
            resting_until: None,
        });
    }

    pub fn build(self) -> Queue {
        Queue { lanes: self.lanes }
    }
}

fn serial_group(plan: &DatasetPlan, locks_others: bool) -> Option<SerialGroup> {
    if locks_others {
        return Some(SerialGroup::ForeignKeys);
    }
    (plan.space_dimensions > 0 || overlapping(plan)).then_some(SerialGroup::Itself)
}

fn overlapping(plan: &DatasetPlan) -> bool {
    plan.chunks.windows(2).any(|pair| pair[0].chunk.range.end > pair[1].chunk.range.start)
}

/// How many chunks go in one transaction.
#[derive(Debug)]
struct BatchSize {
    size: usize,
    /// Transactions that still have to go through before the dataset counts as calm.
    calm_needed: u32,
    /// A drop locks more than its chunks: where somebody is in the way, they go one by one.
    locks_others: bool,
}

impl BatchSize {
    fn new(locks_others: bool) -> Self {
        Self { size: FIRST_BATCH, calm_needed: 0, locks_others }
    }

    fn size(&self) -> usize {
        if self.locks_others && self.is_contended() { 1 } else { self.size }
    }

    fn went_well(&mut self, dropped: Dropped) {
        let comfortable = if self.is_contended() { COMFORTABLE_BESIDE_READERS } else { COMFORTABLE };
        self.calm_needed = self.calm_needed.saturating_sub(1);
        if dropped.held > comfortable * 2 {
            self.size = (dropped.chunks / 2).max(1);
        } else if dropped.held < comfortable && dropped.chunks >= self.size {
            self.size = (self.size * 2).min(MOST_RELATIONS);
        }
    }

    /// A lock was not to be had a short while ago.
    fn is_contended(&self) -> bool {
        self.calm_needed > 0
    }

    /// The store waited for the first chunk only. Where that goes on, shorter batches would be no easier to begin,
    /// and there would be more of them to wait for.
    fn had_to_wait(&mut self) {
        if !self.is_contended() {
            self.size = self.size.min(FIRST_BATCH);
        }
        self.calm_needed = CALM_AFTER;
    }

    fn others_were_held(&mut self) {
        self.size = (self.size / 2).max(1);
        self.calm_needed = CALM_AFTER;
    }
}

#[cfg(test)]
mod tests;

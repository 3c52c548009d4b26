//! A store in memory, a full citizen: for speed, and for events that a real server cannot be asked for.
//!
//! It keeps the same contract as the others (`tests/driver_suite.rs`): an order is done exactly or not
//! at all, a second runner is busy, and an answer can be lost after the work was done.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;

use super::{
    Change, Driver, DropFailure, DropOrder, Dropped, Dropper, EndAnswer, EndOrder, RunnerLock, Wanted,
};
use crate::problem::{Problem, Result};
use crate::retention::facts::{Blocker, DatasetFacts, NotADataset, StoreFacts};
use crate::retention::model::{ByteCount, Chunk, ChunkPart};
use crate::retention::name::DatasetName;
use crate::retention::sessions::{How, SessionFacts};

/// A store whose contents the test holds as well.
#[derive(Clone)]
pub struct Memory {
    shared: Arc<Mutex<Contents>>,
}

struct Contents {
    facts: StoreFacts,
    locked: bool,
    blockers: BTreeMap<u32, Blocker>,
    sessions: Vec<SessionFacts>,
    next_answers: VecDeque<Trouble>,
    orders: Vec<DropOrder>,
}

/// What the next order meets instead of plain success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing is done.
    Fails(DropFailure),
    /// The work is done, but the answer is lost.
    DoneButLost,
    Works,
}

impl Memory {
    pub fn new(facts: StoreFacts) -> Self {
        let contents = Contents {
            facts,
            locked: false,
            blockers: BTreeMap::new(),
            sessions: Vec::new(),
            next_answers: VecDeque::new(),
            orders: Vec::new(),
        };
        Self { shared: Arc::new(Mutex::new(contents)) }
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the facts, as other sessions would.
    pub fn change(&self, change: impl FnOnce(&mut StoreFacts)) {
        change(&mut self.contents().facts);
    }

    /// The chunk with this object id stays locked until `unblock`.
    pub fn block(&self, oid: u32, by: Blocker) {
        self.contents().blockers.insert(oid, by);
    }

    pub fn unblock(&self, oid: u32) {
        self.contents().blockers.remove(&oid);
    }

    /// Somebody connects. Nobody can end sessions of the role `superuser` here.
    pub fn connect(&self, session: SessionFacts) {
        self.contents().sessions.push(session);
    }

    /// Process ids of those who are still connected.
    pub fn connected(&self) -> Vec<i32> {
        self.contents().sessions.iter().map(|session| session.pid).collect()
    }

    /// What the next orders meet, in turn.
    pub fn expect(&self, troubles: impl IntoIterator<Item = Trouble>) {
        self.contents().next_answers.extend(troubles);
    }

    /// Object ids that are there, in the order of the listing.
    pub fn oids(&self) -> Vec<u32> {
        let contents = self.contents();
        let chunks = contents.facts.datasets.iter().flat_map(|dataset| &dataset.chunks);
        chunks.flat_map(|chunk| chunk.parts.iter().map(|part| part.oid)).collect()
    }

    /// All orders that were tried, with the number of their chunks.
    pub fn order_sizes(&self) -> Vec<usize> {
        self.contents().orders.iter().map(|order| order.chunks.len()).collect()
    }
}

#[async_trait]
impl Driver for Memory {
    async fn facts(&self, wanted: &Wanted) -> Result<StoreFacts> {
        let mut facts = self.contents().facts.clone();
        let known = |name: &DatasetName| facts.datasets.iter().any(|dataset| dataset.name == *name);
        facts.not_datasets = wanted
            .expected
            .iter()
            .filter(|name| !known(name))
            .map(|name| NotADataset { name: name.clone(), what_it_is: None })
            .collect();
        if let Some(only) = &wanted.only {
            facts.datasets.retain(|dataset| only.contains(&dataset.name));
        }
        Ok(facts)
    }

    async fn total_bytes(&self) -> Result<Option<ByteCount>> {
        let contents = self.contents();
        let chunks = contents.facts.datasets.iter().flat_map(|dataset| &dataset.chunks);
        Ok(Some(chunks.filter_map(Chunk::bytes).sum()))
    }

    async fn lock_runner(&self, _run: &str) -> Result<Box<dyn RunnerLock>> {
        let mut contents = self.contents();
        if contents.locked {
            return Err(Problem::busy("another run holds the lock on this store"));
        }
        contents.locked = true;
        Ok(Box::new(MemoryLock { store: self.clone() }))
    }

    async fn open_dropper(&self) -> Result<Box<dyn Dropper>> {
        Ok(Box::new(MemoryDropper { store: self.clone() }))
    }

    async fn still_there(&self, parts: &[ChunkPart]) -> Result<Vec<bool>> {
        let contents = self.contents();
        let there = |part: &ChunkPart| {
            let chunks = contents.facts.datasets.iter().flat_map(|dataset| &dataset.chunks);
            chunks.flat_map(|chunk| &chunk.parts).any(|p| p.oid == part.oid && p.relation == part.relation)
        };
        Ok(parts.iter().map(there).collect())
    }

    async fn blockers(&self, _dataset: &DatasetName, parts: &[ChunkPart]) -> Result<Vec<Blocker>> {
        let contents = self.contents();
        Ok(parts.iter().filter_map(|part| contents.blockers.get(&part.oid).cloned()).collect())
    }

    async fn sessions(&self, roles: &[String]) -> Result<Vec<SessionFacts>> {
        let contents = self.contents();
        let listed = contents.sessions.iter().filter(|session| roles.contains(&session.role));
        Ok(listed.cloned().collect())
    }

    async fn end_sessions(&self, order: &EndOrder) -> Result<Vec<EndAnswer>> {
        let mut contents = self.contents();
        Ok(order.sessions.iter().map(|(session, how)| contents.end(order, session, *how)).collect())
    }

    async fn advice(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}

struct MemoryLock {
    store: Memory,
}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        self.store.contents().locked = false;
    }
}

#[async_trait]
impl RunnerLock for MemoryLock {
    async fn verify(&mut self) -> Result<()> {
        if self.store.contents().locked { Ok(()) } else { Err(Problem::busy("the runner's lock is lost")) }
    }
}

struct MemoryDropper {
    store: Memory,
}

#[async_trait]
impl Dropper for MemoryDropper {
    async fn drop_chunks(&mut self, order: &DropOrder) -> std::result::Result<Dropped, DropFailure> {
        let mut contents = self.store.contents();
        contents.orders.push(order.clone());
        let trouble = contents.next_answers.pop_front().unwrap_or(Trouble::Works);
        if let Trouble::Fails(failure) = trouble {
            return Err(failure);
        }
        let mut order = Cow::Borrowed(order);
        if contents.first_blocked(&order.chunks[1..]).is_some() {
            order.to_mut().chunks.drain(1..);
        }
        if let Some(blocked) = contents.first_blocked(&order.chunks) {
            return Err(DropFailure::Waited(format!("a lock on {blocked} was not to be had")));
        }
        contents.remove(&order)?;
        match trouble {
            Trouble::DoneButLost => Err(DropFailure::Unknown("the answer was lost".into())),
            _ => Ok(Dropped { chunks: order.chunks.len(), held: Duration::ZERO, released: Instant::now() }),
        }
    }
}

impl Contents {
    /// Looks again at who it is, as a real server does.
    fn end(&mut self, order: &EndOrder, session: &SessionFacts, how: How) -> EndAnswer {
        let same = |other: &SessionFacts| (other.pid, other.started_at) == (session.pid, session.started_at);
        let is_there = self.sessions.iter().any(|other| same(other) && order.roles.contains(&other.role));
        let in_the_way = |parts: &[ChunkPart]| {
            let holds =
                |part: &ChunkPart| self.blockers.get(&part.oid).is_some_and(|by| by.pid == session.pid);
            parts.iter().any(holds)
        };
        if !is_there || !order.in_the_way_of.as_ref().is_none_or(|(_, parts)| in_the_way(parts)) {
            return EndAnswer::Passed;
        }
        if session.role == "superuser" {
            return EndAnswer::NotAllowed("permission denied to terminate process".into());
        }
        self.blockers.retain(|_, by| by.pid != session.pid);
        if how == How::Terminate {
            self.sessions.retain(|other| !same(other));
        }
        EndAnswer::Ended
    }

    fn first_blocked(&self, chunks: &[Chunk]) -> Option<String> {
        let parts = chunks.iter().flat_map(|chunk| &chunk.parts);
        parts
            .into_iter()
            .find(|part| self.blockers.contains_key(&part.oid))
            .map(|part| part.relation.to_string())
    }

    /// Everything or nothing, and only what is exactly as ordered.
    fn remove(&mut self, order: &DropOrder) -> std::result::Result<(), DropFailure> {
        let Some(dataset) = self.facts.datasets.iter_mut().find(|dataset| dataset.name == order.dataset)
        else {
            let all = (0..order.chunks.len()).map(|index| (index, Change::Gone)).collect();
            return Err(DropFailure::Changed(all));
        };
        let changes: Vec<(usize, Change)> = order
            .chunks
            .iter()
            .enumerate()
            .filter_map(|(index, chunk)| Some((index, change(dataset, chunk)?)))
            .collect();
        if !changes.is_empty() {
            return Err(DropFailure::Changed(changes));
        }
        dataset.chunks.retain(|chunk| !order.chunks.iter().any(|ordered| ordered.range == chunk.range));
        dataset.relations_in_catalog = dataset.relations_listed();
        Ok(())
    }
}

fn change(dataset: &DatasetFacts, ordered: &Chunk) -> Option<Change> {
    let Some(fresh) = dataset.chunks.iter().find(|chunk| chunk.range == ordered.range) else {
        return Some(Change::Gone);
    };
    let identity = |chunk: &Chunk| chunk.parts.iter().map(|part| part.oid).collect::<Vec<_>>();
    if identity(fresh) != identity(ordered) || fresh.parts.iter().any(|part| part.state.frozen) {
        return Some(Change::Differs("its parts are others now, or frozen".into()));
    }
    None
}

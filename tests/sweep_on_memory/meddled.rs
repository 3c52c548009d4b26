//! The in-memory store with somebody who meddles: breaks sessions, loses the lock, acts between two drops.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use timesweep::problem::{Problem, Result};
use timesweep::retention::facts::{Blocker, StoreFacts};
use timesweep::retention::measured::{DiskFacts, SizeParts};
use timesweep::retention::model::{ByteCount, ChunkPart};
use timesweep::retention::name::DatasetName;
use timesweep::retention::sessions::SessionFacts;
use timesweep::store::memory::Memory;
use timesweep::store::{
    Driver, DropFailure, DropOrder, Dropped, Dropper, EndAnswer, EndOrder, RunnerLock, Wanted,
};

type Answer = dyn Fn(&DropOrder) -> Option<DropFailure> + Send + Sync;
type Deed = dyn Fn(usize) -> BoxFuture<'static, ()> + Send + Sync;

#[derive(Clone)]
pub struct Meddled {
    pub inner: Memory,
    /// Fails an order that it does not like; nothing is done then.
    pub answer: Arc<Answer>,
    /// Told after every order, with the number of orders until now.
    pub after_order: Arc<Deed>,
    /// The lock is lost after it was verified so often.
    pub lock_lasts: usize,
    /// Reading facts fails.
    pub no_facts: bool,
    /// Asking whether a chunk is still there fails so often.
    pub mute: Arc<AtomicUsize>,
    pub orders: Arc<AtomicUsize>,
    /// Looking for blockers, then ending sessions, fails so often.
    pub blind: Arc<AtomicUsize>,
    pub powerless: Arc<AtomicUsize>,
    /// Nothing about disks and sizes can be read.
    pub no_sizes: bool,
    /// The store has a disk, and its size is told late, so many questions after it changed.
    pub late_size: Option<(ByteCount, Arc<AtomicUsize>)>,
}

impl Meddled {
    pub fn new(inner: &Memory) -> Self {
        Self {
            inner: inner.clone(),
            answer: Arc::new(|_| None),
            after_order: Arc::new(|_| Box::pin(async {})),
            lock_lasts: usize::MAX,
            no_facts: false,
            mute: Arc::new(AtomicUsize::new(0)),
            orders: Arc::new(AtomicUsize::new(0)),
            blind: Arc::default(),
            powerless: Arc::default(),
            no_sizes: false,
            late_size: None,
        }
    }
}

fn fails_still(left: &AtomicUsize) -> Result<()> {
    match left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)) {
        Ok(_) => Err(Problem::unreachable("the store is away")),
        Err(_) => Ok(()),
    }
}

#[async_trait]
impl Driver for Meddled {
    async fn facts(&self, wanted: &Wanted) -> Result<StoreFacts> {
        if self.no_facts {
            return Err(Problem::unreachable("cannot list chunks"));
        }
        self.inner.facts(wanted).await
    }

    async fn total_bytes(&self) -> Result<Option<ByteCount>> {
        if self.no_sizes {
            return Err(Problem::unreachable("cannot measure the database"));
        }
        if let Some((early, left)) = &self.late_size
            && left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
        {
            return Ok(Some(*early));
        }
        self.inner.total_bytes().await
    }

    async fn disk(&self) -> Result<Option<DiskFacts>> {
        if self.no_sizes {
            return Err(Problem::unreachable("cannot ask the server about its disk"));
        }
        if self.late_size.is_some() {
            return Ok(Some(DiskFacts::default()));
        }
        self.inner.disk().await
    }

    async fn size_parts(&self, datasets: &[DatasetName]) -> Result<Vec<(DatasetName, SizeParts)>> {
        if self.no_sizes {
            return Err(Problem::busy("cannot measure tables: a lock is held for too long"));
        }
        self.inner.size_parts(datasets).await
    }

    async fn lock_runner(&self, run: &str) -> Result<Box<dyn RunnerLock>> {
        Ok(Box::new(ShortLock { inner: self.inner.lock_runner(run).await?, lasts: self.lock_lasts }))
    }

    async fn open_dropper(&self) -> Result<Box<dyn Dropper>> {
        Ok(Box::new(MeddledDropper { store: self.clone(), inner: self.inner.open_dropper().await? }))
    }

    async fn still_there(&self, parts: &[ChunkPart]) -> Result<Vec<bool>> {
        let left = self.mute.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        match left {
            Ok(_) => Err(Problem::unreachable("the store is away")),
            Err(_) => self.inner.still_there(parts).await,
        }
    }

    async fn blockers(&self, dataset: &DatasetName, parts: &[ChunkPart]) -> Result<Vec<Blocker>> {
        fails_still(&self.blind)?;
        self.inner.blockers(dataset, parts).await
    }

    async fn sessions(&self, roles: &[String]) -> Result<Vec<SessionFacts>> {
        self.inner.sessions(roles).await
    }

    async fn end_sessions(&self, order: &EndOrder) -> Result<Vec<EndAnswer>> {
        fails_still(&self.powerless)?;
        self.inner.end_sessions(order).await
    }

    async fn advice(&self) -> Result<Vec<String>> {
        self.inner.advice().await
    }
}

struct ShortLock {
    inner: Box<dyn RunnerLock>,
    lasts: usize,
}

#[async_trait]
impl RunnerLock for ShortLock {
    async fn verify(&mut self) -> Result<()> {
        match self.lasts.checked_sub(1) {
            None => Err(Problem::busy("the runner's lock is lost")),
            Some(left) => {
                self.lasts = left;
                self.inner.verify().await
            }
        }
    }
}

struct MeddledDropper {
    store: Meddled,
    inner: Box<dyn Dropper>,
}

#[async_trait]
impl Dropper for MeddledDropper {
    async fn drop_chunks(&mut self, order: &DropOrder) -> std::result::Result<Dropped, DropFailure> {
        let answer = match (self.store.answer)(order) {
            Some(failure) => Err(failure),
            None => self.inner.drop_chunks(order).await,
        };
        let orders = self.store.orders.fetch_add(1, Ordering::SeqCst) + 1;
        (self.store.after_order)(orders).await;
        answer
    }
}

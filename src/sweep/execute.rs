//! Executes a plan: journal the intent, drop, journal the outcome, for batch after batch.
//!
//! Several workers share the queue; each has a session of its own. Before every transaction the runner's
//! lock is verified and holds are read again, so a lost lock or a new hold stops what has not begun.
//! Invariant: no chunk is touched without an intent on disk, and every intent gets its outcome here or,
//! where nobody can know it now, when the next run settles it.

pub mod blockers;
mod outcome;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::problem::{Problem, Result};
use crate::report::sessions::EndedSession;
use crate::report::{ItemOutcome, ItemReport};
use crate::retention::facts::Hold;
use crate::retention::guard;
use crate::retention::model::{ChunkPart, StoreIdentity, StoreName};
use crate::retention::name::DatasetName;
use crate::retention::time_axis::TimeAxis;
use crate::state::{Intent, IntentPart, RunId, State};
use crate::store::{Driver, DropOrder, Dropper, RunnerLock};

use super::queue::{Batch, Item, Next, Queue};
use super::sessions::Sessions;

/// Everything that the workers share.
pub struct Execution {
    driver: Arc<dyn Driver>,
    state: Arc<State>,
    run: RunId,
    store: StoreName,
    identity: StoreIdentity,
    /// The store's clock at the start of the run.
    now: i64,
    queue: Mutex<Queue>,
    lock: Arc<tokio::sync::Mutex<Box<dyn RunnerLock>>>,
    results: Mutex<Vec<(usize, ItemReport)>>,
    trouble: Mutex<Option<Problem>>,
    changed: Notify,
    stop: CancellationToken,
    progress: Arc<dyn Progress>,
    sessions: Arc<Sessions>,
}

/// Told after every chunk, for a progress bar.
pub trait Progress: Send + Sync {
    fn chunk_ended(&self, item: &ItemReport);

    /// Told before a session is ended.
    fn session_ends(&self, _session: &EndedSession) {}

    /// Told where that did not end it.
    fn session_stays(&self, _session: &EndedSession) {}
}

/// No bar.
pub struct Silent;

impl Progress for Silent {
    fn chunk_ended(&self, _item: &ItemReport) {}
}

/// What an execution needs to begin.
pub struct Setting {
    pub driver: Arc<dyn Driver>,
    pub state: Arc<State>,
    pub run: RunId,
    pub store: StoreName,
    pub identity: StoreIdentity,
    pub now: i64,
    pub lock: Arc<tokio::sync::Mutex<Box<dyn RunnerLock>>>,
    pub stop: CancellationToken,
    pub progress: Arc<dyn Progress>,
    pub sessions: Arc<Sessions>,
}

/// What became of every chunk of the queue, by lane, and why the run stopped early.
pub struct Executed {
    pub items: Vec<(usize, ItemReport)>,
    /// Some of them would have been tried, or tried again.
    pub cut_short: bool,
    pub trouble: Option<Problem>,
}

/// Works the queue off with this many connections.
pub async fn execute(setting: Setting, queue: Queue, parallelism: usize) -> Executed {
    let execution = Arc::new(Execution::new(setting, queue));
    execution.clear_the_way().await;
    let mut workers: JoinSet<()> = (0..parallelism.max(1)).map(|_| Arc::clone(&execution).work()).collect();
    // Whichever ends first is heard first: the others wait for chunks that a dead worker has in hand.
    while let Some(ended) = workers.join_next().await {
        if let Err(error) = ended {
            execution.give_up(Problem::unreachable("a worker ended unexpectedly").cause(error.to_string()));
        }
    }
    let cut_short = !execution.queue().is_empty();
    execution.report_rest().await;
    let trouble = execution.trouble.lock().unwrap_or_else(PoisonError::into_inner).take();
    let items = std::mem::take(&mut *execution.results.lock().unwrap_or_else(PoisonError::into_inner));
    Executed { items, cut_short, trouble }
}

impl Execution {
    fn new(setting: Setting, queue: Queue) -> Self {
        Self {
            driver: setting.driver,
            state: setting.state,
            run: setting.run,
            store: setting.store,
            identity: setting.identity,
            now: setting.now,
            queue: Mutex::new(queue),
            lock: setting.lock,
            results: Mutex::new(Vec::new()),
            trouble: Mutex::new(None),
            changed: Notify::new(),
            stop: setting.stop,
            progress: setting.progress,
            sessions: setting.sessions,
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn work(self: Arc<Self>) {
        if let Err(problem) = self.work_until_done().await {
            self.give_up(problem);
        }
        self.changed.notify_waiters();
    }

    async fn work_until_done(&self) -> Result<()> {
        let mut dropper: Option<Box<dyn Dropper>> = None;
        while !self.is_stopping() {
            // Registered before looking, so that a change in between is not missed.
            let changed = self.changed.notified();
            let next = self.queue().next(Instant::now());
            match next {
                Next::Finished => return Ok(()),
                Next::Wait(ready) => self.wait(ready, changed).await,
                Next::Try(batch) => self.try_batch(batch, &mut dropper).await?,
            }
        }
        Ok(())
    }

    fn names(&self, lane: usize) -> (DatasetName, TimeAxis) {
        let queue = self.queue();
        let lane = queue.lane(lane);
        (lane.dataset.clone(), lane.axis.clone())
    }

    fn is_stopping(&self) -> bool {
        self.stop.is_cancelled() || self.trouble.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    async fn wait(&self, ready: Option<Instant>, changed: impl Future<Output = ()>) {
        let longest = Duration::from_millis(500);
        let pause = ready.map_or(longest, |at| at.saturating_duration_since(Instant::now()).min(longest));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = changed => {}
            () = self.stop.cancelled() => {}
        }
    }

    async fn try_batch(&self, batch: Batch, dropper: &mut Option<Box<dyn Dropper>>) -> Result<()> {
        let lane = batch.lane;
        let ready = match self.prepare(batch).await {
            Ok(ready) => ready,
            Err((items, problem)) => {
                self.queue().try_again(lane, items);
                return Err(problem);
            }
        };
        if ready.items.is_empty() {
            self.queue().ended(lane);
            self.changed.notify_waiters();
            return Ok(());
        }
        let answer = match self.session(dropper).await {
            Ok(session) => session.drop_chunks(&self.order(&ready)).await,
            Err(problem) => {
                self.queue().try_again(lane, ready.items);
                return Err(problem);
            }
        };
        let outcome = self.handle(ready, answer, dropper).await;
        self.changed.notify_waiters();
        outcome
    }

    async fn session<'a>(
        &self,
        dropper: &'a mut Option<Box<dyn Dropper>>,
    ) -> Result<&'a mut Box<dyn Dropper>> {
        if dropper.is_none() {
            *dropper = Some(self.driver.open_dropper().await?);
        }
        dropper.as_mut().ok_or_else(|| Problem::unreachable("no session to drop with"))
    }

    /// Verifies the lock, leaves out what is held by now, and journals the intents.
    async fn prepare(&self, batch: Batch) -> std::result::Result<Batch, (Vec<Item>, Problem)> {
        let Batch { lane, items } = batch;
        let checked = async {
            self.lock.lock().await.verify().await?;
            self.state.holds(&self.store, &self.identity, self.now).await
        };
        let holds = match checked.await {
            Ok(holds) => holds,
            Err(problem) => return Err((items, problem)),
        };
        let (dataset, axis) = self.names(lane);
        let (held, mut ready): (Vec<Item>, Vec<Item>) =
            items.into_iter().partition(|item| is_held(&dataset, item, &holds, self.now));
        for item in held {
            let why = ItemOutcome::NotTried { why: "a hold was set while the run was at work".into() };
            if let Err(problem) = self.finish(lane, item, why).await {
                return Err((ready, problem));
            }
        }
        match self.write_intents(&dataset, &axis, &mut ready).await {
            Ok(()) => Ok(Batch { lane, items: ready }),
            Err(problem) => Err((ready, problem)),
        }
    }

    async fn write_intents(&self, dataset: &DatasetName, axis: &TimeAxis, items: &mut [Item]) -> Result<()> {
        let mut new: Vec<&mut Item> = items.iter_mut().filter(|item| item.intent.is_none()).collect();
        let intents: Vec<Intent> = new.iter().map(|item| intent(dataset, axis, item)).collect();
        let ids = self.state.write_intents(self.run, &intents).await?;
        for (item, id) in new.iter_mut().zip(ids) {
            item.intent = Some(id);
        }
        Ok(())
    }

    fn order(&self, batch: &Batch) -> DropOrder {
        let queue = self.queue();
        let lane = queue.lane(batch.lane);
        DropOrder {
            dataset: lane.dataset.clone(),
            kind: lane.axis.kind.clone(),
            chunks: batch.items.iter().map(|item| item.plan.chunk.clone()).collect(),
            protect_aggregates: lane.protect_aggregates,
        }
    }

    fn add_result(&self, lane: usize, report: ItemReport) {
        self.results.lock().unwrap_or_else(PoisonError::into_inner).push((lane, report));
    }

    fn give_up(&self, problem: Problem) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.get_or_insert(problem);
        drop(trouble);
        self.changed.notify_waiters();
    }
}

fn is_held(dataset: &DatasetName, item: &Item, holds: &[Hold], now: i64) -> bool {
    guard::hold::held(dataset, &item.plan.chunk, holds, now).is_some()
}

fn intent(dataset: &DatasetName, axis: &TimeAxis, item: &Item) -> Intent {
    let chunk = &item.plan.chunk;
    let part = |part: &ChunkPart| IntentPart { oid: part.oid, relation: part.relation.clone() };
    Intent {
        dataset: dataset.clone(),
        range: chunk.range,
        parts: chunk.parts.iter().map(part).collect(),
        bytes: chunk.bytes(),
        reason: item.plan.reason.sentence(axis),
    }
}

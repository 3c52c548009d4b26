//! Something that happens in the middle of a pass, as soon as it can at a step.
//!
//! Invariant: what has not come by the end of the pass has done nothing, neither to the registry nor to the
//! store; the world lets it come behind the pass.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::event::Event;
use super::world::dataset;
use crate::retention::ownership::event::Event as Happened;
use crate::retention::ownership::live::LiveJob;
use crate::store::owned::memory::Memory as MemoryStore;
use crate::sweep::owned::testing::bent::Bent;
use crate::sweep::owned::testing::stepped::Happening;

#[derive(Debug)]
pub struct Meeting {
    pub step: usize,
    pub event: Event,
    has_come: Arc<AtomicBool>,
    /// A write that made the dataset anew.
    is_behind_the_drop: Arc<AtomicBool>,
}

impl Meeting {
    pub fn new(step: usize, event: Event) -> Self {
        Self { step, event, has_come: Arc::default(), is_behind_the_drop: Arc::default() }
    }

    pub fn has_come(&self) -> bool {
        self.has_come.load(Ordering::SeqCst)
    }

    /// Who wrote before a drop, and who behind it.
    pub fn writer(&self) -> (Option<usize>, Option<usize>) {
        match self.event {
            Event::Write(index) if self.has_come() => {
                let behind = self.is_behind_the_drop.load(Ordering::SeqCst);
                ((!behind).then_some(index), behind.then_some(index))
            }
            _ => (None, None),
        }
    }

    /// `counted`: since which start of the store, and how many writes with this one.
    pub fn write(&self, store: MemoryStore, counted: Option<(u64, u64)>, now: i64) -> Happening {
        let (has_come, behind) = (Arc::clone(&self.has_come), Arc::clone(&self.is_behind_the_drop));
        Box::new(move |looks| {
            // Nobody can keep a job from writing between the last look and the drop: that is left out.
            if looks > 0 && store.holds_data_of(&dataset()) {
                return;
            }
            behind.store(store.dropped().contains(&dataset()), Ordering::SeqCst);
            match counted {
                Some((starts, writes)) => store.go_on_from(starts, [(dataset(), writes)]),
                None => store.write(&dataset(), now),
            }
            has_come.store(true, Ordering::SeqCst);
        })
    }

    pub fn hear(&self, registry: Bent, happened: Vec<Happened>, live: Vec<LiveJob>, now: i64) -> Happening {
        let has_come = Arc::clone(&self.has_come);
        Box::new(move |_| {
            registry.memory.set_live_jobs(live);
            for one in happened {
                registry.memory.change(|ledger| Bent::apply(registry.without, ledger, &one, now));
            }
            has_come.store(true, Ordering::SeqCst);
        })
    }
}

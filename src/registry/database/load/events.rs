//! What happened, on what was loaded of the ledger.
//!
//! Invariant: a deletion that we were told stays one, also where it was known from a row of others before.

use std::collections::BTreeSet;

use super::Loaded;
use crate::retention::ownership::JobId;
use crate::retention::ownership::event::{Event, Met};

impl Loaded {
    /// All of them in this order; one answer for each.
    pub(in crate::registry::database) fn apply(&mut self, events: &[Event]) -> Vec<Met> {
        let met = events.iter().map(|event| self.ledger.apply(event, self.now)).collect();
        self.hear(events);
        met
    }

    /// A deletion that was known from a row alone is one that we were told from now on.
    fn hear(&mut self, events: &[Event]) {
        for event in events {
            if let Event::Deleted(job) = event
                && self.adopted.remove(job)
            {
                self.confirmed.insert(*job);
            }
        }
        let deleted: BTreeSet<JobId> = self.ledger.deleted_jobs.keys().copied().collect();
        self.confirmed.retain(|job| deleted.contains(job));
    }
}

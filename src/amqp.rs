//! Messages as a way in: deletions of jobs, and results of tasks where somebody tells them.
//!
//! What comes is written into the registry and wakes the loop; nothing here sees a store. Invariant: a
//! message is acknowledged after its event is committed, or after it is safe among the dead letters,
//! never before: whatever breaks in between, it comes again, and coming again changes nothing.

pub mod broker;
mod counters;
mod dead_letters;
pub mod declared;
pub mod esdl;
pub mod line;
pub mod look;
mod reading;
pub mod taker;
mod troubles;
pub mod wire;

use std::sync::Arc;

use crate::wake::Wake;
use tokio_util::sync::CancellationToken;

use crate::config::AmqpSettings;
use crate::problem::Result;
use crate::registry::Registry;

pub use self::counters::{Counters, LineCounters};
use self::line::{Line, Queue, Taken};
use self::reading::{Kind, Recorder};
pub use self::troubles::Troubles;

/// Listens until it is told to end, or fails at the start: what does not work then is a matter of the
/// settings. What breaks off later is taken up again, for ever.
pub async fn consume(
    settings: &AmqpSettings,
    registry: Arc<dyn Registry>,
    wake: Wake,
    counters: Arc<Counters>,
    cancel: CancellationToken,
) -> Result<()> {
    // One line that fails ends the other, after the batch that it has in hand.
    let both = cancel.child_token();
    let recorder = |kind| Recorder { kind, registry: registry.as_ref(), wake: &wake };
    let queue = |name, bound_to| Queue {
        name,
        dead_letters: &settings.dead_letters,
        bound_to,
        old_name: None,
        taken: Taken::Alone,
    };
    let (of_deletions, of_results) = (recorder(Kind::Deletions), recorder(Kind::Results));
    let deletions = Line {
        taker: &of_deletions,
        broker: &settings.broker,
        queue: queue(&settings.deletions, Some(settings.deletions.as_str())),
        counters: &counters.deletions,
    };
    let results = settings.results.as_ref().map(|results| Line {
        taker: &of_results,
        broker: &results.broker,
        queue: queue(&results.queue, None),
        counters: &counters.results,
    });
    let (deletions, results) = tokio::join!(deletions.listen(&both), async {
        match results {
            Some(results) => results.listen(&both).await,
            None => Ok(()),
        }
    });
    deletions.and(results)
}

//! What stands beside the loop: REST, AMQP. Each writes to the registry and wakes the loop; none sees a store.
//!
//! Invariant: a way in that ends although nobody stopped it is shown and started again, with growing pauses;
//! one that can never work (a wrong setting) ends the process. Neither happens silently.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use futures_util::FutureExt;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::problem::{Kind, Problem, Result};
use crate::registry::Registry;
use crate::wake::{Status, Wake};

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// A way in that was open for so long has its short pauses again.
const STEADY: Duration = Duration::from_mins(5);

/// All that a way in may touch.
#[derive(Clone)]
pub struct Seams {
    pub registry: Arc<dyn Registry>,
    pub wake: Wake,
    pub status: Status,
    /// Cancelled when the process ends: accept nothing more, finish what is in hand.
    pub stop: CancellationToken,
}

pub type Opened = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// A long-lived task that can be started again. Ending well is only right after a stop.
pub struct WayIn {
    pub name: &'static str,
    pub open: Box<dyn Fn() -> Opened + Send + Sync>,
}

pub(super) async fn keep_open(way_in: WayIn, status: Status, stop: CancellationToken) -> Result<()> {
    let mut pauses = pauses();
    status.change(|status| _ = status.ways_in.insert(way_in.name, None));
    loop {
        let began = Instant::now();
        let ended = AssertUnwindSafe((way_in.open)()).catch_unwind().await;
        if stop.is_cancelled() {
            return Ok(());
        }
        let problem = match ended {
            Ok(Err(problem)) if problem.kind == Kind::Usage => return Err(problem),
            Ok(Err(problem)) => problem,
            Ok(Ok(())) => {
                Problem::unreachable(format!("{} has ended although nobody stopped it", way_in.name))
            }
            Err(_) => Problem::unreachable(format!("{} broke off by a fault in timesweep", way_in.name)),
        };
        tracing::error!("{}: {problem}", way_in.name);
        status.change(|status| _ = status.ways_in.insert(way_in.name, Some(problem.to_string())));
        if began.elapsed() > STEADY {
            pauses = self::pauses();
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(pauses.next().unwrap_or(LONGEST_PAUSE)) => {}
        }
        status.change(|status| _ = status.ways_in.insert(way_in.name, None));
    }
}

fn pauses() -> ExponentialBackoff {
    let growing = ExponentialBuilder::default().with_jitter().without_max_times();
    growing.with_min_delay(FIRST_PAUSE).with_max_delay(LONGEST_PAUSE).build()
}

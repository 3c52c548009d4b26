//! What stands beside the loop of `serve`: REST, and messages where a broker is configured.
//!
//! Here the parts that do not know each other are put together: what the daemon, the journal and the broker's
//! lines say of themselves is what REST shows. Invariant: each of them can be opened again after it broke off.

use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;

use super::super::owned::OpenedOwned;
use crate::amqp::{self, Counters, LineCounters};
use crate::config::{AmqpSettings, ServeSettings};
use crate::daemon::{Seams, WayIn};
use crate::omotes::role::Role;
use crate::problem::{Problem, Result};
use crate::server::{self, Condition, Health, Insight, RunView};
use crate::state::{RunId, RunRecord, State};
use crate::wake::Status;

pub fn all(seams: &Seams, opened: &OpenedOwned, state: &Arc<State>) -> Vec<WayIn> {
    let (mut lines, mut messages) = (Lines::None, None);
    if let Some(settings) = &opened.amqp {
        let counters = Arc::<Counters>::default();
        let takes_results = settings.results.is_some();
        lines = Lines::Messages { counters: Arc::clone(&counters), takes_results };
        messages = Some(broker(seams, settings.clone(), counters));
    }
    if let Some(role) = &opened.role {
        lines = Lines::Orchestrator(Arc::clone(role));
        messages = Some(orchestrator(seams, Arc::clone(role)));
    }
    let seen = Arc::new(Seen { state: Arc::clone(state), status: seams.status.clone(), lines });
    let mut all = vec![rest(seams, &opened.serve, seen)];
    all.extend(messages);
    all
}

fn rest(seams: &Seams, settings: &ServeSettings, seen: Arc<Seen>) -> WayIn {
    let (settings, registry) = (settings.clone(), Arc::clone(&seams.registry));
    let (wake, stop) = (seams.wake.clone(), seams.stop.clone());
    let open = move || -> crate::daemon::ways_in::Opened {
        let (settings, registry, seen) = (settings.clone(), Arc::clone(&registry), Arc::clone(&seen));
        let (wake, stop) = (wake.clone(), stop.clone());
        Box::pin(async move { server::serve(&settings, registry, wake, seen, stop).await })
    };
    WayIn { name: "REST", open: Box::new(open) }
}

fn broker(seams: &Seams, settings: AmqpSettings, counters: Arc<Counters>) -> WayIn {
    let registry = Arc::clone(&seams.registry);
    let (wake, stop) = (seams.wake.clone(), seams.stop.clone());
    let open = move || -> crate::daemon::ways_in::Opened {
        let (settings, registry) = (settings.clone(), Arc::clone(&registry));
        let (wake, counters, stop) = (wake.clone(), Arc::clone(&counters), stop.clone());
        Box::pin(async move { amqp::consume(&settings, registry, wake, counters, stop).await })
    };
    WayIn { name: "messages", open: Box::new(open) }
}

fn orchestrator(seams: &Seams, role: Arc<Role>) -> WayIn {
    let stop = seams.stop.clone();
    let open = move || -> crate::daemon::ways_in::Opened {
        let (role, stop) = (Arc::clone(&role), stop.clone());
        Box::pin(async move { Box::pin(role.take(&stop)).await })
    };
    WayIn { name: "orchestrator", open: Box::new(open) }
}

struct Seen {
    state: Arc<State>,
    status: Status,
    lines: Lines,
}

/// The queues that are listened to.
enum Lines {
    None,
    Messages { counters: Arc<Counters>, takes_results: bool },
    Orchestrator(Arc<Role>),
}

impl Lines {
    fn parts(&self) -> Vec<(&'static str, Condition)> {
        match self {
            Self::None => Vec::new(),
            Self::Messages { counters, takes_results } => {
                let results = takes_results.then(|| ("results", of_line(&counters.results)));
                std::iter::once(("deletions", of_line(&counters.deletions))).chain(results).collect()
            }
            Self::Orchestrator(role) => {
                role.counters.parts().iter().map(|(name, line)| (*name, of_line(line))).collect()
            }
        }
    }
}

#[async_trait]
impl Insight for Seen {
    async fn runs(&self, before: Option<&str>, limit: usize) -> Result<Vec<RunView>> {
        let before = before.map(run_id).transpose()?;
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        let records = self.state.runs_before(before, limit).await?;
        Ok(records.iter().map(view).collect())
    }

    fn health(&self) -> Health {
        let status = self.status.get();
        let of_loop = if status.errors_in_a_row == 0 { Condition::Ok } else { Condition::Trouble };
        let mut parts = vec![("loop", of_loop)];
        parts.extend(self.lines.parts());
        Health { parts }
    }
}

fn of_line(line: &LineCounters) -> Condition {
    if line.listens() && line.trouble().is_none() {
        Condition::Ok
    } else if line.stands_by() {
        Condition::Standby
    } else if line.waits() {
        Condition::WaitsForOrchestrator
    } else {
        Condition::Trouble
    }
}

fn run_id(text: &str) -> Result<RunId> {
    Uuid::try_parse(text).map(RunId).map_err(|_| {
        Problem::usage("the cursor is no run").hint("take `next` of the page before, or leave it out")
    })
}

fn view(record: &RunRecord) -> RunView {
    let run = &record.run;
    RunView {
        id: run.id.0.to_string(),
        store: run.store.0.clone(),
        command: run.command.clone(),
        started_at: shown(run.started_at),
        ended_at: record.end.as_ref().map(|end| shown(end.ended_at)),
        exit_code: record.end.as_ref().map(|end| end.exit_code),
    }
}

/// RFC 3339, as far as the calendar goes.
fn shown(at: i64) -> String {
    jiff::Timestamp::from_microsecond(at).map_or_else(|_| at.to_string(), |at| at.to_string())
}

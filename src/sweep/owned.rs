//! One pass over data that jobs own: settle, list, check, report, announce; and drop what is due.
//!
//! Who owns what is decided by `retention/ownership` through the registry; here is only the order of the
//! steps. Invariants: nothing is dropped before its intent is journaled and everything was read once more,
//! and a mark counts as announced only after a report with it was journaled.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::config::OwnershipSettings;
use crate::problem::{Problem, Result};
use crate::registry::{Checked, Registry, RunnerLock};
use crate::report::early::About;
use crate::report::gate::GateReport;
use crate::report::owned::OwnedReport;
use crate::report::{Report, Verdict, verdict};
use crate::retention::guard::{GuardName, Refusal};
use crate::retention::model::StoreIdentity;
use crate::retention::ownership::check::{Implausible, Inventory};
use crate::retention::ownership::{JobId, OwnedName};
use crate::state::{NewRun, RunId};
use crate::store::owned::{ListedDataset, OwnedStore};

pub mod due;
pub mod explain;
pub mod found;
#[cfg(test)]
mod interleavings;
pub mod journal;
mod lost;
mod second_look;
mod settle;
#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;

use lost::Lost;

pub use journal::Journal;

/// What a pass works on and with. It can be run any number of times.
#[derive(Clone)]
pub struct OwnedPass {
    pub store: Arc<dyn OwnedStore>,
    pub registry: Arc<dyn Registry>,
    pub settings: OwnershipSettings,
    /// Microseconds that the registry's clock and ours may be apart.
    pub max_clock_skew: i64,
    /// As it stands in the journal: `run --apply`, `serve`.
    pub command: String,
    /// The drop in hand is finished, then the pass ends.
    pub stop: CancellationToken,
    /// Where the store is, by the configuration.
    pub place: String,
    /// Gives the exit code that the journal remembers.
    pub exit_code: fn(Verdict) -> u8,
    /// Our own clock, microseconds since 1970 UTC.
    pub our_now: Arc<dyn Fn() -> i64 + Send + Sync>,
    /// What the gate said, for the report.
    pub gate: Option<GateReport>,
}

/// What one look at store and jobs gave.
struct Looked {
    datasets: Vec<ListedDataset>,
    checked: Checked,
    /// Who is at work, where somebody keeps a list.
    job_list: Option<BTreeSet<JobId>>,
}

impl OwnedPass {
    /// The pass that drops. An error means that it had not begun; from there on it has its report.
    pub async fn run(&self, journal: &dyn Journal) -> Result<Report> {
        let run = RunId(Uuid::now_v7());
        let began = Instant::now();
        let mut lock = self.registry.lock_runner(&format!("run {run}")).await?;
        let identity = self.store.identity().await?;
        let now = self.registry.now().await?;
        self.refuse_clocks_apart(now)?;
        journal.begin_run(&self.new_run(run, &identity, now)).await?;
        let mut report = self.new_report(run, &identity, now);
        let mut owned = OwnedReport::default();
        let worked = self.work(&mut report, &mut owned, (run, &identity), lock.as_mut(), journal).await;
        let has_looked = worked.has_looked;
        report.past_runs = journal.runs_before(&report).await;
        self.conclude(&mut report, owned, worked.trouble, began);
        let journaled = write_down(self, journal, run, &report).await;
        if let Err(problem) = journaled {
            // Nothing is taken back, but nobody may say later that people could have read it.
            report.stopped.get_or_insert_with(|| problem.to_string());
            report.verdict = Verdict::Partial;
        } else if has_looked && let Err(problem) = self.registry.announce().await {
            report.warnings.push(format!("the marks of this pass do not count as announced: {problem}"));
        }
        Ok(report)
    }

    /// What a pass would find and do now, with every list `in_full` or cut. Writes nothing anywhere.
    pub async fn preview(&self, in_full: bool) -> Result<Report> {
        let identity = self.store.identity().await?;
        let now = self.registry.now().await?;
        let mut report = self.new_report(RunId(Uuid::nil()), &identity, now);
        let (datasets, inventory) = self.gather().await?;
        let previewed = self.registry.preview(&inventory, &self.settings.check, &*self.adopts(), now).await?;
        let mut owned = OwnedReport { in_full, listed: datasets.len(), ..OwnedReport::default() };
        match previewed {
            Err(why) => report.refusals.push(implausible(&why)),
            Ok(checked) => {
                let job_list = self.job_list(&inventory).await?;
                let looked = Looked { datasets, checked, job_list };
                report.warnings.extend(self.warnings(&looked, now));
                let due = self.fill(&mut owned, &looked, now);
                for due in &due {
                    owned.add_due(due);
                }
                owned.sort();
            }
        }
        report.verdict = if report.refusals.is_empty() { Verdict::Done } else { Verdict::Refused };
        report.owned = Some(owned);
        Ok(report)
    }

    async fn work(
        &self,
        report: &mut Report,
        owned: &mut OwnedReport,
        (run, identity): (RunId, &str),
        lock: &mut dyn RunnerLock,
        journal: &dyn Journal,
    ) -> Worked {
        let mut worked = Worked { has_looked: false, trouble: None };
        if let Err(problem) = settle::settle(self, journal, identity, run, &mut owned.settled).await {
            worked.trouble = Some(problem);
            return worked;
        }
        let looked = match self.look(report.started_at).await {
            Ok(Ok(looked)) => looked,
            Ok(Err(why)) => {
                report.refusals.push(implausible(&why));
                return worked;
            }
            Err(problem) => {
                worked.trouble = Some(problem);
                return worked;
            }
        };
        worked.has_looked = true;
        owned.listed = looked.datasets.len();
        report.warnings.extend(self.warnings(&looked, report.started_at));
        let due = self.fill(owned, &looked, report.started_at);
        owned.jobs_too_old = looked.checked.too_old.iter().map(|job| job.0).collect();
        let going = due::Going { pass: self, journal, run };
        worked.trouble = going.drop_all(lock, &due, report, owned).await.err();
        worked
    }

    /// The store completely, then who is at work, and only then rows and ledger: whoever ends in between is
    /// seen at work or as a claimant, never as neither.
    async fn look(&self, now: i64) -> Result<std::result::Result<Looked, Implausible>> {
        let (datasets, inventory) = self.gather().await?;
        let checked = self.registry.check(&inventory, &self.settings.check, &*self.adopts(), now).await?;
        let checked = match checked {
            Ok(checked) => checked,
            Err(why) => return Ok(Err(why)),
        };
        let job_list = self.job_list(&inventory).await?;
        Ok(Ok(Looked { datasets, checked, job_list }))
    }

    fn warnings(&self, looked: &Looked, now: i64) -> Vec<String> {
        let ledger = &looked.checked.ledger;
        let has_job_list = looked.job_list.is_some();
        let mut warnings = found::warnings(ledger, looked.datasets.len(), has_job_list, &self.settings, now);
        let lost = Lost { ledger, listed: looked.job_list.as_ref(), settings: &self.settings.check };
        warnings.extend(lost.warning(&looked.checked.decisions));
        warnings
    }

    async fn job_list(&self, inventory: &Inventory) -> Result<Option<BTreeSet<JobId>>> {
        let has_job_list = self.registry.has_job_list().await?;
        Ok(has_job_list.then(|| lost::ids(&inventory.live_jobs)))
    }

    async fn gather(&self) -> Result<(Vec<ListedDataset>, Inventory)> {
        let datasets = self.store.list().await?;
        let live_jobs = self.registry.live_jobs().await?;
        let listed = datasets.iter().map(ListedDataset::sighting).collect();
        let read_by = self.registry.now().await?;
        Ok((datasets, Inventory { complete: true, datasets: listed, live_jobs, read_by }))
    }

    /// Sorts every dataset into its group; what is due comes back, oldest mark first, without what the cap leaves.
    fn fill(&self, owned: &mut OwnedReport, looked: &Looked, now: i64) -> Vec<due::Due> {
        let mut due = found::sort_in(owned, looked, now);
        due.sort_by(|a, b| (a.marked_at, &a.name).cmp(&(b.marked_at, &b.name)));
        let foreign = owned.count(crate::report::owned::Standing::Foreign);
        owned.cap = self.settings.check.cap(looked.datasets.len().saturating_sub(foreign));
        let left = due.split_off(due.len().min(owned.cap));
        for left in &left {
            owned.add_left(left);
        }
        owned.sort();
        due
    }

    pub fn adopts(&self) -> Box<dyn Fn(&OwnedName) -> bool + Send + Sync> {
        let adopt = self.settings.adopt.clone();
        Box::new(move |name| adopt.adopts(name))
    }

    fn refuse_clocks_apart(&self, now: i64) -> Result<()> {
        let apart = now.saturating_sub((self.our_now)()).saturating_abs();
        if apart <= self.max_clock_skew {
            return Ok(());
        }
        Err(Problem::refused(format!(
            "the registry's clock and ours are {} s apart: nobody can say how old a mark is",
            apart / 1_000_000
        ))
        .hint("set the clocks; `guards.max_clock_skew` says how far they may be apart"))
    }

    fn new_run(&self, run: RunId, identity: &str, now: i64) -> NewRun {
        NewRun {
            id: run,
            store: self.settings.store.clone(),
            identity: journal::identity(identity),
            place: self.place.clone(),
            command: self.command.clone(),
            plan_id: Some(run.0),
            started_at: now,
            policies_hash: String::new(),
        }
    }

    fn new_report(&self, run: RunId, identity: &str, now: i64) -> Report {
        let about = About { command: &self.command, store: &self.settings.store, now };
        Report {
            identity: StoreIdentity { database_oid: 0, ..journal::identity(identity) },
            server: identity.to_owned(),
            // Every pass draws a plan of its own; none is saved.
            plan: run.0,
            gate: self.gate.clone(),
            ..Report::empty(run.0, about, Verdict::NothingToDo)
        }
    }

    fn conclude(&self, report: &mut Report, owned: OwnedReport, trouble: Option<Problem>, began: Instant) {
        let took = i64::try_from(began.elapsed().as_micros()).unwrap_or(i64::MAX);
        report.ended_at = report.started_at.saturating_add(took);
        let touched = !owned.items.is_empty();
        report.owned = Some(owned);
        report.stopped = trouble.as_ref().map(ToString::to_string);
        let interrupted = self.stop.is_cancelled();
        if interrupted {
            report.stopped.get_or_insert_with(|| "a signal ended the pass".into());
        }
        report.verdict = match trouble {
            Some(problem) if !touched && !interrupted => crate::report::early::verdict_of(problem.kind),
            _ => verdict(report, interrupted),
        };
    }
}

struct Worked {
    /// Everything was listed, and the registry took it in.
    has_looked: bool,
    trouble: Option<Problem>,
}

async fn write_down(pass: &OwnedPass, journal: &dyn Journal, run: RunId, report: &Report) -> Result<()> {
    let json = serde_json::to_string(report)
        .map_err(|error| Problem::unreachable("the report cannot be written").because(&error))?;
    journal.finish_run(run, (pass.our_now)(), (pass.exit_code)(report.verdict), &json).await
}

fn implausible(why: &Implausible) -> Refusal {
    let (sentence, way_out) = match why {
        Implausible::Incomplete => (
            "the store's list is not complete".to_owned(),
            "see what keeps the store from listing everything",
        ),
        Implausible::Empty { registered } => (
            format!(
                "the store lists nothing, and {} there at the last check",
                if *registered == 1 {
                    "1 registered dataset was".into()
                } else {
                    format!("{registered} registered datasets were")
                }
            ),
            "look whether this is the right server and has its data; if somebody dropped the last of it on purpose, run \
             `timesweep run --apply --accept-empty` once, beside a `serve` as well: what is gone counts as gone from then on",
        ),
        Implausible::SuddenLoss { missing, allowed } => (
            format!("{missing} registered datasets are missing at once, and {allowed} may be"),
            "look whether this is the right server with all of its data; if somebody dropped them on purpose, run \
             `timesweep run --apply --accept-empty` once, beside a `serve` as well: what is missing then counts as gone from then on",
        ),
    };
    Refusal::new(GuardName::Inventory, sentence, way_out)
}

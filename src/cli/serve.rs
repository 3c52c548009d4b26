//! `timesweep serve`: the loop over owned data, with its log on standard error.
//!
//! SIGTERM and SIGINT finish the drop in hand and end with 0: a service that was stopped has not failed.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use clap::{Args, ValueEnum};
use tokio_util::sync::CancellationToken;

mod alone;
mod log;
mod ways_in;

use super::owned::{self, OpenedOwned, pass};
use super::{Common, exit, signals};
use crate::daemon::{Daemon, Seams, Work};
use crate::problem::Result;
use crate::report::owned::Standing;
use crate::report::{Report, Verdict};
use crate::state::{RunId, State};
use crate::sweep::gather::our_now;
use crate::wake::Status;

#[derive(Debug, Args)]
pub struct ServeArgs {
    /// How the log looks; TIMESWEEP_LOG says how much is in it, as `info` or `timesweep=debug`
    #[arg(long, value_enum, default_value_t = LogForm::Text)]
    log: LogForm,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogForm {
    Text,
    Json,
}

pub async fn serve(common: &Common, args: &ServeArgs) -> Result<u8> {
    // Opening makes tables, which is told as well.
    log::start(args.log, common.omotes)?;
    let opened = owned::open(common).await?;
    let stop = signals::stop_token();
    let seams = Seams {
        registry: Arc::clone(&opened.registry),
        wake: opened.wake.clone(),
        status: Status::default(),
        stop: stop.clone(),
    };
    let interval = opened.settings.check_interval();
    let state = Arc::new(State::open(&opened.state_path).await?);
    let _alone = alone::claim(&opened.state_path);
    let ways_in = ways_in::all(&seams, &opened, &state);
    log::tell_places(&opened);
    let daemon = Daemon {
        work: Arc::new(Passes {
            opened,
            state,
            stop: stop.clone(),
            last: Mutex::new(None),
            quiet: Mutex::new(None),
            known: Mutex::default(),
        }),
        interval,
        wake: seams.wake.clone(),
        status: seams.status.clone(),
        stop,
        clock: our_now,
        ways_in,
    };
    daemon.run().await?;
    tracing::info!("timesweep was stopped");
    Ok(exit::DONE)
}

/// The passes of the loop, each of which is told to those who are to hear of it.
struct Passes {
    opened: OpenedOwned,
    state: Arc<State>,
    stop: CancellationToken,
    last: Mutex<Option<Verdict>>,
    quiet: Mutex<Option<QuietPass>>,
    /// For the log.
    known: Mutex<log::Known>,
}

#[async_trait]
impl Work for Passes {
    async fn pass(&self) -> Result<Report> {
        let mut report = pass::pass_of_loop(&self.opened, &self.state, &self.stop).await?;
        let before = {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            last.replace(report.verdict)
        };
        log::tell_pass(&report, &mut self.known.lock().unwrap_or_else(PoisonError::into_inner));
        self.forget_the_one_before(&report).await;
        if is_news(before, report.verdict) {
            let code = exit::of_verdict(report.verdict);
            self.opened.publisher.publish(&mut report, code).await;
        }
        Ok(report)
    }
}

/// A pass that wrote nothing but itself.
#[derive(Debug, Clone, PartialEq, Eq)]
struct QuietPass {
    run: RunId,
    counts: Vec<(Standing, usize)>,
    /// It found what the one before had found, so the next one that does takes its place.
    says_nothing_new: bool,
}

impl QuietPass {
    fn of(report: &Report, before: Option<&Self>) -> Option<Self> {
        let owned = report.owned.as_ref().filter(|owned| owned.did_nothing())?;
        let ended_well = report.verdict == Verdict::NothingToDo && report.stopped.is_none();
        let counts = owned.counts();
        let says_nothing_new = before.is_some_and(|before| before.counts == counts);
        (ended_well && report.refusals.is_empty()).then_some(Self {
            run: RunId(report.run),
            counts,
            says_nothing_new,
        })
    }

    /// The pass that this one takes the place of.
    fn replaces(&self, before: Option<Self>) -> Option<RunId> {
        before.filter(|before| before.says_nothing_new && self.says_nothing_new).map(|before| before.run)
    }
}

impl Passes {
    /// Of passes in a row that did nothing and found the same, the journal keeps the first and the last.
    async fn forget_the_one_before(&self, report: &Report) {
        let replaced = {
            let mut quiet = self.quiet.lock().unwrap_or_else(PoisonError::into_inner);
            let now = QuietPass::of(report, quiet.as_ref());
            let before = std::mem::replace(&mut *quiet, now);
            quiet.as_ref().and_then(|now| now.replaces(before))
        };
        let Some(replaced) = replaced else { return };
        if let Err(problem) = self.state.forget_quiet_pass(replaced).await {
            tracing::warn!("the journal keeps a pass that did nothing: {problem}");
        }
    }
}

/// A loop must not mail the same every few minutes: drops are news, and trouble is when it begins.
fn is_news(before: Option<Verdict>, now: Verdict) -> bool {
    match now {
        Verdict::Done => true,
        Verdict::Busy | Verdict::NothingToDo | Verdict::Skipped | Verdict::Interrupted => false,
        trouble => before != Some(trouble),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::report::early::About;
    use crate::report::owned::{DatasetLine, OwnedReport, SettledDataset};
    use crate::retention::model::StoreName;

    fn report(verdict: Verdict, owned: OwnedReport) -> Report {
        let about = About { command: "serve", store: &StoreName("results".into()), now: 0 };
        Report { verdict, owned: Some(owned), ..Report::empty(Uuid::now_v7(), about, verdict) }
    }

    fn found(standing: Standing, count: usize) -> OwnedReport {
        let mut owned = OwnedReport::default();
        for _ in 0..count {
            let line = DatasetLine { dataset: "d".into(), why: String::new(), until: None };
            owned.add(standing, None, || line);
        }
        owned
    }

    /// Which of these passes a journal still has after the last of them.
    fn kept(passes: &[(Verdict, OwnedReport)]) -> Vec<usize> {
        let (mut before, mut kept): (Option<QuietPass>, Vec<RunId>) = (None, Vec::new());
        let mut all = Vec::new();
        for (verdict, owned) in passes {
            let report = report(*verdict, owned.clone());
            all.push(RunId(report.run));
            kept.push(RunId(report.run));
            let now = QuietPass::of(&report, before.as_ref());
            let replaced = now.as_ref().and_then(|now| now.replaces(before.take()));
            kept.retain(|run| Some(*run) != replaced);
            before = now;
        }
        (0..all.len()).filter(|index| kept.contains(&all[*index])).collect()
    }

    #[test]
    fn of_passes_that_find_the_same_the_first_and_the_last_stay() {
        let owned = |count| (Verdict::NothingToDo, found(Standing::Owned, count));
        assert_eq!(kept(&[owned(2), owned(2), owned(2), owned(2), owned(2)]), [0, 4]);
        assert_eq!(kept(&[owned(2), owned(2), owned(3), owned(3), owned(3)]), [0, 1, 2, 4]);
        assert_eq!(kept(&[owned(1)]), [0]);
    }

    #[test]
    fn whatever_did_something_stays() {
        let quiet = || (Verdict::NothingToDo, found(Standing::Owned, 2));
        for standing in [Standing::Marked, Standing::Recovered, Standing::Forgotten, Standing::LeftByCap] {
            let busy = || (Verdict::NothingToDo, found(standing, 1));
            assert_eq!(kept(&[busy(), busy(), busy(), quiet()]), [0, 1, 2, 3], "{standing:?}");
        }
        let refused = || (Verdict::Refused, found(Standing::Owned, 2));
        assert_eq!(kept(&[quiet(), refused(), refused(), refused(), quiet(), quiet()]), [0, 1, 2, 3, 4, 5]);
        let settled =
            SettledDataset { run: Uuid::now_v7(), dataset: "d".into(), dropped: true, what: String::new() };
        let settles = || (Verdict::NothingToDo, OwnedReport { settled: vec![settled.clone()], ..quiet().1 });
        assert_eq!(kept(&[settles(), settles(), settles()]), [0, 1, 2]);
    }

    #[test]
    fn drops_are_told_each_time_and_trouble_when_it_begins() {
        assert!(is_news(Some(Verdict::Done), Verdict::Done));
        assert!(is_news(None, Verdict::Refused) && is_news(Some(Verdict::Partial), Verdict::Refused));
        assert!(!is_news(Some(Verdict::Refused), Verdict::Refused));
        assert!(!is_news(Some(Verdict::Refused), Verdict::NothingToDo));
    }
}

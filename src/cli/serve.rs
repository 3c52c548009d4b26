//! `timesweep serve`: the loop over owned data, with its log on standard error.
//!
//! SIGTERM and SIGINT finish the drop in hand and end with 0: a service that was stopped has not failed.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use clap::{Args, ValueEnum};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

mod ways_in;

use super::owned::{self, OpenedOwned, pass};
use super::{Common, exit, signals};
use crate::daemon::{Daemon, Seams, Work};
use crate::problem::{Problem, Result};
use crate::report::{Report, Verdict};
use crate::state::State;
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
    let opened = owned::open(common).await?;
    start_log(args.log, common.omotes)?;
    let stop = signals::stop_token();
    let seams = Seams {
        registry: Arc::clone(&opened.registry),
        wake: opened.wake.clone(),
        status: Status::default(),
        stop: stop.clone(),
    };
    let interval = opened.settings.check_interval();
    let state = Arc::new(State::open(&opened.state_path).await?);
    let ways_in = ways_in::all(&seams, &opened, &state);
    tracing::info!(store = %opened.settings.store, ?interval, "timesweep serves");
    let daemon = Daemon {
        work: Arc::new(Passes { opened, state, stop: stop.clone(), last: Mutex::new(None) }),
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

fn start_log(form: LogForm, in_omotes: bool) -> Result<()> {
    let theirs = std::env::var("LOG_LEVEL").ok().filter(|_| in_omotes);
    let wanted = std::env::var("TIMESWEEP_LOG").unwrap_or_else(|_| level_of(theirs.as_deref()).into());
    let filter = EnvFilter::try_new(&wanted).map_err(|error| {
        Problem::usage("TIMESWEEP_LOG is no filter")
            .because(&error)
            .hint("write for example `info` or `timesweep=debug`")
    })?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match form {
        LogForm::Text => log.with_ansi(false).try_init(),
        LogForm::Json => log.json().try_init(),
    };
    started.map_err(|error| Problem::unreachable("the log cannot be started").cause(error.to_string()))
}

/// From the words of OMOTES' own programs. The broker's client shouts about every message that nobody waits for;
/// what matters of it we say ourselves.
fn level_of(theirs: Option<&str>) -> &'static str {
    match theirs {
        Some("DEBUG") => "info,timesweep=debug,lapin=off",
        Some("WARNING") => "warn,lapin=off",
        Some("ERROR" | "CRITICAL") => "error,lapin=off",
        _ => "info,lapin=off",
    }
}

/// The passes of the loop, each of which is told to those who are to hear of it.
struct Passes {
    opened: OpenedOwned,
    state: Arc<State>,
    stop: CancellationToken,
    last: Mutex<Option<Verdict>>,
}

#[async_trait]
impl Work for Passes {
    async fn pass(&self) -> Result<Report> {
        let mut report = pass::pass_of_loop(&self.opened, &self.state, &self.stop).await?;
        let before = {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            last.replace(report.verdict)
        };
        log(&report);
        if is_news(before, report.verdict) {
            let code = exit::of_verdict(report.verdict);
            self.opened.publisher.publish(&mut report, code).await;
        }
        Ok(report)
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

fn log(report: &Report) {
    let Some(owned) = &report.owned else { return };
    for item in &owned.items {
        tracing::info!(dataset = item.dataset, why = item.why, outcome = ?item.outcome, "went for a dataset");
    }
    for warning in &report.warnings {
        tracing::warn!("{warning}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_are_told_each_time_and_trouble_when_it_begins() {
        assert!(is_news(Some(Verdict::Done), Verdict::Done));
        assert!(is_news(None, Verdict::Refused) && is_news(Some(Verdict::Partial), Verdict::Refused));
        assert!(!is_news(Some(Verdict::Refused), Verdict::Refused));
        assert!(!is_news(Some(Verdict::Refused), Verdict::NothingToDo));
    }
}

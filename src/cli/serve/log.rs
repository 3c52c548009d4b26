//! The log of `serve`: how much of it there is, what it says at the start, and what of each pass.
//!
//! Invariant: no password is in it; and what every pass would say again is said when it is new.

use std::collections::BTreeSet;

use tracing_subscriber::EnvFilter;

use super::LogForm;
use crate::cli::owned::OpenedOwned;
use crate::problem::{Problem, Result, printable};
use crate::report::Report;
use crate::report::owned::{DatasetItem, DatasetOutcome, OwnedReport, Standing};

pub fn start(form: LogForm, in_omotes: bool) -> Result<()> {
    let theirs = std::env::var("LOG_LEVEL").ok().filter(|_| in_omotes);
    let ours = std::env::var("TIMESWEEP_LOG").ok();
    let wanted = ours.clone().unwrap_or_else(|| level_of(theirs.as_deref()).unwrap_or(INFO).into());
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
    started.map_err(|error| Problem::unreachable("the log cannot be started").cause(error.to_string()))?;
    if let (None, Some(theirs)) = (ours, theirs.filter(|theirs| level_of(Some(theirs)).is_none())) {
        let theirs: String = theirs.chars().take(40).collect();
        let theirs = printable(theirs);
        tracing::warn!(
            "LOG_LEVEL is `{theirs}`, and counts as INFO: it may be DEBUG, INFO, WARNING, ERROR or CRITICAL"
        );
    }
    Ok(())
}

const INFO: &str = "info,lapin=off";

/// From the words of OMOTES' own programs; `None`: it is none of them. The broker's client shouts about every message
/// that nobody waits for; what matters of it we say ourselves.
fn level_of(theirs: Option<&str>) -> Option<&'static str> {
    match theirs {
        Some("DEBUG") => Some("info,timesweep=debug,lapin=off"),
        None | Some("" | "INFO") => Some(INFO),
        Some("WARNING" | "WARN") => Some("warn,lapin=off"),
        Some("ERROR" | "CRITICAL" | "FATAL") => Some("error,lapin=off"),
        Some(_) => None,
    }
}

/// Whom we are connected to, for somebody who has to find out why nothing happens.
pub fn tell_places(opened: &OpenedOwned) {
    let interval = opened.settings.check_interval();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        store = %opened.settings.store,
        at = printable(&opened.place),
        ?interval,
        state = %opened.state_path.display(),
        "timesweep serves"
    );
    let Some(role) = &opened.role else { return };
    for (what, place) in role.places() {
        tracing::info!(at = printable(place), "{what}");
    }
    match role.workflow_count() {
        0 => tracing::warn!("the file of workflows has none: every submission is answered with an error"),
        workflows => tracing::info!(workflows, "the file of workflows is read"),
    }
}

/// What the pass before has told.
#[derive(Debug, Default)]
pub struct Known {
    warnings: Vec<String>,
    marked: BTreeSet<String>,
}

pub fn tell_pass(report: &Report, known: &mut Known) {
    let Some(owned) = &report.owned else { return };
    for settled in &owned.settled {
        tracing::info!(
            dataset = settled.dataset,
            dropped = settled.dropped,
            "from an earlier pass: {}",
            settled.what
        );
    }
    owned.items.iter().for_each(tell_item);
    tell_counts(owned, known);
    for warning in &report.warnings {
        if known.warnings.contains(warning) {
            tracing::debug!("still: {warning}");
        } else {
            tracing::warn!("{warning}");
        }
    }
    known.warnings.clone_from(&report.warnings);
}

fn tell_item(item: &DatasetItem) {
    let (dataset, due) = (&item.dataset, &item.why);
    match &item.outcome {
        DatasetOutcome::Dropped => tracing::info!(dataset, why = due, "dropped"),
        DatasetOutcome::Gone => tracing::info!(dataset, why = due, "somebody else has dropped it"),
        DatasetOutcome::Kept { why } => tracing::info!(dataset, why, "kept"),
        DatasetOutcome::NotTried { why } => tracing::info!(dataset, why, "left to the next pass"),
        DatasetOutcome::Failed { message, .. } => tracing::warn!(dataset, why = message, "not dropped"),
        DatasetOutcome::Unknown { why } => {
            tracing::warn!(dataset, why, "nobody knows whether it is dropped; the next pass finds out");
        }
    }
}

/// A mark is new until the second pass has told it.
fn tell_counts(owned: &OwnedReport, known: &mut Known) {
    let lines = owned.group(Standing::Marked).map(|group| group.datasets.as_slice()).unwrap_or_default();
    let marked: BTreeSet<String> = lines.iter().map(|line| line.dataset.clone()).collect();
    let datasets = marked.difference(&known.marked).count();
    if datasets > 0 {
        tracing::info!(datasets, "datasets are newly marked: nobody owns them");
    }
    known.marked = marked;
    for (standing, said) in [
        (Standing::Recovered, "datasets are registered again: a job claimed them"),
        (Standing::Forgotten, "registrations are forgotten: they had no dataset for too long"),
        (Standing::LeftByCap, "datasets are left to a later pass: the cap allows no more"),
    ] {
        let datasets = owned.count(standing);
        if datasets > 0 {
            tracing::info!(datasets, "{said}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::level_of;

    #[test]
    fn a_level_that_the_platform_does_not_know_is_no_level() {
        for known in [None, Some(""), Some("DEBUG"), Some("INFO"), Some("WARNING"), Some("ERROR")] {
            assert!(level_of(known).is_some(), "{known:?}");
        }
        assert!(level_of(Some("verbose")).is_none() && level_of(Some("info")).is_none());
    }
}

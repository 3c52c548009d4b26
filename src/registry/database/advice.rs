//! What a person should know about a registry: rows in doubt, the list of live jobs, where its lock counts.
//!
//! Invariant: every dataset that waits for a person is counted here, with the reason that was recorded.

use std::collections::BTreeMap;

use super::load::Loaded;
use crate::retention::ownership::OwnedName;

/// Names that are written out; the rest is counted.
const SHOWN: usize = 5;

pub(super) fn advice(loaded: &Loaded, has_job_list: bool, reach: String) -> Vec<String> {
    let mut advice = vec![reach, job_list(has_job_list).to_owned()];
    advice.extend(quarantined(loaded));
    let leaks: Vec<&OwnedName> = loaded.ledger.probable_leaks().collect();
    if !leaks.is_empty() {
        advice.push(format!(
            "{} stay although their job was deleted, because their row is active (probable leaks): {}; delete \
             the job once more to let them go",
            counted(&leaks),
            shown(&leaks)
        ));
    }
    advice
}

fn job_list(exists: bool) -> &'static str {
    if exists {
        "the table `job` says which jobs are at work"
    } else {
        "there is no table `job` that lists the jobs at work: a dataset may be marked while its job still runs, \
         so the grace has to be longer than the longest job, unless an orchestrator of ours tells of each"
    }
}

/// What is held without end for a reason that we recorded.
fn quarantined(loaded: &Loaded) -> Vec<String> {
    let mut by_reason: BTreeMap<&str, Vec<&OwnedName>> = BTreeMap::new();
    for (name, reason) in &loaded.reasons {
        if loaded.ledger.holds.get(name) == Some(&None) {
            by_reason.entry(reason).or_default().push(name);
        }
    }
    let told = |(reason, names): (&str, Vec<&OwnedName>)| {
        let (counted, shown) = (counted(&names), shown(&names));
        format!(
            "{counted} wait for a person ({reason}): {shown}; remove the hold to let them go, or cancel the mark to keep them"
        )
    };
    by_reason.into_iter().map(told).collect()
}

fn counted(names: &[&OwnedName]) -> String {
    if names.len() == 1 { "1 dataset".into() } else { format!("{} datasets", names.len()) }
}

fn shown(names: &[&OwnedName]) -> String {
    let first: Vec<&str> = names.iter().take(SHOWN).map(|name| &*name.0).collect();
    let rest = names.len().saturating_sub(SHOWN);
    let more = if rest == 0 { String::new() } else { format!(" and {rest} more") };
    first.join(", ") + &more
}

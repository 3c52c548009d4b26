//! What a check found, sorted for people: every dataset into one group, with its reason.
//!
//! Invariant: whatever the registry decided has a group and a sentence, what stays too.

use std::collections::{BTreeMap, HashMap};

use crate::config::OwnershipSettings;
use crate::report::owned::{DatasetLine, JobInTheWay, OwnedReport, Standing};
use crate::report::table::{counted, minute};
use crate::retention::model::ByteCount;
use crate::retention::ownership::check::{Decision, Wait};
use crate::retention::ownership::{JobId, Ledger, OwnedName};
use crate::store::owned::ListedDataset;

use super::Looked;
use super::due::Due;

/// Jobs that a sentence names.
const NAMED: usize = 3;

/// Counts and lists every dataset; answers with what is due, in no order.
pub(super) fn sort_in(owned: &mut OwnedReport, looked: &Looked, now: i64) -> Vec<Due> {
    let listed: HashMap<&OwnedName, &ListedDataset> =
        looked.datasets.iter().map(|dataset| (&dataset.name, dataset)).collect();
    let mut waiting_for: BTreeMap<JobId, usize> = BTreeMap::new();
    let mut due = Vec::new();
    for (name, decision) in &looked.checked.decisions {
        let bytes = listed.get(name).and_then(|dataset| dataset.bytes).map(ByteCount);
        if let Decision::Wait(Wait::LiveJobs(jobs)) = decision {
            for job in jobs {
                *waiting_for.entry(*job).or_default() += 1;
            }
        }
        let Some(standing) = standing(decision, name, &looked.checked.ledger) else {
            due.push(Due {
                name: name.clone(),
                marked_at: marked_at(name, &looked.checked.ledger).unwrap_or(now),
                last_change: looked.checked.ledger.datasets.get(name).and_then(|seen| seen.last_change),
                sighting: listed.get(name).map(|dataset| dataset.sighting()),
                bytes,
                why: why_it_goes(name, &looked.checked.ledger),
            });
            continue;
        };
        owned.add(standing, bytes, || line(standing, decision, name, &looked.checked.ledger));
    }
    owned.live_jobs =
        waiting_for.into_iter().map(|(job, datasets)| JobInTheWay { job: job.0, datasets }).collect();
    due
}

fn line(standing: Standing, decision: &Decision, name: &OwnedName, ledger: &Ledger) -> DatasetLine {
    let why = match standing {
        Standing::Marked => newly_marked(decision, name, ledger),
        Standing::Held => held(name, ledger),
        _ => sentence(decision),
    };
    DatasetLine { dataset: name.0.to_string(), why, until: until(decision, name, ledger) }
}

/// `None` for what is due.
fn standing(decision: &Decision, name: &OwnedName, ledger: &Ledger) -> Option<Standing> {
    let is_new = || {
        let mark = ledger.rows.get(name).and_then(|row| row.mark.as_ref());
        mark.is_some_and(|mark| !mark.announced)
    };
    Some(match decision {
        Decision::Drop => return None,
        Decision::Foreign => Standing::Foreign,
        Decision::Owned(_) => Standing::Owned,
        Decision::Recover(_) => Standing::Recovered,
        Decision::Mark => Standing::Marked,
        Decision::Wait(_) if is_new() => Standing::Marked,
        Decision::Wait(Wait::Held) => Standing::Held,
        Decision::Wait(_) => Standing::Waiting,
        Decision::Forget => Standing::Forgotten,
        Decision::Absent => Standing::Absent,
    })
}

/// Why it stays, or goes, in one sentence.
pub fn sentence(decision: &Decision) -> String {
    match decision {
        Decision::Foreign => "its name is not one of ours: it is never touched".into(),
        Decision::Owned(job) => format!("it belongs to job {}", job.0),
        Decision::Recover(job) => format!("job {} claimed it: it is registered again", job.0),
        Decision::Mark => "nobody owns it".into(),
        Decision::Drop => "nothing keeps it".into(),
        Decision::Forget => "its registration had no dataset for too long".into(),
        Decision::Absent => "it is registered, and the store does not list it".into(),
        Decision::Wait(Wait::Held) => "a hold keeps it".into(),
        Decision::Wait(Wait::Grace(until)) => format!("its grace ends at {} UTC", minute(*until)),
        Decision::Wait(Wait::SecondLook) => "a second check has to see its mark".into(),
        Decision::Wait(Wait::NotAnnounced) => "no report has told its mark yet".into(),
        Decision::Wait(Wait::LiveJobs(jobs)) => {
            let named: Vec<String> = jobs.iter().take(NAMED).map(|job| job.0.to_string()).collect();
            let more = if jobs.len() > NAMED { ", …" } else { "" };
            format!(
                "{} at work since its last change may still claim it: {}{more}",
                counted(jobs.len(), "job"),
                named.join(", ")
            )
        }
    }
}

fn newly_marked(decision: &Decision, name: &OwnedName, ledger: &Ledger) -> String {
    let why = why_it_goes(name, ledger);
    match decision {
        Decision::Mark => why,
        _ => format!("{why}; {}", sentence(decision)),
    }
}

fn held(name: &OwnedName, ledger: &Ledger) -> String {
    match ledger.holds.get(name) {
        Some(Some(until)) => format!("a hold keeps it until {} UTC", minute(*until)),
        _ => "a hold keeps it until somebody removes it".into(),
    }
}

fn until(decision: &Decision, name: &OwnedName, ledger: &Ledger) -> Option<i64> {
    match decision {
        Decision::Wait(Wait::Grace(until)) => Some(*until),
        Decision::Wait(Wait::Held) => ledger.holds.get(name).copied().flatten(),
        _ => None,
    }
}

pub(super) fn marked_at(name: &OwnedName, ledger: &Ledger) -> Option<i64> {
    Some(ledger.rows.get(name)?.mark.as_ref()?.at)
}

pub(super) fn why_it_goes(name: &OwnedName, ledger: &Ledger) -> String {
    let since = marked_at(name, ledger).map_or_else(|| "now".into(), |at| format!("{} UTC", minute(at)));
    match ledger.rows.get(name).and_then(|row| row.job) {
        Some(job) => {
            format!("every job that owned it was deleted, job {} as the last one; marked {since}", job.0)
        }
        None => format!("no job owns it; marked {since}"),
    }
}

/// What every report has to say about the rules that are in force.
pub fn warnings(
    ledger: &Ledger,
    listed: usize,
    has_job_list: bool,
    settings: &OwnershipSettings,
    now: i64,
) -> Vec<String> {
    let mut warnings = if has_job_list { Vec::new() } else { without_job_list(ledger, settings) };
    warnings.extend(waiting_in_vain(ledger, settings, now));
    let never_found = ledger.rows.keys().filter(|name| !ledger.datasets.contains_key(*name)).count();
    if listed == 0 && never_found > 0 {
        warnings.push(format!(
            "the store lists nothing, and {} no check has ever found there: is this the right server?",
            counted(never_found, "registered dataset")
        ));
    }
    warnings
}

fn without_job_list(ledger: &Ledger, settings: &OwnershipSettings) -> Vec<String> {
    // An orchestrator of ours may tell of each. A job that was only ever heard of when it ended was on no list.
    let was_live = ledger.jobs.values().any(|job| job.ended != Some(job.first_seen));
    if was_live {
        return Vec::new();
    }
    vec![format!(
        "no list of running jobs is kept here: only the grace of {} protects what a running job writes, so it has to be longer than the longest job",
        length(settings.check.grace)
    )]
}

fn waiting_in_vain(ledger: &Ledger, settings: &OwnershipSettings, now: i64) -> Option<String> {
    let waiting: Vec<_> = ledger.waiting_in_vain(&settings.check, now).collect();
    let (name, mark) = waiting.iter().min_by_key(|(_, mark)| mark.at)?;
    let grace = length(settings.check.grace);
    Some(format!(
        "{} changed again and again since the mark, although no job was at work for so long ({}, marked {} UTC): \
         a store that is started, or whose counters are reset, more often than once in {grace} keeps what nobody \
         owns for ever; make `grace` shorter than the time between two starts",
        counted(waiting.len(), "dataset"),
        name.0,
        minute(mark.at),
    ))
}

/// A length of time for people, in its largest whole unit.
pub fn length(microseconds: i64) -> String {
    let seconds = microseconds / 1_000_000;
    match seconds {
        _ if seconds >= 86_400 && seconds % 86_400 == 0 => counted_i64(seconds / 86_400, "day"),
        _ if seconds >= 3_600 && seconds % 3_600 == 0 => counted_i64(seconds / 3_600, "hour"),
        _ if seconds >= 60 && seconds % 60 == 0 => counted_i64(seconds / 60, "minute"),
        _ => counted_i64(seconds, "second"),
    }
}

fn counted_i64(count: i64, noun: &str) -> String {
    counted(usize::try_from(count).unwrap_or_default(), noun)
}

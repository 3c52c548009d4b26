//! Jobs that a check saw at work and that are on no list any more, although nobody told of a result or a deletion.
//!
//! They count as at work until they are older than any job may be: what they wrote may still be claimed. Invariant:
//! whoever waits for such a job is told of it, and how a person who knows better ends it.

use std::collections::{BTreeMap, BTreeSet};

use crate::report::table::{counted, minute};
use crate::retention::ownership::check::{Decision, Settings, Wait};
use crate::retention::ownership::live::LiveJob;
use crate::retention::ownership::{JobId, Ledger, OwnedName};

/// Jobs that a sentence names.
const NAMED: usize = 3;

/// Nothing is lost where nobody keeps a list.
pub(super) struct Lost<'a> {
    pub ledger: &'a Ledger,
    pub listed: Option<&'a BTreeSet<JobId>>,
    pub settings: &'a Settings,
}

pub(super) fn ids(live: &[LiveJob]) -> BTreeSet<JobId> {
    live.iter().map(|live| live.job).collect()
}

impl Lost<'_> {
    /// One sentence for all of them, if anything waits for one.
    pub(super) fn warning(&self, decisions: &[(OwnedName, Decision)]) -> Option<String> {
        let (mut datasets, mut jobs) = (0, BTreeMap::new());
        for (_, decision) in decisions {
            let lost = self.among(decision);
            datasets += usize::from(!lost.is_empty());
            jobs.extend(lost);
        }
        let named: Vec<String> =
            jobs.iter().take(NAMED).map(|(job, said)| format!("{} ({said})", job.0)).collect();
        let more = jobs.len().saturating_sub(NAMED);
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        let verb = if datasets == 1 { "waits" } else { "wait" };
        let relation = if jobs.len() == 1 { "job that is" } else { "jobs that are" };
        let example = jobs.keys().next()?.0;
        Some(format!(
            "{} {verb} for {} {relation} not in the list of live jobs any more, and of which no result and no deletion was \
             heard: {}{more}; `timesweep mark add --job {example}` ends one of which you know that it is over",
            counted(datasets, "dataset"),
            jobs.len(),
            named.join(", ")
        ))
    }

    /// One sentence for each that keeps this one.
    pub(super) fn steps(&self, decision: &Decision) -> Vec<String> {
        let step = |(job, said): (JobId, String)| {
            format!(
                "job {0} is not in the list of live jobs any more, and no result and no deletion of it was heard ({said}); \
                 hint: `timesweep mark add --job {0}` ends it, if you know that it is over",
                job.0
            )
        };
        self.among(decision).into_iter().map(step).collect()
    }

    fn among(&self, decision: &Decision) -> Vec<(JobId, String)> {
        let (Decision::Wait(Wait::LiveJobs(jobs)), Some(listed)) = (decision, self.listed) else {
            return Vec::new();
        };
        let lost = jobs.iter().filter(|job| !listed.contains(job));
        lost.filter_map(|job| Some((*job, self.times(*job)?))).collect()
    }

    /// Since when it may have written, and until when it may claim.
    fn times(&self, job: JobId) -> Option<String> {
        let seen = self.ledger.jobs.get(&job)?;
        let until = seen.age_from.saturating_add(self.settings.longest_job);
        Some(format!(
            "at work since {} UTC; it may claim them until {} UTC",
            minute(seen.age_from),
            minute(until)
        ))
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::retention::ownership::SeenJob;

    const DAY: i64 = 86_400_000_000;

    fn job(number: u128) -> JobId {
        JobId(Uuid::from_u128(number))
    }

    fn settings() -> Settings {
        Settings {
            check_interval: DAY,
            grace: DAY,
            registration_lifetime: DAY,
            longest_job: 30 * DAY,
            cap_share: 0,
            cap_count: 1,
            accept_empty: false,
        }
    }

    fn said(listed: Option<&BTreeSet<JobId>>, waiting: &[&[u128]]) -> (Option<String>, Vec<String>) {
        let seen = SeenJob { first_seen: 0, age_from: DAY, ended: None };
        let ledger = Ledger { jobs: (1..9).map(|number| (job(number), seen)).collect(), ..Ledger::default() };
        let decision = |jobs: &&[u128]| {
            let jobs = jobs.iter().map(|number| job(*number)).collect();
            (OwnedName("d".into()), Decision::Wait(Wait::LiveJobs(jobs)))
        };
        let decisions: Vec<_> = waiting.iter().map(decision).collect();
        let settings = settings();
        let lost = Lost { ledger: &ledger, listed, settings: &settings };
        (lost.warning(&decisions), lost.steps(&decisions[0].1))
    }

    #[test]
    fn a_job_that_is_lost_is_named_with_its_end_and_the_way_out() {
        let (warning, steps) = said(Some(&[job(2)].into()), &[&[1, 2], &[1], &[2]]);
        let times = "at work since 1970-01-02 00:00 UTC; it may claim them until 1970-02-01 00:00 UTC";
        let id = job(1).0;
        assert_eq!(
            warning.expect("a warning"),
            format!(
                "2 datasets wait for 1 job that is not in the list of live jobs any more, and of which no result and \
                 no deletion was heard: {id} ({times}); `timesweep mark add --job {id}` ends one of which you know that it \
                 is over"
            )
        );
        assert_eq!(steps.len(), 1, "{steps:?}");
        assert!(steps[0].contains(times) && steps[0].contains(&format!("mark add --job {id}")), "{steps:?}");
    }

    #[test]
    fn who_is_listed_or_on_no_list_at_all_is_not_lost() {
        assert_eq!(said(Some(&[job(1), job(2)].into()), &[&[1, 2]]), (None, Vec::new()));
        assert_eq!(said(None, &[&[1, 2]]), (None, Vec::new()));
    }

    #[test]
    fn many_are_counted() {
        let warning = said(Some(&BTreeSet::new()), &[&[1, 2, 3, 4, 5]]).0.expect("a warning");
        assert!(warning.starts_with("1 dataset waits for 5 jobs that are not"), "{warning}");
        assert!(warning.contains(" and 2 more;"), "{warning}");
    }
}

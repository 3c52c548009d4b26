//! The decision chain of one owned dataset: who claimed it, who let it go, what it waits for, when it goes.

use crate::problem::{Problem, Result, printable};
use crate::report::explain::Explanation;
use crate::report::table::minute;
use crate::retention::model::ByteCount;
use crate::retention::ownership::check::{Decision, Wait};
use crate::retention::ownership::claims::Claim;
use crate::retention::ownership::{Ledger, OwnedName, SeenDataset};
use crate::state::{DatasetHistory, Outcome};
use crate::store::owned::ListedDataset;

use super::lost::Lost;
use super::{OwnedPass, found, implausible};

impl OwnedPass {
    /// Reads everything and writes nothing; `history` is what the journal knows.
    pub async fn explain(&self, name: &OwnedName, history: &[DatasetHistory]) -> Result<Explanation> {
        let now = self.registry.now().await?;
        let (datasets, inventory) = self.gather().await?;
        let seen = datasets.iter().find(|dataset| dataset.name == *name);
        let previewed = self.registry.preview(&inventory, &self.settings.check, &*self.adopts(), now).await?;
        let ledger = self.registry.ledger().await?;
        let mut steps = vec![listed(seen, ledger.datasets.get(name))];
        steps.extend(self.ledger_steps(name, &ledger, now));
        steps.extend(history.iter().map(history_step));
        let decision = match &previewed {
            Ok(checked) => {
                checked.decisions.iter().find(|(known, _)| known == name).map(|(_, decision)| decision)
            }
            Err(why) => {
                let refusal = implausible(why);
                steps.push(format!(
                    "every pass is refused now: {} (hint: {})",
                    refusal.sentence, refusal.way_out
                ));
                None
            }
        };
        if decision.is_none() && previewed.is_ok() && history.is_empty() && !is_known(name, &ledger) {
            return Err(unknown(name));
        }
        if let (Some(decision), Ok(checked)) = (decision, &previewed) {
            let listed = self.job_list(&inventory).await?;
            let (ledger, settings) = (&checked.ledger, &self.settings.check);
            steps.extend(Lost { ledger, listed: listed.as_ref(), settings }.steps(decision));
        }
        let conclusion = match (decision, &previewed) {
            (Some(decision), _) => self.conclusion(decision, now),
            (None, Err(_)) => "nothing goes while every pass is refused".into(),
            (None, Ok(_)) => "there is nothing to drop".into(),
        };
        Ok(Explanation { target: name.0.to_string(), steps, conclusion })
    }

    fn ledger_steps(&self, name: &OwnedName, ledger: &Ledger, now: i64) -> Vec<String> {
        let mut steps = Vec::new();
        if !self.settings.adopt.adopts(name) {
            steps.push(
                "its name does not fit `adopt`: it is only ours if somebody registers or claims it".into(),
            );
        }
        for Claim { at, job } in ledger.claims.of(name) {
            let deleted = ledger.deleted_jobs.get(job);
            let deleted =
                deleted.map(|at| format!(", and was deleted {} UTC", minute(*at))).unwrap_or_default();
            steps.push(format!("job {} claimed it {} UTC{deleted}", job.0, minute(*at)));
        }
        if let Some(at) = found::marked_at(name, ledger) {
            let ends = at.saturating_add(self.settings.check.grace);
            steps.push(format!(
                "marked {} UTC; the grace of {} ends {} UTC at the earliest",
                minute(at),
                found::length(self.settings.check.grace),
                minute(ends)
            ));
        }
        match ledger.holds.get(name) {
            Some(None) => steps.push("a hold keeps it until somebody removes it".into()),
            Some(Some(until)) if *until > now => {
                steps.push(format!("a hold keeps it until {} UTC", minute(*until)));
            }
            _ => {}
        }
        steps
    }

    fn conclusion(&self, decision: &Decision, now: i64) -> String {
        let earliest = minute(now.saturating_add(self.settings.check.grace));
        let said = found::sentence(decision);
        match decision {
            Decision::Drop => "the next pass drops it, as far as the cap lets it".into(),
            Decision::Wait(Wait::Grace(until)) => {
                format!("the first pass after {} UTC drops it, if nothing is new then", minute(*until))
            }
            Decision::Mark => format!("the next pass marks it; it goes no earlier than {earliest} UTC"),
            Decision::Wait(_) | Decision::Owned(_) | Decision::Recover(_) | Decision::Foreign => {
                format!("it stays: {said}")
            }
            Decision::Absent | Decision::Forget => said,
        }
    }
}

fn listed(seen: Option<&ListedDataset>, remembered: Option<&SeenDataset>) -> String {
    let Some(seen) = seen else { return "the store does not list it".into() };
    let size = seen.bytes.map(|bytes| format!(", {}", ByteCount(bytes))).unwrap_or_default();
    if let Some(at) = seen.last_change.max(remembered.and_then(|seen| seen.last_change)) {
        return format!("the store lists it, last written {} UTC{size}", minute(at));
    }
    let first = remembered.map(|seen| format!(" since it was seen first, {} UTC", minute(seen.first_seen)));
    format!("the store lists it, and shows no write{}{size}", first.unwrap_or_default())
}

fn is_known(name: &OwnedName, ledger: &Ledger) -> bool {
    ledger.claims.contains(name) || ledger.holds.contains_key(name) || ledger.rows.contains_key(name)
}

fn unknown(name: &OwnedName) -> Problem {
    Problem::usage(format!("nobody knows a dataset {}", shortened(&name.0)))
        .hint("`timesweep plan --all` lists every one")
}

/// What somebody typed, for a sentence: on one line, and no longer than a name is.
pub fn shortened(text: &str) -> String {
    const LONGEST: usize = 80;
    let start: String = text.chars().take(LONGEST).collect();
    let more = if text.len() > start.len() { "…" } else { "" };
    format!("`{}{more}`", printable(start))
}

fn history_step(entry: &DatasetHistory) -> String {
    let head = format!("run {} of {} UTC meant to drop it", entry.run, minute(entry.run_started_at));
    let Some(recorded) = &entry.outcome else { return format!("{head}; the outcome is not known yet") };
    let at = minute(recorded.at);
    match &recorded.outcome {
        Outcome::Dropped { .. } => format!("{head}: dropped {at} UTC"),
        Outcome::Gone => format!("{head}: gone already {at} UTC"),
        Outcome::NotDropped { why } => format!("{head}: not dropped, {why}"),
    }
}

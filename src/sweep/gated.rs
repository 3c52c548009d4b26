//! A run behind its gate: ask, sweep, close the ticket, tell the launcher.
//!
//! Invariant: the ticket says `dropped` only after the run has ended in the journal, and nothing that goes
//! wrong from then on takes a drop back: it is a warning. A run that is cut off before its ticket is closed
//! leaves it as it was; the next one finds nothing to do and closes it.

use std::future::Future;

use jiff::Timestamp;
use jiff::civil::Date;

use crate::gate::decide::Row;
use crate::gate::ticket::{ChunkStatus, Ticket};
use crate::gate::{Answer, Asked, Gate};
use crate::problem::{Kind, Problem, Result};
use crate::report::early::About;
use crate::report::gate::{GateReport, LauncherRow, TicketReport};
use crate::report::{Report, Verdict};

/// What an earlier step passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Go {
    Yes,
    No,
}

/// Asks the gate alone. Writes the ticket where it is open.
pub async fn ask(gate: &Gate) -> Result<GateReport> {
    Ok(told(gate, &gate.ask(now(), false).await?))
}

/// The same without a ticket, for people who want to know.
pub async fn look(gate: &Gate) -> Result<GateReport> {
    Ok(told(gate, &gate.look(now(), false).await?))
}

/// Whether everything that a gate needs can be reached, whatever the ticket says: a sentence about the launcher, and
/// what is wrong, each once.
pub async fn try_out(gate: &Gate) -> (Option<GateReport>, Option<String>, Vec<Problem>) {
    let (said, launcher) = (look(gate).await, gate.try_launcher(now()).await);
    let mut troubles: Vec<Problem> = said.as_ref().err().cloned().into_iter().collect();
    troubles.extend(launcher.as_ref().err().filter(|why| !troubles.contains(why)).cloned());
    troubles.extend(gate.tickets().try_out().err());
    (said.ok(), launcher.ok().flatten(), troubles)
}

/// What came of a run, and what its gate said where one was asked.
pub struct Ran {
    pub outcome: Result<Report>,
    pub gate: Option<GateReport>,
}

/// Asks, and sweeps where the gate is open. `sweep` gets what the gate said, for its own report.
pub async fn run<F>(
    gate: Option<&Gate>,
    go: Option<Go>,
    about: About<'_>,
    sweep: impl FnOnce(Option<GateReport>) -> F,
) -> Ran
where
    F: Future<Output = Result<Report>>,
{
    if go == Some(Go::No) {
        return Ran::skipped(about, by_step(gate, false, "an earlier step said no (`--go no`)"));
    }
    let Some(gate) = gate else {
        let passed = go.map(|_| by_step(None, true, "an earlier step says so (`--go`)"));
        return Ran { outcome: sweep(passed.clone()).await, gate: passed };
    };
    match gate.ask(now(), go.is_some()).await {
        Ok(answer) if answer.open => behind(gate, &answer, sweep).await,
        Ok(answer) => skip(gate, &answer, about).await,
        Err(problem) => Ran { outcome: Err(problem), gate: None },
    }
}

impl Ran {
    fn skipped(about: About<'_>, gate: GateReport) -> Self {
        Self { outcome: Ok(Report::skipped(about, gate.clone())), gate: Some(gate) }
    }
}

/// A day that is done may still be owed to the launcher.
async fn skip(gate: &Gate, answer: &Answer, about: About<'_>) -> Ran {
    let mut said = told(gate, answer);
    if answer.before != Some(ChunkStatus::Dropped) {
        return Ran::skipped(about, said);
    }
    let trouble = match tell_what_is_owed(gate, answer).await {
        Ok(false) => return Ran::skipped(about, said),
        Ok(true) => {
            said.reason += "; the launcher did not know it, and has been told now";
            None
        }
        Err(problem) => Some(problem.to_string()),
    };
    let mut ran = Ran::skipped(about, said);
    if let Ok(report) = &mut ran.outcome {
        report.warnings.extend(trouble);
    }
    ran
}

/// Whether there was anything to tell.
async fn tell_what_is_owed(gate: &Gate, answer: &Answer) -> Result<bool> {
    if !gate.owes_the_launcher(answer.day)? {
        return Ok(false);
    }
    gate.tell(answer.day, answer.row.as_ref()).await.map_err(later)?;
    Ok(true)
}

/// Closes the ticket by hand. Asks nobody; only `take_back` lets a `dropped` become another word.
pub async fn close(
    gate: &Gate,
    day: Option<Date>,
    status: ChunkStatus,
    take_back: bool,
) -> Result<(TicketReport, Option<Problem>)> {
    let day = day.unwrap_or_else(|| gate.today(now()));
    let before = gate.close_by_hand(day, status, take_back)?;
    let trouble = match status {
        ChunkStatus::Dropped => gate.tell(day, Some(&before.row)).await.err().map(later),
        _ => None,
    };
    let path = gate.tickets().path(day).display().to_string();
    let (before, after) = (Some(before.chunk_status.to_string()), Some(status.to_string()));
    Ok((TicketReport { path, before, after }, trouble))
}

/// The ticket of a day, and where it is.
pub fn show(gate: &Gate, day: Option<Date>) -> Result<(String, Ticket)> {
    let day = day.unwrap_or_else(|| gate.today(now()));
    Ok((gate.tickets().path(day).display().to_string(), gate.existing(day)?))
}

/// The run has ended; whatever goes wrong with the ticket and the launcher, its answer stays what it is.
async fn behind<F>(gate: &Gate, answer: &Answer, sweep: impl FnOnce(Option<GateReport>) -> F) -> Ran
where
    F: Future<Output = Result<Report>>,
{
    let mut said = told(gate, answer);
    let mut outcome = sweep(Some(said.clone())).await;
    if let Some(status) = status_after(&outcome) {
        let (after, troubles) = finish(gate, answer, status).await;
        if let Some(ticket) = &mut said.ticket {
            ticket.after = after;
        }
        add(&mut outcome, &troubles);
    }
    if let Ok(report) = &mut outcome {
        report.gate = Some(said.clone());
    }
    Ran { outcome, gate: Some(said) }
}

/// What the ticket says now, where that is known, and what went wrong.
async fn finish(gate: &Gate, answer: &Answer, status: ChunkStatus) -> (Option<String>, Vec<Problem>) {
    let written = match gate.close(answer, status, now()) {
        Ok(written) => written,
        Err(problem) => return (None, vec![problem]),
    };
    let is_done = (status, written) == (ChunkStatus::Dropped, ChunkStatus::Dropped);
    let told = if is_done { tell_what_is_owed(gate, answer).await } else { Ok(false) };
    (Some(written.to_string()), told.err().into_iter().collect())
}

/// The launcher could not be told.
fn later(problem: Problem) -> Problem {
    problem.cause("the launcher does not know that the day is done; the next run of today tells it, and so does `timesweep ticket close`")
}

fn add(outcome: &mut Result<Report>, troubles: &[Problem]) {
    match outcome {
        Ok(report) => report.warnings.extend(troubles.iter().map(ToString::to_string)),
        Err(problem) => problem.causes.extend(troubles.iter().map(Problem::in_one_line)),
    }
}

/// What the ticket is to say. Nothing where another run is at work, which writes its own word.
fn status_after(swept: &Result<Report>) -> Option<ChunkStatus> {
    match swept {
        Ok(report) => match report.verdict {
            Verdict::Done | Verdict::NothingToDo => Some(ChunkStatus::Dropped),
            Verdict::Partial | Verdict::Interrupted => Some(ChunkStatus::Partial),
            Verdict::Refused if report.chunks_dropped() > 0 => Some(ChunkStatus::Partial),
            Verdict::Refused | Verdict::Unreachable | Verdict::Misconfigured => Some(ChunkStatus::Failed),
            Verdict::Busy | Verdict::Skipped => None,
        },
        Err(problem) => (problem.kind != Kind::Busy).then_some(ChunkStatus::Failed),
    }
}

fn told(gate: &Gate, answer: &Answer) -> GateReport {
    let path = gate.tickets().path(answer.day).display().to_string();
    let before = answer.before.map(|status| status.to_string());
    let has_ticket = answer.open || before.is_some();
    GateReport {
        open: answer.open,
        reason: answer.reason.clone(),
        asked: asked(answer.asked).to_owned(),
        day: answer.day.to_string(),
        launcher: answer.row.as_ref().map(launcher_row),
        ticket: has_ticket.then_some(TicketReport { path, before, after: None }),
    }
}

fn asked(asked: Asked) -> &'static str {
    match asked {
        Asked::Ticket => "ticket",
        Asked::Window => "window",
        Asked::Launcher => "launcher",
        Asked::EarlierStep => "--go",
    }
}

fn launcher_row(row: &Row) -> LauncherRow {
    let Row { id, vm_name, status, who, start_time } = row.clone();
    LauncherRow { id, vm_name, status, who, start_time }
}

fn by_step(gate: Option<&Gate>, open: bool, reason: &str) -> GateReport {
    let utc = || now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let day = gate.map_or_else(utc, |gate| gate.today(now()));
    let asked = asked(Asked::EarlierStep).into();
    GateReport { open, reason: reason.into(), asked, day: day.to_string(), launcher: None, ticket: None }
}

fn now() -> Timestamp {
    Timestamp::now()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retention::model::StoreName;

    fn swept(verdict: Verdict) -> Report {
        let store = StoreName("main".into());
        Report::empty(uuid::Uuid::nil(), About { command: "run --apply", store: &store, now: 0 }, verdict)
    }

    #[test]
    fn only_a_run_that_left_nothing_undone_says_dropped() {
        for (verdict, word) in [
            (Verdict::Done, Some("dropped")),
            (Verdict::NothingToDo, Some("dropped")),
            (Verdict::Partial, Some("partial")),
            (Verdict::Interrupted, Some("partial")),
            (Verdict::Refused, Some("failed")),
            (Verdict::Busy, None),
            (Verdict::Skipped, None),
        ] {
            let said = status_after(&Ok(swept(verdict))).map(|status| status.to_string());
            assert_eq!(said.as_deref(), word, "{verdict:?}");
        }
        for (problem, word) in [
            (Problem::unreachable("x"), Some(ChunkStatus::Failed)),
            (Problem::refused("x"), Some(ChunkStatus::Failed)),
            (Problem::busy("x"), None),
        ] {
            assert_eq!(status_after(&Err(problem)), word);
        }
    }
}

//! A run behind its gate: ask, sweep, close the ticket, tell the launcher.
//!
//! Invariant: the ticket says `dropped` only after the run has ended in the journal, and nothing that goes
//! wrong from then on takes a drop back: it is a warning. A run that is cut off before its ticket is closed
//! leaves it as it was; the next one finds nothing to do and closes it.

use std::future::Future;

use jiff::Timestamp;
use jiff::civil::Date;
use uuid::Uuid;

use crate::gate::decide::Row;
use crate::gate::ticket::{ChunkStatus, Ticket};
use crate::gate::{Answer, Asked, Gate};
use crate::problem::{Kind, Problem, Result};
use crate::report::gate::{GateReport, LauncherRow, TicketReport};
use crate::report::{Report, Verdict};
use crate::retention::model::{StoreIdentity, StoreName};

use super::gather::our_now;

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

/// Asks, and sweeps where the gate is open. `sweep` gets what the gate said, for its own report.
pub async fn run<F>(
    gate: Option<&Gate>,
    go: Option<Go>,
    about: Skipped<'_>,
    sweep: impl FnOnce(Option<GateReport>) -> F,
) -> Result<Report>
where
    F: Future<Output = Result<Report>>,
{
    if go == Some(Go::No) {
        return Ok(about.report(refused_by_step(gate)));
    }
    let Some(gate) = gate else { return sweep(go.map(|_| passed_without_gate())).await };
    let answer = gate.ask(now(), go.is_some()).await?;
    let said = told(gate, &answer);
    if !answer.open {
        return Ok(about.report(said));
    }
    let swept = sweep(Some(said)).await;
    finish(gate, &answer, swept).await
}

/// Closes the ticket by hand. Asks nobody, and lets a person write any word.
pub async fn close(
    gate: &Gate,
    day: Option<Date>,
    status: ChunkStatus,
) -> Result<(TicketReport, Option<Problem>)> {
    let day = day.unwrap_or_else(|| gate.today(now()));
    let ticket = existing(gate, day)?;
    let before = ticket.chunk_status;
    gate.tickets().replace(day, &Ticket { chunk_status: status, ..ticket.clone() })?;
    let trouble = match status {
        ChunkStatus::Dropped => gate.tell(day, Some(&ticket.row)).await.err(),
        _ => None,
    };
    let path = gate.tickets().path(day).display().to_string();
    Ok((TicketReport { path, before: Some(before.to_string()), after: Some(status.to_string()) }, trouble))
}

/// The ticket of a day, and where it is.
pub fn show(gate: &Gate, day: Option<Date>) -> Result<(String, Ticket)> {
    let day = day.unwrap_or_else(|| gate.today(now()));
    Ok((gate.tickets().path(day).display().to_string(), existing(gate, day)?))
}

fn existing(gate: &Gate, day: Date) -> Result<Ticket> {
    gate.tickets().read(day)?.ok_or_else(|| {
        Problem::refused(format!("there is no ticket {}", gate.tickets().path(day).display()))
            .hint("`timesweep gate` writes one where the gate is open; --day names another day")
    })
}

/// What a report of a run says that was not made.
#[derive(Debug, Clone, Copy)]
pub struct Skipped<'a> {
    pub command: &'a str,
    pub store: &'a StoreName,
}

impl Skipped<'_> {
    fn report(self, gate: GateReport) -> Report {
        let unknown = || "not asked".to_owned();
        Report {
            run: Uuid::now_v7(),
            command: self.command.to_owned(),
            store: self.store.clone(),
            identity: StoreIdentity { system: unknown(), database: unknown(), database_oid: 0 },
            server: unknown(),
            plan: Uuid::nil(),
            started_at: our_now(),
            ended_at: our_now(),
            verdict: Verdict::Skipped,
            stopped: None,
            datasets: Vec::new(),
            refusals: Vec::new(),
            warnings: Vec::new(),
            drifts: Vec::new(),
            settled: Vec::new(),
            bytes_before: None,
            bytes_after: None,
            gate: Some(gate),
            sessions: None,
            disk: None,
            freed: None,
            owned: None,
            past_runs: Vec::new(),
        }
    }
}

/// The run has ended; whatever happens here, its answer stays what it is.
async fn finish(gate: &Gate, answer: &Answer, swept: Result<Report>) -> Result<Report> {
    let Some(status) = status_after(&swept) else { return swept };
    let mut troubles = Vec::new();
    let written = gate.close(answer, status, Timestamp::now());
    if written.as_ref().is_ok_and(|written| *written == ChunkStatus::Dropped)
        && status == ChunkStatus::Dropped
    {
        troubles.extend(gate.tell(answer.day, answer.row.as_ref()).await.err());
    }
    let after = match written {
        Ok(written) => Some(written.to_string()),
        Err(problem) => {
            troubles.insert(0, problem);
            None
        }
    };
    with_after(swept, after, &troubles)
}

/// What the ticket is to say. Nothing where another run is at work, which writes its own word.
fn status_after(swept: &Result<Report>) -> Option<ChunkStatus> {
    match swept {
        Ok(report) => match report.verdict {
            // Next time it can be decided, or a person has seen to it; until then nothing says `dropped`.
            Verdict::Done | Verdict::NothingToDo if report.datasets.iter().any(|table| table.undecided) => {
                Some(ChunkStatus::Partial)
            }
            Verdict::Done | Verdict::NothingToDo => Some(ChunkStatus::Dropped),
            Verdict::Partial | Verdict::Interrupted => Some(ChunkStatus::Partial),
            Verdict::Refused if report.chunks_dropped() > 0 => Some(ChunkStatus::Partial),
            Verdict::Refused | Verdict::Unreachable => Some(ChunkStatus::Failed),
            Verdict::Busy | Verdict::Skipped => None,
        },
        Err(problem) => (problem.kind != Kind::Busy).then_some(ChunkStatus::Failed),
    }
}

fn with_after(swept: Result<Report>, after: Option<String>, troubles: &[Problem]) -> Result<Report> {
    let warning = |trouble: &Problem| trouble.to_string();
    match swept {
        Ok(mut report) => {
            if let Some(ticket) = report.gate.as_mut().and_then(|gate| gate.ticket.as_mut()) {
                ticket.after = after;
            }
            report.warnings.extend(troubles.iter().map(warning));
            Ok(report)
        }
        Err(mut problem) => {
            problem.causes.extend(troubles.iter().map(warning));
            Err(problem)
        }
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

fn refused_by_step(gate: Option<&Gate>) -> GateReport {
    by_step(gate, false, "an earlier step said no (`--go no`)")
}

fn passed_without_gate() -> GateReport {
    by_step(None, true, "an earlier step says so (`--go`)")
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

    fn swept(verdict: Verdict) -> Report {
        let gate = by_step(None, true, "a test says so");
        let report = Skipped { command: "run --apply", store: &StoreName("main".into()) }.report(gate);
        Report { verdict, ..report }
    }

    /// A table with a policy that cannot be dated.
    fn sample_table() -> crate::report::DatasetReport {
        let text = r#"{"name":{"schema":"public","name":"t"},"policy":"x","chunks_before":1,"bytes_before":1,
            "items":[],"left_out":[],"refusals":[],"warnings":[],"undecided":true}"#;
        serde_json::from_str(text).expect("a table")
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
        let mut undecided = swept(Verdict::NothingToDo);
        undecided.datasets = vec![sample_table()];
        assert_eq!(status_after(&Ok(undecided)), Some(ChunkStatus::Partial));
        for (problem, word) in [
            (Problem::unreachable("x"), Some(ChunkStatus::Failed)),
            (Problem::refused("x"), Some(ChunkStatus::Failed)),
            (Problem::busy("x"), None),
        ] {
            assert_eq!(status_after(&Err(problem)), word);
        }
    }
}

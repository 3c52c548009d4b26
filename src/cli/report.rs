//! `timesweep report`: the last run or a given one, from the journal. Connects to nothing.
//!
//! Invariant: without an id it is a run of the configuration's own database, however many share the state.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{Common, Output, exit, open, output, publish};
use crate::problem::{Problem, Result, printable};
use crate::report::table::{indented, minute, plain};
use crate::report::{Report, text};
use crate::retention::model::StoreName;
use crate::retention::sessions::How;
use crate::state::{RunRecord, SessionEnding, State};
use crate::sweep::past;

/// How many runs a list has.
const LISTED: u32 = 20;

#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The run's id, or its first or last letters [default: the last run on the configuration's database]
    run: Option<String>,
    /// List the last runs of every database in the state instead; with --store those of one
    #[arg(long, conflicts_with_all = ["run", "html", "mail"])]
    list: bool,
    /// Write the report as one page with charts
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Send the report once more, to the recipients of the configuration
    #[arg(long)]
    mail: bool,
}

pub async fn report(common: &Common, args: &ReportArgs) -> Result<u8> {
    let path = open::state_path(common)?;
    let no_runs = || {
        Problem::usage(format!("there are no runs in {}", path.display()))
            .hint("a run is remembered once `apply` or `run --apply` was started; --state names another file")
    };
    // A store that is not there is an error, also where an id says which run is meant.
    let typed = common.store.as_ref().map(|_| open::places(common)).transpose()?.flatten();
    let state = open::existing_state(&path).await?.ok_or_else(no_runs)?;
    if args.list {
        let runs = match typed {
            Some(places) => state.runs_at(&places, LISTED).await?,
            None => state.runs(LISTED).await?,
        };
        state.close().await?;
        let json = json!({ "runs": runs.iter().map(as_json).collect::<Vec<_>>() });
        output::print(common.output, || table_of(&runs), &json)?;
        return Ok(exit::DONE);
    }
    let record = match args.run.as_deref() {
        Some(id) => find(&state, id).await?,
        None => last(&state, open::places(common)?).await?.ok_or_else(no_runs)?,
    };
    let endings = state.session_endings(record.run.id).await?;
    state.close().await?;
    let report = with_ticket_word(report_of(&record, &endings)?);
    if let Some(file) = &args.html {
        publish::write_page(file, &report, &open::title(common))?;
    }
    if args.mail {
        publish::mail_again(&open::mail_settings(common)?, &path, &report).await?;
    }
    // Whoever wanted a file or a mail has it; JSON is still the last line for programs.
    if (args.html.is_none() && !args.mail) || common.output == Output::Json {
        output::print(common.output, || text::render(&report), &report)?;
    }
    Ok(exit::DONE)
}

async fn find(state: &State, id: &str) -> Result<RunRecord> {
    state.run(id).await?.ok_or_else(|| {
        Problem::usage(format!("there is no run {id}")).hint("`timesweep report --list` shows the last ones")
    })
}

/// The last run at these places; without a configuration the last of all.
async fn last(state: &State, places: Option<Vec<(String, Option<StoreName>)>>) -> Result<Option<RunRecord>> {
    let Some(places) = places else { return state.last_run().await };
    let found = state.runs_at(&places, 1).await?.pop();
    if found.is_some() || state.last_run().await?.is_none() {
        return Ok(found);
    }
    let places: Vec<String> = places.into_iter().map(|(place, _)| place).collect();
    Err(Problem::usage(format!(
        "there are no runs on {} in the state, only on other databases",
        places.join(", ")
    ))
    .hint("`timesweep report --list` shows them; an id shows any"))
}

fn report_of(record: &RunRecord, endings: &[SessionEnding]) -> Result<Report> {
    let Some(end) = &record.end else {
        let sentence = format!("run {} has no report: it is at work, or it was cut off", record.run.id);
        let problem = Problem::usage(sentence).hint("the next run settles what a cut-off run left open");
        return Err(endings.iter().map(ended).fold(problem, Problem::cause));
    };
    serde_json::from_str(&end.report_json).map_err(|error| {
        Problem::usage(format!("the report of run {} is of another version", record.run.id)).because(&error)
    })
}

/// The ticket gets its last word after the run has ended in the journal. A run that was killed after that word has told
/// nobody, so the ticket is looked at.
fn with_ticket_word(mut report: Report) -> Report {
    if !report.has_begun() {
        return report;
    }
    let Some(ticket) = report.gate.as_mut().and_then(|gate| gate.ticket.as_mut()) else { return report };
    let line = std::fs::read_to_string(&ticket.path).unwrap_or_default();
    let word = line.rsplit(',').next().unwrap_or_default().trim();
    if ticket.after.is_none() && ["dropped", "partial", "failed"].contains(&word) {
        ticket.after = Some(word.to_owned());
    }
    report
}

fn ended(ending: &SessionEnding) -> String {
    let what = match ending.how {
        How::Cancel => "a statement was cancelled",
        How::Terminate => "a session was ended",
    };
    format!(
        "{what}, or was about to be: process {} of role {}: {}",
        ending.pid, ending.role, ending.statement
    )
}

fn table_of(runs: &[RunRecord]) -> String {
    if runs.is_empty() {
        return "no runs\n".into();
    }
    let mut table = plain(&["run", "started", "store", "database", "command", "outcome", "exit code"]);
    for record in runs {
        let run = &record.run;
        table.add_row(vec![
            run.id.to_string(),
            minute(run.started_at),
            run.store.to_string(),
            printable(&run.place),
            printable(&run.command),
            outcome(record).to_owned(),
            record.end.as_ref().map_or_else(String::new, |end| end.exit_code.to_string()),
        ]);
    }
    indented(&table)
}

/// A run without an end is at work, or was cut off and nobody has settled it yet.
fn outcome(record: &RunRecord) -> &'static str {
    if record.end.is_some() { past::past_run(record).outcome() } else { "not ended" }
}

fn as_json(record: &RunRecord) -> serde_json::Value {
    json!({
        "run": record.run.id,
        "store": record.run.store,
        "place": record.run.place,
        "database": (record.run.identity.database_oid != 0).then_some(&record.run.identity.database),
        "command": record.run.command,
        "outcome": outcome(record),
        "plan": record.run.plan_id,
        "started_at": record.run.started_at,
        "ended_at": record.end.as_ref().map(|end| end.ended_at),
        "exit_code": record.end.as_ref().map(|end| end.exit_code),
    })
}

//! `timesweep gate`: only the question whether a run may work now, in the form that a scheduler reads.

use clap::Args;
use serde_json::{Value, json};

use super::schedule::SkipArgs;
use super::{Common, Output, exit, open, output};
use crate::problem::{Problem, Result, printable};
use crate::report::gate::GateReport;
use crate::report::gate_text;
use crate::sweep::gated;

#[derive(Debug, Args)]
pub struct GateArgs {
    #[command(flatten)]
    skip: SkipArgs,
}

pub async fn gate(common: &Common, args: &GateArgs) -> Result<u8> {
    let skip_code = args.skip.code_of_gate()?;
    let gate = open::gate(common)?;
    let said = gated::ask(&gate).await?;
    if said.open || !args.skip.is_silent(common.output) {
        print(common.output, &said, gate.vm_name())?;
    }
    Ok(if said.open { exit::DONE } else { skip_code })
}

fn print(form: Output, said: &GateReport, vm_name: &str) -> Result<()> {
    if form == Output::Rundeck {
        output::print_text(&rundeck(said, vm_name));
        return Ok(());
    }
    output::print(form, || gate_text::render(said), &as_json(said, vm_name)?)
}

fn go(said: &GateReport) -> &'static str {
    if said.open { "yes" } else { "no" }
}

fn as_json(said: &GateReport, vm_name: &str) -> Result<Value> {
    let mut value = serde_json::to_value(said)
        .map_err(|error| Problem::unreachable("the answer cannot be written as JSON").because(&error))?;
    value["go"] = json!(go(said));
    value["vm"] = json!(vm_name);
    Ok(value)
}

/// Lines that the log filter `key-value-data` captures; it drops an empty value, so none is empty.
fn rundeck(said: &GateReport, vm_name: &str) -> String {
    let ticket = said.ticket.as_ref();
    let values = [
        ("go", go(said)),
        ("reason", said.reason.as_str()),
        ("asked", said.asked.as_str()),
        ("day", said.day.as_str()),
        ("vm", vm_name),
        ("ticket", ticket.map_or("", |ticket| ticket.path.as_str())),
        ("ticket_status", ticket.and_then(|ticket| ticket.before.as_deref()).unwrap_or_default()),
        ("launcher_id", said.launcher.as_ref().map_or("", |row| row.id.as_str())),
    ];
    let line = |text: String, (key, value): &(&str, &str)| {
        text + &format!("RUNDECK:DATA:{key} = {}\n", never_empty(value))
    };
    values.iter().fold(String::new(), line)
}

/// Rundeck pastes values into scripts as they are: between double quotes nothing of them may be run.
fn harmless(letter: char) -> char {
    match letter {
        '`' | '"' => '\'',
        '$' | '\\' => '_',
        other => other,
    }
}

fn never_empty(value: &str) -> String {
    match printable(value).chars().map(harmless).collect::<String>().trim() {
        "" => "-".to_owned(),
        value => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::gate::{LauncherRow, TicketReport};

    #[test]
    fn every_line_for_rundeck_has_one_value_that_nothing_runs() {
        let nasty = "a\n b = ${data.go}\u{1b}[2J `id` \"$(id)\"";
        let row = LauncherRow {
            id: " ".into(),
            vm_name: "pg1".into(),
            status: String::new(),
            who: nasty.into(),
            start_time: "x".into(),
        };
        let said = GateReport {
            open: false,
            reason: nasty.into(),
            asked: "launcher".into(),
            day: "2026-11-22".into(),
            launcher: Some(row),
            ticket: Some(TicketReport { path: "/t".into(), before: None, after: None }),
        };
        assert_eq!(
            rundeck(&said, "pg1"),
            "RUNDECK:DATA:go = no\n\
             RUNDECK:DATA:reason = a  b = _{data.go}_u{1b}[2J 'id' '_(id)'\n\
             RUNDECK:DATA:asked = launcher\n\
             RUNDECK:DATA:day = 2026-11-22\n\
             RUNDECK:DATA:vm = pg1\n\
             RUNDECK:DATA:ticket = /t\n\
             RUNDECK:DATA:ticket_status = -\n\
             RUNDECK:DATA:launcher_id = -\n"
        );
    }
}

//! Which run this was: when, where, by whose leave.

use crate::report::Report;
use crate::report::gate::GateReport;
use crate::report::table::minute;

use super::{Block, table};

pub fn blocks(report: &Report) -> Vec<Block> {
    let mut rows: Vec<(&str, String)> =
        vec![("outcome", report.verdict.word().into()), ("store", report.store.to_string())];
    if report.knows_database() {
        rows.push(("database", report.identity.to_string()));
        rows.push(("server", report.server.clone()));
    }
    if report.owned.is_some() {
        rows.push(("server", report.server.clone()));
    }
    let seconds = (report.ended_at - report.started_at).max(0) / 1_000_000;
    rows.push(("command", report.command.clone()));
    rows.push(("started", format!("{} UTC, took {seconds} s", minute(report.started_at))));
    rows.push(("run", report.run.to_string()));
    rows.extend(report.gate.iter().flat_map(gate));
    table(&["what", "value"], rows.into_iter().map(|(what, value)| vec![what.to_owned(), value]).collect())
}

fn gate(gate: &GateReport) -> Vec<(&'static str, String)> {
    let answer = if gate.open { "open" } else { "closed" };
    let mut rows = vec![("gate", format!("{answer} on {}, {}", gate.day, gate.reason))];
    if let Some(row) = &gate.launcher {
        let said = format!(
            "{} for {}, {}, by {}, from {}",
            row.id, row.vm_name, row.status, row.who, row.start_time
        );
        rows.push(("launcher", said));
    }
    if let Some(ticket) = &gate.ticket {
        let (before, after) = (ticket.before.as_deref(), ticket.after.as_deref());
        let said = format!(
            "{}: {} before, {} after",
            ticket.path,
            before.unwrap_or("not there"),
            after.unwrap_or("nothing written")
        );
        rows.push(("ticket", said));
    }
    rows
}

//! What the gate said, for people and for a scheduler's log.

use std::fmt::Write as _;

use super::gate::GateReport;
use crate::problem::printable;

/// One line for the answer, one for the launcher's row, one for the ticket.
pub fn render(gate: &GateReport) -> String {
    let word = if gate.open { "open" } else { "closed" };
    let mut text = format!("gate: {word} on {}, {}\n", printable(&gate.day), printable(&gate.reason));
    if let Some(row) = &gate.launcher {
        let _ = writeln!(
            text,
            "  launcher: row {} for {}: {}, {}, {}",
            printable(&row.id),
            printable(&row.vm_name),
            printable(&row.status),
            printable(&row.who),
            printable(&row.start_time)
        );
    }
    if let Some(ticket) = &gate.ticket {
        let before = ticket.before.as_deref().unwrap_or("new");
        let after = ticket.after.as_deref().map(|after| format!(", now {after}")).unwrap_or_default();
        let _ = writeln!(
            text,
            "  ticket: {} ({}{})",
            printable(&ticket.path),
            printable(before),
            printable(after)
        );
    }
    text
}

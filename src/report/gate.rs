//! What the gate said, and what the ticket of the day says before and after the run.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateReport {
    pub open: bool,
    /// One sentence: why it is open, or why it is closed.
    pub reason: String,
    /// Who was asked: `launcher`, `window`, `ticket`, or `--go`.
    pub asked: String,
    /// The day in question, `2026-11-22`, by the launcher's clock in the configured zone.
    pub day: String,
    pub launcher: Option<LauncherRow>,
    pub ticket: Option<TicketReport>,
}

/// The row that makes this machine due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LauncherRow {
    pub id: String,
    pub vm_name: String,
    pub status: String,
    pub who: String,
    /// As the launcher writes it.
    pub start_time: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketReport {
    pub path: String,
    /// The chunk status before the run; `None` where there was no ticket.
    pub before: Option<String>,
    /// What the run wrote: `dropped`, `partial`, `failed`; `None` where it wrote nothing.
    pub after: Option<String>,
}

//! `timesweep ticket`: the file that remembers the day, shown, or closed by hand or by a later step of a job.

use clap::{Subcommand, ValueEnum};
use jiff::civil::Date;
use serde_json::json;

use super::{Common, exit, open, output};
use crate::gate::ticket::{ChunkStatus, Ticket};
use crate::problem::{Problem, Result, printable};
use crate::report::gate::TicketReport;
use crate::sweep::gated;

#[derive(Debug, Subcommand)]
pub enum TicketVerb {
    /// The ticket's fields
    Show {
        /// Of this day, as 2026-11-22 [default: today in the gate's zone]
        #[arg(long, value_name = "DATE")]
        day: Option<String>,
    },
    /// Write what became of the day, and tell the launcher where that is configured
    Close {
        #[arg(long, value_enum, default_value_t = Word::Dropped)]
        status: Word,
        /// Of this day, as 2026-11-22 [default: today in the gate's zone]
        #[arg(long, value_name = "DATE")]
        day: Option<String>,
        /// Write another word over `dropped`
        #[arg(long)]
        take_back: bool,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Word {
    Dropped,
    Partial,
    Failed,
}

pub async fn ticket(common: &Common, verb: TicketVerb) -> Result<u8> {
    match verb {
        TicketVerb::Show { day } => show(common, day.as_deref()),
        TicketVerb::Close { status, day, take_back } => {
            close(common, status, day.as_deref(), take_back).await
        }
    }
}

fn show(common: &Common, day: Option<&str>) -> Result<u8> {
    let gate = open::gate(common)?;
    let (path, ticket) = gated::show(&gate, parse_day(day)?)?;
    let fields = fields(&path, &ticket);
    let json: serde_json::Map<_, _> =
        fields.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    let line =
        |text: String, (name, value): &(&str, String)| text + &format!("{name:13} {}\n", printable(value));
    output::print(common.output, || fields.iter().fold(String::new(), line), &json)?;
    Ok(exit::DONE)
}

async fn close(common: &Common, status: Word, day: Option<&str>, take_back: bool) -> Result<u8> {
    let gate = open::gate(common)?;
    let (ticket, trouble) = gated::close(&gate, parse_day(day)?, status.into(), take_back).await?;
    output::print(common.output, || closed(&ticket), &ticket)?;
    let Some(trouble) = trouble else { return Ok(exit::DONE) };
    // The word is written, and the launcher does not know it.
    output::note(&format!("warning: {trouble}"));
    Ok(exit::PARTIAL)
}

fn closed(ticket: &TicketReport) -> String {
    let word = |word: &Option<String>| word.as_deref().map(printable).unwrap_or_default();
    format!("ticket {}: {}, was {}\n", printable(&ticket.path), word(&ticket.after), word(&ticket.before))
}

fn fields(path: &str, ticket: &Ticket) -> [(&'static str, String); 8] {
    let row = ticket.row.clone();
    [
        ("ticket", path.to_owned()),
        ("launcher_id", row.id),
        ("vm_name", row.vm_name),
        ("status", row.status),
        ("who", row.who),
        ("start_time", row.start_time),
        ("checked_at", ticket.checked_at.clone()),
        ("chunk_status", ticket.chunk_status.to_string()),
    ]
}

fn parse_day(day: Option<&str>) -> Result<Option<Date>> {
    let parse = |day: &str| {
        let date = day.parse::<Date>().ok().filter(|date| date.to_string() == day);
        date.ok_or_else(|| {
            Problem::usage(format!("--day `{day}` is not a date")).hint("write for example 2026-11-22")
        })
    };
    day.map(parse).transpose()
}

impl From<Word> for ChunkStatus {
    fn from(word: Word) -> Self {
        match word {
            Word::Dropped => Self::Dropped,
            Word::Partial => Self::Partial,
            Word::Failed => Self::Failed,
        }
    }
}

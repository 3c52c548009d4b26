//! The report as sections of lines, tables and charts, in the order that every page and mail has.
//!
//! Errors and warnings first, then the run, the disk, tables, growth, why chunks stay, sessions, what comes next, the runs before.
//! Invariant: every text in it is printable; escaping for HTML is the template's.

use crate::problem::printable;
use crate::report::table::counted;

use super::closing;
use super::{Report, Verdict};

mod datasets;
mod disk;
mod run;
mod sessions;
mod tables;
mod troubles;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    pub title: &'static str,
    pub blocks: Vec<Block>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    /// What went wrong, or what somebody has to know.
    Alarms(Vec<String>),
    Lines(Vec<String>),
    Table(Table),
    /// The chart of that name, where there is one.
    Chart(&'static str),
}

/// Columns whose title begins with a blank hold numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    pub header: Vec<Cell>,
    pub rows: Vec<Vec<Cell>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    pub text: String,
    pub is_number: bool,
}

/// Every section that has something to say.
pub fn sections(report: &Report) -> Vec<Section> {
    [
        section("Errors and warnings", troubles::blocks(report)),
        section("Run", run::blocks(report)),
        section("Datasets", datasets::blocks(report)),
        section("Disk", disk::blocks(report)),
        section("Tables", tables::sizes(report)),
        section("Growth", tables::growth(report)),
        section("Why chunks stay", tables::kept(report)),
        section("Sessions", sessions::blocks(report)),
        section("What comes next", next(report)),
        section("The runs before", past(report)),
    ]
    .into_iter()
    .filter(|section| !section.blocks.is_empty())
    .collect()
}

fn section(title: &'static str, blocks: Vec<Block>) -> Section {
    Section { title, blocks }
}

/// What stands below the headline: that all was done, or how much was not.
pub fn summary(report: &Report) -> String {
    match (closing::not_done(report).len(), report.verdict) {
        (_, Verdict::Skipped) => "Nothing was due, and nothing was done.".into(),
        (0, Verdict::NothingToDo) => "There was nothing to do.".into(),
        (0, Verdict::Done) => "Everything that was due was done.".into(),
        (0, _) => "Not everything was done; the reasons are below.".into(),
        (count, _) => {
            format!("Not everything was done: {} below.", counted(count, "reason"))
        }
    }
}

fn next(report: &Report) -> Vec<Block> {
    lines(&closing::next(report))
}

fn past(report: &Report) -> Vec<Block> {
    let header = ["started", "command", "outcome", " chunks", " freed", " took"];
    table(&header, report.past_runs.iter().map(|run| closing::past_cells(run).to_vec()).collect())
}

fn lines(said: &[String]) -> Vec<Block> {
    if said.is_empty() { Vec::new() } else { vec![Block::Lines(said.iter().map(printable).collect())] }
}

/// Nothing where there are no rows. A title that begins with a blank makes its column one of numbers.
fn table(header: &[&str], rows: Vec<Vec<String>>) -> Vec<Block> {
    if rows.is_empty() {
        return Vec::new();
    }
    let is_number = |column: usize| header[column].starts_with(' ');
    let cells = |texts: Vec<String>| -> Vec<Cell> {
        let cell = |(column, text): (usize, String)| Cell {
            text: printable(text.trim_start()),
            is_number: is_number(column),
        };
        texts.into_iter().enumerate().map(cell).collect()
    };
    let titles = cells(header.iter().map(|&title| title.to_owned()).collect());
    vec![Block::Table(Table { header: titles, rows: rows.into_iter().map(cells).collect() })]
}

/// The word for what is not known.
fn known(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "unknown".into(), |value| value.to_string())
}

//! The Markdown that goes into docs/benchmarks.md: the machine, then one table.

use std::fmt;
use std::time::Duration;

use crate::Outcome;
use crate::check::Verdict;
use crate::crowd::{Errors, Experience, User};
use crate::measure::{Runs, Sides};
use crate::options::Options;
use crate::scenario::{Scenario, Task};
use crate::server::Server;

/// A dash where there is nothing to tell.
const NOTHING: &str = "–";

pub async fn header(server: &Server, options: &Options) -> Outcome<String> {
    let date = options.date.clone().unwrap_or_else(|| jiff::Zoned::now().date().to_string());
    let cores = std::thread::available_parallelism()?;
    let size = if options.quick { "; a fifth of the chunks, for which the targets are not made" } else { "" };
    Ok(format!(
        "{date}: {cores} cores ({}), {}; medians of {} runs{size}.\n\
         Waits are the longest, then the 99th percentile.\n",
        cpu_model(),
        server.version().await?,
        options.runs()
    ))
}

fn cpu_model() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    model.map_or("unknown processor", |(_, name)| name).to_owned()
}

const COLUMNS: [&str; 10] = [
    "scenario",
    "who drops",
    "total",
    "chunks left",
    "writer",
    "reader of the last minute",
    "reader of the latest row",
    "users' errors",
    "peak memory",
    "verdict",
];

#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<[String; COLUMNS.len()]>,
    missed: bool,
}

impl Table {
    pub fn add(&mut self, scenario: &Scenario, sides: &Sides, verdicts: &[Verdict]) {
        self.missed |= verdicts.iter().any(|verdict| !verdict.ok);
        if !scenario.users.is_empty() {
            self.rows.push(idle_row(&sides.timesweep));
        }
        let theirs = match scenario.task {
            Task::Drop => "one `drop_chunks`",
            Task::Plan => "`show_chunks`, sizes",
        };
        self.rows.push(row(theirs, &sides.one_call));
        self.rows.push(row("timesweep", &sides.timesweep));
        self.label(scenario, verdicts);
    }

    /// Name and verdict stand in the first and the last row of the scenario.
    fn label(&mut self, scenario: &Scenario, verdicts: &[Verdict]) {
        let first = self.rows.len() - if scenario.users.is_empty() { 2 } else { 3 };
        self.rows[first][0] = format!("**{}**: {}", scenario.name, scenario.about());
        let last = self.rows.len() - 1;
        let verdicts: Vec<String> = verdicts.iter().map(ToString::to_string).collect();
        self.rows[last][COLUMNS.len() - 1] = verdicts.join("<br>");
    }

    pub fn all_ok(&self) -> bool {
        !self.missed
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| {} |", COLUMNS.join(" | "))?;
        writeln!(f, "|{}", "---|".repeat(COLUMNS.len()))?;
        self.rows.iter().try_for_each(|cells| writeln!(f, "| {} |", cells.join(" | ")))
    }
}

fn idle_row(runs: &Runs) -> [String; COLUMNS.len()] {
    let [writer, recent, latest] =
        User::ALL.map(|user| waits(runs, user, |met| met.idle.longest(), |met| met.idle.percentile_99()));
    let nothing = || NOTHING.to_owned();
    [
        String::new(),
        "nobody".into(),
        nothing(),
        nothing(),
        writer,
        recent,
        latest,
        nothing(),
        nothing(),
        String::new(),
    ]
}

fn row(who: &str, runs: &Runs) -> [String; COLUMNS.len()] {
    let [writer, recent, latest] = User::ALL
        .map(|user| waits(runs, user, |met| met.dropping.longest(), |met| met.dropping.percentile_99()));
    [
        String::new(),
        who.into(),
        total(runs),
        range(runs.0.iter().map(|run| run.left)),
        writer,
        recent,
        latest,
        errors(runs),
        runs.peak_memory().map_or(NOTHING.into(), shown_bytes),
        String::new(),
    ]
}

fn total(runs: &Runs) -> String {
    let mut notes: Vec<&String> = runs.0.iter().filter_map(|run| run.finish.note.as_ref()).collect();
    notes.sort();
    notes.dedup();
    let notes: Vec<String> = notes.into_iter().map(|note| format!(" ({note})")).collect();
    format!("{}{}", shown(runs.total()), notes.concat())
}

fn waits(
    runs: &Runs,
    user: User,
    longest: impl Fn(&Experience) -> Duration,
    percentile_99: impl Fn(&Experience) -> Duration,
) -> String {
    match (runs.of_user(user, longest), runs.of_user(user, percentile_99)) {
        (Some(longest), Some(percentile)) => format!("{}, {}", shown(longest), shown(percentile)),
        _ => NOTHING.into(),
    }
}

/// `40P01 × 44–63`: each code with the least and the most of one run.
fn errors(runs: &Runs) -> String {
    if runs.0.iter().all(|run| run.users.is_empty()) {
        return NOTHING.into();
    }
    let all: Vec<Errors> = runs.0.iter().map(super::measure::Run::errors).collect();
    let mut codes: Vec<&String> = all.iter().flat_map(Errors::keys).collect();
    codes.sort();
    codes.dedup();
    let of_code =
        |code: &String| range(all.iter().map(|errors| errors.get(code).copied().unwrap_or_default()));
    let shown: Vec<String> = codes.into_iter().map(|code| format!("{code} × {}", of_code(code))).collect();
    if shown.is_empty() { "none".into() } else { shown.join(", ") }
}

fn range(counts: impl Iterator<Item = u32> + Clone) -> String {
    let (least, most) = (counts.clone().min().unwrap_or_default(), counts.max().unwrap_or_default());
    if least == most { most.to_string() } else { format!("{least}–{most}") }
}

pub fn shown(time: Duration) -> String {
    let milliseconds = time.as_secs_f64() * 1000.0;
    match milliseconds {
        under_ten if under_ten < 10.0 => format!("{under_ten:.1} ms"),
        under_a_second if under_a_second < 1000.0 => format!("{under_a_second:.0} ms"),
        more => format!("{:.1} s", more / 1000.0),
    }
}

pub fn shown_bytes(bytes: u64) -> String {
    format!("{:.0} MiB", bytes as f64 / (1024.0 * 1024.0))
}

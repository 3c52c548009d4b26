//! What every report says: what was not done, what comes next, the runs before.
//!
//! Plain values for the page and the mail, and the same as text. Invariant: whatever a run should have
//! done and did not is in `not_done`, in every rendering.

use std::fmt::Write as _;

use crate::problem::printable;
use crate::retention::model::ByteCount;

use super::owned::{DatasetOutcome, OwnedReport, Standing};
use super::past::PastRun;
use super::table::{counted, day, indented, minute, number, plain};
use super::{DatasetReport, ItemOutcome, Report, Verdict};

/// One sentence for each thing that should have been done and was not.
pub fn not_done(report: &Report) -> Vec<String> {
    if let Some(owned) = &report.owned {
        return not_done_of_datasets(report, owned);
    }
    let mut said = Vec::new();
    // A closed gate is an answer: nothing was due.
    if report.datasets.is_empty() && !report.has_begun() && report.verdict != Verdict::Skipped {
        said.push("nothing was dropped: the run ended before any table was looked at".to_owned());
    }
    if !report.refusals.is_empty() {
        said.push("nothing was dropped: the whole run is refused".to_owned());
    }
    let nothing = |table: &String| format!("the policy for {table} matches nothing");
    said.extend(report.unmatched_policies.iter().map(nothing));
    said.extend(report.datasets.iter().flat_map(not_done_of));
    said
}

fn not_done_of_datasets(report: &Report, owned: &OwnedReport) -> Vec<String> {
    let mut said = Vec::new();
    let looked = !owned.groups.is_empty() || owned.listed > 0;
    if !report.refusals.is_empty() {
        said.push("nothing was dropped: the whole pass is refused".to_owned());
    } else if report.stopped.is_some() && !looked {
        said.push("nothing was dropped: the pass ended before the datasets were known".to_owned());
    }
    let stayed = |what: &str, is: fn(&DatasetOutcome) -> bool| {
        let count = owned.items.iter().filter(|item| is(&item.outcome)).count();
        (count > 0).then(|| format!("{} {what}", counted(count, "dataset")))
    };
    let left = owned.count(Standing::LeftByCap);
    let left = (left > 0).then(|| format!("{} left by the cap of {}", counted(left, "dataset"), owned.cap));
    let stayed = [
        stayed("failed", |outcome| matches!(outcome, DatasetOutcome::Failed { .. })),
        stayed("may be gone or not", |outcome| matches!(outcome, DatasetOutcome::Unknown { .. })),
        stayed("not tried", |outcome| matches!(outcome, DatasetOutcome::NotTried { .. })),
        left,
    ];
    said.extend(stayed.into_iter().flatten());
    said
}

fn next_of_datasets(report: &Report, owned: &OwnedReport) -> Vec<String> {
    let mut said = Vec::new();
    if !report.refusals.is_empty() {
        said.push("the refusals need somebody; each names its way out".to_owned());
    }
    if owned.has_trouble() || owned.count(Standing::LeftByCap) > 0 {
        said.push("the next pass goes for the datasets that stayed again".to_owned());
    }
    let first = owned.group(Standing::Waiting).into_iter().flat_map(|group| &group.datasets);
    if let Some((until, line)) = first.filter_map(|line| Some((line.until?, line))).min_by_key(|(at, _)| *at)
    {
        said.push(format!("the grace of {} ends at {} UTC", line.dataset, minute(until)));
    }
    said
}

fn not_done_of(dataset: &DatasetReport) -> Vec<String> {
    let name = &dataset.name;
    let stayed = |what: &str, is: fn(&ItemOutcome) -> bool| {
        let items: Vec<_> = dataset.items.iter().filter(|item| is(&item.outcome)).collect();
        let bytes: ByteCount = items.iter().filter_map(|item| item.bytes).sum();
        (!items.is_empty()).then(|| format!("{name}: {} ({bytes}) {what}", counted(items.len(), "chunk")))
    };
    let refused = (!dataset.refusals.is_empty()).then(|| format!("{name}: refused by a guard"));
    let undecided = dataset.undecided.then(|| format!("{name}: nobody can say what its policy lets go"));
    let left_out = dataset.left_out.len();
    let left_out =
        (left_out > 0).then(|| format!("{name}: {} of the saved plan left out", counted(left_out, "chunk")));
    [
        refused,
        undecided,
        left_out,
        stayed("stayed locked", |outcome| matches!(outcome, ItemOutcome::Blocked { .. })),
        stayed("failed", |outcome| matches!(outcome, ItemOutcome::Failed { .. })),
        stayed("not as planned, left alone", |outcome| matches!(outcome, ItemOutcome::Changed { .. })),
        stayed("not tried", |outcome| matches!(outcome, ItemOutcome::NotTried { .. })),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What happens without anybody doing anything, and what needs somebody.
pub fn next(report: &Report) -> Vec<String> {
    if let Some(owned) = &report.owned {
        return next_of_datasets(report, owned);
    }
    let mut said = Vec::new();
    let any = |is: fn(&ItemOutcome) -> bool| report.items().any(|(_, item)| is(&item.outcome));
    if any(|outcome| matches!(outcome, ItemOutcome::Blocked { .. } | ItemOutcome::NotTried { .. })) {
        said.push("the next run tries the chunks that stayed again".to_owned());
    }
    if any(|outcome| matches!(outcome, ItemOutcome::Failed { .. })) {
        said.push("the failed chunks need somebody; the hints are above".to_owned());
    }
    if !report.refusals.is_empty() || report.datasets.iter().any(|dataset| !dataset.refusals.is_empty()) {
        said.push("the refusals need somebody; each names its way out".to_owned());
    }
    if !report.unmatched_policies.is_empty() || report.datasets.iter().any(|dataset| dataset.undecided) {
        said.push("the policies that let nothing go need somebody; the warnings say what to do".to_owned());
    }
    if report.datasets.is_empty() && matches!(report.verdict, Verdict::Busy | Verdict::Unreachable) {
        said.push("nothing was touched; a run after that is over does it all".to_owned());
    }
    said.extend(next_chunk(report));
    said
}

/// The table whose next chunk is due first.
fn next_chunk(report: &Report) -> Option<String> {
    let due = |dataset: &DatasetReport| dataset.measure.as_ref().and_then(|measure| measure.next_due);
    let (at, dataset) = report
        .datasets
        .iter()
        .filter_map(|dataset| Some((due(dataset)?, dataset)))
        .min_by_key(|(at, _)| *at)?;
    Some(format!("the next chunk is due on {}, of {}", day(at), dataset.name))
}

/// What a text report says right below its headline.
pub fn undone(report: &Report) -> String {
    let add = |text: String, line: &String| text + "not done: " + &printable(line) + "\n";
    let text = not_done(report).iter().fold(String::new(), add);
    if text.is_empty() { text } else { text + "\n" }
}

/// The text sections that end a report; empty where there is nothing to say.
pub fn render(report: &Report) -> String {
    [list("what comes next", &next(report)), past(report)].concat()
}

fn list(title: &str, lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    lines.iter().fold(format!("\n{title}\n"), |text, line| text + "  " + &printable(line) + "\n")
}

fn past(report: &Report) -> String {
    if report.past_runs.is_empty() {
        return String::new();
    }
    let mut table = plain(&["started", "command", "outcome", "chunks", "freed", "took"]);
    for run in &report.past_runs {
        let cells = past_cells(run);
        let [started, command, outcome, chunks, freed, took] = cells;
        table.add_row(vec![
            comfy_table::Cell::new(started),
            comfy_table::Cell::new(command),
            comfy_table::Cell::new(outcome),
            number(chunks),
            number(freed),
            number(took),
        ]);
    }
    let mut text = String::from("\nthe runs before\n");
    let _ = write!(text, "{}", indented(&table));
    text
}

/// Started, command, outcome, chunks, freed, took.
pub fn past_cells(run: &PastRun) -> [String; 6] {
    let shown = |known: Option<String>| known.unwrap_or_else(|| "?".into());
    [
        minute(run.started_at),
        printable(&run.command),
        run.outcome().into(),
        shown(run.chunks.map(|chunks| chunks.to_string())),
        shown(run.bytes.map(|bytes| bytes.to_string())),
        shown(run.seconds.map(|seconds| format!("{seconds} s"))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn a_run_that_did_everything_has_nothing_left_undone() {
        assert_eq!(not_done(&sample::done()), Vec::<String>::new());
    }

    #[test]
    fn what_was_not_done_is_said_by_table_and_by_cause() {
        let said = not_done(&sample::partial());
        assert_eq!(
            said,
            [
                "public.conditions: 1 chunk (3.4 GiB) stayed locked",
                "public.conditions: 1 chunk (3.4 GiB) failed",
                "public.conditions: 1 chunk (3.4 GiB) not tried",
            ]
        );
        assert_eq!(not_done(&sample::refused()), ["plant.\"Größe; drop\": refused by a guard"]);
        assert_eq!(
            not_done(&sample::busy()),
            ["nothing was dropped: the run ended before any table was looked at"]
        );
    }

    #[test]
    fn the_end_of_a_report_reads_like_this() {
        let report = sample::partial();
        insta::assert_snapshot!(undone(&report) + &render(&report));
    }

    #[test]
    fn what_comes_next_names_the_first_chunk_that_is_due() {
        assert_eq!(next(&sample::done()), ["the next chunk is due on 2026-11-23, of public.conditions"]);
        let partial = next(&sample::partial());
        assert!(partial[0].contains("tries the chunks that stayed again"), "{partial:?}");
    }
}

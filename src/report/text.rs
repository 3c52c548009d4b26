//! A report for people: errors and warnings first, then what was freed, then why the rest stayed.

use std::fmt::Write as _;

use crate::problem::{printable, told};
use crate::retention::drift::DriftKind;
use crate::retention::facts::Blocker;

use super::closing;
use super::gate_text;
use super::plan_text::{run_refusals, table_refusals};
use super::table::{counted, indented, minute, number, plain};
use super::{DatasetReport, ItemOutcome, ItemReport, Report, Verdict, sessions_text};

pub fn render(report: &Report) -> String {
    if report.verdict == Verdict::Skipped {
        return skipped(report);
    }
    if let Some(owned) = &report.owned {
        return super::owned_text::render(report, owned);
    }
    let mut text = headline(report);
    text.push_str(&closing::undone(report));
    text.push_str(&troubles(report));
    text.push_str(&report.gate.as_ref().map(|gate| separated(gate_text::render(gate))).unwrap_or_default());
    text.push_str(&settled(report));
    text.push_str(&drifts(report));
    text.push_str(&freed_table(report));
    text.push_str(&stayed(report));
    text.push_str(&super::measure_text::render(report));
    text.push_str(&sessions_text::render(report.sessions.as_ref()));
    text.push_str(&totals(report));
    text.push_str(&closing::render(report));
    text
}

/// Nobody was asked but the gate: there is nothing else to say.
fn skipped(report: &Report) -> String {
    let gate = report.gate.as_ref().map(gate_text::render).unwrap_or_default();
    let warning = |text: String, warning: &String| text + &told("warning: ", warning);
    let warnings = report.warnings.iter().fold(String::new(), warning);
    format!("{} on store {}: skipped\n{gate}{warnings}", printable(&report.command), report.store)
}

fn outcome(report: &Report) -> &'static str {
    match report.verdict {
        Verdict::Refused if report.chunks_dropped() > 0 => "partly refused",
        verdict => verdict.word(),
    }
}

fn headline(report: &Report) -> String {
    let seconds = (report.ended_at - report.started_at).max(0) / 1_000_000;
    // A run that ended early may not know its database.
    let known = report.knows_database().then(|| format!("{}, ", printable(&report.identity)));
    let database = known.unwrap_or_default();
    format!(
        "run {} ({}) on store {}: {}\n{database}{} UTC, {seconds} s\n\n",
        report.run,
        report.command,
        report.store,
        outcome(report),
        minute(report.started_at),
    )
}

fn troubles(report: &Report) -> String {
    let mut text = String::new();
    if let Some(why) = &report.stopped {
        text.push_str(&told("stopped early: ", why));
    }
    text.push_str(&run_refusals(&report.refusals));
    for warning in &report.warnings {
        text.push_str(&told("warning: ", warning));
    }
    for dataset in report.datasets.iter().filter(|d| !d.refusals.is_empty() || !d.warnings.is_empty()) {
        let _ = writeln!(text, "{}", dataset.name);
        text.push_str(&table_refusals(&dataset.refusals));
        for warning in &dataset.warnings {
            text.push_str(&told("  warning: ", warning));
        }
    }
    separated(text)
}

fn separated(text: String) -> String {
    if text.is_empty() { text } else { text + "\n" }
}

fn settled(report: &Report) -> String {
    let mut text = String::new();
    for run in &report.cut_off {
        let _ = writeln!(text, "{}", printable(run));
    }
    for item in &report.settled {
        let what = if item.dropped { "was dropped" } else { "is still there" };
        let chunk = printable(&item.chunk);
        let _ = writeln!(text, "run {} was cut off: {chunk} of {} {what}", item.run, item.dataset);
    }
    separated(text)
}

fn drifts(report: &Report) -> String {
    let mut text = String::new();
    for alike in report.drifts.chunk_by(|a, b| a.dataset == b.dataset && a.what == b.what) {
        let first = &alike[0];
        let what = match &first.what {
            DriftKind::Gone => "skipped, gone already".to_owned(),
            DriftKind::Changed(what) => format!("left out, {}", printable(what)),
        };
        let more = match alike.len() - 1 {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let _ = writeln!(text, "{}{more} of {}: {what}", printable(&first.chunk), first.dataset);
    }
    for dataset in &report.datasets {
        for left in &dataset.left_out {
            let (chunk, reason) = (printable(&left.chunk), printable(&left.reason));
            let _ = writeln!(text, "{chunk} of {}: left out, {reason}", dataset.name);
        }
    }
    separated(text)
}

fn freed_table(report: &Report) -> String {
    let mut table = plain(&["table", "dropped", "freed", "chunks before", "size before"]);
    let mut any = false;
    for dataset in report.datasets.iter().filter(|dataset| dataset.dropped().next().is_some()) {
        any = true;
        table.add_row(vec![
            comfy_table::Cell::new(&dataset.name),
            number(dataset.dropped().count()),
            number(dataset.bytes_freed()),
            number(known(report, &dataset.chunks_before)),
            number(known(report, &dataset.bytes_before)),
        ]);
    }
    if any { indented(&table) + "\n" } else { String::new() }
}

/// The journal does not say what a table was like.
fn known(report: &Report, value: &dyn ToString) -> String {
    if report.from_journal { "?".into() } else { value.to_string() }
}

fn stayed(report: &Report) -> String {
    let mut text = String::new();
    for (dataset, item) in report.items() {
        if item.outcome != ItemOutcome::Dropped {
            text.push_str(&stayed_line(dataset, item));
        }
    }
    separated(text)
}

fn stayed_line(dataset: &DatasetReport, item: &ItemReport) -> String {
    let range = printable(&item.shown_range);
    let head = format!("{} of {} ({range})", printable(&item.chunk), dataset.name);
    match &item.outcome {
        ItemOutcome::Dropped => String::new(),
        ItemOutcome::Gone => format!("{head}: somebody else dropped it\n"),
        ItemOutcome::Changed { what } => format!("{head}: left alone, {}\n", printable(what)),
        ItemOutcome::NotTried { why } => format!("{head}: not tried, {}\n", printable(why)),
        ItemOutcome::Failed { message, hint } => {
            let hint = hint.as_ref().map(|hint| format!("  hint: {}\n", printable(hint))).unwrap_or_default();
            format!("{head}: failed, {}\n{hint}", printable(message))
        }
        ItemOutcome::Blocked { tries, why, blockers } => {
            let tries = tried(*tries);
            let blockers: String = blockers.iter().map(blocker_line).collect();
            format!("{head}: still locked after {tries}: {}\n{blockers}", printable(why))
        }
    }
}

pub(super) fn tried(tries: u32) -> String {
    if tries == 1 { "1 try".into() } else { format!("{tries} tries") }
}

/// Process and role, and application and address where they are known.
pub(super) fn who(blocker: &Blocker) -> String {
    let mut said = format!("process {} of role {}", blocker.pid, printable(&blocker.role));
    if !blocker.application.is_empty() {
        let _ = write!(said, ", application {}", printable(&blocker.application));
    }
    if let Some(address) = &blocker.address {
        let _ = write!(said, ", from {}", printable(address));
    }
    said
}

fn blocker_line(blocker: &Blocker) -> String {
    format!(
        "  blocked by {} ({}, {}, for {} s): {}\n",
        who(blocker),
        printable(&blocker.backend),
        printable(&blocker.state),
        blocker.age_seconds,
        printable(&blocker.statement)
    )
}

fn totals(report: &Report) -> String {
    let dropped = match report.chunks_dropped() {
        0 => "dropped nothing".to_owned(),
        count => format!("dropped {}, {} by their sizes", counted(count, "chunk"), report.bytes_expected()),
    };
    let size = match (report.bytes_measured(), report.bytes_after) {
        (Some(measured), Some(after)) if measured.0 > 0 && report.chunks_dropped() > 0 => {
            format!("the database is {measured} smaller, {after} now")
        }
        (_, Some(after)) => format!("the database is {after} now"),
        _ => "the database's size is unknown".into(),
    };
    format!("{dropped}; {size}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retention::model::{ByteCount, StoreIdentity, StoreName};
    use crate::retention::name::RelationName;
    use crate::retention::time_axis::TimeRange;

    const NASTY: &str = "a\u{1b}]0;x\u{7}b\nerror: c\u{202e}";

    fn item(outcome: ItemOutcome) -> ItemReport {
        let range = TimeRange { start: 0, end: 1 };
        ItemReport { chunk: NASTY.into(), range, shown_range: NASTY.into(), bytes: None, outcome }
    }

    fn items() -> Vec<ItemReport> {
        let text = || NASTY.to_owned();
        let blocker = Blocker {
            pid: 1,
            role: text(),
            application: text(),
            address: Some(text()),
            backend: text(),
            state: text(),
            age_seconds: 1,
            statement: text(),
        };
        vec![
            item(ItemOutcome::Changed { what: text() }),
            item(ItemOutcome::NotTried { why: text() }),
            item(ItemOutcome::Failed { message: text(), hint: Some(text()) }),
            item(ItemOutcome::Blocked { tries: 2, why: text(), blockers: vec![blocker] }),
        ]
    }

    fn nasty_report() -> Report {
        let dataset = DatasetReport {
            undecided: false,
            name: RelationName::new(NASTY, NASTY),
            policy: None,
            chunks_before: 4,
            bytes_before: ByteCount(0),
            items: items(),
            left_out: Vec::new(),
            refusals: Vec::new(),
            warnings: vec![NASTY.into()],
            measure: None,
            kept: Vec::new(),
        };
        Report {
            run: uuid::Uuid::nil(),
            command: "run".into(),
            store: StoreName("main".into()),
            identity: StoreIdentity { system: "1".into(), database: NASTY.into(), database_oid: 1 },
            server: NASTY.into(),
            place: None,
            plan: uuid::Uuid::nil(),
            started_at: 0,
            ended_at: 0,
            verdict: Verdict::Partial,
            stopped: Some(NASTY.into()),
            datasets: vec![dataset],
            unmatched_policies: Vec::new(),
            refusals: Vec::new(),
            warnings: vec![NASTY.into()],
            drifts: Vec::new(),
            settled: Vec::new(),
            cut_off: Vec::new(),
            from_journal: false,
            bytes_before: None,
            bytes_after: None,
            gate: None,
            sessions: None,
            disk: None,
            freed: None,
            owned: None,
            past_runs: Vec::new(),
        }
    }

    #[test]
    fn text_from_the_database_breaks_no_line_and_steers_no_terminal() {
        let text = render(&nasty_report());
        assert!(!text.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{text:?}");
        assert!(!text.lines().any(|line| line.starts_with("error: c")), "{text}");
        assert!(text.contains("a\\u{1b}]0;x\\u{7}b error: c\\u{202e}"), "{text}");
    }

    #[test]
    fn names_and_texts_escape_the_same_characters() {
        for letter in '\0'..=char::MAX {
            let by_number = RelationName::new("s", letter.to_string()).to_string().contains("U&");
            assert_eq!(printable(letter) != letter.to_string(), by_number, "{letter:?}");
        }
    }
}

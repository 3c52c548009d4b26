//! One line that says how the run went: the subject of the mail and the headline of the page.
//!
//! Invariant: what is not known is left out, and the line holds no control character.

use crate::problem::printable;

use super::measure::FileSystemReading;
use super::owned::OwnedReport;
use super::table::counted;
use super::{Report, Verdict};

/// Longer reasons are cut; the report has them in full.
const LONGEST_REASON: usize = 110;
/// A cut comes after a word, unless that would leave less.
const SHORTEST_REASON: usize = 40;

/// `[OK] weekly drop pg1/metrics: 12 chunks, 41.3 GiB freed, disk 81%→67%, 74 days left`
pub fn subject(report: &Report, title: &str) -> String {
    let parts = [work(report), disk(report), days_left(report), warnings(report)];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let said = if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) };
    printable(format!("[{}] {title} {}{said}", tag(report.verdict), place(report)))
}

/// A run may be done and still let nothing go that should have: the head of the mail says so.
fn warnings(report: &Report) -> Option<String> {
    let of_tables = report.datasets.iter().map(|dataset| dataset.warnings.len()).sum::<usize>();
    let all = of_tables + report.warnings.len();
    (all > 0).then(|| counted(all, "warning"))
}

pub fn tag(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Done | Verdict::NothingToDo => "OK",
        Verdict::Partial => "PARTIAL",
        Verdict::Refused => "REFUSED",
        Verdict::Busy => "BUSY",
        Verdict::Interrupted => "INTERRUPTED",
        Verdict::Skipped => "SKIPPED",
        Verdict::Unreachable => "UNREACHABLE",
        Verdict::Misconfigured => "MISCONFIGURED",
    }
}

/// `pg1/metrics`: the store and the database; `pg1 (db1:5432/metrics)` where the run never came to know it.
pub fn place(report: &Report) -> String {
    match &report.place {
        _ if report.knows_database() => format!("{}/{}", report.store, report.identity.database),
        Some(place) => format!("{} ({place})", report.store),
        None => report.store.to_string(),
    }
}

fn work(report: &Report) -> Option<String> {
    match report.verdict {
        Verdict::NothingToDo => Some("nothing to do".into()),
        Verdict::Skipped | Verdict::Busy | Verdict::Unreachable | Verdict::Misconfigured => reason(report),
        Verdict::Refused if report.chunks_dropped() == 0 => reason(report).or_else(|| refused_tables(report)),
        Verdict::Refused => join(freed(report), refused_tables(report)),
        Verdict::Done => freed(report),
        Verdict::Partial | Verdict::Interrupted => {
            join(freed(report).or_else(|| reason(report)), undecided(report))
        }
    }
}

fn join(one: Option<String>, other: Option<String>) -> Option<String> {
    let both: Vec<String> = [one, other].into_iter().flatten().collect();
    (!both.is_empty()).then(|| both.join(", "))
}

/// `12 chunks, 41.3 GiB freed`, or `9 of 12 chunks, …` where some stayed.
fn freed(report: &Report) -> Option<String> {
    if let Some(owned) = &report.owned {
        return datasets(owned);
    }
    let (dropped, planned) = (report.chunks_dropped(), report.items().count());
    let chunks = match planned {
        0 => return None,
        planned if planned == dropped => counted(dropped, "chunk"),
        planned => format!("{dropped} of {}", counted(planned, "chunk")),
    };
    let bytes = report.bytes_expected();
    Some(if dropped == 0 { chunks } else { format!("{chunks}, {bytes} freed") })
}

/// `3 datasets dropped`, or `2 of 3 datasets dropped` where some stayed.
fn datasets(owned: &OwnedReport) -> Option<String> {
    let (dropped, all) = (owned.dropped().count(), owned.items.len());
    match all {
        0 => None,
        all if all == dropped => Some(format!("{} dropped", counted(all, "dataset"))),
        all => Some(format!("{dropped} of {} dropped", counted(all, "dataset"))),
    }
}

fn reason(report: &Report) -> Option<String> {
    let closed = report.gate.as_ref().filter(|gate| !gate.open).map(|gate| gate.reason.as_str());
    let refused = report.refusals.first().map(|refusal| refusal.sentence.as_str());
    let why = closed.or(report.stopped.as_deref()).or(refused)?;
    let first_line = why.lines().next().unwrap_or_default().trim();
    (!first_line.is_empty()).then(|| shortened(first_line))
}

fn refused_tables(report: &Report) -> Option<String> {
    let tables = report.datasets.iter().filter(|dataset| !dataset.refusals.is_empty()).count();
    (tables > 0).then(|| format!("{} refused", counted(tables, "table")))
}

/// Policies that let nothing go, because nobody can say what.
fn undecided(report: &Report) -> Option<String> {
    let tables = report.datasets.iter().filter(|dataset| dataset.undecided).count();
    let patterns = report.unmatched_policies.len();
    join(
        (tables > 0).then(|| format!("{} undecided", counted(tables, "table"))),
        (patterns > 0).then(|| {
            format!(
                "{} without a table",
                if patterns == 1 { "1 policy".into() } else { format!("{patterns} policies") }
            )
        }),
    )
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= LONGEST_REASON {
        return text.to_owned();
    }
    let cut: String = text.chars().take(LONGEST_REASON).collect();
    // Half a path or a number looks like another one.
    let words = cut.rsplit_once(' ').map(|(words, _)| words).filter(|words| words.len() >= SHORTEST_REASON);
    words.unwrap_or(&cut).trim_end().to_owned() + "…"
}

fn disk(report: &Report) -> Option<String> {
    let disk = report.disk.as_ref()?;
    let after = data_file_system(&disk.after.as_ref()?.file_systems)?;
    let before = disk.before.as_ref().and_then(|reading| same(&reading.file_systems, &after.path));
    let percent = |reading: &FileSystemReading| format!("{:.0}%", reading.used_percent());
    let before = before.map(|before| percent(before) + "→").unwrap_or_default();
    Some(format!("disk {before}{}", percent(after)))
}

/// Until the file system of the data is full, with the policy in force.
fn days_left(report: &Report) -> Option<String> {
    let disk = report.disk.as_ref()?;
    let reading = disk.after.as_ref().or(disk.before.as_ref())?;
    let path = &data_file_system(&reading.file_systems)?.path;
    let forecast = disk.forecasts.iter().find(|forecast| forecast.path == *path)?;
    let full = forecast.with_policy.iter().find(|until| until.percent == 100)?;
    let days = full.days.filter(|days| days.is_finite() && *days >= 0.0)?;
    Some(if days < 1.0 { "less than a day left".into() } else { format!("{} left", whole_days(days)) })
}

pub fn whole_days(days: f64) -> String {
    let whole = format!("{:.0}", days.floor());
    if whole == "1" { "1 day".into() } else { format!("{whole} days") }
}

/// The one that holds the data; where nobody knows, the fullest.
pub fn data_file_system(all: &[FileSystemReading]) -> Option<&FileSystemReading> {
    let holds_data = |reading: &&FileSystemReading| reading.holds.iter().any(|what| what == "data");
    let fullest = || all.iter().max_by(|a, b| a.used_percent().total_cmp(&b.used_percent()));
    all.iter().find(holds_data).or_else(fullest)
}

pub fn same<'a>(all: &'a [FileSystemReading], path: &str) -> Option<&'a FileSystemReading> {
    all.iter().find(|reading| reading.path == path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::{self, GIB};
    use crate::retention::model::ByteCount;

    #[track_caller]
    fn says(report: &Report, expected: &str) {
        assert_eq!(subject(report, "weekly drop"), expected);
    }

    #[test]
    fn every_verdict_has_its_subject() {
        says(
            &sample::done(),
            "[OK] weekly drop pg1/metrics: 12 chunks, 41.2 GiB freed, disk 81%→67%, 74 days left, 1 warning",
        );
        says(
            &sample::skipped(),
            "[SKIPPED] weekly drop pg1: not due: the launcher has no row for pg1 on 2026-11-22",
        );
        says(
            &sample::partial(),
            "[PARTIAL] weekly drop pg1/metrics: 9 of 12 chunks, 30.9 GiB freed, disk 81%→71%, 74 days left, 2 warnings",
        );
        says(
            &sample::refused(),
            "[REFUSED] weekly drop pg1/metrics: 1 table refused, disk 81%→81%, 74 days left",
        );
        says(
            &sample::busy(),
            "[BUSY] weekly drop pg1: another run works on this database: run 4f00c2aa since 2026-11-22 01:58 UTC",
        );
        says(
            &sample::unreachable(),
            "[UNREACHABLE] weekly drop pg1: the database at pg1:5432 cannot be reached",
        );
        let interrupted = Report { verdict: Verdict::Interrupted, ..sample::partial() };
        says(
            &interrupted,
            "[INTERRUPTED] weekly drop pg1/metrics: 9 of 12 chunks, 30.9 GiB freed, disk 81%→71%, 74 days left, 2 warnings",
        );
        let mut undecided = Report { datasets: sample::done().datasets, ..sample::done() };
        undecided.verdict = Verdict::Partial;
        undecided.datasets[2].undecided = true;
        undecided.unmatched_policies = vec!["metric.*".into(), "plant.a*".into()];
        says(
            &undecided,
            "[PARTIAL] weekly drop pg1/metrics: 12 chunks, 41.2 GiB freed, 1 table undecided, 2 policies without a table, disk 81%→67%, 74 days left, 1 warning",
        );
        let nothing = Report { datasets: Vec::new(), verdict: Verdict::NothingToDo, ..sample::done() };
        says(&nothing, "[OK] weekly drop pg1/metrics: nothing to do, disk 81%→67%, 74 days left");
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let mut report = sample::done();
        report.freed = None;
        if let Some(disk) = &mut report.disk {
            disk.before = None;
            disk.forecasts[0].with_policy.clear();
        }
        says(&report, "[OK] weekly drop pg1/metrics: 12 chunks, 41.2 GiB freed, disk 67%, 1 warning");
        report.disk = None;
        says(&report, "[OK] weekly drop pg1/metrics: 12 chunks, 41.2 GiB freed, 1 warning");
        for dataset in &mut report.datasets {
            dataset.items.clear();
        }
        says(&report, "[OK] weekly drop pg1/metrics: 1 warning");
    }

    #[test]
    fn a_refusal_of_a_table_is_told_beside_what_was_dropped() {
        let report = Report { verdict: Verdict::Refused, ..sample::done() };
        says(
            &report,
            "[REFUSED] weekly drop pg1/metrics: 12 chunks, 41.2 GiB freed, disk 81%→67%, 74 days left, 1 warning",
        );
    }

    #[test]
    fn a_run_that_knows_no_database_names_the_place_that_was_meant() {
        let report = Report { place: Some("db1:5432/metrics".into()), ..sample::unreachable() };
        says(
            &report,
            "[UNREACHABLE] weekly drop pg1 (db1:5432/metrics): the database at pg1:5432 cannot be reached",
        );
    }

    #[test]
    fn a_long_reason_is_cut_after_a_word() {
        let mut report = sample::busy();
        report.stopped = Some("the ticket of this very day, which is in the folder that everybody reads, is at /var/lib/mysql-files/weekly_pg1_2026-11-22 and damaged".into());
        says(
            &report,
            "[BUSY] weekly drop pg1: the ticket of this very day, which is in the folder that everybody reads, is at…",
        );
    }

    #[test]
    fn the_line_stays_one_line_and_short() {
        let mut report = sample::busy();
        report.stopped = Some(format!("\u{1b}[31mred\u{202e}{}\nsecond line", "x".repeat(300)));
        report.identity.database_oid = 1;
        report.identity.database = "evil\r\nBcc: all@example.org".into();
        let line = subject(&report, "weekly drop");
        assert!(!line.contains(char::is_control) && !line.contains('\u{202e}'), "{line:?}");
        assert!(line.chars().count() < 220 && !line.contains("second"), "{line}");
    }

    #[test]
    fn the_fullest_stands_in_for_the_data() {
        let of = |path: &str, free| FileSystemReading {
            path: path.into(),
            holds: Vec::new(),
            size: ByteCount(100 * GIB),
            free: ByteCount(free * GIB),
            free_inodes: None,
        };
        let all = [of("/a", 50), of("/b", 10)];
        assert_eq!(data_file_system(&all).map(|found| found.path.as_str()), Some("/b"));
        assert!(data_file_system(&[]).is_none());
    }
}

//! Whether the launcher's rows make this machine due. Pure: rows and settings in, an answer out.
//!
//! A row is of a day; at which times of that day the gate opens is the window's to say. A start time at midnight is a
//! date: it means that day, also where the window of the day before goes on into it.
//! Invariant: only rows that agree open the gate. What is of another machine, of another day, of another
//! status, or contradicts another row closes it, and the reason names the row.

use jiff::civil::{Date, DateTime, Time};

use crate::problem::printable;

use super::window;

/// A row as the launcher gave it; what is NULL there is empty here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Row {
    pub id: String,
    pub vm_name: String,
    pub status: String,
    pub who: String,
    /// As the launcher writes it.
    pub start_time: String,
}

/// What makes a row due.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    pub vm_name: &'a str,
    pub status: &'a str,
    pub who: Option<&'a str>,
    pub day: Date,
    /// The moments that belong to the day, as the launcher's clock shows them; the second is the first one after it.
    pub span: (DateTime, DateTime),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub open: bool,
    /// One sentence.
    pub reason: String,
    pub row: Option<Row>,
}

pub fn decide(rows: &[Row], wanted: &Wanted<'_>) -> Decision {
    match due_row(rows, wanted) {
        Ok((row, reason)) => Decision { open: true, reason, row: Some(row.clone()) },
        Err(reason) => Decision { open: false, reason, row: None },
    }
}

fn due_row<'a>(rows: &'a [Row], wanted: &Wanted<'_>) -> Result<(&'a Row, String), String> {
    let (vm, day) = (printable(wanted.vm_name), window::shown(wanted.day));
    if let Some(other) = rows.iter().find(|row| !same(&row.vm_name, wanted.vm_name)) {
        return Err(format!("{} is for `{}`, and this is `{vm}`", label(other), printable(&other.vm_name)));
    }
    let of_day = rows_of_the_day(rows, wanted)?;
    let Some((first, others)) = of_day.split_first() else {
        return Err(match rows.first() {
            None => format!("the launcher has no row for `{vm}` on {day}"),
            Some(row) => {
                format!("no row for `{vm}` is of {day}; {} starts {}", label(row), printable(&row.start_time))
            }
        });
    };
    if let Some(other) = others.iter().find(|other| !agree(first, other)) {
        return Err(format!("two rows contradict each other: {}, and {}", told(first), told(other)));
    }
    if !same(&first.status, wanted.status) {
        return Err(format!("{} says `{}`, not `{}`", label(first), printable(&first.status), wanted.status));
    }
    if let Some(who) = wanted.who.filter(|who| !same(&first.who, who)) {
        return Err(format!("{} is for `{}`, not `{who}`", label(first), printable(&first.who)));
    }
    let more = if others.is_empty() { String::new() } else { format!(" ({} rows say so)", of_day.len()) };
    Ok((first, format!("the launcher says so: {}{more}", told(first))))
}

/// Where the question found nothing: the machine's newest rows, each with what keeps it from counting.
pub fn why_none_counts(others: &[Row], wanted: &Wanted<'_>) -> String {
    let said: Vec<String> = others.iter().filter_map(|row| why_not(row, wanted)).collect();
    if said.is_empty() { String::new() } else { format!("; {}", said.join("; ")) }
}

/// Nothing for a row that counts: it came between the two questions.
fn why_not(row: &Row, wanted: &Wanted<'_>) -> Option<String> {
    let mut why = Vec::new();
    if moment(&row.start_time).is_none_or(|start| !is_of_the_day(start, wanted)) {
        why.push(format!("starts {}", printable(&row.start_time)));
    }
    if let Some(who) = wanted.who.filter(|who| !same(&row.who, who)) {
        why.push(format!("is for `{}`, not `{}`", printable(&row.who), printable(who)));
    }
    if !same(&row.status, wanted.status) {
        why.push(format!("says `{}`, not `{}`", printable(&row.status), printable(wanted.status)));
    }
    (!why.is_empty()).then(|| format!("{} {}", label(row), why.join(" and ")))
}

fn rows_of_the_day<'a>(rows: &'a [Row], wanted: &Wanted<'_>) -> Result<Vec<&'a Row>, String> {
    let mut of_day = Vec::new();
    for row in rows {
        let start = moment(&row.start_time).ok_or_else(|| {
            format!("{} has no date as its start time: `{}`", label(row), printable(&row.start_time))
        })?;
        if is_of_the_day(start, wanted) {
            of_day.push(row);
        }
    }
    Ok(of_day)
}

fn is_of_the_day(start: DateTime, wanted: &Wanted<'_>) -> bool {
    if start.time() == Time::midnight() {
        return start.date() == wanted.day;
    }
    wanted.span.0 <= start && start < wanted.span.1
}

/// From when until when the launcher has to be asked for its rows: every moment of the day, and the day as a date.
pub fn asked_span(day: Date, span: (DateTime, DateTime)) -> (DateTime, DateTime) {
    let next = day.tomorrow().unwrap_or(day);
    (span.0.min(DateTime::from(day)), span.1.max(DateTime::from(next)))
}

/// The second of the row's start, for an `update` that looks for it; nothing else of that day may be meant.
pub fn second_of(row: &Row) -> Option<(DateTime, DateTime)> {
    let start = moment(&row.start_time)?;
    let second = DateTime::from_parts(start.date(), start.time().with().subsec_nanosecond(0).build().ok()?);
    Some((second, second.checked_add(jiff::Span::new().seconds(1)).ok()?))
}

/// `2026-11-22 02:00:00`, with decimals or without; a date alone is its midnight.
fn moment(text: &str) -> Option<DateTime> {
    text.trim().parse::<DateTime>().ok().or_else(|| text.trim().parse::<Date>().ok().map(DateTime::from))
}

fn agree(one: &Row, other: &Row) -> bool {
    same(&one.status, &other.status) && same(&one.who, &other.who) && same(&one.start_time, &other.start_time)
}

/// As the servers' usual collations compare.
fn same(one: &str, other: &str) -> bool {
    one.trim().to_lowercase() == other.trim().to_lowercase()
}

fn label(row: &Row) -> String {
    format!("row {}", if row.id.is_empty() { "without an id".into() } else { printable(&row.id) })
}

fn told(row: &Row) -> String {
    let who = if row.who.is_empty() { String::new() } else { format!(", {}", printable(&row.who)) };
    format!("{} (`{}`{who}, {})", label(row), printable(&row.status), printable(&row.start_time))
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn row(id: &str, status: &str, who: &str, start_time: &str) -> Row {
        let text = |text: &str| text.to_owned();
        Row {
            id: text(id),
            vm_name: "PG1".into(),
            status: text(status),
            who: text(who),
            start_time: text(start_time),
        }
    }

    fn decided(rows: &[Row], who: Option<&str>) -> (bool, String) {
        let day = date(2026, 11, 22);
        let span = (day.at(0, 0, 0, 0), day.at(0, 0, 0, 0) + jiff::Span::new().days(1));
        let decision = decide(rows, &Wanted { vm_name: "pg1", status: "due", who, day, span });
        assert_eq!(decision.open, decision.row.is_some());
        (decision.open, decision.reason)
    }

    #[test]
    fn only_rows_that_agree_open_the_gate() {
        let early = "2026-11-22 02:00:00";
        let due = || row("7", "due", "dba", early);
        for (rows, who, open, reason) in [
            (vec![], None, false, "the launcher has no row for `pg1` on Sunday, 2026-11-22"),
            (vec![due()], None, true, "the launcher says so: row 7 (`due`, dba, 2026-11-22 02:00:00)"),
            (vec![due()], Some("DBA"), true, "the launcher says so: row 7 (`due`, dba, 2026-11-22 02:00:00)"),
            (vec![due()], Some("app"), false, "row 7 is for `dba`, not `app`"),
            (
                vec![due(), row("8", "Due", "dba", early)],
                None,
                true,
                "the launcher says so: row 7 (`due`, dba, 2026-11-22 02:00:00) (2 rows say so)",
            ),
            (
                vec![due(), row("8", "hold", "dba", early)],
                None,
                false,
                "two rows contradict each other: row 7 (`due`, dba, 2026-11-22 02:00:00), and row 8 (`hold`, dba, 2026-11-22 02:00:00)",
            ),
            (
                vec![due(), row("8", "due", "", "2026-11-22 03:00:00")],
                None,
                false,
                "two rows contradict each other: row 7 (`due`, dba, 2026-11-22 02:00:00), and row 8 (`due`, 2026-11-22 03:00:00)",
            ),
            (vec![row("7", "hold", "dba", early)], None, false, "row 7 says `hold`, not `due`"),
            (vec![row("7", "", "dba", early)], None, false, "row 7 says ``, not `due`"),
            (
                vec![row("7", "due", "dba", "2026-11-15 02:00:00")],
                None,
                false,
                "no row for `pg1` is of Sunday, 2026-11-22; row 7 starts 2026-11-15 02:00:00",
            ),
            (
                vec![row("6", "done", "dba", "2026-11-15 02:00:00"), due()],
                None,
                true,
                "the launcher says so: row 7 (`due`, dba, 2026-11-22 02:00:00)",
            ),
            (
                vec![row("", "due", "dba", "soon")],
                None,
                false,
                "row without an id has no date as its start time: `soon`",
            ),
            (
                vec![Row { vm_name: "pg2".into(), ..due() }],
                None,
                false,
                "row 7 is for `pg2`, and this is `pg1`",
            ),
        ] {
            assert_eq!(decided(&rows, who), (open, reason.to_owned()), "{rows:?}");
        }
    }

    #[test]
    fn rows_that_do_not_count_are_named_with_what_they_lack() {
        let day = date(2026, 11, 22);
        let span = (day.at(0, 0, 0, 0), day.at(0, 0, 0, 0) + jiff::Span::new().days(1));
        let wanted = Wanted { vm_name: "pg1", status: "due", who: Some("platfrom"), day, span };
        let rows = [
            row("6", "due", "platform", "2026-11-22 02:00:00"),
            row("5", "done", "platfrom", "2026-11-15 02:00:00"),
            row("7", "due", "platfrom", "2026-11-22 02:00:00"),
        ];
        assert_eq!(
            why_none_counts(&rows, &wanted),
            "; row 6 is for `platform`, not `platfrom`; row 5 starts 2026-11-15 02:00:00 and says `done`, not `due`"
        );
        assert_eq!(why_none_counts(&[], &wanted), "");
    }

    #[test]
    fn the_day_begins_with_its_midnight_and_ends_before_the_next() {
        for (start, open) in [
            ("2026-11-21 23:59:59.999999", false),
            ("2026-11-22", true),
            ("2026-11-22 00:00:00", true),
            ("2026-11-22T23:59:59.999999", true),
            ("2026-11-23 00:00:00", false),
        ] {
            assert_eq!(decided(&[row("7", "due", "dba", start)], None).0, open, "{start}");
        }
    }

    #[test]
    fn a_date_is_its_day_whatever_the_window_and_a_night_belongs_to_the_day_before() {
        let day = date(2026, 11, 22);
        // The window is open from 22:00 to 04:00.
        let span = (day.at(4, 0, 0, 0), day.tomorrow().expect("a day").at(4, 0, 0, 0));
        let wanted = Wanted { vm_name: "pg1", status: "due", who: None, day, span };
        for (start, open) in [
            ("2026-11-21", false),
            ("2026-11-22", true),
            ("2026-11-22 00:00:00", true),
            ("2026-11-22 00:00:01", false),
            ("2026-11-22 03:59:59", false),
            ("2026-11-22 04:00:00", true),
            ("2026-11-22 22:00:00", true),
            // Monday's order is not Sunday night's.
            ("2026-11-23", false),
            ("2026-11-23 00:00:00", false),
            ("2026-11-23 00:00:01", true),
            ("2026-11-23 03:59:59", true),
            ("2026-11-23 04:00:00", false),
        ] {
            assert_eq!(decide(&[row("7", "due", "dba", start)], &wanted).open, open, "{start}");
        }
        let asked = asked_span(day, span);
        assert_eq!(
            (asked.0.to_string(), asked.1.to_string()),
            ("2026-11-22T00:00:00".into(), "2026-11-23T04:00:00".into())
        );
    }

    #[test]
    fn an_update_means_the_second_of_its_row_and_nothing_else() {
        let second = |start| {
            second_of(&row("7", "due", "dba", start)).map(|(from, to)| (from.to_string(), to.to_string()))
        };
        let of = |from: &str, to: &str| Some((from.to_owned(), to.to_owned()));
        assert_eq!(second("2026-11-22"), of("2026-11-22T00:00:00", "2026-11-22T00:00:01"));
        assert_eq!(second("2026-11-22 23:59:59.75"), of("2026-11-22T23:59:59", "2026-11-23T00:00:00"));
        assert_eq!(second("soon"), None);
    }

    #[test]
    fn what_the_launcher_says_steers_no_terminal() {
        let (open, reason) = decided(&[row("7\u{1b}[2J", "a\nb", "dba", "2026-11-22")], None);
        assert_eq!((open, reason.as_str()), (false, "row 7\\u{1b}[2J says `a b`, not `due`"));
    }
}

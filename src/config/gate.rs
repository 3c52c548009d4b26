//! `[gate]`: when a run may work, who is asked, and where the ticket lies.
//!
//! Without the section nobody is asked. Invariant: a gate that is built can name its ticket, and every
//! statement of it names only parameters that have a value.

use std::path::{Path, PathBuf};

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;

use super::document::{Section, Setting};
use super::secret::{self, SecretSource};
use super::statement::{self, Parameter, Statement};
use super::{ConnectionSettings, schema, values};
use crate::problem::{Problem, Result};

#[derive(Debug, Clone)]
pub struct GateSettings {
    /// What the launcher and the ticket call this machine.
    pub vm_name: String,
    pub window: WindowSettings,
    pub launcher: Option<LauncherSettings>,
    pub ticket: TicketSettings,
}

/// When a run may work.
#[derive(Debug, Clone, PartialEq)]
pub struct WindowSettings {
    /// `None`: every day.
    pub days: Option<Vec<Weekday>>,
    /// `None`: from midnight.
    pub from: Option<Time>,
    /// `None`: until midnight. Before `from` it is on the next day.
    pub to: Option<Time>,
    pub zone: TimeZone,
    pub not_on: Vec<Date>,
}

#[derive(Debug, Clone)]
pub struct LauncherSettings {
    /// A `mysql://` URL.
    pub connection: ConnectionSettings,
    /// Gives `id, vm_name, status, who, start_time`.
    pub statement: Statement,
    /// The machine's newest rows, whosever and of whatever day, to say why none counts. `None` with a statement of
    /// one's own.
    pub others: Option<Statement>,
    /// The word that makes a row due.
    pub status: String,
    /// Whose rows count; `None` for anybody's.
    pub who: Option<String>,
    /// Run once the ticket says `dropped`.
    pub update: Option<Statement>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketSettings {
    /// `None`: beside the state file.
    pub folder: Option<PathBuf>,
    pub prefix: String,
}

const DEFAULT_TABLE: &str = "launcher";
const DEFAULT_STATUS: &str = "due";
const DEFAULT_PREFIX: &str = "timesweep";

pub(super) fn read(top: &Section<'_>, secrets: &dyn SecretSource) -> Result<Option<GateSettings>> {
    let Some(section) = top.section("gate", &schema::GATE)? else { return Ok(None) };
    let ticket = read_ticket(&section)?;
    let vm_name = match section.read("vm_name", |setting| setting.parsed(name_in_a_file_name))? {
        Some(name) => name,
        None => host_name(&section)?,
    };
    let launcher = section.section("launcher", &schema::LAUNCHER)?;
    let window = read_window(&section, launcher.is_some())?;
    let launcher = launcher.map(|launcher| read_launcher(&launcher, secrets)).transpose()?;
    Ok(Some(GateSettings { vm_name, window, launcher, ticket }))
}

/// A ticket of one store that says `dropped` would keep all others from being swept.
pub(super) fn refuse_many_stores(gate: Option<&GateSettings>, stores: usize, origin: &str) -> Result<()> {
    if gate.is_none() || stores <= 1 {
        return Ok(());
    }
    Err(Problem::usage(format!(
        "{origin} has a [gate] and {stores} stores: their tickets would be one and the same"
    ))
    .hint("write a configuration for each store, each with a `prefix` of its own in [gate.ticket]"))
}

fn read_window(section: &Section<'_>, with_launcher: bool) -> Result<WindowSettings> {
    let days = section.read("days", |setting| setting.list_of(weekday))?;
    let from = section.read("from", |setting| setting.parsed(time_of_day))?;
    let to = section.read("to", |setting| setting.parsed(time_of_day))?;
    if from.unwrap_or_default() == to.unwrap_or_default() && (from.is_some() || to.is_some()) {
        return Err(section.fault("has a window without length: `from` and `to` are the same"));
    }
    Ok(WindowSettings {
        days: days.or_else(|| with_launcher.then(|| vec![Weekday::Sunday])),
        from,
        to,
        zone: section.read("zone", |setting| setting.parsed(values::zone))?.unwrap_or(TimeZone::UTC),
        not_on: section.read("not_on", |setting| setting.list_of(date))?.unwrap_or_default(),
    })
}

fn read_launcher(section: &Section<'_>, secrets: &dyn SecretSource) -> Result<LauncherSettings> {
    let Some(url) = section.read("url", |setting| secret::read_launcher_url(setting, secrets))? else {
        return Err(section.fault("has no `url`").hint("add url = { env = \"TIMESWEEP_LAUNCHER_URL\" }"));
    };
    let password = section.read("password", |setting| secret::read_launcher_password(setting, secrets))?;
    let who = section.read("who", |setting| setting.parsed(some_text))?;
    let update = section.read("update", |setting| asked(setting, &statement::TELLING, who.is_some()))?;
    let (statement, others) = read_statement(section, who.is_some())?;
    Ok(LauncherSettings {
        connection: ConnectionSettings { url, password },
        statement,
        others,
        status: section
            .read("status", |setting| setting.parsed(some_text))?
            .unwrap_or_else(|| DEFAULT_STATUS.into()),
        who,
        update,
    })
}

fn read_statement(section: &Section<'_>, with_who: bool) -> Result<(Statement, Option<Statement>)> {
    let own = section.read("statement", |setting| asked(setting, &statement::ASKING, with_who))?;
    let table = section.read("table", |setting| setting.parsed(quoted_table))?;
    if let Some(own) = own {
        return Ok((own, None));
    }
    let table = table.map_or_else(|| quoted_table(DEFAULT_TABLE), Ok).map_err(|why| section.fault(why))?;
    let parsed = |sql: String| Statement::parse(&sql, &statement::ASKING).map_err(|why| section.fault(why));
    Ok((parsed(default_statement(&table, with_who))?, Some(parsed(newest_rows(&table))?)))
}

fn newest_rows(table: &str) -> String {
    format!(
        "SELECT id, vm_name, status, who, start_time FROM {table} WHERE vm_name = :vm_name \
         ORDER BY start_time DESC LIMIT 3"
    )
}

/// Every row of the day, whatever its status: two that contradict each other have to be seen.
fn default_statement(table: &str, with_who: bool) -> String {
    let who = if with_who { " AND who = :who" } else { "" };
    format!(
        "SELECT id, vm_name, status, who, start_time FROM {table} WHERE vm_name = :vm_name{who} \
         AND start_time >= :window_start AND start_time < :window_end"
    )
}

fn asked(setting: &Setting<'_>, known: &[(&str, Parameter)], with_who: bool) -> Result<Statement> {
    let statement = setting.parsed(|text| Statement::parse(text, known))?;
    if statement.parameters.contains(&Parameter::Who) && !with_who {
        return Err(setting
            .fault(" uses `:who`, and there is no `who`")
            .hint("add who = \"…\" to [gate.launcher]"));
    }
    Ok(statement)
}

fn read_ticket(gate: &Section<'_>) -> Result<TicketSettings> {
    let default = TicketSettings { folder: None, prefix: DEFAULT_PREFIX.into() };
    let Some(section) = gate.section("ticket", &schema::TICKET)? else { return Ok(default) };
    let prefix = section.read("prefix", |setting| setting.parsed(name_in_a_file_name))?;
    Ok(TicketSettings {
        folder: section.read("folder", |setting| setting.parsed(absolute_folder))?,
        prefix: prefix.unwrap_or(default.prefix),
    })
}

/// As the kernel knows it; what `hostname` prints.
fn host_name(section: &Section<'_>) -> Result<String> {
    let way_out = || section.fault("has no `vm_name`, and the name of this host cannot be used");
    let name =
        std::fs::read_to_string("/proc/sys/kernel/hostname").map_err(|error| way_out().because(&error))?;
    name_in_a_file_name(name.trim()).map_err(|why| way_out().cause(why).hint("add vm_name = \"…\""))
}

/// It becomes a part of a file's name and a field between commas.
fn name_in_a_file_name(text: &str) -> std::result::Result<String, String> {
    let unfit = |c: char| c.is_control() || "/,\"".contains(c);
    if text.is_empty()
        || text.trim() != text
        || text.starts_with('.')
        || text.len() > 100
        || text.contains(unfit)
    {
        return Err(format!(
            "`{}` cannot be a part of the ticket's name: up to 100 letters, none of them `/`, `,` or `\"`, no blank at an end, no dot in front",
            text.escape_debug()
        ));
    }
    Ok(text.to_owned())
}

fn some_text(text: &str) -> std::result::Result<String, String> {
    let text = text.trim();
    if text.is_empty() { Err("there is nothing in it".into()) } else { Ok(text.to_owned()) }
}

/// `table` or `database.table`, in back quotes.
fn quoted_table(text: &str) -> std::result::Result<String, String> {
    let parts: Vec<&str> = text.split('.').collect();
    let fits = |part: &&str| !part.is_empty() && part.len() <= 64 && !part.chars().any(char::is_control);
    if parts.len() > 2 || !parts.iter().all(fits) {
        return Err(format!(
            "`{}` is not a table; write `launcher` or `operations.launcher`",
            text.escape_debug()
        ));
    }
    let quoted: Vec<String> = parts.iter().map(|part| format!("`{}`", part.replace('`', "``"))).collect();
    Ok(quoted.join("."))
}

fn weekday(text: &str) -> std::result::Result<Weekday, String> {
    let lower = text.trim().to_lowercase();
    let days = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let index = days.iter().position(|day| lower == *day || lower == day[..3]);
    let day = index.and_then(|index| Weekday::from_monday_zero_offset(i8::try_from(index).ok()?).ok());
    day.ok_or_else(|| {
        format!("`{text}` is not a day of the week; write `mon`, `tue`, `wed`, `thu`, `fri`, `sat` or `sun`")
    })
}

fn time_of_day(text: &str) -> std::result::Result<Time, String> {
    let has_shape = text.len() == 5 && text.as_bytes().get(2) == Some(&b':');
    let time = text.parse::<Time>().ok().filter(|_| has_shape);
    time.ok_or_else(|| format!("`{text}` is not a time of day; write for example `02:00` or `22:30`"))
}

fn date(text: &str) -> std::result::Result<Date, String> {
    let date = text.parse::<Date>().ok().filter(|date| date.to_string() == text);
    date.ok_or_else(|| format!("`{text}` is not a date; write for example `2026-12-25`"))
}

fn absolute_folder(text: &str) -> std::result::Result<PathBuf, String> {
    let path = Path::new(text);
    if path.is_absolute() { Ok(path.to_owned()) } else { Err(format!("`{text}` is not an absolute path")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_quoted_however_it_is_called() {
        for (text, quoted) in
            [("launcher", "`launcher`"), ("ops.due", "`ops`.`due`"), ("a`b; DROP", "`a``b; DROP`")]
        {
            assert_eq!(quoted_table(text), Ok(quoted.to_owned()));
        }
        for text in ["", ".", "a.", "a.b.c", "a\nb"] {
            assert!(quoted_table(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_name_that_leaves_its_folder_or_its_field_is_refused() {
        for text in ["pg1", "pg-1.example.org", "x' OR '1'='1", "Größe 1", "a:b"] {
            assert_eq!(name_in_a_file_name(text), Ok(text.to_owned()));
        }
        for text in ["", ".", "..", "../x", "a/b", "a,b", "a\"b", "a\nb", " a", "a ", &"x".repeat(101)] {
            assert!(name_in_a_file_name(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn days_times_and_dates_have_one_spelling_each() {
        assert_eq!(weekday("sun"), Ok(Weekday::Sunday));
        assert_eq!(weekday("Monday"), Ok(Weekday::Monday));
        assert!(weekday("su").is_err() && weekday("7").is_err());
        assert_eq!(time_of_day("02:00").map(Time::hour), Ok(2));
        for text in ["2:00", "24:00", "02", "02:00:00", "T02:0", ""] {
            assert!(time_of_day(text).is_err(), "{text}");
        }
        assert!(date("2026-12-25").is_ok() && date("20261225").is_err() && date("2026-02-30").is_err());
    }
}

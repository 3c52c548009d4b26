//! The launcher: a MySQL or MariaDB database that says whether this machine is due.
//!
//! One short session for one question; it writes nothing unless the configuration has an `update`. Values
//! are bound, never pasted. Invariant: a launcher that cannot be asked is a problem, never a closed gate,
//! and no password reaches an error.

use std::fmt;
use std::future::Future;
use std::str::FromStr;
use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlDatabaseError};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, MySql};

use super::decide::Row;
use crate::config::{ConnectionSettings, Parameter, Statement};
use crate::problem::{Problem, Result};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);
/// More rows than this are no answer: something is wrong with the statement.
const MOST_ROWS: usize = 100;
/// Others are not read by the driver, and a slip must not switch off the encryption in silence.
const URL_PARAMETERS: [&str; 5] = ["ssl-mode", "ssl-ca", "ssl-cert", "ssl-key", "socket"];

const CLOCK: &str = "SELECT CAST(sysdate() AS CHAR), CAST(utc_timestamp() AS CHAR)";

/// What the parameters of a statement stand for.
#[derive(Debug, Clone)]
pub struct Values {
    pub vm_name: String,
    pub status: String,
    pub who: Option<String>,
    pub window: (DateTime, DateTime),
    /// Of the row that opened the gate.
    pub id: Option<String>,
}

impl Values {
    fn of(&self, parameter: Parameter) -> Option<String> {
        let moment = |moment: DateTime| Some(moment.strftime("%Y-%m-%d %H:%M:%S").to_string());
        match parameter {
            Parameter::VmName => Some(self.vm_name.clone()),
            Parameter::Status => Some(self.status.clone()),
            Parameter::Who => self.who.clone(),
            Parameter::WindowStart => moment(self.window.0),
            Parameter::WindowEnd => moment(self.window.1),
            Parameter::Id => self.id.clone(),
        }
    }
}

/// What time it is for the launcher, and how its sessions write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    pub now: Timestamp,
    pub offset: Offset,
}

impl Clock {
    /// Both as the launcher writes them: `sysdate()` and the same moment in UTC.
    fn read(here: &str, utc: &str) -> Option<Self> {
        let (here, utc) = (here.parse::<DateTime>().ok()?, utc.parse::<DateTime>().ok()?);
        // The two may be read across the end of a second; offsets are whole minutes.
        let apart = here.duration_since(utc).as_secs();
        let minutes = (apart + apart.signum() * 30) / 60;
        let offset = Offset::from_seconds(i32::try_from(minutes * 60).ok()?).ok()?;
        Some(Self { now: Offset::UTC.to_timestamp(utc).ok()?, offset })
    }

    /// How the launcher writes an instant. Where its clock shows the configured zone's time it is taken to be
    /// in that zone, also on days when the clocks are changed.
    pub fn shown(&self, instant: Timestamp, zone: &TimeZone) -> DateTime {
        if zone.to_offset(self.now) == self.offset {
            return instant.to_zoned(zone.clone()).datetime();
        }
        self.offset.to_datetime(instant)
    }
}

pub struct Launcher {
    options: MySqlConnectOptions,
}

/// By hand: the options would show the password.
impl fmt::Debug for Launcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Launcher").field("address", &self.address()).finish_non_exhaustive()
    }
}

impl Launcher {
    pub fn new(settings: &ConnectionSettings) -> Result<Self> {
        let url = settings.url.expose_secret();
        let not_readable = || Problem::usage("the launcher's url cannot be read");
        if let Some(unknown) = unknown_parameter(url) {
            return Err(not_readable()
                .cause(format!("there is no parameter `{}`", unknown.escape_debug()))
                .hint(format!("those there are: {}", URL_PARAMETERS.join(", "))));
        }
        let options = MySqlConnectOptions::from_str(url).map_err(|error| {
            not_readable()
                .cause(in_plain_words(&error))
                .hint("write mysql://user@host:3306/database?ssl-mode=VERIFY_CA")
        })?;
        let options = match &settings.password {
            Some(password) => options.password(password.expose_secret()),
            None => options,
        };
        // The session stays as the server makes it: its zone is what `sysdate()` means.
        let options = options.timezone(None).pipes_as_concat(false).no_engine_substitution(false);
        Ok(Self { options: options.disable_statement_logging() })
    }

    /// `host:port/database as user`, without the password.
    pub fn address(&self) -> String {
        let options = &self.options;
        let database = options.get_database().map(|name| format!("/{name}")).unwrap_or_default();
        format!("{}:{}{database} as {}", options.get_host(), options.get_port(), options.get_username())
    }

    pub async fn connect(&self) -> Result<Session<'_>> {
        let options = self.options.clone();
        // In a task of its own: a connection attempt that is given up must run to its end somewhere.
        let attempt = tokio::spawn(async move { MySqlConnection::connect_with(&options).await });
        match tokio::time::timeout(CONNECT_TIMEOUT, attempt).await {
            Ok(Ok(Ok(connection))) => Ok(Session { launcher: self, connection }),
            Ok(Ok(Err(error))) => Err(self.cannot_connect(&error)),
            Ok(Err(join)) => Err(self.unreachable().cause(join.to_string())),
            Err(_) => Err(self
                .unreachable()
                .cause(format!("no answer within {} s", CONNECT_TIMEOUT.as_secs()))
                .hint("check host, port and firewall")),
        }
    }

    fn unreachable(&self) -> Problem {
        Problem::unreachable(format!("the launcher cannot be reached: {}", self.address()))
    }

    fn cannot_connect(&self, error: &sqlx::Error) -> Problem {
        let hint = match error {
            sqlx::Error::Io(io) if io.kind() == std::io::ErrorKind::ConnectionRefused => {
                "is the server running, and is the port right?"
            }
            // An untrusted certificate ends the handshake as a broken connection.
            sqlx::Error::Io(io) if !io.to_string().to_lowercase().contains("certificate") => {
                "check the host name and the network"
            }
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) => "check `ssl-mode` and `ssl-ca` in the url",
            sqlx::Error::Database(_) => match number(error) {
                Some(1045 | 1698) => "check the user and the password, and from where the user may log in",
                Some(1044 | 1049) => "check the database's name, and the user's rights on it",
                Some(1040 | 1203 | 1226) => "the server has no free connection; try again later",
                _ => "see the server's log",
            },
            _ => {
                "check the url; the account has to use mysql_native_password, caching_sha2_password or sha256_password"
            }
        };
        self.unreachable().cause(in_plain_words(error)).hint(hint)
    }
}

/// Connected; closed when dropped.
pub struct Session<'a> {
    launcher: &'a Launcher,
    connection: MySqlConnection,
}

impl Session<'_> {
    pub async fn clock(&mut self) -> Result<Clock> {
        let read = sqlx::query_as::<MySql, (String, String)>(CLOCK).fetch_one(&mut self.connection);
        let (here, utc) =
            in_time(read).await.map_err(|trouble| trouble.told(self.launcher, "read its clock"))?;
        Clock::read(&here, &utc).ok_or_else(|| {
            Problem::unreachable(format!("the launcher's clock cannot be read: `{here}`, `{utc}` in UTC"))
        })
    }

    /// The rows of the question, each value as text.
    pub async fn rows(&mut self, statement: &Statement, values: &Values) -> Result<Vec<Row>> {
        let columns = ["id", "vm_name", "status", "who", "start_time"];
        let columns = columns.map(|column| format!("CAST(due.{column} AS CHAR)")).join(", ");
        // As a part of a SELECT it can only read. A comment at its end must not swallow the bracket.
        let sql = format!("SELECT {columns} FROM (\n{}\n) AS due LIMIT {}", statement.sql, MOST_ROWS + 1);
        let mut query = sqlx::query_as::<MySql, TextRow>(AssertSqlSafe(sql));
        for parameter in &statement.parameters {
            query = query.bind(values.of(*parameter));
        }
        let read = in_time(query.fetch_all(&mut self.connection)).await;
        let rows = read.map_err(|trouble| trouble.told(self.launcher, "ask whether this machine is due"))?;
        // The rest could contradict the first of them, or be the only ones of today.
        if rows.len() > MOST_ROWS {
            return Err(Problem::usage(format!("the launcher has more than {MOST_ROWS} rows for one day"))
                .hint("let `statement` of [gate.launcher] give today's rows only, by :window_start and :window_end"));
        }
        Ok(rows.into_iter().map(row).collect())
    }

    /// Whether the configured update might be run: the server checks its tables, columns and privileges, and changes
    /// nothing. `false` where it is of a kind that servers explain not at all.
    pub async fn try_out(&mut self, statement: &Statement, values: &Values) -> Result<bool> {
        let verb = statement.sql.split_whitespace().next().unwrap_or_default().to_lowercase();
        if !["update", "insert", "replace", "delete"].contains(&verb.as_str()) {
            return Ok(false);
        }
        let mut query = sqlx::query::<MySql>(AssertSqlSafe(format!("EXPLAIN {}", statement.sql)));
        for parameter in &statement.parameters {
            query = query.bind(values.of(*parameter));
        }
        let explained = in_time(query.fetch_all(&mut self.connection)).await;
        explained.map(|_| true).map_err(|trouble| trouble.told(self.launcher, "try its `update`"))
    }

    /// Runs the configured update; how many rows it found.
    pub async fn tell(&mut self, statement: &Statement, values: &Values) -> Result<u64> {
        let mut query = sqlx::query::<MySql>(AssertSqlSafe(statement.sql.clone()));
        for parameter in &statement.parameters {
            query = query.bind(values.of(*parameter));
        }
        // Committed by us: not every server keeps by itself what a session has done.
        let told = in_time(async {
            let mut transaction = self.connection.begin().await?;
            let done = query.execute(&mut *transaction).await?;
            transaction.commit().await.map(|()| done)
        })
        .await;
        told.map(|done| done.rows_affected())
            .map_err(|trouble| trouble.told(self.launcher, "run its `update`"))
    }
}

type TextRow = (Option<String>, Option<String>, Option<String>, Option<String>, Option<String>);

fn row((id, vm_name, status, who, start_time): TextRow) -> Row {
    let text = |value: Option<String>| value.unwrap_or_default();
    Row {
        id: text(id),
        vm_name: text(vm_name),
        status: text(status),
        who: text(who),
        start_time: text(start_time),
    }
}

/// What went wrong with one statement.
enum Trouble {
    Late,
    Failed(sqlx::Error),
}

async fn in_time<T>(
    work: impl Future<Output = std::result::Result<T, sqlx::Error>>,
) -> std::result::Result<T, Trouble> {
    // A statement that is given up takes its session with it: nobody uses that again.
    match tokio::time::timeout(STATEMENT_TIMEOUT, work).await {
        Ok(done) => done.map_err(Trouble::Failed),
        Err(_) => Err(Trouble::Late),
    }
}

impl Trouble {
    fn told(self, launcher: &Launcher, doing: &str) -> Problem {
        let sentence = format!("the launcher {} could not be used to {doing}", launcher.address());
        let error = match self {
            Self::Late => {
                let cause = format!("no answer within {} s", STATEMENT_TIMEOUT.as_secs());
                return Problem::unreachable(sentence)
                    .cause(cause)
                    .hint("is a lock in the way, or the table very large?");
            }
            Self::Failed(error) => error,
        };
        let (wrong, hint) = match number(&error) {
            Some(1046 | 1146) => (true, "name the table as `table` or `database.table` in [gate.launcher]"),
            Some(1052 | 1054 | 1060) => (
                true,
                "the question has to give id, vm_name, status, who and start_time; see `statement` in [gate.launcher]",
            ),
            Some(1064 | 1305) => {
                (true, "check `statement` and `update` of [gate.launcher]; `statement` is one SELECT")
            }
            Some(1142 | 1143 | 1227 | 1290 | 1370) => {
                (false, "grant the user SELECT on the table, and UPDATE where `update` is set")
            }
            _ => (false, "see the server's log"),
        };
        let problem = if wrong { Problem::usage(sentence) } else { Problem::unreachable(sentence) };
        problem.cause(in_plain_words(&error)).hint(hint)
    }
}

fn number(error: &sqlx::Error) -> Option<u16> {
    let sqlx::Error::Database(inner) = error else { return None };
    inner.try_downcast_ref::<MySqlDatabaseError>().map(MySqlDatabaseError::number)
}

fn in_plain_words(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(inner) => inner.message().to_owned(),
        sqlx::Error::Io(inner) => inner.to_string(),
        sqlx::Error::Configuration(inner) | sqlx::Error::Tls(inner) => inner.to_string(),
        other => other.to_string(),
    }
}

fn unknown_parameter(url: &str) -> Option<&str> {
    let (_, parameters) = url.split_once('?')?;
    let names = parameters.split('&').map(|pair| pair.split_once('=').map_or(pair, |(name, _)| name));
    names.into_iter().find(|name| !URL_PARAMETERS.contains(name))
}

/// How far the launcher's clock is from ours; the limit is that of the store's clock.
pub fn refuse_foreign_clock(clock: &Clock, our_now: Timestamp, allowed_micros: i64) -> Result<()> {
    let apart = clock.now.duration_since(our_now);
    let allowed = SignedDuration::from_micros(allowed_micros);
    // Its clock is read in whole seconds.
    if apart.abs() <= allowed + SignedDuration::from_secs(1) {
        return Ok(());
    }
    let direction = if apart.is_positive() { "ahead of" } else { "behind" };
    let sentence = format!("the launcher's clock is {} s {direction} ours", apart.abs().as_secs());
    Err(Problem::refused(sentence).hint(format!(
        "one of them would take the wrong day: set both right, or raise `guards.max_clock_skew` (now {} s)",
        allowed.as_secs()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Kind;

    fn at(text: &str) -> Timestamp {
        text.parse().expect(text)
    }

    #[test]
    fn a_clock_knows_its_offset_to_the_minute() {
        for (here, utc, seconds) in [
            ("2026-11-22 10:00:00", "2026-11-22 10:00:00", 0),
            ("2026-11-22 11:00:01", "2026-11-22 10:00:00", 3600),
            ("2026-11-22 04:29:59", "2026-11-22 10:00:00", -19_800),
            ("2026-11-23 00:00:00", "2026-11-22 10:00:00", 50_400),
        ] {
            let clock = Clock::read(here, utc).expect("a clock");
            assert_eq!((clock.offset.seconds(), clock.now), (seconds, at("2026-11-22T10:00:00Z")), "{here}");
        }
        assert_eq!(Clock::read("soon", "2026-11-22 10:00:00"), None);
        assert_eq!(Clock::read("2027-11-22 10:00:00", "2026-11-22 10:00:00"), None);
    }

    #[test]
    fn a_launcher_in_the_configured_zone_is_in_it_on_the_day_of_the_change_as_well() {
        let zone = TimeZone::get("Europe/Amsterdam").expect("zone");
        let midnight = at("2026-10-24T22:00:00Z");
        let there = Clock { now: at("2026-10-25T04:00:00Z"), offset: Offset::constant(1) };
        assert_eq!(there.shown(midnight, &zone).to_string(), "2026-10-25T00:00:00");
        let elsewhere = Clock { now: at("2026-10-25T04:00:00Z"), offset: Offset::constant(-5) };
        assert_eq!(elsewhere.shown(midnight, &zone).to_string(), "2026-10-24T17:00:00");
    }

    #[test]
    fn a_clock_that_is_hours_off_is_refused_with_the_setting() {
        let clock = Clock { now: at("2026-11-22T10:00:00Z"), offset: Offset::UTC };
        let minutes = 300_000_000;
        for (ours, refused) in [
            ("2026-11-22T10:00:00Z", None),
            ("2026-11-22T10:05:00Z", None),
            ("2026-11-22T13:00:00Z", Some("the launcher's clock is 10800 s behind ours")),
            ("2026-11-22T09:50:00Z", Some("the launcher's clock is 600 s ahead of ours")),
        ] {
            let found = refuse_foreign_clock(&clock, at(ours), minutes).err();
            assert_eq!(found.as_ref().map(|problem| problem.sentence.as_str()), refused, "{ours}");
            assert!(found.is_none_or(|problem| problem.kind == Kind::Refused));
        }
    }

    #[test]
    fn a_slip_in_the_url_does_not_switch_off_the_encryption() {
        let launcher = |url: &str| Launcher::new(&ConnectionSettings { url: url.into(), password: None });
        assert!(launcher("mysql://me@db/ops?ssl-mode=VERIFY_CA&ssl-ca=/ca.pem").is_ok());
        assert!(launcher("mariadb://me@db:3307/ops").is_ok());
        for url in
            ["mysql://me:geheim@db/ops?ssl-mod=VERIFY_CA", "mysql://me:geheim@db/ops?ssl-mode=verify-full"]
        {
            let problem = launcher(url).expect_err(url);
            assert_eq!(problem.kind, Kind::Usage);
            assert!(!format!("{problem} {problem:?}").contains("geheim"), "{problem}");
        }
        let shown = format!("{:?}", launcher("mysql://me:geheim@db/ops").expect("a url"));
        assert_eq!(shown, "Launcher { address: \"db:3306/ops as me\", .. }");
    }
}

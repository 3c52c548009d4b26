//! A registry in PostgreSQL, beside or inside of an OMOTES database; one for any number of hosts.
//!
//! Every transaction of the registry takes one advisory lock and gives it back at its end, so that nothing
//! of it outlives a connection that broke. Invariant: no password reaches an error, a log or `Debug`, and
//! nothing here waits without a limit.

mod lock;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::ExposeSecret;
use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgConnection};

use super::Place;
use super::connection::Connection;
use super::schema::Schema;
use super::statements::{POSTGRES, Statements};
use crate::config::{RegistrySettings, SetIn};
use crate::problem::{Kind, Problem, Result};
use crate::registry::RunnerLock;
use crate::session::pooler::Way;
use crate::session::{self, NotConnected, in_plain_words};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// "time", "regi" as two numbers: the key of every transaction that changes a registry. A transaction whose
/// process hangs is ended by the server, so that others go on. A plan is never kept: it would be the one for the
/// empty tables with which a registry begins, and statistics come a minute after the rows.
pub(super) const BEGIN_EXCLUSIVE: &str = "BEGIN; SET LOCAL lock_timeout = '60s'; SET LOCAL statement_timeout = '5min'; \
     SET LOCAL plan_cache_mode = 'force_custom_plan'; \
     SET LOCAL idle_in_transaction_session_timeout = '2min'; \
     SELECT pg_catalog.pg_advisory_xact_lock(1953066341, 1919248233)";

/// Whoever writes the table waits behind this lock as long as it waits itself: not for long. The rights that a check
/// needs are enough for it (<https://www.postgresql.org/docs/17/sql-lock.html>).
const KEEP_OTHERS_OUT: &str = "SET LOCAL lock_timeout = '5s'; \
     LOCK TABLE esdl_time_series_info IN SHARE ROW EXCLUSIVE MODE; \
     SET LOCAL lock_timeout = '60s'";

const BEGIN_SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; \
     SET LOCAL lock_timeout = '60s'; SET LOCAL statement_timeout = '5min'; \
     SET LOCAL plan_cache_mode = 'force_custom_plan'";

static SCHEMA: Schema = Schema {
    // Read from the catalog itself: what a session remembers of it may be older than the advisory lock that
    // it waited for.
    has_versions: "SELECT 1::bigint FROM pg_catalog.pg_class WHERE relname = 'timesweep_registry_version' \
        AND pg_catalog.pg_table_is_visible(oid)",
    version: "SELECT max(version)::bigint FROM timesweep_registry_version",
    create_versions: "CREATE TABLE timesweep_registry_version \
        (version bigint PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())",
    add_version: "INSERT INTO timesweep_registry_version (version) VALUES ($1::bigint)",
    steps: &[include_str!("../migrations/postgres_0001.sql")],
    their_columns: "SELECT attname::text, format_type(atttypid, NULL)::text FROM pg_attribute \
        WHERE attrelid = to_regclass('esdl_time_series_info') AND attnum > 0 AND NOT attisdropped",
    needed_columns: &[
        ("row_id", &["uuid"]),
        ("esdl_id", TEXT),
        ("registered_at", INSTANT),
        ("deactivated_at", INSTANT),
        ("job_id", &["uuid"]),
        ("job_reference", TEXT),
    ],
};

const TEXT: &[&str] = &["character varying", "text"];
const INSTANT: &[&str] = &["timestamp with time zone"];

#[derive(Clone)]
pub(super) struct Postgres {
    options: PgConnectOptions,
    set_in: SetIn,
}

/// By hand: the options would show the password.
impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres").field("address", &self.address()).finish_non_exhaustive()
    }
}

impl Postgres {
    pub(super) fn new(settings: &RegistrySettings) -> Result<Self> {
        let options = PgConnectOptions::from_str(settings.url.expose_secret()).map_err(|error| {
            Problem::usage("the registry's url cannot be read")
                .cause(in_plain_words(&error))
                .hint("write postgres://user@host:port/database")
        })?;
        let options = match &settings.password {
            Some(password) => options.password(password.expose_secret()),
            None => options,
        };
        let options = options.application_name("timesweep registry").disable_statement_logging();
        Ok(Self { options, set_in: settings.set_in.clone() })
    }

    /// `host:port/database as role`, without the password.
    pub(super) fn address(&self) -> String {
        let role = self.options.get_username();
        let database = self.options.get_database().unwrap_or(role);
        format!("{}:{}/{database} as {role}", self.options.get_host(), self.options.get_port())
    }

    pub(super) fn options(&self, task: &str) -> PgConnectOptions {
        self.options.clone().application_name(&format!("timesweep {task}"))
    }

    pub(super) async fn session(&self, task: &str) -> Result<PgConnection> {
        let problem = || Problem::unreachable(format!("cannot connect to the registry {}", self.address()));
        session::connect(self.options(task), CONNECT_TIMEOUT).await.map_err(|why| match why {
            NotConnected::Failed(error) => problem()
                .cause(in_plain_words(&error))
                .hint(format!(
                    "check host, port, role and password ({}; {}; {}) and pg_hba.conf; `timesweep check` says when it works",
                    self.set_in.place, self.set_in.login, self.set_in.inside
                )),
            NotConnected::GivenUp(why) => problem().cause(why),
            NotConnected::Late => problem()
                .cause(format!("no answer within {} s", CONNECT_TIMEOUT.as_secs()))
                .hint(format!("check host, port and firewall: {}", self.set_in.place)),
        })
    }

    /// Whether sessions reach the server themselves. Afterwards `ours` may be used only if they do.
    pub(super) async fn way(&self, ours: &mut PgConnection) -> Result<Way> {
        lock::way(self, ours).await
    }

    pub(super) fn refuse_pooler(way: Way, danger: &str) -> Result<()> {
        way.refuse(lock::PLACE, danger)
    }
}

#[async_trait]
impl Place for Postgres {
    fn statements(&self) -> &'static Statements {
        &POSTGRES
    }

    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    async fn connect(&self) -> Result<Connection> {
        self.session("registry").await.map(Connection::Postgres)
    }

    async fn begin_exclusive(&self, connection: &mut Connection) -> sqlx::Result<()> {
        connection.run(BEGIN_EXCLUSIVE).await
    }

    async fn keep_others_out(&self, connection: &mut Connection) -> sqlx::Result<()> {
        connection.run(KEEP_OTHERS_OUT).await
    }

    async fn begin_snapshot(&self, connection: &mut Connection) -> sqlx::Result<()> {
        connection.run(BEGIN_SNAPSHOT).await
    }

    async fn now(&self, connection: &mut Connection) -> sqlx::Result<i64> {
        let now = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
        let found = connection.read(now, &[], |row| row.number(0)).await?;
        found.into_iter().flatten().next().ok_or(sqlx::Error::RowNotFound)
    }

    async fn lock_runner(&self, run: &str) -> Result<Box<dyn RunnerLock>> {
        lock::take(self, run).await.map(|lock| Box::new(lock) as Box<dyn RunnerLock>)
    }

    fn is_conflict(&self, error: &sqlx::Error) -> bool {
        // Not serializable, deadlock, a row of the same dataset in between.
        matches!(code(error).as_deref(), Some("40001" | "40P01" | "23505"))
    }

    fn problem(&self, doing: &str, error: &sqlx::Error) -> Problem {
        let (kind, hint) = match code(error).as_deref() {
            Some("55P03") => {
                (Kind::Busy, "another program holds a lock on the registry's tables; try again later")
            }
            Some("42501") => (
                Kind::Unreachable,
                "grant our role SELECT, INSERT, UPDATE and DELETE on esdl_time_series_info, SELECT on job, and USAGE and CREATE on \
                 the schema; in the place of OMOTES' orchestrator all four on job and job_starts as well, and SELECT on alembic_version",
            ),
            Some("42P05" | "26000") => {
                (Kind::Unreachable, "connect to the server directly, or through the pooler in session mode")
            }
            Some(_) => (Kind::Unreachable, "see the server's log"),
            None => (Kind::Unreachable, "the connection is made anew by the next attempt"),
        };
        Problem::new(kind, format!("cannot {doing}: the registry {} does not do it", self.address()))
            .cause(in_plain_words(error))
            .hint(hint)
    }

    async fn reach(&self) -> Result<String> {
        let mut session = self.session("registry").await?;
        Ok(match self.way(&mut session).await? {
            Way::Direct => "the registry is in PostgreSQL: one runner at a time on every host that uses it",
            Way::Pooler | Way::Silent => {
                "a transaction pooler is in front of the registry: the runner's lock protects nothing there, so \
                 passes are refused, and letters are not sent; connect to the server directly"
            }
        }
        .into())
    }
}

fn code(error: &sqlx::Error) -> Option<String> {
    error.as_database_error()?.code().map(std::borrow::Cow::into_owned)
}

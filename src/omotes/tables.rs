//! The tables of OMOTES and our own beside them: made where none are, adopted untouched where OMOTES made them.
//!
//! Invariants: all of it is one transaction under the registry's lock, so that replicas that start at once,
//! or one that is killed, leave no half of it; and where anything is not as OMOTES has it, nothing is
//! touched. Prepare before the registry is opened: it makes tables as well.

use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};

use crate::crash_point;
use crate::problem::{Problem, Result};
use crate::registry::beside::Neighbour;

/// What OMOTES' migrations leave in `alembic_version`.
pub const HEAD: &str = "543bc8f6ad87";

const THEIRS: &str = include_str!("migrations/theirs.sql");

/// Ours, step by step.
const STEPS: &[&str] = &[include_str!("migrations/0001.sql"), include_str!("migrations/0002.sql")];

const TEXT: &[&str] = &["character varying", "text"];
const INSTANT: &[&str] = &["timestamp with time zone"];

/// Every column that has to be there, with the types that it may have.
const NEEDED: &[(&str, &str, &[&str])] = &[
    ("job", "job_id", &["uuid"]),
    ("job", "celery_id", TEXT),
    ("job", "workflow_type", TEXT),
    ("job", "status", &["jobstatus"]),
    ("job", "registered_at", INSTANT),
    ("job", "submitted_at", INSTANT),
    ("job", "running_at", INSTANT),
    ("job", "timeout_after_ms", &["integer"]),
    ("job", "job_reference", TEXT),
    ("job_starts", "job_id", &["uuid"]),
    ("job_starts", "started_at", INSTANT),
    ("esdl_time_series_info", "row_id", &["uuid"]),
    ("esdl_time_series_info", "esdl_id", TEXT),
    ("esdl_time_series_info", "registered_at", INSTANT),
    ("esdl_time_series_info", "deactivated_at", INSTANT),
    ("esdl_time_series_info", "job_id", &["uuid"]),
    ("esdl_time_series_info", "job_reference", TEXT),
];

const LABELS: [&str; 3] = ["REGISTERED", "SUBMITTED", "RUNNING"];

const ENCODING: &str = "SELECT pg_catalog.current_setting('server_encoding')";

/// From the catalog itself: what a session remembers of it may be older than the lock that it waited for.
const FOUND: &str = "SELECT c.relname::text, a.attname::text, format_type(a.atttypid, NULL)::text \
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid \
     WHERE c.relname IN ('alembic_version', 'job', 'job_starts', 'esdl_time_series_info', 'timesweep_omotes_version') \
       AND pg_catalog.pg_table_is_visible(c.oid) AND a.attnum > 0 AND NOT a.attisdropped";

const FOUND_LABELS: &str = "SELECT e.enumlabel::text FROM pg_catalog.pg_type t \
     JOIN pg_catalog.pg_enum e ON e.enumtypid = t.oid \
     WHERE t.typname = 'jobstatus' AND pg_catalog.pg_type_is_visible(t.oid)";

/// What stands in the database.
struct Found {
    /// table, column, type
    columns: Vec<(String, String, String)>,
    labels: Vec<String>,
    heads: Vec<String>,
    encoding: String,
    /// Of our own tables; zero where there are none.
    version: i64,
}

/// Makes what is missing, or says why this is no database of OMOTES.
pub async fn prepare(place: &Neighbour) -> Result<()> {
    let mut session = place.session("tables").await?;
    let failed = |error: sqlx::Error| place.problem("look at the tables of OMOTES", &error);
    // Most starts find everything, and wait for nobody's lock.
    let found = look(&mut session).await.map_err(failed)?;
    let is_complete = found.has("alembic_version") && found.version == newest();
    if !is_complete {
        place.begin_exclusive(&mut session).await.map_err(failed)?;
        let found = look(&mut session).await.map_err(failed)?;
        found.refuse()?;
        let failed = |error: sqlx::Error| place.problem("make the tables of OMOTES", &error);
        make(&mut session, &found).await.map_err(failed)?;
        found.tell_made(&place.address());
        return Ok(());
    }
    found.refuse()
}

async fn look(session: &mut PgConnection) -> sqlx::Result<Found> {
    let text = |row: &PgRow, column: usize| row.try_get::<String, _>(column);
    let columns = sqlx::query(FOUND).fetch_all(&mut *session).await?;
    let columns = columns.iter().map(|row| Ok((text(row, 0)?, text(row, 1)?, text(row, 2)?)));
    let columns = columns.collect::<sqlx::Result<Vec<_>>>()?;
    let is_there = |table: &str| columns.iter().any(|(name, ..)| name == table);
    let labels = sqlx::query_scalar(FOUND_LABELS).fetch_all(&mut *session).await?;
    let heads = if is_there("alembic_version") {
        sqlx::query_scalar("SELECT version_num::text FROM alembic_version").fetch_all(&mut *session).await?
    } else {
        Vec::new()
    };
    let version = if is_there("timesweep_omotes_version") {
        let newest = "SELECT coalesce(max(version), 0)::bigint FROM timesweep_omotes_version";
        sqlx::query_scalar(newest).fetch_one(&mut *session).await?
    } else {
        0
    };
    let encoding = sqlx::query_scalar(ENCODING).fetch_one(session).await?;
    Ok(Found { columns, labels, heads, encoding, version })
}

async fn make(session: &mut PgConnection, found: &Found) -> sqlx::Result<()> {
    if !found.has("alembic_version") {
        sqlx::raw_sql(THEIRS).execute(&mut *session).await?;
    }
    if !found.has("timesweep_omotes_version") {
        let create = "CREATE TABLE timesweep_omotes_version \
             (version bigint PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())";
        sqlx::raw_sql(create).execute(&mut *session).await?;
    }
    for (number, step) in (1_i64..).zip(STEPS).filter(|(number, _)| *number > found.version) {
        sqlx::raw_sql(*step).execute(&mut *session).await?;
        let add = "INSERT INTO timesweep_omotes_version (version) VALUES ($1)";
        sqlx::query(add).bind(number).execute(&mut *session).await?;
    }
    crash_point::reach("omotes-before-made");
    sqlx::raw_sql("COMMIT").execute(session).await?;
    crash_point::reach("omotes-made");
    Ok(())
}

fn newest() -> i64 {
    i64::try_from(STEPS.len()).unwrap_or(i64::MAX)
}

impl Found {
    fn has(&self, table: &str) -> bool {
        self.columns.iter().any(|(name, ..)| name == table)
    }

    fn tell_made(&self, at: &str) {
        if self.has("alembic_version") {
            tracing::info!(at, "the tables of OMOTES are adopted as they are, and ours made beside them");
        } else {
            tracing::info!(at, "there were no tables of OMOTES: they are made, and ours beside them");
        }
    }

    fn refuse(&self) -> Result<()> {
        if self.version > newest() {
            return Err(Problem::unreachable("the jobs were written by a newer timesweep")
                .cause(format!("they have version {}, this program knows {}", self.version, newest()))
                .hint("use the newer timesweep"));
        }
        if self.encoding != "UTF8" {
            return Err(not_theirs(format!("the database has the encoding {}, not UTF8", self.encoding)));
        }
        if !self.has("alembic_version") {
            return self.refuse_half_an_installation();
        }
        match self.heads.as_slice() {
            [head] if head == HEAD => self.refuse_other_tables(),
            [] => Err(not_theirs("alembic_version is empty".into())),
            heads => Err(not_theirs(format!("alembic_version has {}, not {HEAD}", heads.join(" and ")))),
        }
    }

    fn refuse_half_an_installation(&self) -> Result<()> {
        let job_tables = ["job", "job_starts"].into_iter().find(|table| self.has(table));
        let known = job_tables.or_else(|| (!self.labels.is_empty()).then_some("jobstatus"));
        known.map_or(Ok(()), |name| {
            Err(not_theirs(format!("there is {name}, but no alembic_version that says whose it is")))
        })
    }

    fn refuse_other_tables(&self) -> Result<()> {
        let fits = |(table, column, types): &&(&str, &str, &[&str])| {
            self.columns.iter().any(|(found_table, found, kind)| {
                found_table == table && found == column && types.contains(&kind.as_str())
            })
        };
        if let Some((table, column, types)) = NEEDED.iter().find(|needed| !fits(needed)) {
            let kinds = types.join(" or ");
            return Err(not_theirs(format!("{table} needs a column {column} of type {kinds}")));
        }
        match LABELS.iter().find(|label| !self.labels.iter().any(|found| found == *label)) {
            Some(label) => Err(not_theirs(format!("the type jobstatus has no label {label}"))),
            None => Ok(()),
        }
    }
}

fn not_theirs(cause: String) -> Problem {
    Problem::refused("the tables of this database are not those of OMOTES that timesweep knows")
        .cause(cause)
        .hint(format!(
            "bring OMOTES' database to its revision {HEAD}, or name an empty database; nothing was changed"
        ))
}

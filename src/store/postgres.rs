//! Connections to PostgreSQL and what its errors mean; shared by every driver on top of it.
//!
//! Settings are made with `SET LOCAL` inside each transaction, never for the session, so that nothing
//! leaks through a pooler. Invariant: no password reaches an error, a log or `Debug`.

use std::fmt;
use std::str::FromStr;

use secrecy::ExposeSecret;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgDatabaseError, PgRow};
use sqlx::{ConnectOptions, Row};

use crate::config::ConnectionSettings;
use crate::problem::{Problem, Result};
use crate::retention::name::quote_identifier;
use crate::session::{self, NotConnected};

pub mod disk;
pub mod idle;
pub mod limits;
pub mod lock;
pub mod sessions;

pub use crate::session::in_plain_words;
use limits::{Limits, no_answer};

/// Opens a read-only snapshot. Our own reads give up early as well: a size query waits behind a queued
/// drop, and every other query waits behind ours.
pub const BEGIN_SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; \
     SET LOCAL lock_timeout = '2s'; SET LOCAL statement_timeout = '10min'; \
     SET LOCAL TimeZone = 'UTC'; SET LOCAL search_path = pg_catalog";

#[derive(Clone)]
pub struct Server {
    options: PgConnectOptions,
    limits: Limits,
}

/// By hand: the options would show the password.
impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("address", &self.address()).finish_non_exhaustive()
    }
}

impl Server {
    pub fn new(settings: &ConnectionSettings, limits: Limits) -> Result<Self> {
        let options = PgConnectOptions::from_str(settings.url.expose_secret()).map_err(|error| {
            Problem::usage("the store's url cannot be read")
                .cause(in_plain_words(&error))
                .hint("write postgres://user@host:port/database")
        })?;
        let options = match &settings.password {
            Some(password) => options.password(password.expose_secret()),
            None => options,
        };
        let options = options.application_name("timesweep").disable_statement_logging();
        Ok(Self { options, limits })
    }

    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// `host:port/database as role`, without the password.
    pub fn address(&self) -> String {
        let database = self.options.get_database().unwrap_or_else(|| self.options.get_username());
        format!(
            "{}:{}/{database} as {}",
            self.options.get_host(),
            self.options.get_port(),
            self.options.get_username()
        )
    }

    /// `host:port/database`: which database it is, whoever connects.
    pub fn place(&self) -> String {
        let options = &self.options;
        let socket = options.get_socket().map(|folder| folder.display().to_string());
        let host = socket.unwrap_or_else(|| options.get_host().to_owned());
        let database = options.get_database().unwrap_or_else(|| options.get_username());
        format!("{host}:{}/{database}", options.get_port())
    }

    /// A session of its own, named `timesweep ROLE` in `pg_stat_activity`.
    pub async fn connect(&self, role: &str) -> Result<PgConnection> {
        let options = self.options.clone().application_name(&format!("timesweep {role}"));
        session::connect(options, self.limits.connect).await.map_err(|why| match why {
            NotConnected::Failed(error) => self.cannot_connect(&error),
            NotConnected::GivenUp(why) => self.unreachable().cause(why),
            NotConnected::Late => {
                self.unreachable().cause(no_answer(self.limits.connect)).hint("check host, port and firewall")
            }
        })
    }

    fn unreachable(&self) -> Problem {
        Problem::unreachable(format!("cannot connect to {}", self.address()))
    }

    fn cannot_connect(&self, error: &sqlx::Error) -> Problem {
        let role = self.options.get_username();
        let database = self.options.get_database().unwrap_or(role);
        let grant = format!(
            "GRANT CONNECT ON DATABASE {} TO {};",
            quote_identifier(database),
            quote_identifier(role)
        );
        let hint = match error {
            sqlx::Error::Io(io) if io.kind() == std::io::ErrorKind::ConnectionRefused => {
                "is the server running, and is the port right?"
            }
            _ if is_about_trust(error) => {
                "where the server's CA is a private one, name its file as `sslrootcert` in the url; with `verify-full` the host has to be the one in the certificate"
            }
            sqlx::Error::Io(_) => "check the host name and the network",
            sqlx::Error::Tls(_) => "check `sslmode` and `sslrootcert` in the url",
            sqlx::Error::Database(database) => match database.code().as_deref() {
                Some("28P01" | "28000") => {
                    "check the role and its password (PGPASSWORD, ~/.pgpass, or `password` in the configuration) and pg_hba.conf"
                }
                Some("3D000") => "check the database's name",
                Some("42501") => &grant,
                Some("53300") => "the server has no free connection; try again later",
                _ => "see the server's log",
            },
            _ => "check the url",
        };
        self.unreachable().cause(in_plain_words(error)).hint(hint)
    }
}

/// The server's certificate is not one that we trust, or not for this host.
fn is_about_trust(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(_) | sqlx::Error::Tls(_))
        && error.to_string().to_lowercase().contains("certificate")
}

/// SQLSTATE and message of a server's error.
pub fn database_error(error: &sqlx::Error) -> Option<&PgDatabaseError> {
    match error {
        sqlx::Error::Database(inner) => inner.try_downcast_ref::<PgDatabaseError>(),
        _ => None,
    }
}

/// A failed read: busy where somebody's lock is in the way, otherwise an incomplete inventory.
pub fn read_failed(doing: &str, error: &sqlx::Error) -> Problem {
    match database_error(error).map(PgDatabaseError::code) {
        Some("55P03") => Problem::busy(format!("cannot {doing}: a lock is held for too long"))
            .cause(in_plain_words(error))
            .hint("another drop or a schema change is at work; try again later"),
        Some("42501") => Problem::unreachable(format!("cannot {doing}: our role may not read it"))
            .cause(in_plain_words(error))
            .hint("grant the role what `timesweep check` lists"),
        Some("42P05" | "26000") => {
            Problem::unreachable(format!("cannot {doing}: a transaction pooler is in between"))
                .cause(in_plain_words(error))
                .hint("connect to the server directly, or through the pooler in session mode")
        }
        _ => Problem::unreachable(format!("cannot {doing}")).cause(in_plain_words(error)),
    }
}

/// Begins the snapshot that facts are read in.
pub async fn begin_snapshot(connection: &mut PgConnection) -> Result<()> {
    sqlx::raw_sql(BEGIN_SNAPSHOT)
        .execute(connection)
        .await
        .map(|_| ())
        .map_err(|error| read_failed("open a snapshot", &error))
}

/// Ends a transaction without keeping anything. A broken connection ends it as well, and a session that is
/// still in one after that answers no more.
pub async fn rollback(connection: &mut PgConnection) {
    let _ = sqlx::raw_sql("ROLLBACK").execute(connection).await;
}

/// A column by name; a type we do not expect makes the inventory unreadable.
pub fn column<'r, T>(row: &'r PgRow, name: &str) -> Result<T>
where
    T: sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    row.try_get(name).map_err(|error| {
        Problem::unreachable(format!("the server's answer cannot be read (column {name})"))
            .because(&error)
            .hint("this version of TimescaleDB may be too new; see docs/safety.md for those that are tested")
    })
}

/// Turns PostgreSQL's object id into the number that plans carry.
pub fn oid(row: &PgRow, name: &str) -> Result<u32> {
    column::<sqlx::postgres::types::Oid>(row, name).map(|oid| oid.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_is_not_trusted_has_a_way_out() {
        let server = Server::new(
            &ConnectionSettings { url: "postgres://me@db1/x".into(), password: None },
            Limits::default(),
        );
        let untrusted =
            std::io::Error::new(std::io::ErrorKind::InvalidData, "invalid peer certificate: UnknownIssuer");
        let problem = server.expect("a url").cannot_connect(&sqlx::Error::Io(untrusted));
        assert!(problem.hint.is_some_and(|hint| hint.contains("`sslrootcert`")));
    }

    #[test]
    fn a_server_is_shown_without_its_password() {
        let url = "postgres://me:geheim@127.0.0.1:1/db";
        for password in [None, Some("geheim".into())] {
            let settings = ConnectionSettings { url: url.into(), password };
            let shown = format!("{:?}", Server::new(&settings, Limits::default()).expect("a url"));
            assert_eq!(shown, "Server { address: \"127.0.0.1:1/db as me\", .. }");
        }
    }
}

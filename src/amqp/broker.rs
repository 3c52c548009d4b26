//! The connection to a broker, and what its errors mean for people.
//!
//! Invariant: no sentence repeats a password: a place is the host, the port and the virtual host.

use std::time::Duration;

use lapin::protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError};
use lapin::tcp::OwnedTLSConfig;
use lapin::uri::AMQPUri;
use lapin::{Connection, ConnectionProperties, Error, ErrorKind};
use secrecy::ExposeSecret;
use tokio::time::timeout;

use crate::config::{BrokerSettings, SetIn};
use crate::problem::{Problem, Result};

/// From the first packet to the open virtual host.
const CONNECTING: Duration = Duration::from_secs(15);
/// A broker that is silent for twice as long (in seconds) is gone.
const HEARTBEAT: u16 = 20;
const SAYING_GOODBYE: Duration = Duration::from_secs(2);

/// `host:5672/virtual_host`, for sentences, and the section that says so.
#[derive(Debug, Clone)]
pub struct Place {
    shown: String,
    set_in: SetIn,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown)
    }
}

pub async fn connect(settings: &BrokerSettings) -> Result<(Connection, Place)> {
    let uri = address(settings)?;
    let place = Place { shown: shown_of(&uri), set_in: settings.set_in.clone() };
    let user = uri.authority.userinfo.username.clone();
    let name = format!("timesweep {}", env!("CARGO_PKG_VERSION"));
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    let runtime = lapin::runtime::default_runtime().map_err(|error| unreachable(&place, &error))?;
    let connecting = Connection::connect_uri_with_config(uri, properties, trust(settings)?, runtime);
    match timeout(CONNECTING, connecting).await {
        Ok(Ok(connection)) => Ok((connection, place)),
        Ok(Err(error)) => Err(not_let_in(&place, &user, &error)),
        Err(_) => Err(Problem::unreachable(format!(
            "the broker {place} did not answer within {} s",
            CONNECTING.as_secs()
        ))),
    }
}

/// A place before anybody connects to it, and as whom.
pub fn shown(settings: &BrokerSettings) -> String {
    let told = |uri: AMQPUri| format!("{} as {}", shown_of(&uri), uri.authority.userinfo.username);
    address(settings).map_or_else(|problem| problem.to_string(), told)
}

fn shown_of(uri: &AMQPUri) -> String {
    format!("{}:{}/{}", uri.authority.host, uri.authority.port, uri.vhost)
}

/// The broker gives back at once what is not acknowledged.
pub async fn say_goodbye(connection: Connection) {
    let _ = timeout(SAYING_GOODBYE, connection.close(200, "timesweep ends".into())).await;
}

fn address(settings: &BrokerSettings) -> Result<AMQPUri> {
    // The parser's own words could repeat a part of a password.
    let mut uri: AMQPUri = settings.url.expose_secret().parse().map_err(|_| {
        Problem::usage(format!("the `url` of {} is not an AMQP address", settings.set_in.all))
            .hint("write amqp://user@host:5672/virtual_host")
    })?;
    if let Some(password) = &settings.password {
        password.expose_secret().clone_into(&mut uri.authority.userinfo.password);
    }
    uri.query.heartbeat.get_or_insert(HEARTBEAT);
    Ok(uri)
}

fn trust(settings: &BrokerSettings) -> Result<OwnedTLSConfig> {
    let Some(path) = &settings.ca_file else { return Ok(OwnedTLSConfig::default()) };
    let certificates = std::fs::read_to_string(path).map_err(|error| {
        Problem::usage(format!("`ca_file` {} cannot be read", path.display())).because(&error)
    })?;
    Ok(OwnedTLSConfig { cert_chain: Some(certificates), ..OwnedTLSConfig::default() })
}

fn not_let_in(place: &Place, user: &str, error: &Error) -> Problem {
    match said_by_the_broker(error) {
        Some(AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED)) => {
            Problem::usage(format!("the broker {place} does not let `{user}` in"))
                .because(error)
                .hint(format!("check user and password: {}", place.set_in.login))
        }
        Some(AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED)) => {
            Problem::usage(format!("`{user}` cannot use the virtual host of {place}"))
                .because(error)
                .hint(format!("check {}, and the user's permissions there", place.set_in.inside))
        }
        _ => unreachable(place, error),
    }
}

fn unreachable(place: &Place, error: &Error) -> Problem {
    let hint = format!("is the broker running, and are host and port right? They are {}", place.set_in.place);
    Problem::unreachable(format!("the broker {place} cannot be reached")).because(error).hint(hint)
}

impl Place {
    /// An error of something that was tried on an open connection, `doing` in the present tense.
    pub fn failed(&self, doing: &str, error: &Error) -> Problem {
        let problem = Problem::unreachable(format!("cannot {doing} on the broker {self}")).because(error);
        match said_by_the_broker(error) {
            Some(AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED)) => problem.hint(format!(
                "somebody declared it in another way; delete it there, or name another one in {}",
                self.set_in.all
            )),
            Some(AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED)) => {
                let hint = match refused_right(&words(error)) {
                    Some((right, what)) => format!("grant the user of {} {right} on {what}", self.set_in.all),
                    None => {
                        "grant the user configure, write and read permissions on this virtual host".into()
                    }
                };
                problem.hint(hint)
            }
            _ => problem,
        }
    }
}

/// "configure access to queue 'x' in vhost 'v' refused for user 'u'": the right and what it is about.
fn refused_right(words: &str) -> Option<(&str, &str)> {
    let (right, rest) = words.split_once(" access to ")?;
    let (what, _) = rest.split_once(" in vhost ")?;
    ["configure", "write", "read"].contains(&right).then_some((right, what))
}

pub fn is_refused(error: &Error) -> bool {
    said_by_the_broker(error) == Some(AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED))
}

/// There is no queue or exchange of that name.
pub fn is_missing(error: &Error) -> bool {
    said_by_the_broker(error) == Some(AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND))
}

/// Another connection has the queue for itself.
pub fn is_locked(error: &Error) -> bool {
    said_by_the_broker(error) == Some(AMQPErrorKind::Soft(AMQPSoftError::RESOURCELOCKED))
}

/// It was declared in another way, or a message is too large.
pub fn is_precondition(error: &Error) -> bool {
    said_by_the_broker(error) == Some(AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED))
}

/// Somebody takes from the queue alone; whoever lacks a right is refused in other words.
pub fn is_in_exclusive_use(error: &Error) -> bool {
    is_refused(error) && error.to_string().contains("exclusive use")
}

/// What the broker said, without the library's words around it and the name of the code.
pub fn words(error: &Error) -> String {
    let said = match error.kind() {
        ErrorKind::ProtocolError(said) => said.get_message().to_string(),
        _ => error.to_string(),
    };
    said.split_once(" - ").map_or_else(|| said.clone(), |(_, words)| words.to_owned())
}

fn said_by_the_broker(error: &Error) -> Option<AMQPErrorKind> {
    match error.kind() {
        ErrorKind::ProtocolError(said) => Some(said.kind().clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_brokers_own_sentence_names_the_right_that_is_missing() {
        let said = "write access to exchange 'amq.default' in vhost 'omotes' refused for user 'me'";
        assert_eq!(refused_right(said), Some(("write", "exchange 'amq.default'")));
        let topic = "read access to topic 'a in vhost b' in exchange 'x' in vhost 'v' refused for user 'me'";
        assert_eq!(refused_right(topic).map(|(right, _)| right), Some("read"));
        for other in ["queue 'x' in vhost 'v' in exclusive use", "vhost access refused", ""] {
            assert_eq!(refused_right(other), None, "{other}");
        }
    }
}

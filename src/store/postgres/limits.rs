//! How long a server may leave us without an answer: a network that has forgotten a connection, or a server
//! that stands still, keeps nobody for ever.
//!
//! The server gives up its own statements first (`statement_timeout`), so these limits only come true
//! where it cannot tell any more. Invariant: whatever is given up here takes its sessions with it, since a
//! session whose answer was not read is of no use.

use std::time::Duration;

use super::Server;
use crate::problem::{Problem, Result};

#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connecting.
    pub connect: Duration,
    /// The first answer of a session that has waited for work: a new one is made instead.
    pub wake: Duration,
    /// The runner's lock, before each transaction.
    pub verify: Duration,
    /// Looking at sessions, locks and catalogs, and waiting for sessions to end: quick on every server.
    pub look: Duration,
    /// Reading facts and measuring sizes, and one transaction that drops. Longer than any statement may
    /// take on the server.
    pub work: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            wake: Duration::from_secs(5),
            verify: Duration::from_secs(30),
            look: Duration::from_mins(1),
            work: Duration::from_mins(15),
        }
    }
}

impl Server {
    /// The answer to `work`, which opens its own sessions, or after `limit` the end of waiting for it.
    pub async fn within<T>(
        &self,
        limit: Duration,
        doing: &str,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
            Err(Problem::unreachable(format!("cannot {doing}: {}", no_answer(limit)))
                .cause(format!("{} is connected and says nothing", self.address()))
                .hint("check the network and whether the server still answers; then run again"))
        })
    }
}

/// `the server has not answered for 15 minutes`.
pub fn no_answer(limit: Duration) -> String {
    let seconds = limit.as_secs();
    match seconds {
        0 => format!("the server has not answered for {} ms", limit.as_millis()),
        60.. if seconds.is_multiple_of(60) => {
            let minutes = seconds / 60;
            format!(
                "the server has not answered for {minutes} {}",
                if minutes == 1 { "minute" } else { "minutes" }
            )
        }
        _ => format!("the server has not answered for {seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_has_given_up_a_statement_before_we_do() {
        let statement_timeout = Duration::from_mins(10);
        assert!(super::super::BEGIN_SNAPSHOT.contains("statement_timeout = '10min'"));
        assert!(Limits::default().work > statement_timeout);
    }

    #[test]
    fn how_long_there_was_no_answer_is_said_in_words() {
        let said = |limit| no_answer(limit).replace("the server has not answered for ", "");
        assert_eq!(said(Duration::from_mins(15)), "15 minutes");
        assert_eq!(said(Duration::from_mins(1)), "1 minute");
        assert_eq!(said(Duration::from_secs(90)), "90 s");
        assert_eq!(said(Duration::from_millis(300)), "300 ms");
    }
}

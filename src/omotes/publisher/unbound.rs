//! Results that no binding led to a queue.
//!
//! A client's queue outlives a restart of its broker, the exchange does not: until the client is back, nothing
//! leads from the one to the other, and the result goes into the queue itself. A queue that is gone as well is
//! nobody's. Invariant: a result whose queue is there is in it, or waits.

use super::confirmed::Confirmed;
use super::link::Link;
use crate::amqp::broker;
use crate::problem::{Problem, Result};

/// What became of each, by the names of their queues; an error where it has to wait.
pub(super) async fn give(clients: &Link, letters: &[(String, &[u8])]) -> Result<Vec<Result<Confirmed>>> {
    match clients.past_exchange(letters).await? {
        Ok(confirmed) => Ok(confirmed.into_iter().map(Ok).collect()),
        Err(error) if broker::is_refused(&error) => {
            let mut answers = Vec::new();
            for (queue, _) in letters {
                answers.push(match clients.messages_in(queue).await? {
                    None => Ok(Confirmed::default()),
                    Some(_) => Err(not_let(clients, &error)),
                });
            }
            Ok(answers)
        }
        Err(error) => Err(clients.failed("publish a result", &error)),
    }
}

fn not_let(clients: &Link, error: &lapin::Error) -> Problem {
    Problem::unreachable(format!(
        "the broker {} does not let us put a result into its client's queue: {error}",
        clients.place
    ))
}

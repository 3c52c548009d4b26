//! One queue that is listened to, and taken up again whenever that breaks off.
//!
//! A queue is ours alone, or shared by the replicas that stand in the orchestrator's place. Invariant: a line
//! that shares never listens while an orchestrator of the other kind does: each would get every other message.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use lapin::Connection;
use lapin::options::BasicConsumeOptions;
use lapin::types::{AMQPValue, FieldTable};
use tokio_util::sync::CancellationToken;

use super::broker;
use super::counters::LineCounters;
use super::taker::Taker;
use crate::config::BrokerSettings;
use crate::problem::{Kind, Problem, Result};

mod beside;
mod old_queue;
mod session;

pub use self::beside::refuse_an_orchestrator;
use self::session::Session;

pub struct Line<'a> {
    pub taker: &'a dyn Taker,
    pub broker: &'a BrokerSettings,
    pub queue: Queue<'a>,
    pub counters: &'a LineCounters,
}

#[derive(Debug, Clone, Copy)]
pub struct Queue<'a> {
    pub name: &'a str,
    /// A queue beside it for what nobody can read.
    pub dead_letters: &'a str,
    /// The key of the clients' exchange that leads here.
    pub bound_to: Option<&'a str>,
    /// What this queue was called once: emptied first, and removed.
    pub old_name: Option<&'a str>,
    pub taken: Taken<'a>,
}

#[derive(Debug, Clone, Copy)]
pub enum Taken<'a> {
    /// Who comes later is told, instead of getting every other message.
    Alone,
    /// By every replica. `clients`: where an orchestrator of the other kind would be seen; we wait for it to go.
    Together { clients: &'a BrokerSettings },
}

/// How far a session came before it ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Reached {
    #[default]
    Nothing,
    Listening,
    /// At least one batch was done.
    Working,
}

pub fn pauses() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_jitter()
        .with_min_delay(Duration::from_millis(200))
        // What binds our queue to the clients' exchange is gone with a broker that starts again, and until it is made
        // anew a deletion goes nowhere.
        .with_max_delay(Duration::from_secs(5))
        .without_max_times()
        .build()
}

impl Line<'_> {
    /// Ends when it is told to, or where the very first session shows that it can never listen.
    pub async fn listen(&self, cancel: &CancellationToken) -> Result<()> {
        let mut has_listened = false;
        let mut pauses_left = pauses();
        loop {
            let mut reached = Reached::default();
            let ended = self.session(cancel, &mut reached).await;
            self.counters.ended();
            has_listened |= reached >= Reached::Listening;
            let Err(problem) = ended else { return Ok(()) };
            if !has_listened && !self.waits_after(&problem) {
                cancel.cancel();
                return Err(problem);
            }
            if reached == Reached::Working {
                pauses_left = pauses();
            }
            let pause = pauses_left.next().unwrap_or_default();
            self.tell(&problem, has_listened, pause);
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// A replica waits for its turn, and for servers that start together with it; a wrong setting never mends.
    fn waits_after(&self, problem: &Problem) -> bool {
        matches!(self.queue.taken, Taken::Together { .. }) && problem.kind != Kind::Usage
    }

    /// The same sentence again and again, or of each queue, would hide everything else.
    fn tell(&self, problem: &Problem, has_listened: bool, pause: Duration) {
        let (queue, why) = (self.queue.name, problem.to_string());
        let is_news = self.counters.troubles.is_news(queue, &why);
        if !is_news {
            tracing::debug!(queue, "not listening, again in {pause:.1?}: {problem}");
        } else if self.counters.waits() {
            tracing::warn!("no queue is listened to: {problem}");
        } else if has_listened {
            tracing::warn!(queue, "listening broke off, and is tried again: {problem}");
        } else {
            tracing::warn!(queue, "cannot listen yet, and tries again: {problem}");
        }
        self.counters.interrupted(&why);
    }

    /// One connection, from its first packet to its last.
    async fn session(&self, cancel: &CancellationToken, reached: &mut Reached) -> Result<()> {
        let connecting = async {
            if let Taken::Together { clients } = self.queue.taken {
                let looked = refuse_an_orchestrator(clients).await;
                let is_there = looked.as_ref().is_err_and(|problem| problem.kind == Kind::Refused);
                self.counters.waiting(is_there);
                looked?;
            }
            broker::connect(self.broker).await
        };
        let connected = tokio::select! {
            () = cancel.cancelled() => return Ok(()),
            connected = connecting => connected,
        };
        let (connection, place) = connected.inspect_err(|_| self.counters.standing_by(false))?;
        let ended = match connection.create_channel().await {
            Ok(channel) => {
                let session = Session { line: self, connection: &connection, channel, place };
                session.run(cancel, reached).await
            }
            Err(error) => Err(place.failed("open a channel", &error)),
        };
        if let Err(problem) = &ended {
            let is_taken = problem.kind == Kind::Refused;
            self.counters.standing_by(is_taken && self.is_one_alone_there(&connection).await);
        }
        broker::say_goodbye(connection).await;
        ended
    }

    /// Whether somebody takes all messages alone, as another replica of ours does: whoever shares them, as
    /// others do, would let us in. We come last, and whatever we were given would go back.
    async fn is_one_alone_there(&self, connection: &Connection) -> bool {
        let Ok(channel) = connection.create_channel().await else { return false };
        let mut last = FieldTable::default();
        last.insert("x-priority".into(), AMQPValue::LongInt(-1_000_000));
        let shared = BasicConsumeOptions::default();
        let asked = channel.basic_consume(self.queue.name.into(), "timesweep looks".into(), shared, last);
        asked.await.is_err_and(|error| broker::is_in_exclusive_use(&error))
    }
}

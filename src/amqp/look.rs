//! A look at a broker for `check`: whether it lets us in, what is there of what we need, and whether our user may
//! do what it will have to.
//!
//! Invariant: nothing is made, taken or sent, and whatever is wrong with one queue, the others are looked at as well.

use std::time::Duration;

use lapin::{Channel, Connection};
use serde::Serialize;
use tokio::time::timeout;

use super::broker::{self, Place};
use super::declared::{DeclaredExchange, DeclaredQueue, look_at_queue};
use crate::config::{AmqpSettings, BrokerSettings};
use crate::problem::{Problem, Result};

mod orders;

/// From the open connection to the last answer.
const LOOKING: Duration = Duration::from_secs(30);
/// Rights that are told of one broker; the rest is counted.
const TOLD: usize = 10;
const WAY_OUT: &str = "let it run empty and delete it there: timesweep declares it anew when it starts";

/// What we shall do on one virtual host.
#[derive(Debug, Default)]
pub struct Needs<'a> {
    pub exchanges: Vec<NeededExchange<'a>>,
    pub queues: Vec<NeededQueue<'a>>,
    /// Straight into queues, through the exchange without a name.
    pub sends_to_queues: bool,
}

#[derive(Debug)]
pub struct NeededExchange<'a> {
    pub declared: DeclaredExchange<'a>,
    pub is_sent_to: bool,
}

#[derive(Debug)]
pub struct NeededQueue<'a> {
    pub declared: DeclaredQueue<'a>,
    pub is_read: bool,
    /// By an exchange of this name.
    pub bound_to: Option<&'a str>,
    /// We never make it, and use it only where it is there.
    pub is_optional: bool,
}

impl<'a> NeededQueue<'a> {
    /// One that we declare and nothing else: others read it, or it is read by people.
    pub fn declared(declared: DeclaredQueue<'a>) -> Self {
        Self { declared, is_read: false, bound_to: None, is_optional: false }
    }

    pub fn read(name: &'a str, bound_to: Option<&'a str>) -> Self {
        Self { is_read: true, bound_to, ..Self::declared(DeclaredQueue::plain(name)) }
    }
}

/// What was found on all brokers.
#[derive(Debug, Default)]
pub struct Looked {
    pub brokers: Vec<BrokerLook>,
    pub troubles: Vec<Problem>,
    pub advice: Vec<String>,
}

#[derive(Debug, Clone, Serialize)]
pub struct BrokerLook {
    /// Who is there: clients, workers.
    pub of: &'static str,
    /// `host:5672/virtual_host`
    pub place: String,
    pub queues: Vec<QueueLook>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QueueLook {
    pub queue: String,
    pub is_there: bool,
    pub waiting: u32,
    pub consumers: u32,
}

impl BrokerLook {
    pub fn queue(&self, name: &str) -> Option<&QueueLook> {
        self.queues.iter().find(|look| look.queue == name)
    }
}

impl Looked {
    pub fn broker(&self, of: &str) -> Option<&BrokerLook> {
        self.brokers.iter().find(|look| look.of == of)
    }

    /// Looks at one more broker.
    pub async fn add(&mut self, of: &'static str, settings: &BrokerSettings, needs: &Needs<'_>) {
        match at(of, settings, needs).await {
            Ok((look, troubles)) => {
                self.brokers.push(look);
                self.troubles.extend(troubles);
            }
            Err(problem) => self.troubles.push(problem),
        }
    }

    /// What nobody could read waits for a person.
    pub fn tell_dead_letters(&mut self, queue: &str) {
        for look in &self.brokers {
            let waiting = look.queue(queue).map_or(0, |look| look.waiting);
            let told = format!(
                "messages that nobody could read lie in `{queue}` on {} ({waiting}): the header \
                 `x-timesweep-reason` says why",
                look.place
            );
            // Both sides may be one virtual host.
            if waiting > 0 && !self.advice.contains(&told) {
                self.advice.push(told);
            }
        }
    }
}

/// Of `[amqp]`, which stands beside an orchestrator.
pub async fn beside_an_orchestrator(settings: &AmqpSettings) -> Looked {
    let mut looked = Looked::default();
    let exchange = DeclaredExchange::of_clients();
    let deletions = Needs {
        queues: vec![
            NeededQueue::read(&settings.deletions, Some(exchange.name)),
            NeededQueue::declared(DeclaredQueue::plain(&settings.dead_letters)),
        ],
        exchanges: vec![NeededExchange { declared: exchange, is_sent_to: false }],
        sends_to_queues: true,
    };
    looked.add("clients", &settings.broker, &deletions).await;
    if let Some(results) = &settings.results {
        let needs = Needs {
            queues: vec![
                NeededQueue::read(&results.queue, None),
                NeededQueue::declared(DeclaredQueue::plain(&settings.dead_letters)),
            ],
            exchanges: Vec::new(),
            sends_to_queues: true,
        };
        looked.add("workers", &results.broker, &needs).await;
    }
    let results = settings.results.as_ref().map(|results| results.queue.as_str());
    let listened_to: Vec<&str> = std::iter::once(settings.deletions.as_str()).chain(results).collect();
    for look in &looked.brokers {
        let queues = look.queues.iter().filter(|queue| listened_to.contains(&queue.queue.as_str()));
        let taken = queues.filter(|queue| queue.consumers > 0);
        looked.advice.extend(taken.map(|queue| taken_already(look, queue)));
    }
    looked.tell_dead_letters(&settings.dead_letters);
    looked
}

fn taken_already(look: &BrokerLook, queue: &QueueLook) -> String {
    format!(
        "somebody takes from `{}` on {} already ({} at once): where that is no `timesweep serve`, timesweep will not \
         listen there, because each of the two would miss messages",
        queue.queue, look.place, queue.consumers
    )
}

async fn at(
    of: &'static str,
    settings: &BrokerSettings,
    needs: &Needs<'_>,
) -> Result<(BrokerLook, Vec<Problem>)> {
    let (connection, place) = broker::connect(settings).await?;
    let mut look = Look { connection: &connection, place: &place, lacking: Vec::new(), troubles: Vec::new() };
    let looked = timeout(LOOKING, look.at_all(needs)).await;
    let (lacking, mut troubles) = (std::mem::take(&mut look.lacking), std::mem::take(&mut look.troubles));
    let looked = looked.unwrap_or_else(|_| Err(no_answer(&place)));
    broker::say_goodbye(connection).await;
    troubles.extend(lacking_rights(settings, &place, &lacking));
    Ok((BrokerLook { of, place: place.to_string(), queues: looked? }, troubles))
}

fn no_answer(place: &Place) -> Problem {
    Problem::unreachable(format!("the broker {place} did not answer within {} s", LOOKING.as_secs()))
}

struct Look<'a> {
    connection: &'a Connection,
    place: &'a Place,
    /// What our user may not do, in the broker's words.
    lacking: Vec<String>,
    troubles: Vec<Problem>,
}

/// What a broker answers to an order.
enum Answer<T> {
    Done(T),
    Missing,
    /// Another connection has it for itself.
    Locked(String),
    /// It is there in another way, or the order makes no sense.
    Otherwise(String),
    NoRight(String),
}

impl Look<'_> {
    async fn at_all(&mut self, needs: &Needs<'_>) -> Result<Vec<QueueLook>> {
        for exchange in &needs.exchanges {
            self.at_exchange(exchange).await?;
        }
        let mut queues = Vec::new();
        for queue in &needs.queues {
            queues.extend(self.at_queue(queue).await?);
        }
        if needs.sends_to_queues {
            self.may(async |channel| orders::send_nothing(channel, "").await).await?;
        }
        Ok(queues)
    }

    async fn at_exchange(&mut self, needed: &NeededExchange<'_>) -> Result<()> {
        let exchange = &needed.declared;
        let is_there = self.ask(async |channel| orders::look_at_exchange(channel, exchange).await).await?;
        if matches!(is_there, Answer::Done(())) {
            let declared = self.ask(async |channel| exchange.declare(channel).await).await?;
            self.hear(declared, &format!("the exchange `{}`", exchange.name));
        } else {
            self.may(async |channel| orders::declare_no_exchange(channel, exchange).await).await?;
        }
        if needed.is_sent_to {
            self.may(async |channel| orders::send_nothing(channel, exchange.name).await).await?;
        }
        Ok(())
    }

    async fn at_queue(&mut self, needed: &NeededQueue<'_>) -> Result<Option<QueueLook>> {
        let (name, shown) = (needed.declared.name, format!("the queue `{}`", needed.declared.name));
        let found = self.ask(async |channel| look_at_queue(channel, name).await).await?;
        let look = QueueLook { queue: name.to_owned(), is_there: true, waiting: 0, consumers: 0 };
        let look = match found {
            Answer::Done(queue) => {
                QueueLook { waiting: queue.message_count(), consumers: queue.consumer_count(), ..look }
            }
            Answer::Locked(_) => {
                self.hear(found, &shown);
                return Ok(Some(look));
            }
            _ if needed.is_optional => return Ok(None),
            _ => QueueLook { is_there: false, ..look },
        };
        if look.is_there && !needed.is_optional {
            let declared = self.ask(async |channel| needed.declared.declare(channel).await).await?;
            self.hear(declared, &shown);
        } else {
            self.may(async |channel| orders::declare_no_queue(channel, name).await).await?;
        }
        if needed.is_read {
            self.may(async |channel| orders::take_nothing(channel, name).await).await?;
        }
        if let Some(exchange) = needed.bound_to {
            self.may(async |channel| orders::unbind_nothing(channel, name, exchange).await).await?;
        }
        Ok(Some(look))
    }

    /// Whether the broker would let us: of its other answers none says anything about that.
    async fn may<T>(&mut self, order: impl AsyncFnOnce(&Channel) -> lapin::Result<T>) -> Result<()> {
        if let Answer::NoRight(why) = self.ask(order).await? {
            self.lack(why);
        }
        Ok(())
    }

    fn hear<T>(&mut self, answer: Answer<T>, what: &str) {
        let place = self.place;
        let problem = match answer {
            Answer::Otherwise(why) => Problem::refused(format!(
                "{what} on the broker {place} is declared in another way than we do"
            ))
            .cause(why)
            .hint(WAY_OUT),
            Answer::Locked(why) => {
                Problem::refused(format!("{what} on the broker {place} belongs to another connection alone"))
                    .cause(why)
                    .hint("stop the program that has it for itself")
            }
            Answer::NoRight(why) => return self.lack(why),
            Answer::Done(_) | Answer::Missing => return,
        };
        self.troubles.push(problem);
    }

    fn lack(&mut self, why: String) {
        if !self.lacking.contains(&why) {
            self.lacking.push(why);
        }
    }

    /// On a channel of its own: the broker closes one over each order that it refuses.
    async fn ask<T>(&self, order: impl AsyncFnOnce(&Channel) -> lapin::Result<T>) -> Result<Answer<T>> {
        let failed = |error: &lapin::Error| self.place.failed("look around", error);
        let channel = self.connection.create_channel().await.map_err(|error| failed(&error))?;
        let error = match order(&channel).await {
            Ok(answer) => {
                let _ = channel.close(200, "looked".into()).await;
                return Ok(Answer::Done(answer));
            }
            Err(error) => error,
        };
        let why = broker::words(&error);
        if broker::is_missing(&error) {
            Ok(Answer::Missing)
        } else if broker::is_locked(&error) {
            Ok(Answer::Locked(why))
        } else if broker::is_precondition(&error) {
            Ok(Answer::Otherwise(why))
        } else if broker::is_refused(&error) {
            Ok(Answer::NoRight(why))
        } else {
            Err(failed(&error))
        }
    }
}

/// One sentence for all of them: one grant mends them all.
fn lacking_rights(settings: &BrokerSettings, place: &Place, lacking: &[String]) -> Option<Problem> {
    let more = lacking.len().saturating_sub(TOLD);
    let problem =
        Problem::refused(format!("the user of {} lacks rights on the broker {place}", settings.set_in.all));
    let problem = lacking.iter().take(TOLD).fold(problem, Problem::cause);
    let problem = if more > 0 { problem.cause(format!("and {more} more of this kind")) } else { problem };
    let hint =
        "grant them, or everything there: rabbitmqctl set_permissions -p VIRTUAL_HOST USER '.*' '.*' '.*'";
    (!lacking.is_empty()).then(|| problem.hint(hint))
}

//! A look at the brokers of an orchestrator's place: whether everything that `serve` will need is there or may be
//! made, and who else is at work.
//!
//! Invariant: it asks for what `role.rs` and `publisher/link.rs` declare, take and send, and changes nothing.

use std::fmt;
use std::time::Duration;

use super::celery;
use crate::amqp::declared::{DeclaredExchange, DeclaredQueue};
use crate::amqp::line::refuse_an_orchestrator;
use crate::amqp::look::{Looked, NeededExchange, NeededQueue, Needs, QueueLook};
use crate::config::OmotesSettings;
use crate::config::queues::{DELETIONS, OLD_DELETIONS, REQUESTS, SUBMISSIONS};
use crate::problem::{Kind, Problem};

const CLIENTS: &str = "clients";
const WORKERS: &str = "workers";
/// Where that is another place.
const TASKS: &str = "tasks";

/// A replica that starts or ends takes its queues up one after the other.
const AGAIN: Duration = Duration::from_secs(1);
const MEANING: &str = "each message goes to one of the two, and neither hears of what the other one takes";

/// `workflows`: their names, as far as they can be read.
pub async fn look(settings: &OmotesSettings, workflows: &[&str]) -> Looked {
    let mut looked = look_once(settings, workflows).await;
    looked.troubles.extend(somebody_else(settings, workflows, &looked).await);
    looked.advice.extend(nobody_works(&looked, workflows));
    looked.tell_dead_letters(&settings.dead_letters);
    looked
}

async fn look_once(settings: &OmotesSettings, workflows: &[&str]) -> Looked {
    let mut looked = Looked::default();
    looked.add(CLIENTS, &settings.clients, &of_clients(settings)).await;
    let (mut workers, tasks) = (of_workers(settings), of_tasks(workflows));
    if settings.workers.is_the_same_as(&settings.tasks) {
        workers.exchanges.extend(tasks.exchanges);
        workers.queues.extend(tasks.queues);
        looked.add(WORKERS, &settings.workers, &workers).await;
    } else {
        looked.add(WORKERS, &settings.workers, &workers).await;
        looked.add(TASKS, &settings.tasks, &tasks).await;
    }
    looked
}

fn of_clients(settings: &OmotesSettings) -> Needs<'_> {
    let exchange = DeclaredExchange::of_clients();
    let bound = |name| NeededQueue::read(name, Some(exchange.name));
    let queues = vec![
        bound(SUBMISSIONS),
        bound(DELETIONS),
        bound(REQUESTS),
        NeededQueue { is_optional: true, ..NeededQueue::read(OLD_DELETIONS, None) },
        NeededQueue::declared(DeclaredQueue::plain(&settings.dead_letters)),
    ];
    let exchanges = vec![NeededExchange { declared: exchange, is_sent_to: true }];
    Needs { exchanges, queues, sends_to_queues: true }
}

fn of_workers(settings: &OmotesSettings) -> Needs<'_> {
    let queues = vec![
        NeededQueue::read(&settings.results, None),
        NeededQueue::read(&settings.progress, None),
        NeededQueue::declared(DeclaredQueue::plain(&settings.dead_letters)),
    ];
    Needs { queues, sends_to_queues: true, exchanges: Vec::new() }
}

fn of_tasks<'a>(workflows: &[&'a str]) -> Needs<'a> {
    let orders = NeededExchange { declared: celery::exchange_of_orders(), is_sent_to: true };
    let own = |name: &&'a str| NeededExchange { declared: celery::exchange_of(name), is_sent_to: false };
    let queue = |name: &&'a str| NeededQueue {
        bound_to: Some(name),
        ..NeededQueue::declared(celery::queue_of(name))
    };
    Needs {
        exchanges: std::iter::once(orders).chain(workflows.iter().map(own)).collect(),
        queues: workflows.iter().map(queue).collect(),
        sends_to_queues: true,
    }
}

async fn somebody_else(settings: &OmotesSettings, workflows: &[&str], looked: &Looked) -> Option<Problem> {
    looked.broker(CLIENTS)?;
    match refuse_an_orchestrator(&settings.clients).await {
        Ok(()) => {}
        Err(problem) if problem.kind == Kind::Refused => {
            return Some(problem.cause(format!("where it is started beside timesweep, {MEANING}")));
        }
        Err(problem) => return Some(problem),
    }
    let first = strangers(settings, looked);
    if first.is_empty() {
        return None;
    }
    tokio::time::sleep(AGAIN).await;
    let mut both = strangers(settings, &look_once(settings, workflows).await);
    both.retain(|again| first.iter().any(|stranger| stranger.is_at_the_same_queue(again)));
    let problem = Problem::refused("another program takes messages that are meant for the orchestrator");
    let problem = both.iter().fold(problem, |problem, stranger| problem.cause(stranger.to_string()));
    let hint = "stop it (an orchestrator, a test that was left behind); `rabbitmqctl list_consumers -p VIRTUAL_HOST` names it";
    (!both.is_empty()).then(|| problem.cause(MEANING).hint(hint))
}

/// Consumers of a queue, more than there are replicas.
struct Stranger {
    place: String,
    queue: QueueLook,
    ours: u32,
}

impl Stranger {
    fn is_at_the_same_queue(&self, other: &Self) -> bool {
        (&self.place, &self.queue.queue) == (&other.place, &other.queue.queue)
    }
}

impl fmt::Display for Stranger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, consumers) = (&self.queue.queue, self.queue.consumers);
        write!(f, "`{name}` on {} has {consumers} consumers, {} of them timesweep", self.place, self.ours)
    }
}

/// Each replica has one consumer of each queue, and nobody else knows the queue of our own.
fn strangers(settings: &OmotesSettings, looked: &Looked) -> Vec<Stranger> {
    let ours = |looked: &Looked| Some(looked.broker(CLIENTS)?.queue(REQUESTS)?.consumers);
    let ours = ours(looked).unwrap_or(0);
    let at_workers = [settings.results.as_str(), settings.progress.as_str()];
    let mut found = Vec::new();
    for (of, names) in [(CLIENTS, [SUBMISSIONS, DELETIONS]), (WORKERS, at_workers)] {
        let Some(look) = looked.broker(of) else { continue };
        let queues = names.into_iter().filter_map(|name| look.queue(name));
        let shared = queues.filter(|queue| queue.consumers > ours).cloned();
        found.extend(shared.map(|queue| Stranger { place: look.place.clone(), queue, ours }));
    }
    found
}

fn nobody_works(looked: &Looked, workflows: &[&str]) -> Vec<String> {
    let Some(look) = looked.broker(TASKS).or_else(|| looked.broker(WORKERS)) else { return Vec::new() };
    let queues = workflows.iter().filter_map(|name| look.queue(name));
    let waits = queues.filter(|queue| queue.waiting > 0 && queue.consumers == 0);
    let told = |queue: &QueueLook| {
        format!(
            "no worker takes from `{}` on {}, where tasks wait ({})",
            queue.queue, look.place, queue.waiting
        )
    };
    waits.map(told).collect()
}

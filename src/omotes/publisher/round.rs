//! One round of letters: published in their order, confirmed together.
//!
//! Two connections have no common order, so before a job's letter takes the other one, everything that is on
//! its way is confirmed. Invariant: `sent` holds exactly the letters that need not be sent again.

use std::collections::HashMap;

use lapin::PublisherConfirm;

use super::link::{Confirmed, Link};
use super::{Links, Places, too_large};
use crate::amqp::broker;
use crate::crash_point;
use crate::omotes::celery;
use crate::omotes::letter::{Content, Letter};
use crate::problem::{Problem, Result};
use crate::retention::ownership::JobId;

/// The broker closes the channel over a message that is too large: such a one goes alone, so that it is known.
const LARGE: usize = 1 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Clients,
    Tasks,
}

pub(super) fn way_of(letter: &Letter) -> Way {
    match letter.content {
        Content::Task { .. } | Content::Revoke { .. } => Way::Tasks,
        Content::Status(_) | Content::Progress(_) | Content::Result(_) => Way::Clients,
    }
}

pub(super) struct Round<'a> {
    links: &'a mut Links,
    places: Places<'a>,
    /// Somebody else may have sent these before.
    is_doubtful: bool,
    on_the_way: Vec<OnTheWay>,
    ways: HashMap<JobId, Way>,
    /// Confirmed, or never to be sent.
    pub sent: Vec<i64>,
    /// Those among them that no broker takes.
    pub refused: usize,
}

struct OnTheWay {
    id: i64,
    way: Way,
    is_task: bool,
    confirm: PublisherConfirm,
}

impl<'a> Round<'a> {
    pub(super) fn new(links: &'a mut Links, places: Places<'a>, is_doubtful: bool) -> Self {
        Self {
            links,
            places,
            is_doubtful,
            on_the_way: Vec::new(),
            ways: HashMap::new(),
            sent: Vec::new(),
            refused: 0,
        }
    }

    pub(super) async fn send(&mut self, letters: &[(i64, Letter)]) -> Result<()> {
        for (id, letter) in letters {
            if let Err(problem) = self.send_one(*id, letter).await {
                // What was confirmed meanwhile need not go twice.
                let _ = self.confirm().await;
                return Err(problem);
            }
        }
        self.confirm().await
    }

    async fn send_one(&mut self, id: i64, letter: &Letter) -> Result<()> {
        if self.is_doubtful && self.has_arrived(letter).await? {
            self.sent.push(id);
            return Ok(());
        }
        if size(letter) > LARGE {
            self.send_alone(id, letter).await
        } else {
            self.send_with_others(id, letter).await
        }
    }

    /// A client takes one result and removes its queue, which ends all of its listening where a second one lies
    /// there.
    async fn has_arrived(&self, letter: &Letter) -> Result<bool> {
        match letter.content {
            Content::Result(_) => self.links.clients.has_something_in(&key(letter, "result")).await,
            _ => Ok(false),
        }
    }

    async fn send_with_others(&mut self, id: i64, letter: &Letter) -> Result<()> {
        let way = way_of(letter);
        if self.ways.get(&letter.job).is_some_and(|before| *before != way) {
            self.confirm().await?;
        }
        self.publish(id, letter).await?;
        self.ways.insert(letter.job, way);
        Ok(())
    }

    async fn send_alone(&mut self, id: i64, letter: &Letter) -> Result<()> {
        self.confirm().await?;
        self.publish(id, letter).await?;
        let Some(alone) = self.on_the_way.pop() else { return Ok(()) };
        let link = self.link(alone.way);
        match link.confirmed_or_error(alone.confirm).await? {
            Ok(confirmed) => self.settle(alone.id, alone.is_task, confirmed),
            Err(error) if broker::is_precondition(&error) => {
                self.link_mut(alone.way).reopen().await?;
                too_large::answer(self.places, letter).await?;
                self.refused += 1;
                self.sent.push(alone.id);
                Ok(())
            }
            Err(error) => Err(link.failed("publish a message", &error)),
        }
    }

    async fn publish(&mut self, id: i64, letter: &Letter) -> Result<()> {
        let way = way_of(letter);
        if let Content::Task { workflow, .. } = &letter.content {
            self.links.tasks.declare_workflow(workflow).await?;
        }
        let link = self.link(way);
        let published = hand_over(link, letter).await;
        let confirm = published.map_err(|error| link.failed("publish a message", &error))?;
        let is_task = matches!(letter.content, Content::Task { .. });
        self.on_the_way.push(OnTheWay { id, way, is_task, confirm });
        Ok(())
    }

    /// Waits for everything that is on its way; the first problem is told when all have been looked at.
    async fn confirm(&mut self) -> Result<()> {
        self.ways.clear();
        let mut ended = Ok(());
        for letter in std::mem::take(&mut self.on_the_way) {
            let confirmed = self.link(letter.way).confirmed(letter.confirm).await;
            let settled = confirmed.and_then(|confirmed| self.settle(letter.id, letter.is_task, confirmed));
            ended = ended.and(settled);
            if ended.is_err() && self.link(letter.way).verify().is_ok() {
                // It may be that nothing is confirmed any more: nobody waits that long for each.
                break;
            }
        }
        crash_point::reach("letters-confirmed");
        ended
    }

    /// A client may be gone, and nobody misses its letters; a task without a queue is lost.
    fn settle(&mut self, id: i64, is_task: bool, confirmed: Confirmed) -> Result<()> {
        if is_task && confirmed == Confirmed::Unrouted {
            return Err(Problem::unreachable(format!(
                "the queue of a workflow is gone from {}; it is declared again",
                self.links.tasks.place
            )));
        }
        self.sent.push(id);
        Ok(())
    }

    fn link(&self, way: Way) -> &Link {
        match way {
            Way::Clients => &self.links.clients,
            Way::Tasks => &self.links.tasks,
        }
    }

    fn link_mut(&mut self, way: Way) -> &mut Link {
        match way {
            Way::Clients => &mut self.links.clients,
            Way::Tasks => &mut self.links.tasks,
        }
    }
}

fn size(letter: &Letter) -> usize {
    match &letter.content {
        Content::Task { body, .. }
        | Content::Status(body)
        | Content::Progress(body)
        | Content::Result(body) => body.len(),
        Content::Revoke { .. } => 0,
    }
}

/// The key of a client's queue, and its name.
fn key(letter: &Letter, what: &str) -> String {
    format!("jobs.{}.{what}", letter.job.0)
}

async fn hand_over(link: &Link, letter: &Letter) -> lapin::Result<PublisherConfirm> {
    match &letter.content {
        Content::Task { celery_id, workflow, priority, body } => {
            let properties = celery::task(letter.job, *celery_id, workflow, *priority, "timesweep");
            link.to_queue(workflow, body, properties).await
        }
        Content::Revoke { celery_id } => {
            let (properties, body) = celery::revoke(*celery_id, now());
            link.to_all_workers(&body, properties).await
        }
        Content::Status(body) => link.to_key(&key(letter, "status"), body).await,
        Content::Progress(body) => link.to_key(&key(letter, "progress"), body).await,
        Content::Result(body) => link.to_key(&key(letter, "result"), body).await,
    }
}

fn now() -> f64 {
    jiff::Timestamp::now().as_duration().as_secs_f64()
}

//! One round of letters: published in their order, confirmed together.
//!
//! Two connections have no common order, so before a job's letter takes the other one, everything that is on
//! its way is confirmed. Invariant: `sent` holds exactly the letters that need not be sent again.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use lapin::PublisherConfirm;

use super::confirmed::{CameBack, Confirmed};
use super::course::Course;
use super::link::{CONFIRMING, Link};
use super::queues::workflow_of;
use super::{Links, Places, late, too_large, unbound};
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
    course: &'a mut Course,
    /// Workflows whose tasks nobody can be given.
    unusable: BTreeSet<String>,
    on_the_way: Vec<OnTheWay>,
    /// Results that no binding led to a queue.
    unbound: Vec<Mark>,
    /// How a job's last letter left; `None`: it may have to be sent again before others of its job.
    ways: HashMap<JobId, Option<Way>>,
    /// Confirmed, or never to be sent.
    pub sent: Vec<i64>,
    /// Those among them that no broker takes.
    pub refused: usize,
    /// Why a failure could not be told; the next ones do not wait for the same connection.
    untold: Option<String>,
}

struct OnTheWay {
    mark: Mark,
    way: Way,
    confirm: PublisherConfirm,
}

#[derive(Debug, Clone)]
struct Mark {
    id: i64,
    job: JobId,
    /// How it would come back, where it has to arrive.
    to: Option<CameBack>,
}

impl Mark {
    fn of(id: i64, letter: &Letter) -> Self {
        let to = match &letter.content {
            Content::Task { celery_id, .. } => Some(CameBack::Task(*celery_id)),
            Content::Result(_) => Some(CameBack::To(key(letter, "result"))),
            _ => None,
        };
        Self { id, job: letter.job, to }
    }

    fn has_to_arrive(&self) -> bool {
        self.to.is_some()
    }
}

impl<'a> Round<'a> {
    pub(super) fn new(
        links: &'a mut Links,
        places: Places<'a>,
        is_doubtful: bool,
        course: &'a mut Course,
        unusable: BTreeSet<String>,
    ) -> Self {
        Self {
            links,
            places,
            is_doubtful,
            course,
            unusable,
            on_the_way: Vec::new(),
            unbound: Vec::new(),
            ways: HashMap::new(),
            sent: Vec::new(),
            refused: 0,
            untold: None,
        }
    }

    pub(super) async fn send(&mut self, letters: &[(i64, Letter)]) -> Result<()> {
        let ended = self.send_all(letters).await;
        // It may have been over a message that the broker does not take; the next round finds it.
        self.course.one_by_one = ended.is_err();
        ended
    }

    async fn send_all(&mut self, letters: &[(i64, Letter)]) -> Result<()> {
        let (first, later) = late::part(letters);
        self.send_these(&first).await?;
        if !later.is_empty() {
            tokio::time::sleep(late::MOMENT).await;
            self.send_these(&later).await?;
        }
        Ok(())
    }

    async fn send_these(&mut self, letters: &[&(i64, Letter)]) -> Result<()> {
        for (id, letter) in letters {
            if let Err(problem) = self.send_one(*id, letter).await {
                // What was confirmed meanwhile need not go twice.
                let _ = self.confirm().await;
                return Err(problem);
            }
        }
        self.confirm().await?;
        self.send_past_exchange(letters).await
    }

    async fn send_past_exchange(&mut self, letters: &[&(i64, Letter)]) -> Result<()> {
        let mut marks: HashMap<i64, Mark> = self.unbound.drain(..).map(|mark| (mark.id, mark)).collect();
        if marks.is_empty() {
            return Ok(());
        }
        let (mut unbound, mut bodies) = (Vec::new(), Vec::new());
        for (id, letter) in letters {
            if let (Some(mark), Content::Result(body)) = (marks.remove(id), &letter.content) {
                unbound.push(mark);
                bodies.push((key(letter, "result"), body.as_slice()));
            }
        }
        let answers = unbound::give(&self.links.clients, &bodies).await?;
        for (mark, answer) in unbound.into_iter().zip(answers) {
            match answer {
                Ok(confirmed) => self.settle(&mark, &confirmed),
                Err(problem) => self.course.hold(mark.job, &problem.to_string()),
            }
        }
        Ok(())
    }

    async fn send_one(&mut self, id: i64, letter: &Letter) -> Result<()> {
        let goes_alone = self.course.one_by_one || size(letter) > LARGE;
        let way = Some(way_of(letter));
        if goes_alone || self.ways.get(&letter.job).is_some_and(|before| *before != way) {
            self.confirm().await?;
        }
        if self.course.held.holds(letter.job) {
            return Ok(());
        }
        if self.is_doubtful && self.has_arrived(letter).await? {
            self.sent.push(id);
            return Ok(());
        }
        let mark = Mark::of(id, letter);
        if workflow_of(letter).is_some_and(|workflow| self.unusable.contains(workflow)) {
            return self.fail_task(mark, letter).await;
        }
        if goes_alone {
            return self.send_alone(mark, letter).await;
        }
        let has_to_arrive = mark.has_to_arrive();
        self.publish(mark, letter).await?;
        self.ways.insert(letter.job, way.filter(|_| !has_to_arrive));
        Ok(())
    }

    async fn fail_task(&mut self, mark: Mark, letter: &Letter) -> Result<()> {
        self.confirm().await?;
        if self.course.held.holds(letter.job) {
            return Ok(());
        }
        if let Some(why) = &self.untold {
            self.course.hold(mark.job, why);
            return Ok(());
        }
        let why = "The queue of the workflow cannot be used: on the message broker it is declared in another \
                   way, or access to it is refused.";
        let answer = too_large::fail_task(self.places, letter, why.to_owned()).await;
        self.settle_answer(&mark, answer);
        Ok(())
    }

    /// A client takes one result and removes its queue, which ends all of its listening where a second one lies
    /// there.
    async fn has_arrived(&self, letter: &Letter) -> Result<bool> {
        match letter.content {
            Content::Result(_) => {
                let messages = self.links.clients.messages_in(&key(letter, "result")).await?;
                Ok(messages.is_some_and(|messages| messages > 0))
            }
            _ => Ok(false),
        }
    }

    /// Nothing else is on the way, so what the broker says is about this letter.
    async fn send_alone(&mut self, mark: Mark, letter: &Letter) -> Result<()> {
        let (way, link) = (way_of(letter), self.link(way_of(letter)));
        let answer = match hand_over(link, letter).await {
            Ok(confirm) => link.confirmed_or_error(confirm, CONFIRMING).await?,
            Err(error) => Err(error),
        };
        match answer {
            Ok(confirmed) => return self.settle_all(vec![(mark, Ok(confirmed))]),
            Err(error) if broker::is_precondition(&error) => {
                self.link_mut(way).reopen().await?;
                let answer = too_large::answer(&self.links.clients, self.places, letter).await;
                self.settle_answer(&mark, answer);
            }
            Err(error) if broker::is_refused(&error) => {
                let why = format!("the broker {} does not let us publish: {error}", link.place);
                self.link_mut(way).reopen().await?;
                self.course.hold(mark.job, &why);
            }
            Err(error) => return Err(link.failed("publish a message", &error)),
        }
        Ok(())
    }

    async fn publish(&mut self, mark: Mark, letter: &Letter) -> Result<()> {
        let way = way_of(letter);
        let link = self.link(way);
        let published = hand_over(link, letter).await;
        let confirm = published.map_err(|error| link.failed("publish a message", &error))?;
        self.on_the_way.push(OnTheWay { mark, way, confirm });
        Ok(())
    }

    /// Waits for everything that is on its way; the first problem is told when all have been looked at.
    async fn confirm(&mut self) -> Result<()> {
        self.ways.clear();
        let (mut answers, mut silent) = (Vec::new(), Vec::new());
        for letter in std::mem::take(&mut self.on_the_way) {
            // Where nothing is confirmed any more, nobody waits for each: what has come by now counts.
            let patience = if silent.contains(&letter.way) { Duration::ZERO } else { CONFIRMING };
            let link = self.link(letter.way);
            let confirmed = match link.confirmed_or_error(letter.confirm, patience).await {
                Ok(answer) => answer.map_err(|error| link.failed("publish a message", &error)),
                Err(problem) => Err(problem),
            };
            if confirmed.is_err() {
                silent.push(letter.way);
            }
            answers.push((letter.mark, confirmed));
        }
        crash_point::reach("letters-confirmed");
        self.settle_all(answers)
    }

    /// A client may be gone, and nobody misses its letters; a task without a queue is lost.
    fn settle_all(&mut self, answers: Vec<(Mark, Result<Confirmed>)>) -> Result<()> {
        let confirmed = answers.iter().filter_map(|(_, answer)| answer.as_ref().ok());
        let came_back: HashSet<CameBack> =
            confirmed.filter_map(|confirmed| confirmed.came_back.clone()).collect();
        let mut ended = Ok(());
        for (mark, answer) in answers {
            let is_lost = mark.to.as_ref().is_some_and(|to| came_back.contains(to));
            let settled = match answer {
                Ok(_) if is_lost => self.settle_lost(mark),
                answer => answer.map(|confirmed| self.settle(&mark, &confirmed)),
            };
            ended = ended.and(settled);
        }
        ended
    }

    fn settle_lost(&mut self, mark: Mark) -> Result<()> {
        if let Some(CameBack::Task(_)) = mark.to {
            let place = &self.links.tasks.place;
            let said = format!("the queue of a workflow is gone from {place}; it is declared again");
            return Err(Problem::unreachable(said));
        }
        self.unbound.push(mark);
        Ok(())
    }

    fn settle(&mut self, mark: &Mark, confirmed: &Confirmed) {
        if confirmed.is_refused && mark.has_to_arrive() {
            return self.course.hold(mark.job, "a broker refused a message: its queue may be full");
        }
        if confirmed.is_refused && !std::mem::replace(&mut self.course.has_told_refusal, true) {
            tracing::warn!(job = %mark.job.0, "a broker refused news of a job, which is lost; from now on \
                nothing more is said about such ones");
        }
        self.sent.push(mark.id);
    }

    /// Something else went in its place, or could not: it goes over a connection that others do not need.
    fn settle_answer(&mut self, mark: &Mark, answer: Result<Confirmed>) {
        let before = self.sent.len();
        match answer {
            Ok(confirmed) => self.settle(mark, &confirmed),
            Err(problem) => self.course.hold(mark.job, self.untold.insert(problem.to_string())),
        }
        self.refused += self.sent.len() - before;
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
pub(super) fn key(letter: &Letter, what: &str) -> String {
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

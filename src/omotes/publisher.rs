//! Whoever sends the letters of the outbox: one process at a time, over one connection to the clients' broker
//! and one to Celery's.
//!
//! Invariants: letters of one job leave in their order, a letter is forgotten only after the broker confirmed it,
//! and whatever breaks gives up the lead, so that the next sender (we, or another replica) settles what is open.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::letter::{Content, Letter};
use super::outbox::Outbox;
use super::workflows::Workflows;
use crate::amqp::LineCounters;
use crate::amqp::line::pauses;
use crate::config::BrokerSettings;
use crate::problem::{Kind, Problem, Result};

mod confirmed;
mod course;
mod late;
pub mod link;
mod queues;
mod round;
mod too_large;
mod unbound;

use self::course::Course;
use self::link::Link;
use self::round::Round;

/// How many letters are on their way at once.
const AT_ONCE: u16 = 500;
/// How the troubles of this part are known.
const LETTERS: &str = "letters";
/// How often a replica that does not send asks whether it shall. Each asking is a session of the database.
const STANDING_BY: Duration = Duration::from_secs(1);

pub struct Publisher<'a> {
    pub outbox: Outbox,
    pub places: Places<'a>,
    pub workflows: &'a Workflows,
    /// `recorded` are letters that left, `dead_letters` those that no broker takes.
    pub counters: &'a LineCounters,
}

#[derive(Debug, Clone, Copy)]
pub struct Places<'a> {
    /// Where clients are.
    pub clients: &'a BrokerSettings,
    /// Where tasks are given to workers.
    pub tasks: &'a BrokerSettings,
    /// Where workers report, and the queue for results there.
    pub events: (&'a BrokerSettings, &'a str),
}

impl Publisher<'_> {
    /// Until it is told to end, or a setting shows that it can never work.
    pub async fn run(mut self, cancel: &CancellationToken) -> Result<()> {
        let (mut pauses_left, mut has_begun) = (pauses(), false);
        let mut course = Course::default();
        loop {
            course.has_sent = false;
            let ended = self.session(cancel, &mut course).await;
            self.outbox.give_up_lead().await;
            has_begun |= self.counters.listens();
            self.counters.ended();
            let Err(problem) = ended else { return Ok(()) };
            // A broker that is started again may turn everybody away for a while.
            if problem.kind == Kind::Usage && !has_begun {
                return Err(problem);
            }
            if course.has_sent {
                pauses_left = pauses();
            }
            let pause = pauses_left.next().unwrap_or_default();
            self.tell(&problem, pause);
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    fn tell(&self, problem: &Problem, pause: Duration) {
        let why = problem.to_string();
        if self.counters.troubles.is_news(LETTERS, &why) {
            tracing::warn!("letters cannot be sent, which is tried again: {problem}");
        } else {
            tracing::debug!("letters still cannot be sent, again in {pause:.1?}: {problem}");
        }
        self.counters.interrupted(&why);
    }

    /// As long as both connections and the lead last.
    async fn session(&mut self, cancel: &CancellationToken, course: &mut Course) -> Result<()> {
        let connecting = async {
            let clients = Link::to_clients(self.places.clients).await?;
            Ok::<_, Problem>((clients, Link::to_tasks(self.places.tasks, self.workflows).await?))
        };
        let (clients, tasks) = tokio::select! {
            () = cancel.cancelled() => return Ok(()),
            connected = connecting => connected?,
        };
        let mut links = Links { clients, tasks };
        self.counters.begun();
        let ended = self.keep_sending(&mut links, cancel, course).await;
        links.clients.say_goodbye().await;
        links.tasks.say_goodbye().await;
        ended
    }

    async fn keep_sending(
        &mut self,
        links: &mut Links,
        cancel: &CancellationToken,
        course: &mut Course,
    ) -> Result<()> {
        // What whoever led before us may have sent already is among the very first letters.
        let mut is_first = true;
        while !cancel.is_cancelled() {
            links.clients.verify()?;
            links.tasks.verify()?;
            if course.held.release(Instant::now()) {
                // A task that was refused goes under another id: who knows what became of it.
                self.outbox.give_up_lead().await;
                is_first = true;
            }
            let leads = self.outbox.take_lead().await?;
            if self.counters.troubles.works(LETTERS) {
                tracing::info!("letters can be sent again");
            }
            if !leads {
                course.tell_nothing();
                self.counters.held_up(None);
                rest(cancel, tokio::time::sleep(STANDING_BY)).await;
                continue;
            }
            let (jobs, workflows) = (course.held.jobs(), course.held.workflows());
            let letters = self.outbox.next_of_others(AT_ONCE, &jobs, &workflows).await?;
            if letters.is_empty() {
                is_first = false;
                course.has_sent_all();
                self.counters.held_up(course.trouble());
                rest(cancel, self.outbox.wait()).await;
                continue;
            }
            self.send(letters, links, is_first, course).await?;
            // Whoever led before us may have held the same jobs, and have come further than to these letters.
            is_first &= course.held.jobs().len() > jobs.len();
            self.counters.held_up(course.trouble());
            course.has_sent = true;
        }
        Ok(())
    }

    /// What was confirmed is forgotten, also where something else then failed.
    async fn send(
        &mut self,
        letters: Vec<(i64, Letter)>,
        links: &mut Links,
        is_doubtful: bool,
        course: &mut Course,
    ) -> Result<()> {
        let unusable = queues::look(&letters, &mut links.tasks, course).await?;
        let letters = self.still_standing(course.held.without(letters)).await?;
        let mut round = Round::new(links, self.places, is_doubtful, course, unusable);
        let ended = round.send(&letters).await;
        let (sent, refused) = (round.sent, round.refused);
        if !sent.is_empty() {
            self.outbox.sent(&sent).await?;
            self.counters.batch_done(sent.len() - refused, refused);
        }
        ended
    }

    /// A deletion may have taken a task away since we read it.
    async fn still_standing(&mut self, letters: Vec<(i64, Letter)>) -> Result<Vec<(i64, Letter)>> {
        let is_task = |letter: &Letter| matches!(letter.content, Content::Task { .. });
        let tasks: Vec<i64> =
            letters.iter().filter(|(_, letter)| is_task(letter)).map(|(id, _)| *id).collect();
        if tasks.is_empty() {
            return Ok(letters);
        }
        let standing = self.outbox.attempted(&tasks).await?;
        Ok(letters.into_iter().filter(|(id, letter)| !is_task(letter) || standing.contains(id)).collect())
    }
}

/// Both ways out.
pub(super) struct Links {
    pub clients: Link,
    pub tasks: Link,
}

async fn rest(cancel: &CancellationToken, until: impl Future<Output = ()>) {
    tokio::select! {
        () = cancel.cancelled() => {}
        () = until => {}
    }
}

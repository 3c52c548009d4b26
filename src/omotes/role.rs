//! Everything that an orchestrator does, put together: five queues that are listened to, letters that leave, and
//! what time itself brings about.
//!
//! Invariant: it ends when it is told to, or because a setting can never work; whatever else breaks is taken up
//! again where it broke, and nothing else stops meanwhile.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::announcer::Announcer;
use super::outbox::{Outbox, refuse_certain_pooler};
use super::publisher::{Places, Publisher};
use super::takers::{Deletions, Submissions, TaskProgress, TaskResults};
use super::workflows::Workflows;
use super::{Orchestrator, Rules, tables, with_jobs};
use crate::amqp::broker;
use crate::amqp::line::{Line, Queue, Taken};
use crate::amqp::taker::Taker;
use crate::amqp::{LineCounters, Troubles};
use crate::config::queues::{DELETIONS, OLD_DELETIONS, REQUEST_KEY, REQUESTS, SUBMISSIONS};
use crate::config::{BrokerSettings, OmotesSettings, RegistrySettings};
use crate::problem::Result;
use crate::registry::beside::Neighbour;
use crate::registry::{self, Registry};
use crate::wake::Wake;

/// What each part has done.
#[derive(Debug)]
pub struct RoleCounters {
    pub submissions: LineCounters,
    pub deletions: LineCounters,
    pub progress: LineCounters,
    pub results: LineCounters,
    pub requests: LineCounters,
    pub letters: LineCounters,
}

impl Default for RoleCounters {
    /// What stops several of them is told once.
    fn default() -> Self {
        let troubles = Troubles::default();
        let of_line = || LineCounters::sharing(&troubles);
        Self {
            submissions: of_line(),
            deletions: of_line(),
            progress: of_line(),
            results: of_line(),
            requests: of_line(),
            letters: of_line(),
        }
    }
}

impl RoleCounters {
    pub fn parts(&self) -> [(&'static str, &LineCounters); 6] {
        [
            ("submissions", &self.submissions),
            ("deletions", &self.deletions),
            ("progress", &self.progress),
            ("results", &self.results),
            ("requests", &self.requests),
            ("letters", &self.letters),
        ]
    }
}

pub struct Role {
    settings: OmotesSettings,
    /// Of the database that holds the jobs.
    registry: RegistrySettings,
    workflows: Workflows,
    orchestrator: Arc<Orchestrator>,
    pub counters: RoleCounters,
}

impl Role {
    /// Reads the workflows, makes the tables of jobs where they are missing, and opens the registry beside them:
    /// in this order, because tables that are no installation of OMOTES are refused before anything is made.
    pub async fn open(
        settings: OmotesSettings,
        registry_settings: RegistrySettings,
        wake: Wake,
    ) -> Result<Self> {
        let workflows = Workflows::of(&settings)?;
        tables::prepare(&Neighbour::of(&registry_settings)?).await?;
        let registry = registry::open(&registry_settings).await?;
        let rules = Rules {
            workflows: workflows.names().map(str::to_owned).collect(),
            delivery_limit: settings.delivery_limit.into(),
            retention: settings.job_retention,
            start_buffer: settings.start_buffer,
            rerun: settings.rerun,
        };
        let orchestrator = Arc::new(Orchestrator::open(&registry_settings, registry, rules, wake)?);
        let counters = RoleCounters::default();
        Ok(Self { settings, registry: registry_settings, workflows, orchestrator, counters })
    }

    /// What stands beside what, for the log: without passwords.
    pub fn places(&self) -> Vec<(&'static str, String)> {
        let settings = &self.settings;
        let brokers = [
            ("the broker of the clients", &settings.clients),
            ("the broker of the workers", &settings.workers),
            ("the broker of the tasks", &settings.tasks),
        ];
        // Usually the same as that of the workers.
        let is_told = |(what, broker): &(&str, &BrokerSettings)| {
            *what != brokers[2].0 || !broker.is_the_same_as(&settings.workers)
        };
        let shown = brokers.into_iter().filter(is_told).map(|(what, broker)| (what, broker::shown(broker)));
        let database =
            Neighbour::of(&self.registry).map(|place| ("the database of jobs and registry", place.address()));
        database.into_iter().chain(shown).collect()
    }

    pub fn workflow_count(&self) -> usize {
        self.workflows.names().count()
    }

    /// For whoever deletes jobs through a registry: it cancels them as well.
    pub fn registry(&self) -> Arc<dyn Registry> {
        with_jobs(Arc::clone(&self.orchestrator))
    }

    pub async fn take(&self, cancel: &CancellationToken) -> Result<()> {
        refuse_certain_pooler(&self.registry).await?;
        // What came before may have ended without a word.
        for (_, part) in self.counters.parts() {
            part.ended();
        }
        // One part that can never work ends the others, after what they have in hand.
        let all = cancel.child_token();
        let letters = async {
            let ended = match self.publisher() {
                Ok(publisher) => publisher.run(&all).await,
                Err(problem) => Err(problem),
            };
            all.cancel();
            ended
        };
        // What waits in one of the two queues of the workers may be the result of any job.
        let workers = [&self.counters.progress, &self.counters.results];
        let heard = || Some(workers[0].has_heard_all_for()?.min(workers[1].has_heard_all_for()?));
        let tidy = self.orchestrator.tidy_for_ever(&heard, &all);
        let (listened, sent, ()) = tokio::join!(self.listen(&all), letters, tidy);
        listened.and(sent)
    }

    fn publisher(&self) -> Result<Publisher<'_>> {
        let settings = &self.settings;
        Ok(Publisher {
            outbox: Outbox::open(&self.registry)?,
            places: Places {
                clients: &settings.clients,
                tasks: &settings.tasks,
                events: (&settings.workers, &settings.results),
            },
            workflows: &self.workflows,
            counters: &self.counters.letters,
        })
    }

    async fn listen(&self, cancel: &CancellationToken) -> Result<()> {
        let (settings, counters) = (&self.settings, &self.counters);
        let of_jobs = || Arc::clone(&self.orchestrator);
        let (submissions, deletions) = (Submissions(of_jobs()), Deletions(of_jobs()));
        let (progress, results) = (TaskProgress(of_jobs()), TaskResults(of_jobs()));
        let announcer = Announcer::new(&settings.clients, &self.workflows);
        let by_clients = |taker, name, key, counters| {
            let queue = Queue { bound_to: Some(key), ..self.queue(name) };
            Line { taker, broker: &settings.clients, queue, counters }
        };
        let by_workers = |taker, name, counters| Line {
            taker,
            broker: &settings.workers,
            queue: self.queue(name),
            counters,
        };
        let mut deletions = by_clients(&deletions as &dyn Taker, DELETIONS, DELETIONS, &counters.deletions);
        deletions.queue.old_name = Some(OLD_DELETIONS);
        let submissions = by_clients(&submissions, SUBMISSIONS, SUBMISSIONS, &counters.submissions);
        let requests = by_clients(&announcer, REQUESTS, REQUEST_KEY, &counters.requests);
        let progress = by_workers(&progress as &dyn Taker, &settings.progress, &counters.progress);
        let results = by_workers(&results, &settings.results, &counters.results);
        let (submissions, deletions, requests, progress, results) = tokio::join!(
            submissions.listen(cancel),
            deletions.listen(cancel),
            requests.listen(cancel),
            progress.listen(cancel),
            results.listen(cancel)
        );
        submissions.and(deletions).and(requests).and(progress).and(results)
    }

    fn queue<'a>(&'a self, name: &'a str) -> Queue<'a> {
        Queue {
            name,
            dead_letters: &self.settings.dead_letters,
            bound_to: None,
            old_name: None,
            taken: Taken::Together { clients: &self.settings.clients },
        }
    }
}

//! Replicas of an orchestrator on one database, a sender of letters, and messages as clients and workers write them.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use sqlx::Row;
use timesweep::amqp::taker::Taker;
use timesweep::amqp::wire::job_result::ResultType;
use timesweep::amqp::wire::task_progress_update::{ProgressStatus, ProgressType};
use timesweep::amqp::wire::{
    JobDelete, JobResult, JobStatusUpdate, JobSubmission, TaskProgressUpdate, TaskResult,
};
use timesweep::config::{RegistrySettings, SetIn};
use timesweep::omotes::letter::{Content, Letter};
use timesweep::omotes::outbox::Outbox;
use timesweep::omotes::takers::{Deletions, Submissions, TaskProgress, TaskResults};
use timesweep::omotes::{Orchestrator, Rules, tables};
use timesweep::registry::beside::Neighbour;
use timesweep::registry::{self, Registry};
use timesweep::wake::Wake;
use uuid::Uuid;

use super::super::support::TestDatabase;

pub const UNKNOWN: &str = "nobody_knows";
pub const KNOWN: &str = "grow_optimizer";

pub struct Place {
    pub database: TestDatabase,
    pub registry: Arc<dyn Registry>,
    pub replicas: Vec<Arc<Orchestrator>>,
    pub outbox: Outbox,
}

pub fn settings(url: &str) -> RegistrySettings {
    RegistrySettings { url: url.into(), password: None, set_in: SetIn::default() }
}

pub fn rules() -> Rules {
    Rules {
        workflows: [KNOWN.to_owned()].into(),
        delivery_limit: 1,
        retention: Duration::from_hours(48),
        start_buffer: Duration::from_mins(1),
        rerun: Duration::from_secs(30),
    }
}

pub async fn open(url: &str, rules: Rules) -> (Arc<dyn Registry>, Arc<Orchestrator>) {
    let settings = settings(url);
    tables::prepare(&Neighbour::of(&settings).expect("a server")).await.expect("the tables");
    let registry = registry::open(&settings).await.expect("the registry");
    let orchestrator = Orchestrator::open(&settings, Arc::clone(&registry), rules, Wake::default());
    (registry, Arc::new(orchestrator.expect("an orchestrator")))
}

impl Place {
    pub async fn new() -> Self {
        Self::with(rules()).await
    }

    pub async fn with(rules: Rules) -> Self {
        Self::on(TestDatabase::without_extension().await, rules).await
    }

    pub async fn on(database: TestDatabase, rules: Rules) -> Self {
        let (registry, first) = open(&database.url, rules.clone()).await;
        let (_, second) = open(&database.url, rules).await;
        let mut outbox = Outbox::open(&settings(&database.url)).expect("an outbox");
        assert!(outbox.take_lead().await.expect("the lead"));
        Self { database, registry, replicas: vec![first, second], outbox }
    }

    pub fn first(&self) -> &Arc<Orchestrator> {
        &self.replicas[0]
    }

    pub async fn submit(&self, message: &JobSubmission) {
        take(&Submissions(Arc::clone(self.first())), &[message.encode_to_vec()]).await;
    }

    pub async fn delete(&self, job: Uuid) {
        take(&Deletions(Arc::clone(self.first())), &[deletion(job)]).await;
    }

    pub async fn progress(&self, body: Vec<u8>) {
        take(&TaskProgress(Arc::clone(self.first())), &[body]).await;
    }

    pub async fn result(&self, body: Vec<u8>) {
        take(&TaskResults(Arc::clone(self.first())), &[body]).await;
    }

    /// Sends what is there, as the real sender does.
    pub async fn sent(&mut self) -> Vec<Letter> {
        let letters = self.outbox.next(1_000).await.expect("letters");
        let ids: Vec<i64> = letters.iter().map(|(id, _)| *id).collect();
        let standing = self.outbox.attempted(&ids).await.expect("attempted");
        self.outbox.sent(&ids).await.expect("sent");
        letters.into_iter().filter(|(id, _)| standing.contains(id)).map(|(_, letter)| letter).collect()
    }

    /// Submitted, and its task sent: the id of the task.
    pub async fn at_work(&mut self, job: Uuid) -> Uuid {
        self.submit(&submission(job)).await;
        match self.sent().await.as_slice() {
            [Letter { content: Content::Task { celery_id, .. }, .. }] => *celery_id,
            other => panic!("not one task: {other:?}"),
        }
    }

    pub async fn is_empty(&self) -> bool {
        let rows = "SELECT (SELECT count(*) FROM job) + (SELECT count(*) FROM job_starts)";
        self.database.number(rows).await == 0
    }

    /// status and Celery id
    pub async fn row(&self, job: Uuid) -> Option<(String, Option<String>)> {
        let row = sqlx::query("SELECT status::text, celery_id FROM job WHERE job_id = $1::text::uuid")
            .bind(job.to_string())
            .fetch_optional(&mut self.database.connect().await)
            .await
            .expect("the row");
        row.map(|row| (row.get(0), row.get(1)))
    }

    /// Of the registration: dataset, whether it is marked.
    pub async fn registration(&self, job: Uuid) -> Option<(Option<String>, bool)> {
        let query = "SELECT esdl_id, deactivated_at IS NOT NULL FROM esdl_time_series_info \
             WHERE job_id = $1::text::uuid";
        let row = sqlx::query(query)
            .bind(job.to_string())
            .fetch_optional(&mut self.database.connect().await)
            .await
            .expect("the registration");
        row.map(|row| (row.get(0), row.get(1)))
    }
}

/// Every message is one that can be read.
pub async fn take(taker: &dyn Taker, bodies: &[Vec<u8>]) {
    let bodies: Vec<&[u8]> = bodies.iter().map(Vec::as_slice).collect();
    let reasons = taker.take(&bodies).await.expect("taken");
    assert_eq!(reasons, vec![None; bodies.len()]);
}

pub fn submission(job: Uuid) -> JobSubmission {
    JobSubmission {
        uuid: job.to_string(),
        workflow_type: KNOWN.into(),
        esdl: "<an input/>".into(),
        ..JobSubmission::default()
    }
}

pub fn deletion(job: Uuid) -> Vec<u8> {
    JobDelete { uuid: job.to_string() }.encode_to_vec()
}

fn update(job: Uuid, celery_id: impl Display, step: ProgressType) -> Vec<u8> {
    TaskProgressUpdate {
        job_id: job.to_string(),
        celery_task_id: celery_id.to_string(),
        message: "so far".into(),
        celery_task_type: KNOWN.into(),
        progress_type: Some(step),
    }
    .encode_to_vec()
}

pub fn start(job: Uuid, celery_id: impl Display) -> Vec<u8> {
    update(job, celery_id, ProgressType::Status(ProgressStatus::Start.into()))
}

pub fn fraction(job: Uuid, celery_id: impl Display, done: f64) -> Vec<u8> {
    update(job, celery_id, ProgressType::Progress(done))
}

pub fn dataset_of(job: Uuid) -> String {
    Uuid::from_u128(job.as_u128() ^ 0xdada).to_string()
}

pub fn esdl(dataset: &str) -> String {
    format!("<esdl:EnergySystem xmlns:esdl=\"http://www.tno.nl/esdl\" id=\"{dataset}\"/>")
}

pub fn outcome(job: Uuid, celery_id: impl Display, is_success: bool) -> Vec<u8> {
    TaskResult {
        job_id: job.to_string(),
        celery_task_id: celery_id.to_string(),
        result_type: i32::from(!is_success),
        output_esdl: is_success.then(|| esdl(&dataset_of(job))),
        logs: "what it said".into(),
        celery_task_type: KNOWN.into(),
        ..TaskResult::default()
    }
    .encode_to_vec()
}

/// A letter in short, without its job.
pub fn said(letter: &Letter) -> String {
    match &letter.content {
        Content::Task { .. } => "task".into(),
        Content::Revoke { .. } => "revoke".into(),
        Content::Status(body) => {
            let update = JobStatusUpdate::decode(body.as_slice()).expect("a status");
            assert_eq!(update.uuid, letter.job.0.to_string());
            format!("status {}", update.status().as_str_name())
        }
        Content::Progress(_) => "progress".into(),
        Content::Result(body) => {
            let result = JobResult::decode(body.as_slice()).expect("a result");
            assert_eq!(result.uuid, letter.job.0.to_string());
            assert_eq!(result.result_type() == ResultType::Succeeded, result.output_esdl.is_some());
            format!("result {} `{}`", result.result_type().as_str_name(), result.logs)
        }
    }
}

pub fn all_said(letters: &[Letter]) -> Vec<String> {
    letters.iter().map(said).collect()
}

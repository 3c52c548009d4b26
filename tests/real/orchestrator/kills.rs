//! Killed at every step, and started again: no job is lost, and no result, registration or deletion.
//!
//! The test starts itself again with `TIMESWEEP_KILL_AT`; the child takes every message, sends every letter and
//! dies somewhere in between. What it did not acknowledge comes again, to this process.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::Arc;

use timesweep::amqp::taker::{Delivered, Taker};
use timesweep::omotes::Orchestrator;
use timesweep::omotes::letter::Content;
use timesweep::omotes::outbox::Outbox;
use timesweep::omotes::takers::{Deletions, Submissions, TaskProgress, TaskResults};
use uuid::Uuid;

use super::super::support::{TestDatabase, eventually};
use super::place::{dataset_of, deletion, open, outcome, rules, said, settings, start, submission};

const URL_OF_CHILD: &str = "TIMESWEEP_TEST_ORCHESTRATOR_OF_CHILD";

const SUCCEEDS: Uuid = Uuid::from_u128(1 << 64);
const FAILS: Uuid = Uuid::from_u128(2 << 64);
const DELETED: Uuid = Uuid::from_u128(3 << 64);
const DELETED_FIRST: Uuid = Uuid::from_u128(4 << 64);
const JOBS: [Uuid; 4] = [SUCCEEDS, FAILS, DELETED, DELETED_FIRST];

/// What was published, by any process; a message of the test's own that survives it.
const PUBLISHED: &str = "CREATE TABLE published (job uuid, task uuid, said text)";

struct Process {
    url: String,
    orchestrator: Arc<Orchestrator>,
    outbox: Outbox,
    /// Everything was delivered before.
    again: bool,
}

impl Process {
    async fn start(url: &str, again: bool) -> Self {
        let (_, orchestrator) = open(url, rules()).await;
        let mut outbox = Outbox::open(&settings(url)).expect("an outbox");
        // The session of a process that was killed goes at once, but not before.
        eventually("the lead is free", async || outbox.take_lead().await.expect("an answer")).await;
        Self { url: url.to_owned(), orchestrator, outbox, again }
    }

    async fn take(&self, taker: &dyn Taker, body: Vec<u8>) {
        taker.take_delivered(&[&body], &[Delivered { again: self.again, id: None }]).await.expect("taken");
    }

    async fn send(&mut self) {
        let letters = self.outbox.next(100).await.expect("letters");
        let ids: Vec<i64> = letters.iter().map(|(id, _)| *id).collect();
        let standing = self.outbox.attempted(&ids).await.expect("attempted");
        let mut broker = connect(&self.url).await;
        for (_, letter) in letters.iter().filter(|(id, _)| standing.contains(id)) {
            let task = match &letter.content {
                Content::Task { celery_id, .. } => Some(celery_id.to_string()),
                _ => None,
            };
            sqlx::query("INSERT INTO published VALUES ($1::text::uuid, $2::text::uuid, $3)")
                .bind(letter.job.0.to_string())
                .bind(task)
                .bind(said(letter))
                .execute(&mut broker)
                .await
                .expect("published");
        }
        self.outbox.sent(&ids).await.expect("sent");
    }

    async fn tasks(&self, job: Uuid) -> Vec<Uuid> {
        let query = "SELECT task::text FROM published WHERE job = $1::text::uuid AND task IS NOT NULL";
        let tasks: Vec<String> = sqlx::query_scalar(query)
            .bind(job.to_string())
            .fetch_all(&mut connect(&self.url).await)
            .await
            .expect("tasks");
        tasks.iter().map(|task| task.parse().expect("an id")).collect()
    }

    /// The whole story; every run of a task that was ever published does its work.
    async fn play(&mut self) {
        let orchestrator = || Arc::clone(&self.orchestrator);
        let (submissions, deletions) = (Submissions(orchestrator()), Deletions(orchestrator()));
        let (progress, results) = (TaskProgress(orchestrator()), TaskResults(orchestrator()));
        self.take(&deletions, deletion(DELETED_FIRST)).await;
        for job in JOBS {
            self.take(&submissions, prost::Message::encode_to_vec(&submission(job))).await;
        }
        self.send().await;
        for job in [SUCCEEDS, FAILS, DELETED] {
            for task in self.tasks(job).await {
                self.take(&progress, start(job, task)).await;
            }
        }
        self.send().await;
        self.take(&deletions, deletion(DELETED)).await;
        for job in [SUCCEEDS, FAILS] {
            for task in self.tasks(job).await {
                self.take(&results, outcome(job, task, job == SUCCEEDS)).await;
            }
        }
        self.send().await;
    }
}

async fn connect(url: &str) -> sqlx::PgConnection {
    <sqlx::PgConnection as sqlx::Connection>::connect(url).await.expect("the test server answers")
}

/// Does nothing unless the test below starts it.
#[tokio::test]
async fn child_of_the_orchestrator_that_is_killed() {
    let Ok(url) = std::env::var(URL_OF_CHILD) else { return };
    Process::start(&url, false).await.play().await;
}

/// Says whether the child was killed; it ends well when it reaches the point less often.
fn killed(url: &str, kill_at: &str) -> bool {
    let child = Command::new(std::env::current_exe().expect("this program"))
        .args(["child_of_the_orchestrator_that_is_killed", "--nocapture"])
        .env(URL_OF_CHILD, url)
        .env("TIMESWEEP_KILL_AT", kill_at)
        .output()
        .expect("start the child");
    let killed = child.status.signal() == Some(libc::SIGKILL);
    assert!(killed || child.status.success(), "{kill_at}: {child:?}");
    killed
}

async fn survives(kill_at: &str) -> bool {
    let database = TestDatabase::without_extension().await;
    database.run(PUBLISHED).await;
    let killed = killed(&database.url, kill_at);
    Process::start(&database.url, true).await.play().await;
    assert_eq!(database.number("SELECT count(*) FROM job").await, 0, "{kill_at}");
    assert_eq!(database.number("SELECT count(*) FROM job_starts").await, 0, "{kill_at}");
    assert_eq!(database.number("SELECT count(*) FROM timesweep_outbox").await, 0, "{kill_at}");
    let results = "SELECT job::text, string_agg(DISTINCT said, ' + ') FROM published \
         WHERE said LIKE 'result %' GROUP BY job ORDER BY job";
    let results: Vec<(String, String)> =
        sqlx::query_as(results).fetch_all(&mut database.connect().await).await.expect("results");
    let expected = [
        (SUCCEEDS, "result SUCCEEDED `what it said`"),
        (FAILS, "result ERROR `what it said`"),
        (DELETED, "result CANCELLED ``"),
        (DELETED_FIRST, "result CANCELLED ``"),
    ];
    assert_eq!(results, expected.map(|(job, said)| (job.to_string(), said.to_owned())), "{kill_at}");
    let registered = format!(
        "SELECT count(*) FROM esdl_time_series_info WHERE job_id = '{SUCCEEDS}' AND deactivated_at IS NULL \
           AND esdl_id = '{}'",
        dataset_of(SUCCEEDS)
    );
    assert_eq!(database.number(&registered).await, 1, "{kill_at}");
    let tombstones =
        "SELECT count(*) FROM esdl_time_series_info WHERE esdl_id IS NULL AND deactivated_at IS NOT NULL";
    assert_eq!(database.number(tombstones).await, 2, "{kill_at}");
    killed
}

async fn survive(points: &[(&str, &[usize])]) {
    for (point, times) in points {
        for time in *times {
            assert!(survives(&format!("{point}:{time}")).await, "{point} is reached {time} times");
        }
    }
}

/// Takers without events: four submissions and three starts.
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_around_a_commit_of_jobs_loses_no_job() {
    let made: [(&str, &[usize]); 2] = [("omotes-before-made", &[1]), ("omotes-made", &[1])];
    survive(&made).await;
    survive(&[("omotes-before-commit", &[1, 4, 5, 7]), ("omotes-committed", &[1, 4, 5, 7])]).await;
}

/// The first unit of the registry is its own; then two deletions and two results.
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_around_a_commit_of_an_event_loses_no_result_and_no_deletion() {
    survive(&[("omotes-before-writes", &[1, 9, 10, 11])]).await;
    survive(&[("registry-before-commit", &[2, 3, 4, 5]), ("registry-committed", &[2, 3, 4, 5])]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_while_letters_are_sent_loses_none_of_them() {
    survive(&[("outbox-attempted", &[1, 2, 3]), ("outbox-before-sent", &[1, 2, 3])]).await;
    survive(&[("outbox-sent", &[1, 2, 3]), ("outbox-before-settled", &[1])]).await;
}

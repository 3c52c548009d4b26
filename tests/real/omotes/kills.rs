//! Killed again and again in the middle of all sorts of jobs, at commits and between them: at the end every client has
//! its result, what succeeded is registered, and what was deleted is marked.

use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::json;

use super::installation::{CANCELLED, Client, ERROR, Installation, SUCCEEDED, dataset_of, parameters};
use crate::real::owned::serving::Serving;
use crate::real::support::eventually;

const POINTS: [&str; 9] = [
    "omotes-before-writes",
    "omotes-before-commit",
    "omotes-committed",
    "registry-before-commit",
    "registry-committed",
    "outbox-attempted",
    "letters-confirmed",
    "outbox-before-sent",
    "outbox-sent",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Succeeds,
    Fails,
    /// It would work for long.
    DeletedBefore,
    DeletedSoon,
}

struct Job {
    id: String,
    fate: Fate,
    is_deleted: bool,
}

struct Story {
    place: Installation,
    client: Client,
    jobs: Vec<Job>,
    rng: Rng,
}

impl Story {
    async fn submit(&mut self, fate: Fate) {
        // A long one keeps nobody waiting who works at the others.
        let (workflow, parameters) = match fate {
            Fate::Succeeds | Fate::DeletedSoon => ("echo", parameters("", 0.0, 1)),
            Fate::Fails => ("echo", parameters("fail", 0.0, 0)),
            Fate::DeletedBefore => ("rest", parameters("", 300.0, 0)),
        };
        let id = self.client.submits(workflow, parameters).await;
        self.jobs.push(Job { id, fate, is_deleted: false });
    }

    fn delete_some(&mut self, share: f64) {
        for job in &mut self.jobs {
            let is_to_go = matches!(job.fate, Fate::DeletedBefore | Fate::DeletedSoon) && !job.is_deleted;
            if is_to_go && self.rng.f64() < share {
                self.client.order(&json!({"delete": job.id}));
                job.is_deleted = true;
            }
        }
    }

    /// One process, until it reaches the point or has lived for long enough.
    async fn chapter(&mut self) {
        let point = format!("{}:{}", POINTS[self.rng.usize(..POINTS.len())], self.rng.u32(1..8));
        let mut killed = self.place.serve_until_killed(&point);
        for fate in [Fate::Succeeds, Fate::Fails, Fate::DeletedBefore, Fate::DeletedSoon] {
            self.submit(fate).await;
        }
        let until = Instant::now() + Duration::from_millis(self.rng.u64(1_500..4_000));
        while killed.is_running() && Instant::now() < until {
            self.delete_some(0.02);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        if killed.is_running() {
            println!("{point} was not reached");
            killed.kill().await;
        } else {
            println!("killed at {point}");
        }
    }

    async fn ends_well(&mut self, serving: Serving) {
        self.delete_some(1.0);
        for job in &self.jobs {
            let result = self.client.result(&job.id).await;
            let (id, kind) = (&job.id, result["result"].as_i64().expect("a type"));
            match job.fate {
                Fate::Succeeds => self.is_kept(id, &dataset_of(&result)).await,
                Fate::Fails => assert_eq!(kind, ERROR, "{result}"),
                Fate::DeletedBefore => assert_eq!(kind, CANCELLED, "{result}"),
                Fate::DeletedSoon => assert!([SUCCEEDED, CANCELLED].contains(&kind), "{result}"),
            }
            if job.is_deleted {
                self.is_marked(id).await;
            }
        }
        self.place.no_job_is_left().await;
        let letters = "SELECT count(*) FROM timesweep_outbox";
        eventually("all letters left", async || self.place.database.number(letters).await == 0).await;
        eventually("no task is at work", async || self.place.at_work().is_empty()).await;
        serving.stop().await;
    }

    async fn is_kept(&self, job: &str, dataset: &str) {
        assert_eq!(self.place.owner(dataset).await.as_deref(), Some(job), "whose {dataset} is");
        assert!(self.place.ground.has(dataset).await, "{dataset} of {job}");
    }

    async fn is_marked(&self, job: &str) {
        let rows = async |condition: &str| {
            let of_job = format!("SELECT count(*) FROM esdl_time_series_info WHERE job_id = '{job}'");
            self.place.database.number(&format!("{of_job} AND deactivated_at IS {condition}")).await
        };
        eventually("it is marked", async || rows("NOT NULL").await > 0 && rows("NULL").await == 0).await;
    }
}

async fn killed(seed: u64, times: usize) {
    println!("TIMESWEEP_KILLS_SEED={seed}");
    let place = Installation::new().await;
    let serving = place.serve().await;
    let _workers = (place.worker("first", &["echo"]).await, place.worker("second", &["rest"]).await);
    let client = place.client().await;
    serving.stop().await;
    let mut story = Story { place, client, jobs: Vec::new(), rng: Rng::with_seed(seed) };
    for _ in 0..times {
        story.chapter().await;
    }
    let last = story.place.serve().await;
    story.ends_well(last).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_few_kills_at_any_moment_lose_no_job_and_no_data() {
    killed(7, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes many minutes; dev/soak runs it"]
async fn kills_at_any_moment_lose_no_job_and_no_data_a_hundred_times() {
    let given = std::env::var("TIMESWEEP_KILLS_SEED").ok();
    let first = given.map_or_else(|| fastrand::u64(..1 << 32), |seed| seed.parse().expect("a number"));
    for seed in first..first + 10 {
        killed(seed, 10).await;
    }
}

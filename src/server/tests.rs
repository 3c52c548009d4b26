//! Requests over a real socket, to a registry in memory.

mod description;
mod holds_and_marks;
mod limits;
mod lists;
mod tokens;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::{Client, Method, Response, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::*;
use crate::config::{Right, TokenSettings};
use crate::problem::Problem;
use crate::registry::memory::Memory;
use crate::retention::ownership::{JobId, OwnedName};

const READER: &str = "reads-and-does-nothing-else";
const WRITER: &str = "deletes-and-does-nothing-else";
const BOTH: &str = "reads-and-deletes-as-it-likes";
/// 2026-01-01, in microseconds.
const NOW: i64 = 1_767_225_600_000_000;

/// What a daemon would show.
#[derive(Default)]
pub(super) struct Shown {
    runs: Mutex<Vec<RunView>>,
    health: Mutex<Health>,
    asked: AtomicUsize,
}

#[async_trait]
impl Insight for Shown {
    async fn runs(&self, before: Option<&str>, limit: usize) -> Result<Vec<RunView>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if before == Some("hangs") {
            std::future::pending::<()>().await;
        }
        if before == Some("broken") {
            return Err(Problem::unreachable("the journal cannot be read").hint("look at its disk"));
        }
        let runs = self.runs.lock().expect("the runs").clone();
        Ok(runs.into_iter().filter(|run| before.is_none_or(|id| run.id.as_str() < id)).take(limit).collect())
    }

    fn health(&self) -> Health {
        self.health.lock().expect("the health").clone()
    }
}

struct World {
    url: String,
    client: Client,
    registry: Memory,
    wake: Wake,
    shown: Arc<Shown>,
    cancel: CancellationToken,
    running: JoinHandle<()>,
}

fn token(token: &str, may: &[Right]) -> TokenSettings {
    TokenSettings { name: token.to_owned(), token: token.into(), may: may.to_vec() }
}

fn tokens() -> Vec<TokenSettings> {
    let both = [Right::Read, Right::Delete];
    vec![token(READER, &[Right::Read]), token(WRITER, &[Right::Delete]), token(BOTH, &both)]
}

impl World {
    async fn new() -> Self {
        Self::with(tokens()).await
    }

    async fn with(tokens: Vec<TokenSettings>) -> Self {
        let registry = Memory::default();
        registry.set_now(NOW);
        let (wake, shown, cancel) = (Wake::default(), Arc::<Shown>::default(), CancellationToken::new());
        let settings = ServeSettings { listen: ([127, 0, 0, 1], 0).into(), tokens };
        let insight: Arc<dyn Insight> = shown.clone();
        let server = Server::bind(&settings, Arc::new(registry.clone()), wake.clone(), insight);
        let mut server = server.await.expect("a port");
        server.listener.head = Duration::from_secs(2);
        server.listener.ending = Duration::from_secs(1);
        let url = format!("http://{}", server.address());
        let running = tokio::spawn(server.run(cancel.clone()));
        Self { url, client: client(), registry, wake, shown, cancel, running }
    }

    async fn ask(&self, method: Method, path: &str) -> Response {
        self.request(method, path).send().await.expect("an answer")
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url)).bearer_auth(BOTH)
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.ask(Method::GET, path).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.json().await.expect("JSON")
    }

    async fn was_woken(&self) -> bool {
        tokio::time::timeout(Duration::from_millis(500), self.wake.woken()).await.is_ok()
    }

    fn deletions(&self) -> usize {
        self.registry.change(|ledger| ledger.deleted_jobs.len())
    }
}

fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy().build().expect("a client")
}

/// A problem document of this status; its detail.
async fn problem(answer: Response, status: u16) -> String {
    assert_eq!(answer.status().as_u16(), status);
    let media_type = answer.headers().get("content-type").cloned();
    assert_eq!(media_type.expect("a content type"), "application/problem+json");
    let document: Value = answer.json().await.expect("JSON");
    assert_eq!(document["status"], status, "{document}");
    assert_eq!(document["type"], "about:blank", "{document}");
    assert!(document["title"].as_str().is_some_and(|title| !title.is_empty()), "{document}");
    document["detail"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_job_is_deleted_by_either_request_and_again() {
    let world = World::new().await;
    let (known, unknown) = (Uuid::now_v7(), Uuid::now_v7());
    let dataset = OwnedName("data".into());
    world.registry.change(|ledger| ledger.succeeded(JobId(known), &dataset, NOW));
    let delete = |job: Uuid| (Method::DELETE, format!("/job/{job}"));
    let post = |job: Uuid| (Method::POST, format!("/job/{job}/delete"));
    for ((method, path), job, deleted) in [
        (delete(known), known, true),
        (delete(known), known, true),
        (post(unknown), unknown, false),
        (delete(unknown), unknown, true),
    ] {
        let answer = world.ask(method, &path).await;
        assert_eq!(answer.status(), StatusCode::OK);
        let body: Value = answer.json().await.expect("JSON");
        assert_eq!(body, json!({"job_id": job, "deleted": deleted}), "{path}");
        assert!(world.was_woken().await, "{path}");
    }
    let ledger = world.registry.change(|ledger| ledger.clone());
    assert!(ledger.rows[&dataset].mark.is_some());
    assert_eq!(ledger.tombstones.keys().collect::<Vec<_>>(), [&JobId(unknown)]);
}

#[tokio::test]
async fn a_job_is_shown_with_its_mark() {
    let world = World::new().await;
    let (job, other) = (Uuid::now_v7(), Uuid::now_v7());
    let (alone, shared) = (OwnedName("alone".into()), OwnedName("shared".into()));
    world.registry.change(|ledger| {
        ledger.succeeded(JobId(job), &alone, NOW);
        ledger.succeeded(JobId(job), &shared, NOW);
        ledger.succeeded(JobId(other), &shared, NOW);
    });
    let at = "2026-01-01T00:00:00Z";
    let view = world.get(&format!("/job/{job}")).await;
    let datasets = json!([{"name": "alone"}, {"name": "shared"}]);
    assert_eq!(view, json!({"job_id": job, "ended_at": at, "datasets": datasets}));
    world.ask(Method::DELETE, &format!("/job/{job}")).await;
    let view = world.get(&format!("/job/{job}")).await;
    let datasets = json!([{"name": "alone", "marked_at": at}, {"name": "shared"}]);
    assert_eq!(view, json!({"job_id": job, "ended_at": at, "deleted_at": at, "datasets": datasets}));
}

#[tokio::test]
async fn what_is_no_job_is_refused_and_writes_nothing() {
    let world = World::new().await;
    for id in ["1", "job", "%00", "..%2f..", "0000", "%F0%9F%92%A9", &"1".repeat(1000)] {
        let detail = problem(world.ask(Method::DELETE, &format!("/job/{id}")).await, 400).await;
        assert!(detail.contains("is a UUID"), "{detail}");
    }
    let job = Uuid::now_v7();
    problem(world.ask(Method::POST, &format!("/job/{job}/cancel")).await, 404).await;
    problem(world.ask(Method::DELETE, "/job/").await, 404).await;
    problem(world.ask(Method::GET, &format!("/job/{job}")).await, 404).await;
    problem(world.ask(Method::GET, "/job/1").await, 400).await;
    problem(world.ask(Method::PUT, &format!("/job/{job}")).await, 405).await;
    assert_eq!(world.deletions(), 0);
    assert!(!world.was_woken().await);
}

#[tokio::test]
async fn health_is_said_to_everybody_without_reasons() {
    let world = World::new().await;
    let ask = async || client().get(format!("{}/health", world.url)).send().await.expect("an answer");
    world.shown.health.lock().expect("the health").parts =
        vec![("amqp", Condition::Ok), ("checks", Condition::Ok)];
    let well = ask().await;
    assert_eq!(well.status(), StatusCode::OK);
    let body: Value = well.json().await.expect("JSON");
    assert_eq!(body, json!({"status": "ok", "parts": {"amqp": "ok", "checks": "ok"}}));
    world.shown.health.lock().expect("the health").parts[0].1 = Condition::Standby;
    let waits = ask().await;
    assert_eq!(waits.status(), StatusCode::OK);
    let body: Value = waits.json().await.expect("JSON");
    assert_eq!(body, json!({"status": "standby", "parts": {"amqp": "standby", "checks": "ok"}}));
    world.shown.health.lock().expect("the health").parts[0].1 = Condition::Trouble;
    let ill = ask().await;
    assert_eq!(ill.status(), StatusCode::SERVICE_UNAVAILABLE);
    let body: Value = ill.json().await.expect("JSON");
    assert_eq!(body, json!({"status": "trouble", "parts": {"amqp": "trouble", "checks": "ok"}}));
}

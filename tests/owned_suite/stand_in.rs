//! An HTTP server that answers what a real InfluxDB cannot be asked for.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use timesweep::retention::ownership::OwnedName;
use timesweep::store::owned::{DropTrouble, OwnedStore};

use super::influx::open;

#[derive(Clone)]
struct Answer {
    status: StatusCode,
    version: Option<&'static str>,
    names: String,
    drop: String,
    last: String,
    build: &'static str,
}

type Shared = Arc<Mutex<(Answer, Vec<String>)>>;

struct StandIn {
    shared: Shared,
    store: Arc<dyn OwnedStore>,
}

const NAMES: &str = r#""series":[{"name":"databases","columns":["name"],"values":[["a"],["b"]]}]"#;
const REST: &str = r#"{"statement_id":1,"series":[{"name":"shard","tags":{"database":"a","id":"1"},"columns":["diskBytes","writeReq"],"values":[[5,0]]}]},{"statement_id":2,"series":[{"name":"system","columns":["currentTime","started"],"values":[["2026-01-02T00:00:00Z","2026-01-01T00:00:00Z"]]}]}"#;
const LAST: &str = r#""series":[{"name":"build","columns":["Version"],"values":[["1.6.7"]]}]"#;

async fn answer(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> impl IntoResponse {
    let body = String::from_utf8(body.to_vec()).expect("text");
    let mut shared = shared.lock().expect("the answer");
    shared.1.push(format!("{body} {headers:?}"));
    let answer = shared.0.clone();
    let text = if body.contains("DROP+DATABASE") {
        answer.drop
    } else if body.contains("SHOW+STATS") {
        format!(
            "{{\"results\":[{{\"statement_id\":0,{}}},{REST},{{\"statement_id\":3,{}}}]}}",
            answer.names, answer.last
        )
    } else {
        format!(
            "{{\"results\":[{{\"statement_id\":0,{}}},{{\"statement_id\":1,{}}}]}}",
            answer.names, answer.last
        )
    };
    let mut head = HeaderMap::new();
    if let Some(version) = answer.version {
        head.insert("X-Influxdb-Version", version.parse().expect("a version"));
    }
    head.insert("X-Influxdb-Build", answer.build.parse().expect("a build"));
    if answer.status.is_redirection() {
        head.insert("Location", "/other".parse().expect("a place"));
    }
    (answer.status, head, text)
}

impl StandIn {
    async fn start() -> Self {
        let good = Answer {
            status: StatusCode::OK,
            version: Some("1.6.7"),
            names: NAMES.into(),
            drop: r#"{"results":[{"statement_id":0}]}"#.into(),
            last: LAST.into(),
            build: "OSS",
        };
        let shared = Shared::new(Mutex::new((good, Vec::new())));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address: SocketAddr = listener.local_addr().expect("an address");
        let app = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { shared, store: open(&format!("http://{address}"), "").expect("a store") }
    }

    fn change(&self, change: impl FnOnce(&mut Answer)) {
        change(&mut self.shared.lock().expect("the answer").0);
    }

    async fn names(&self) -> Result<Vec<String>, String> {
        let list = self.store.list().await.map_err(|problem| problem.to_string())?;
        Ok(list.into_iter().map(|dataset| dataset.name.0.to_string()).collect())
    }

    async fn drop_a(&self) -> Result<(), DropTrouble> {
        self.store.drop_dataset(&OwnedName("a".into())).await
    }
}

#[tokio::test]
async fn an_error_inside_a_good_status_is_an_error() {
    let server = StandIn::start().await;
    assert_eq!(server.names().await, Ok(vec!["a".into(), "b".into()]));
    for (names, said) in [
        (r#""error":"engine: too many open files""#.to_owned(), "too many open files"),
        (format!(r#"{NAMES},"error":"timeout""#), "timeout"),
        (format!(r#"{NAMES},"partial":true"#), "partial"),
        (NAMES.replace("]]}]", "]],\"partial\":true}]"), "max-row-limit"),
        (NAMES.replace("\"a\"", "null"), "has null where text belongs"),
        (NAMES.replace("[\"name\"]", "[\"other\"]"), "no column name"),
        (NAMES.replace("]]}]", "]]"), "not whole"),
        (format!("{NAMES}}},{{{NAMES}"), "results"),
    ] {
        server.change(|answer| answer.names.clone_from(&names));
        let problem = server.names().await.expect_err(&names);
        assert!(problem.contains(said), "{names}: {problem}");
    }
}

#[tokio::test]
async fn an_answer_that_is_not_of_an_influx_1_is_an_error() {
    let server = StandIn::start().await;
    for (version, said) in [
        (None, "did not answer as InfluxDB does"),
        (Some("v2.7.1"), "InfluxDB v2.7.1, and only the open-source 1.x is supported"),
        (Some("3.0.0"), "only the open-source 1.x is supported"),
    ] {
        server.change(|answer| answer.version = version);
        let problem = server.names().await.expect_err("another server");
        assert!(problem.contains(said), "{version:?}: {problem}");
    }
}

#[tokio::test]
async fn a_cluster_of_which_one_node_answers_is_an_error() {
    let server = StandIn::start().await;
    server.change(|answer| answer.build = "ENT");
    let problem = server.names().await.expect_err("one of several nodes");
    assert!(problem.contains("Enterprise 1.6.7"), "{problem}");
}

#[tokio::test]
async fn an_answer_whose_end_is_left_out_is_an_error() {
    let server = StandIn::start().await;
    server.change(|answer| answer.last = LAST.replace(r#","values":[["1.6.7"]]"#, ""));
    let problem = server.names().await.expect_err("nothing at its end");
    assert!(problem.contains("left the end of it out"), "{problem}");
}

#[tokio::test]
async fn another_status_is_an_error_and_no_redirect_is_followed() {
    let server = StandIn::start().await;
    for status in [204, 301, 302, 307, 308, 400, 401, 403, 404, 429, 500, 502, 503, 504] {
        let status = StatusCode::from_u16(status).expect("a status");
        server.change(|answer| answer.status = status);
        server.names().await.expect_err("no list");
        let answer = server.drop_a().await;
        // Whether somebody in between has passed the question on is not known.
        let lost = status.is_server_error() || status.is_redirection() || status.is_success();
        assert_eq!(matches!(answer, Err(DropTrouble::Unknown(_))), lost, "{status}: {answer:?}");
    }
    let asked = server.shared.lock().expect("questions").1.len();
    assert_eq!(asked, 14 * 3, "one question each, none twice");
}

#[tokio::test]
async fn a_drop_that_is_answered_and_still_listed_is_refused() {
    let server = StandIn::start().await;
    let refused = server.drop_a().await.expect_err("it is still listed");
    assert!(matches!(&refused, DropTrouble::Refused { message, .. } if message.contains("still lists it")));
    server
        .change(|answer| answer.drop = r#"{"results":[{"statement_id":0,"error":"shard is busy"}]}"#.into());
    let refused = server.drop_a().await.expect_err("an error inside");
    assert!(matches!(&refused, DropTrouble::Refused { message, .. } if message.contains("shard is busy")));
    server.change(|answer| answer.drop = r#"{"results":[{"#.into());
    assert!(matches!(server.drop_a().await, Err(DropTrouble::Unknown(_))), "cut, and still listed");
    server.change(|answer| answer.names = NAMES.replace("[\"a\"],", ""));
    assert_eq!(server.drop_a().await, Ok(()), "cut, and gone");
}

#[tokio::test]
async fn a_hundred_thousand_names_are_read_within_memory() {
    let server = StandIn::start().await;
    let rows: Vec<String> = (0..100_000).map(|number| format!("[\"{number:036}\"]")).collect();
    let names = NAMES.replace(r#"["a"],["b"]"#, &rows.join(","));
    server.change(|answer| answer.names.clone_from(&names));
    let before = peak_kib();
    assert_eq!(server.names().await.expect("a list").len(), 100_000);
    let grown = peak_kib().saturating_sub(before) >> 10;
    assert!(grown < 150, "{grown} MiB for {} MiB of an answer", names.len() >> 20);
}

#[tokio::test]
async fn an_answer_without_end_is_an_error() {
    let server = StandIn::start().await;
    let long = "x".repeat(260 << 20);
    server.change(|answer| answer.names = NAMES.replace("\"a\"", &format!("\"{long}\"")));
    let problem = server.names().await.expect_err("too long");
    assert!(problem.contains("more than 256 MiB"), "{problem}");
}

/// The most memory that this process ever had.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("our own status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

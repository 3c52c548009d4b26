//! A stand-in for InfluxDB that answers what timesweep asks, in the shape and size of the real one (1.6.7),
//! with any number of databases of one shard each. Its answers lie ready in memory.

use std::convert::Infallible;
use std::fmt::Write;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::Outcome;
use crate::place::dataset;

const BUILD: &str = r#""series":[{"name":"build","columns":["Branch","Build Time","Commit","Version"],"values":[["unknown","","unknown","1.6.7~rc0"]]}]"#;

pub struct StandIn {
    pub url: String,
    server: JoinHandle<()>,
}

struct Answers {
    names: Bytes,
    shards: Bytes,
    started: Timestamp,
}

impl StandIn {
    pub async fn start(databases: usize) -> Outcome<Self> {
        let started = Timestamp::now() - jiff::SignedDuration::from_hours(24);
        let answers =
            Arc::new(Answers { names: names(databases).into(), shards: shards(databases).into(), started });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let router = Router::new().route("/query", post(answer)).with_state(answers);
        let server = tokio::spawn(async move { drop(axum::serve(listener, router).await) });
        Ok(Self { url, server })
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// The form is in the body, its spaces written as `+`.
async fn answer(State(answers): State<Arc<Answers>>, question: String) -> Response {
    let asked = |what: &str| question.contains(what);
    let parts = if asked("SHOW+STATS") {
        vec![answers.names.clone(), answers.shards.clone(), answers.system(), last(3)]
    } else if asked("SHOW+DATABASES%3B") {
        vec![answers.names.clone(), last(1)]
    } else {
        vec![answers.names.clone(), Bytes::from_static(b"]}")]
    };
    let body = Body::from_stream(futures_util::stream::iter(parts.into_iter().map(Ok::<_, Infallible>)));
    ([("X-Influxdb-Version", "1.6.7~rc0"), ("Content-Type", "application/json")], body).into_response()
}

fn last(number: usize) -> Bytes {
    format!(",{{\"statement_id\":{number},{BUILD}}}]}}\n").into()
}

impl Answers {
    fn system(&self) -> Bytes {
        let (now, started) = (Timestamp::now(), self.started);
        format!(
            r#",{{"statement_id":2,"series":[{{"name":"system","columns":["PID","currentTime","started","uptime"],"values":[[1,"{now}","{started}","24h0m0s"]]}}]}}"#
        )
        .into()
    }
}

fn names(databases: usize) -> String {
    let mut text = String::from(
        r#"{"results":[{"statement_id":0,"series":[{"name":"databases","columns":["name"],"values":[["_internal"]"#,
    );
    for number in 0..databases {
        let _ = write!(text, ",[\"{}\"]", dataset(number));
    }
    text + "]}]}"
}

fn shards(databases: usize) -> String {
    let mut text = String::from(r#",{"statement_id":1,"series":["#);
    for number in 0..databases {
        let (name, comma, id) = (dataset(number), if number > 0 { "," } else { "" }, number + 2);
        let _ = write!(
            text,
            r#"{comma}{{"name":"shard","tags":{{"database":"{name}","engine":"tsm1","id":"{id}","path":"/var/lib/influxdb/data/{name}/autogen/{id}","retentionPolicy":"autogen","walPath":"/var/lib/influxdb/wal/{name}/autogen/{id}"}},"columns":["diskBytes","fieldsCreate","seriesCreate","writeBytes","writePointsDropped","writePointsErr","writePointsOk","writeReq","writeReqErr","writeReqOk"],"values":[[1048576,12,40,0,0,0,8760,12,0,12]]}}"#
        );
    }
    text + "]}"
}

//! The real InfluxDB with databases of one point each, made by many clients at once and removed again.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};

use crate::Outcome;
use crate::place::dataset;

const QUESTION: &str =
    "SHOW DATABASES; SHOW STATS FOR 'shard'; SHOW DIAGNOSTICS FOR 'system'; SHOW DIAGNOSTICS FOR 'build'";

pub struct RealServer {
    pub url: String,
    http: reqwest::Client,
}

impl RealServer {
    /// `None` where there is none.
    pub fn from_environment() -> Outcome<Option<Self>> {
        let Ok(url) = std::env::var("TIMESWEEP_TEST_INFLUX_URL") else { return Ok(None) };
        let _ = rustls::crypto::ring::default_provider().install_default();
        Ok(Some(Self { url, http: reqwest::Client::builder().no_proxy().build()? }))
    }

    pub async fn fill(&self, databases: usize) -> Outcome<()> {
        self.for_each(databases, async |name| {
            self.ask(&format!("CREATE DATABASE \"{name}\"")).await?;
            let point = self.http.post(format!("{}/write?db={name}", self.url)).body("carrier value=1");
            point.send().await?.error_for_status()?;
            Ok(())
        })
        .await
    }

    pub async fn empty(&self, databases: usize) -> Outcome<()> {
        self.for_each(databases, async |name| self.ask(&format!("DROP DATABASE \"{name}\"")).await).await
    }

    async fn for_each(&self, databases: usize, work: impl AsyncFn(String) -> Outcome<()>) -> Outcome<()> {
        let all = stream::iter(0..databases).map(|number| work(dataset(number).to_string()));
        let done: Vec<Outcome<()>> = all.buffer_unordered(4).collect().await;
        done.into_iter().collect()
    }

    async fn ask(&self, statement: &str) -> Outcome<()> {
        let asked = self.http.post(format!("{}/query", self.url)).form(&[("q", statement)]).send().await?;
        asked.error_for_status()?.bytes().await?;
        Ok(())
    }

    /// How long the server itself takes for what a check asks.
    pub async fn answer_time(&self) -> Outcome<Duration> {
        let begin = Instant::now();
        self.ask(QUESTION).await?;
        Ok(begin.elapsed())
    }
}

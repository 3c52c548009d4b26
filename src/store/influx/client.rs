//! One question to the server: a form that is posted, and an answer that is whole or an error.
//!
//! No proxy, no redirect, no second try: a server that is not the one of the configuration is not asked.
//! Invariant: login and secret are in a header and nowhere else, and an error tells whether the
//! server can have done what it was asked for.

use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Certificate, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};

use crate::config::{InfluxSettings, SetIn, StoreConfig};
use crate::problem::{Problem, Result};

use super::answer::{self, Series, Take, Unusable};

const CONNECT_WITHIN: Duration = Duration::from_secs(10);
const READ_WITHIN: Duration = Duration::from_secs(30);
/// A drop closes shards and waits for compactions; dropping a large one takes minutes.
const CHANGE_WITHIN: Duration = Duration::from_mins(10);
/// 100,000 databases with a shard each stay below this.
const MOST_BYTES: usize = 256 << 20;
/// Of a page that is no answer, this much is looked at.
const MOST_BYTES_OF_A_FAULT: usize = 64 << 10;

pub struct Client {
    http: reqwest::Client,
    query: Url,
    login: Option<(String, SecretString)>,
    set_in: SetIn,
}

/// Asked behind every question. A server that limits the rows of an answer leaves tables out without a word, but
/// then this one as well; and whoever is no admin, and would be shown some databases only, is refused for it.
const LAST: &str = "SHOW DIAGNOSTICS FOR 'build'";

/// Why there is no answer.
#[derive(Debug)]
pub enum Trouble {
    /// The server answered that it did not do it, or the question never got there.
    NotDone(Problem),
    /// The question may have arrived, and no answer that counts came back.
    Lost(Problem),
}

impl Trouble {
    pub fn problem(self) -> Problem {
        match self {
            Self::NotDone(problem) | Self::Lost(problem) => problem,
        }
    }
}

type Tables = Vec<Vec<Series>>;

impl Client {
    pub fn new(config: &StoreConfig) -> Result<Self> {
        let query = query_url(config.connection.url.expose_secret())?;
        let password = config.connection.password.clone();
        let login = config.influx.user.clone().zip(password);
        Ok(Self { http: http(&config.influx)?, query, login, set_in: config.influx.set_in.clone() })
    }

    /// Who we are there; nobody where the server does not ask.
    pub fn user(&self) -> String {
        self.login.as_ref().map_or_else(String::new, |(user, _)| user.clone())
    }

    /// Host and port, as people know them.
    pub fn address(&self) -> String {
        let port = self.query.port_or_known_default().unwrap_or_default();
        format!("{}:{port}", self.query.host_str().unwrap_or_default())
    }

    /// Statements that change nothing; instants come as microseconds.
    pub async fn read(&self, statements: &[&str]) -> Result<Tables> {
        let mut tables: Tables = statements.iter().map(|_| Vec::new()).collect();
        self.read_each(statements, &mut |statement, table| {
            tables[statement].push(table);
            Ok(())
        })
        .await?;
        Ok(tables)
    }

    /// The same table by table, for answers with one for each shard. What was taken counts only without an error.
    pub async fn read_each(&self, statements: &[&str], take: Take<'_>) -> Result<()> {
        let with_last = [statements, &[LAST]].concat();
        let mut has_end = false;
        let mut take_or_end = |statement: usize, table: Series| {
            if statement < statements.len() {
                return take(statement, table);
            }
            has_end |= !table.values.is_empty();
            Ok(())
        };
        self.ask(&with_last, READ_WITHIN, &mut take_or_end).await.map_err(Trouble::problem)?;
        if has_end { Ok(()) } else { Err(self.incomplete("the server has left the end of it out")) }
    }

    pub async fn change(&self, statement: &str) -> Result<(), Trouble> {
        self.ask(&[statement], CHANGE_WITHIN, &mut |_, _| Ok(())).await
    }

    async fn ask(&self, statements: &[&str], within: Duration, take: Take<'_>) -> Result<(), Trouble> {
        let form = [("q", statements.join("; ")), ("epoch", "u".into())];
        let mut request = self.http.post(self.query.clone()).timeout(within).form(&form);
        if let Some((user, password)) = &self.login {
            request = request.basic_auth(user, Some(password.expose_secret()));
        }
        let mut response = request.send().await.map_err(|error| self.unanswered(error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        self.require_version_1(&headers)?;
        if status != StatusCode::OK {
            return Err(self.refusal(response).await);
        }
        self.require_influx(&headers, status)?;
        let body =
            body(&mut response, MOST_BYTES).await.map_err(|why| Trouble::Lost(self.incomplete(why)))?;
        answer::read_each(&body, statements.len(), take).map_err(|unusable| match unusable {
            Unusable::Said(text) => Trouble::NotDone(self.said(&text)),
            Unusable::Broken(text) => Trouble::Lost(self.incomplete(text)),
        })
    }

    /// An answer that says what was not asked for, in words for people.
    pub fn unusable(&self, unusable: Unusable) -> Problem {
        match unusable {
            Unusable::Said(text) => self.said(&text),
            Unusable::Broken(text) => self.incomplete(text),
        }
    }

    fn unanswered(&self, error: reqwest::Error) -> Trouble {
        let error = error.without_url();
        let problem = self.unreachable().because(&error);
        if error.is_connect() || error.is_builder() {
            let hint = format!(
                "is the server running, and are host, port and certificates right? They are {}",
                self.set_in.place
            );
            return Trouble::NotDone(problem.hint(hint));
        }
        Trouble::Lost(problem.hint("look at the server's log and at what is in between"))
    }

    /// A cluster's counters are those of one node only. An InfluxDB 2 answers the same questions in other words, and with other names.
    fn require_version_1(&self, headers: &HeaderMap) -> Result<(), Trouble> {
        let Some(version) = version(headers) else { return Ok(()) };
        let is_cluster =
            headers.get("x-influxdb-build").is_some_and(|build| build.as_bytes().starts_with(b"ENT"));
        if version.trim_start_matches('v').starts_with("1.") && !is_cluster {
            return Ok(());
        }
        let version = if is_cluster { format!("Enterprise {version}") } else { version };
        let sentence =
            format!("{} is InfluxDB {version}, and only the open-source 1.x is supported", self.address());
        Err(Trouble::NotDone(Problem::unreachable(sentence).hint(format!("check {}", self.set_in.place))))
    }

    fn require_influx(&self, headers: &HeaderMap, status: StatusCode) -> Result<(), Trouble> {
        if version(headers).is_some() {
            return Ok(());
        }
        Err(Trouble::Lost(self.not_influx(status)))
    }

    fn not_influx(&self, status: StatusCode) -> Problem {
        Problem::unreachable(format!("{} did not answer as InfluxDB does", self.address()))
            .cause(format!("it answered {status} without naming its version"))
            .hint(format!("check {}, and that nothing in between answers for it", self.set_in.place))
    }

    /// What another status than 200 means. Only InfluxDB's own refusals are certain to have done nothing.
    async fn refusal(&self, mut response: reqwest::Response) -> Trouble {
        let (status, named) = (response.status(), version(response.headers()).is_some());
        let text = body(&mut response, MOST_BYTES_OF_A_FAULT).await.unwrap_or_default();
        let said = match answer::read(&text, 1) {
            Err(Unusable::Said(text)) => text,
            _ => "without saying why".into(),
        };
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Trouble::NotDone(self.not_allowed(status, &said))
            }
            _ if !named => Trouble::Lost(self.not_influx(status)),
            _ if status.is_client_error() => Trouble::NotDone(self.said(&said)),
            _ => Trouble::Lost(self.said(&said).cause(format!("it answered {status}"))),
        }
    }

    fn not_allowed(&self, status: StatusCode, said: &str) -> Problem {
        Problem::unreachable(format!("{} does not let us in", self.address()))
            .cause(format!("{status}: {said}"))
            .hint(format!("set {} to those of an admin of this InfluxDB", self.set_in.login))
    }

    fn said(&self, text: &str) -> Problem {
        Problem::unreachable(format!("InfluxDB at {} refused", self.address())).cause(text)
    }

    fn incomplete(&self, why: impl Into<String>) -> Problem {
        Problem::unreachable(format!("the answer of InfluxDB at {} is not usable", self.address()))
            .cause(why)
            .hint("nothing was concluded from it; look at the server's log, and at `max-row-limit` of its [http]")
    }

    fn unreachable(&self) -> Problem {
        Problem::unreachable(format!("InfluxDB at {} does not answer", self.address()))
    }
}

fn version(headers: &HeaderMap) -> Option<String> {
    let value = headers.get("x-influxdb-version")?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// Everything, as long as it is not more than `most`.
async fn body(response: &mut reqwest::Response, most: usize) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    loop {
        let chunk = response.chunk().await.map_err(|error| whole_text(&error.without_url()))?;
        let Some(chunk) = chunk else { return Ok(body) };
        if body.len() + chunk.len() > most {
            return Err(format!("it has more than {} MiB", most >> 20));
        }
        body.extend_from_slice(&chunk);
    }
}

fn whole_text(error: &(dyn std::error::Error + 'static)) -> String {
    let mut causes = std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string);
    let first = causes.next().unwrap_or_default();
    causes.fold(first, |text, cause| if text.contains(&cause) { text } else { format!("{text}: {cause}") })
}

fn query_url(text: &str) -> Result<Url> {
    let unreadable = || Problem::usage("the store's url cannot be read").hint("write http://host:8086");
    let mut url: Url = text.parse().map_err(|_| unreadable())?;
    if url.cannot_be_a_base() || url.host_str().is_none() {
        return Err(unreadable());
    }
    let path = format!("{}/query", url.path().trim_end_matches('/'));
    url.set_path(&path);
    Ok(url)
}

fn http(settings: &InfluxSettings) -> Result<reqwest::Client> {
    // The first one stays; every part of the program takes the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("timesweep/", env!("CARGO_PKG_VERSION")))
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        // A connection that the other side has closed meanwhile would be found out by a question that is lost.
        .pool_max_idle_per_host(0)
        .connect_timeout(CONNECT_WITHIN);
    if let Some(path) = &settings.ca_file {
        let unreadable = |error: &(dyn std::error::Error + 'static)| {
            Problem::usage(format!("the certificates in {} cannot be read", path.display())).because(error)
        };
        let text = std::fs::read(path).map_err(|error| unreadable(&error))?;
        let certificates = Certificate::from_pem_bundle(&text).map_err(|error| unreadable(&error))?;
        if certificates.is_empty() {
            return Err(Problem::usage(format!("there is no certificate in {}", path.display())));
        }
        builder = builder.tls_certs_only(certificates);
    }
    builder
        .build()
        .map_err(|error| Problem::usage("the store's connection cannot be prepared").because(&error))
}

//! The ground of a real InfluxDB, and what only it can meet.

use std::sync::Arc;

use async_trait::async_trait;
use timesweep::config::{Config, Machine};
use timesweep::problem::Problem;
use timesweep::retention::ownership::OwnedName;
use timesweep::store::owned::{DropTrouble, OwnedStore};
use timesweep::store::{self};

use super::ground::{Ground, named, our_names};
use crate::own_influx::{encoded, post, query};
use crate::tcp_proxy::TcpProxy;

pub struct OnInflux {
    url: String,
    prefix: String,
    store: Arc<dyn OwnedStore>,
}

pub fn server_url() -> String {
    std::env::var("TIMESWEEP_TEST_INFLUX_URL")
        .expect("TIMESWEEP_TEST_INFLUX_URL is not set; start the tests with dev/test")
}

/// The store at this address; `more` is appended to its section.
pub fn open(url: &str, more: &str) -> Result<Arc<dyn OwnedStore>, Problem> {
    let text = format!("[stores.main]\nkind = \"influxdb\"\nurl = \"{url}\"\n{more}\n");
    let config = Config::parse(&text, "test", &Machine)?;
    store::open_owned(&config.stores[0])
}

fn quoted(name: &OwnedName) -> String {
    format!("\"{}\"", name.0.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

impl OnInflux {
    pub fn new() -> Self {
        let url = server_url();
        let prefix = format!("t{}_", uuid::Uuid::now_v7().simple());
        let store = open(&url, "").expect("a store");
        Self { url, prefix, store }
    }

    pub async fn clean(&self) {
        for name in our_names(self).await {
            query(&self.url, &format!("DROP DATABASE {}", quoted(&name))).await;
        }
    }

    async fn write_at(&self, name: &OwnedName, line: &str) {
        let answer = post(format!("{}/write?db={}", self.url, encoded(&name.0)), line.into()).await;
        assert_eq!(answer, "", "{name:?}");
    }
}

#[async_trait]
impl Ground for OnInflux {
    fn store(&self) -> Arc<dyn OwnedStore> {
        Arc::clone(&self.store)
    }

    fn prefix(&self) -> String {
        self.prefix.clone()
    }

    async fn create(&self, name: &OwnedName) {
        let answer = query(&self.url, &format!("CREATE DATABASE {}", quoted(name))).await;
        assert!(!answer.contains("error"), "{name:?}: {answer}");
        self.write(name).await;
    }

    async fn write(&self, name: &OwnedName) {
        self.write_at(name, "carrier,assetId=1 value=1.5").await;
    }

    /// What cannot be a folder's name, and what is not printable.
    fn allows(&self, name: &OwnedName) -> bool {
        let refused = |letter: char| letter.is_control() || "/\\".contains(letter);
        !name.0.contains(refused)
    }

    async fn behind_proxy(&self) -> Option<(Arc<dyn OwnedStore>, TcpProxy)> {
        let (_, server) = self.url.split_once("://").expect("a url");
        let proxy = TcpProxy::before(server).await;
        Some((open(&format!("http://{}", proxy.address), "").expect("a store"), proxy))
    }

    fn another_process(&self) -> Arc<dyn OwnedStore> {
        open(&self.url, "").expect("a store")
    }

    async fn unreachable(&self) -> Arc<dyn OwnedStore> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        drop(listener);
        open(&format!("http://{address}"), "").expect("a store")
    }
}

#[tokio::test]
async fn what_nobody_may_touch_is_not_listed_and_not_dropped() {
    let ground = OnInflux::new();
    let (ours, other) = (named(&ground, "default"), named(&ground, "other"));
    ground.create(&ours).await;
    ground.create(&other).await;
    let store = open(&ground.url, &format!("never = [\"{}\"]", ours.0)).expect("a store");
    let listed = store.list().await.expect("a list");
    assert!(listed.iter().any(|dataset| dataset.name == other));
    for name in [ours.clone(), OwnedName("_internal".into())] {
        assert!(!listed.iter().any(|dataset| dataset.name == name), "{name:?}");
        assert_eq!(store.look(&name).await, Ok(None));
        let answer = store.drop_dataset(&name).await;
        assert!(matches!(answer, Err(DropTrouble::Refused { .. })), "{answer:?}");
    }
    assert_eq!(our_names(&ground).await, [ours, other], "nothing went");
    assert!(query(&ground.url, "SHOW DATABASES").await.contains("_internal"));
    ground.clean().await;
}

#[tokio::test]
async fn a_point_of_any_age_is_a_write() {
    let ground = OnInflux::new();
    let name = named(&ground, "a");
    ground.create(&name).await;
    let token = async || {
        let look = ground.store().look(&name).await.expect("a look").expect("it is there");
        assert!(look.last_change.is_none() && look.bytes.is_some_and(|bytes| bytes > 0));
        look.change_token.expect("a token")
    };
    let mut before = token().await;
    for line in ["carrier value=1 1000000000000000000", "carrier value=1 4000000000000000000"] {
        ground.write_at(&name, line).await;
        let after = std::mem::replace(&mut before, token().await);
        assert_ne!(before, after, "{line}");
    }
    ground.clean().await;
}

#[tokio::test]
async fn a_database_without_a_write_has_a_token_and_weighs_nothing() {
    let ground = OnInflux::new();
    let name = named(&ground, "empty");
    query(&ground.url, &format!("CREATE DATABASE {}", quoted(&name))).await;
    let look = ground.store().look(&name).await.expect("a look").expect("it is there");
    assert_eq!((look.last_change, look.bytes), (None, Some(0)));
    assert!(look.change_token.is_some_and(|token| token.ends_with("shards 0 newest 0 writes 0")));
    ground.clean().await;
}

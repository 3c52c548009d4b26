//! The ground of schemas in a database of a real PostgreSQL with TimescaleDB.

use std::sync::Arc;

use async_trait::async_trait;
use timesweep::config::{Config, Machine};
use timesweep::retention::name::quote_identifier;
use timesweep::retention::ownership::OwnedName;
use timesweep::store;
use timesweep::store::owned::{DropTrouble, OwnedStore};

use super::ground::{Ground, named, our_names};
use crate::support::TestDatabase;
use crate::tcp_proxy::TcpProxy;

pub struct OnSchemas {
    pub database: TestDatabase,
    store: Arc<dyn OwnedStore>,
}

impl OnSchemas {
    pub async fn new() -> Self {
        let database = TestDatabase::new().await;
        let store = open(&database, &database.url, "");
        Self { database, store }
    }

    /// The same database as a store with these settings.
    pub fn with(&self, more: &str) -> Arc<dyn OwnedStore> {
        open(&self.database, &self.database.url, more)
    }
}

fn open(database: &TestDatabase, url: &str, more: &str) -> Arc<dyn OwnedStore> {
    let file = database.file(&format!("url-{}", uuid::Uuid::now_v7()));
    std::fs::write(&file, url).expect("a file for the url");
    let file = file.display().to_string();
    let text = format!("[stores.main]\nkind = \"schemas\"\nurl = {{ file = {file:?} }}\n{more}\n");
    let config = Config::parse(&text, "test", &Machine).expect("a configuration");
    store::open_owned(&config.stores[0]).expect("a store")
}

#[async_trait]
impl Ground for OnSchemas {
    fn store(&self) -> Arc<dyn OwnedStore> {
        Arc::clone(&self.store)
    }

    fn prefix(&self) -> String {
        "t_".into()
    }

    async fn create(&self, name: &OwnedName) {
        let schema = quote_identifier(&name.0);
        self.database
            .run(&format!(
                "CREATE SCHEMA {schema}; CREATE TABLE {schema}.plain (id int PRIMARY KEY, value float8); \
                 CREATE TABLE {schema}.series (ts timestamptz NOT NULL, value float8); \
                 SELECT create_hypertable('{}.series', 'ts'); \
                 INSERT INTO {schema}.series VALUES ('2020-01-01', 1), ('2024-01-01', 2)",
                schema.replace('\'', "''")
            ))
            .await;
    }

    async fn write(&self, name: &OwnedName) {
        let schema = quote_identifier(&name.0);
        self.database.run(&format!("INSERT INTO {schema}.series VALUES ('2020-01-01', 3)")).await;
    }

    fn allows(&self, name: &OwnedName) -> bool {
        name.0.len() < 64 && !name.0.contains('\0')
    }

    async fn behind_proxy(&self) -> Option<(Arc<dyn OwnedStore>, TcpProxy)> {
        let (role, place) = self.database.url.rsplit_once('@').expect("a role in the url");
        let (server, name) = place.split_once('/').expect("a database in the url");
        let proxy = TcpProxy::before(server).await;
        let url = format!("{role}@{}/{name}?sslmode=disable", proxy.address);
        Some((open(&self.database, &url, ""), proxy))
    }

    fn another_process(&self) -> Arc<dyn OwnedStore> {
        self.with("")
    }

    async fn unreachable(&self) -> Arc<dyn OwnedStore> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        drop(listener);
        open(&self.database, &format!("postgres://me:secret@{address}/db"), "")
    }
}

#[tokio::test]
async fn schemas_of_the_server_of_extensions_and_of_the_configuration_are_never_touched() {
    let ground = OnSchemas::new().await;
    let (mine, kept) = (named(&ground, "mine"), named(&ground, "kept"));
    ground.create(&mine).await;
    ground.create(&kept).await;
    ground.database.run("CREATE SCHEMA tools; CREATE EXTENSION pgcrypto SCHEMA tools").await;
    let store = ground.with(&format!("never = [\"{}\"]", kept.0));
    let names: Vec<String> =
        store.list().await.expect("a list").into_iter().map(|listed| listed.name.0.to_string()).collect();
    assert_eq!(names, [mine.0.to_string()]);
    for name in [
        "public",
        "pg_catalog",
        "pg_toast",
        "information_schema",
        "tools",
        "_timescaledb_internal",
        "_timescaledb_catalog",
        "timescaledb_information",
        &kept.0,
    ] {
        let answer = store.drop_dataset(&OwnedName(name.into())).await;
        assert!(matches!(answer, Err(DropTrouble::Refused { .. })), "{name}: {answer:?}");
        assert_eq!(store.look(&OwnedName(name.into())).await, Ok(None), "{name}");
    }
    store.drop_dataset(&mine).await.expect("dropped");
    assert_eq!(our_names(&ground).await, [kept]);
}

#[tokio::test]
async fn a_schema_that_is_read_stays_until_it_is_free() {
    use sqlx::Executor;
    let ground = OnSchemas::new().await;
    let name = named(&ground, "busy");
    ground.create(&name).await;
    let store = ground.with("attempts = 3");
    let mut reader = ground.database.connect().await;
    reader.execute("BEGIN; SELECT * FROM t_busy.plain").await.expect("a reader");
    let answer = store.drop_dataset(&name).await;
    assert!(matches!(answer, Err(DropTrouble::Refused { .. })), "{answer:?}");
    assert_eq!(our_names(&ground).await, std::slice::from_ref(&name));
    assert_eq!(ground.database.chunks("t_busy.series").await, 2, "nothing of it went");
    reader.execute("ROLLBACK").await.expect("the end");
    store.drop_dataset(&name).await.expect("dropped");
    assert!(our_names(&ground).await.is_empty());
    let left = "SELECT count(*) FROM _timescaledb_catalog.hypertable";
    assert_eq!(ground.database.number(left).await, 0, "the extension forgot it as well");
}

#[tokio::test]
async fn a_table_without_a_row_and_counters_that_are_reset_are_changes() {
    let ground = OnSchemas::new().await;
    let name = named(&ground, "a");
    let token = async || ground.store().look(&name).await.expect("a look").expect("it is there").change_token;
    let mut seen = std::collections::HashSet::new();
    for statement in [
        "CREATE SCHEMA t_a",
        "CREATE TABLE t_a.plain (id int)",
        "CREATE TABLE t_a.other (id int)",
        "TRUNCATE t_a.plain",
        "SELECT pg_stat_reset()",
        "SELECT pg_stat_reset_single_table_counters('t_a.plain'::regclass)",
        "DROP TABLE t_a.other",
    ] {
        ground.database.run(statement).await;
        assert!(seen.insert(token().await.expect("a token")), "{statement}");
    }
    assert!(seen.contains(&token().await.expect("a token")), "nothing has happened since");
}

#[tokio::test]
async fn a_server_that_counts_no_writes_has_no_list() {
    let ground = OnSchemas::new().await;
    ground.create(&named(&ground, "a")).await;
    let database = &ground.database;
    database.run_outside(&format!("ALTER DATABASE {} SET track_counts = off", database.name)).await;
    let problem = ground.with("").list().await.expect_err("nobody counts");
    assert!(problem.to_string().contains("track_counts"), "{problem}");
}

#[tokio::test]
async fn a_look_at_one_schema_asks_nothing_about_another() {
    use sqlx::Executor;
    let ground = OnSchemas::new().await;
    let (one, other) = (named(&ground, "one"), named(&ground, "other"));
    ground.create(&one).await;
    ground.create(&other).await;
    let mut writer = ground.database.connect().await;
    writer.execute("BEGIN; LOCK TABLE t_other.plain IN ACCESS EXCLUSIVE MODE").await.expect("a lock");
    let store = ground.store();
    let listed = store.list().await.expect("a list");
    assert!(listed.iter().all(|listed| listed.bytes.is_none()), "the lock is in the way of measuring all");
    let look = store.look(&one).await.expect("a look").expect("it is there");
    assert!(look.bytes.is_some_and(|bytes| bytes > 0), "and not in the way of this one");
}

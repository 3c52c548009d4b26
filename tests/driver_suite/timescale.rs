//! The real driver's ground: a database of its own on the test server.

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor};
use timesweep::config::{Config, Machine};
use timesweep::retention::model::Chunk;
use timesweep::store::{self, Driver};

use super::ground::Ground;
use crate::support::TestDatabase;

pub struct OnTimescale {
    database: TestDatabase,
    driver: Arc<dyn Driver>,
    reader: Option<PgConnection>,
    others: Vec<PgConnection>,
}

impl OnTimescale {
    pub async fn new() -> Self {
        let database = TestDatabase::new().await;
        database.daily_table("t", 7).await;
        // Enough that the catalog's own growth does not hide what a drop frees.
        database.run("INSERT INTO t SELECT ts, number, 1 FROM t, generate_series(1, 4000) number").await;
        database.daily_table("u", 2).await;
        let url = database.file("url");
        std::fs::write(&url, &database.url).expect("a file for the url");
        let text = format!("[stores.main]\nurl = {{ file = {:?} }}", url.display().to_string());
        let config = Config::parse(&text, "test", &Machine).expect("a configuration");
        let driver = store::open(&config.stores[0]).expect("a driver");
        Self { database, driver, reader: None, others: Vec::new() }
    }
}

#[async_trait]
impl Ground for OnTimescale {
    fn driver(&self) -> Arc<dyn Driver> {
        Arc::clone(&self.driver)
    }

    async fn drop_elsewhere(&mut self, chunk: &Chunk) {
        self.database.run(&format!("DROP TABLE {}", chunk.parts[0].relation)).await;
    }

    async fn freeze(&mut self, chunk: &Chunk) {
        // The catalog knows a chunk by name or by relation, depending on its version, but always by this number.
        let name = &chunk.parts[0].relation.name;
        self.database
            .run(&format!(
                "UPDATE _timescaledb_catalog.chunk SET status = status | 4 WHERE id = split_part('{name}', '_', 4)::int"
            ))
            .await;
    }

    async fn lock(&mut self, chunk: &Chunk) {
        let mut reader = self.database.connect().await;
        reader.execute("BEGIN").await.expect("begin");
        let read = format!("SELECT count(*) FROM {}", chunk.parts[0].relation);
        reader.execute(AssertSqlSafe(read)).await.expect("read");
        self.reader = Some(reader);
    }

    async fn connect(&mut self) -> String {
        self.others.push(self.database.connect().await);
        "postgres".into()
    }

    async fn release(&mut self) {
        if let Some(mut reader) = self.reader.take() {
            reader.execute("ROLLBACK").await.expect("rollback");
        }
    }
}

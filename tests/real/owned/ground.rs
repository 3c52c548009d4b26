//! The store of a test: an InfluxDB server of its own, or schemas in a database of its own.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::real::own_influx::{OwnInflux, encoded, post, query};
use crate::real::support::TestDatabase;

pub enum Ground {
    Influx(OwnInflux),
    Schemas(Box<TestDatabase>),
}

impl Ground {
    pub fn influx() -> Self {
        Self::Influx(OwnInflux::start("false"))
    }

    pub async fn schemas() -> Self {
        Self::Schemas(Box::new(TestDatabase::without_extension().await))
    }

    /// The one line of configuration that differs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Influx(_) => "influxdb",
            Self::Schemas(_) => "schemas",
        }
    }

    pub fn url(&self) -> String {
        match self {
            Self::Influx(server) => server.url.clone(),
            Self::Schemas(database) => database.url.clone(),
        }
    }

    pub fn server(&self) -> &OwnInflux {
        match self {
            Self::Influx(server) => server,
            Self::Schemas(_) => panic!("there is no InfluxDB here"),
        }
    }

    /// As a worker does: the dataset is made where it is missing, and gets one point.
    pub async fn write(&self, name: &str) {
        match self {
            Self::Influx(server) => {
                query(&server.url, &format!("CREATE DATABASE \"{name}\"")).await;
                let address = format!("{}/write?db={}", server.url, encoded(name));
                let said = post(address, "carrier,assetId=pipe value=1.5".into()).await;
                assert_eq!(said, "", "{name}");
            }
            Self::Schemas(database) => {
                database
                    .run(&format!(
                        "CREATE SCHEMA IF NOT EXISTS \"{name}\"; \
                         CREATE TABLE IF NOT EXISTS \"{name}\".carrier (at timestamptz, value float8); \
                         INSERT INTO \"{name}\".carrier VALUES (now(), 1.5)"
                    ))
                    .await;
            }
        }
    }

    /// Somebody else drops it.
    pub async fn lose(&self, name: &str) {
        match self {
            Self::Influx(server) => _ = query(&server.url, &format!("DROP DATABASE \"{name}\"")).await,
            Self::Schemas(database) => database.run(&format!("DROP SCHEMA \"{name}\" CASCADE")).await,
        }
    }

    pub async fn names(&self) -> BTreeSet<String> {
        match self {
            Self::Influx(server) => {
                let said = query(&server.url, "SHOW DATABASES").await;
                let said: Value = serde_json::from_str(&said).expect("JSON");
                let rows = said["results"][0]["series"][0]["values"].as_array().cloned().unwrap_or_default();
                rows.iter().map(|row| row[0].as_str().expect("a name").to_owned()).collect()
            }
            Self::Schemas(database) => {
                let names: Vec<String> = sqlx::query_scalar("SELECT nspname::text FROM pg_namespace")
                    .fetch_all(&mut database.connect().await)
                    .await
                    .expect("the schemas");
                names.into_iter().collect()
            }
        }
    }

    pub async fn has(&self, name: &str) -> bool {
        self.names().await.contains(name)
    }
}

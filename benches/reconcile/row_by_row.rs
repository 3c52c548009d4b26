//! What today's clients of the registry do: one SELECT and one commit for each dataset of the store, and an
//! INSERT between them where there is no row.

use std::time::{Duration, Instant};

use serde_json::Value;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Executor};
use uuid::Uuid;

use crate::Outcome;

/// Prints how many datasets it looked at, and in how many seconds. Stops at the limit.
pub async fn check(influx: &str, database: &str, limit: Duration) -> Outcome<()> {
    let begin = Instant::now();
    let names = names(influx).await?;
    let mut connection = PgConnection::connect(database).await?;
    let (mut done, mut statements) = (0, 0_u64);
    for name in names.iter().filter(|name| *name != "_internal") {
        if begin.elapsed() > limit {
            break;
        }
        statements += look_at(&mut connection, name).await?;
        done += 1;
    }
    connection.close().await?;
    println!("{done} {statements} {}", begin.elapsed().as_secs_f64());
    Ok(())
}

async fn names(influx: &str) -> Outcome<Vec<String>> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().no_proxy().build()?;
    let asked = http.post(format!("{influx}/query")).form(&[("q", "SHOW DATABASES")]).send().await?;
    let answer: Value = serde_json::from_slice(&asked.bytes().await?)?;
    let rows = answer["results"][0]["series"][0]["values"].as_array().ok_or("no list of databases")?;
    Ok(rows.iter().filter_map(|row| row[0].as_str()).map(str::to_owned).collect())
}

async fn look_at(connection: &mut PgConnection, name: &str) -> Outcome<u64> {
    connection.execute("BEGIN").await?;
    let row: Option<String> =
        sqlx::query_scalar("SELECT row_id::text FROM esdl_time_series_info WHERE esdl_id = $1")
            .bind(name)
            .fetch_optional(&mut *connection)
            .await?;
    if row.is_none() {
        sqlx::query(
            "INSERT INTO esdl_time_series_info (row_id, esdl_id, registered_at, deactivated_at) \
             VALUES ($1::uuid, $2, now(), now())",
        )
        .bind(Uuid::now_v7().to_string())
        .bind(name)
        .execute(&mut *connection)
        .await?;
    }
    connection.execute("COMMIT").await?;
    Ok(if row.is_none() { 4 } else { 3 })
}

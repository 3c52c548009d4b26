//! What today's client does: takes one message, looks for the row of its job, changes or adds it, commits,
//! acknowledges.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use prost::Message;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Executor};
use timesweep::amqp::wire::JobDelete;
use uuid::Uuid;

use crate::Outcome;
use crate::broker::{Broker, QUEUE};
use crate::place::Place;

/// How many it has done when the limit is over or the queue is empty, and in what time.
pub async fn consume(
    broker: &Broker,
    place: &Place,
    messages: usize,
    limit: Duration,
) -> Outcome<(usize, Duration)> {
    let (connection, channel) = broker.channel().await?;
    channel.basic_qos(1, BasicQosOptions::default()).await?;
    let options = BasicConsumeOptions::default();
    let mut consumer =
        channel.basic_consume(QUEUE.into(), "one".into(), options, FieldTable::default()).await?;
    let mut database = place.connect().await?;
    let begin = Instant::now();
    let mut done = 0;
    while done < messages && begin.elapsed() < limit {
        let delivery = consumer.next().await.ok_or("the delivery has ended")??;
        delete(&mut database, JobDelete::decode(delivery.data.as_slice())?.uuid.parse()?).await?;
        delivery.ack(BasicAckOptions::default()).await?;
        done += 1;
    }
    let took = begin.elapsed();
    database.close().await?;
    connection.close(200, "done".into()).await?;
    Ok((done, took))
}

async fn delete(database: &mut PgConnection, job: Uuid) -> Outcome<()> {
    database.execute("BEGIN").await?;
    let row: Option<String> =
        sqlx::query_scalar("SELECT row_id::text FROM esdl_time_series_info WHERE job_id = $1::uuid")
            .bind(job.to_string())
            .fetch_optional(&mut *database)
            .await?;
    let change = match row {
        Some(row) => sqlx::query("UPDATE esdl_time_series_info SET deactivated_at = now() WHERE row_id = $1::uuid").bind(row),
        None => sqlx::query(
            "INSERT INTO esdl_time_series_info (row_id, registered_at, deactivated_at, job_id) VALUES ($1::uuid, now(), now(), $2::uuid)",
        )
        .bind(Uuid::now_v7().to_string())
        .bind(job.to_string()),
    };
    change.execute(&mut *database).await?;
    database.execute("COMMIT").await?;
    Ok(())
}

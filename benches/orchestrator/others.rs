//! All clients and all workers of the benchmark, as far as an orchestrator can see them.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
    QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, Consumer};
use prost::Message;
use timesweep::amqp::wire::task_progress_update::ProgressType;
use timesweep::amqp::wire::{JobSubmission, TaskProgressUpdate, TaskResult};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use uuid::Uuid;

use crate::Outcome;
use crate::broker::Broker;

const EXCHANGE: &str = "omotes_exchange";
const RESULTS: &str = "omotes_task_result_events";
const PROGRESS: &str = "omotes_task_progress_events";
const ESDL: &str = "<?xml version='1.0' encoding='UTF-8'?>\n<esdl:EnergySystem \
     xmlns:esdl=\"http://www.tno.nl/esdl\" id=\"00000000-0000-4000-8000-000000000000\" name=\"in\"/>";

pub struct Clients {
    _connection: Connection,
    channel: Channel,
    consumer: Consumer,
    queue: String,
}

/// A task that somebody has at work.
pub struct Task {
    job: String,
    celery_id: String,
}

pub async fn wait_for_consumers(broker: &Broker, queue: &str, limit: Duration) -> Outcome<()> {
    let began = Instant::now();
    loop {
        let (connection, channel) = broker.channel().await?;
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let found = channel.queue_declare(queue.into(), passive, FieldTable::default()).await;
        let _ = connection.close(200, "looked".into()).await;
        if found.is_ok_and(|queue| queue.consumer_count() > 0) {
            return Ok(());
        }
        if began.elapsed() > limit {
            return Err(format!("nobody listens to {queue}").into());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn consumer(channel: &Channel, queue: &str, no_ack: bool) -> Outcome<Consumer> {
    let options = BasicConsumeOptions { no_ack, ..BasicConsumeOptions::default() };
    Ok(channel.basic_consume(queue.into(), queue.into(), options, FieldTable::default()).await?)
}

async fn publish(channel: &Channel, exchange: &str, key: &str, body: &[u8]) -> Outcome<()> {
    let lasting = BasicProperties::default().with_delivery_mode(2);
    channel.basic_publish(exchange.into(), key.into(), BasicPublishOptions::default(), body, lasting).await?;
    Ok(())
}

impl Clients {
    pub async fn of(broker: &Broker) -> Outcome<Self> {
        let (connection, channel) = broker.channel().await?;
        let queue = "bench_client".to_owned();
        let alone = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(queue.as_str().into(), alone, FieldTable::default()).await?;
        let consumer = consumer(&channel, &queue, true).await?;
        Ok(Self { _connection: connection, channel, consumer, queue })
    }

    /// One queue for all of them: what a client of its own would cost is the broker's business.
    pub async fn listen(&self, jobs: &[Uuid], what: &str) -> Outcome<()> {
        for job in jobs {
            let (queue, key) = (self.queue.as_str(), format!("jobs.{job}.{what}"));
            let options = QueueBindOptions::default();
            self.channel
                .queue_bind(queue.into(), EXCHANGE.into(), key.into(), options, FieldTable::default())
                .await?;
        }
        Ok(())
    }

    pub async fn submit(&self, jobs: &[Uuid], workflow: &str) -> Outcome<()> {
        for job in jobs {
            let submission = JobSubmission {
                uuid: job.to_string(),
                workflow_type: workflow.into(),
                esdl: ESDL.into(),
                ..JobSubmission::default()
            };
            publish(&self.channel, EXCHANGE, "job_submissions", &submission.encode_to_vec()).await?;
        }
        Ok(())
    }

    /// The next message has to be of this kind.
    pub async fn hear_next(&mut self, what: &str, limit: Duration) -> Outcome<()> {
        let next = timeout(limit, self.consumer.next()).await.map_err(|_| format!("no {what} came"))?;
        let key = next.ok_or("the broker ended the delivery")??.routing_key;
        if key.as_str().ends_with(what) { Ok(()) } else { Err(format!("{key} came before a {what}").into()) }
    }

    pub async fn hear(&mut self, count: usize, limit: Duration) -> Outcome<()> {
        let all = async {
            for _ in 0..count {
                self.consumer.next().await.ok_or("the broker ended the delivery")??;
            }
            Ok(())
        };
        timeout(limit, all).await.map_err(|_| format!("not all of {count} messages came"))?
    }
}

pub struct Workers {
    _connection: Connection,
    channel: Channel,
}

fn task_of(delivery: &Delivery) -> Outcome<Task> {
    let headers = delivery.properties.headers().clone().unwrap_or_default();
    let Some(AMQPValue::LongString(id)) = headers.inner().get("id") else {
        return Err("a task has no id".into());
    };
    let body: serde_json::Value = serde_json::from_slice(&delivery.data)?;
    let job = body[0][0]["__value__"]["hex"].as_str().ok_or("a task has no job")?;
    Ok(Task { job: job.parse::<Uuid>()?.to_string(), celery_id: id.to_string() })
}

fn update(task: &Task, progress: ProgressType) -> Vec<u8> {
    TaskProgressUpdate {
        job_id: task.job.clone(),
        celery_task_id: task.celery_id.clone(),
        celery_task_type: "echo".into(),
        message: "at work".into(),
        progress_type: Some(progress),
    }
    .encode_to_vec()
}

async fn answer(channel: &Channel, task: &Task, works: Duration) -> Outcome<()> {
    publish(channel, "", PROGRESS, &update(task, ProgressType::Status(0))).await?;
    if !works.is_zero() {
        tokio::time::sleep(works).await;
    }
    publish(channel, "", PROGRESS, &update(task, ProgressType::Progress(1.0))).await?;
    let result = TaskResult {
        job_id: task.job.clone(),
        celery_task_id: task.celery_id.clone(),
        celery_task_type: "echo".into(),
        output_esdl: Some(ESDL.replace("00000000-0000-4000-8000-000000000000", &Uuid::now_v7().to_string())),
        ..TaskResult::default()
    };
    publish(channel, "", RESULTS, &result.encode_to_vec()).await
}

impl Workers {
    pub async fn of(broker: &Broker) -> Outcome<Self> {
        let (connection, channel) = broker.channel().await?;
        channel.basic_qos(200, BasicQosOptions::default()).await?;
        Ok(Self { _connection: connection, channel })
    }

    /// Every task of `echo` is answered, one after the other.
    pub fn answer(&self, works: Duration) -> JoinHandle<Outcome<()>> {
        let channel = self.channel.clone();
        tokio::spawn(async move {
            let mut tasks = consumer(&channel, "echo", false).await?;
            while let Some(delivery) = tasks.next().await {
                let delivery = delivery?;
                answer(&channel, &task_of(&delivery)?, works).await?;
                channel.basic_ack(delivery.delivery_tag, BasicAckOptions::default()).await?;
            }
            Ok(())
        })
    }

    /// So many tasks, taken and begun.
    pub async fn tasks(&self, workflow: &str, count: usize, limit: Duration) -> Outcome<Vec<Task>> {
        let mut deliveries = consumer(&self.channel, workflow, true).await?;
        let mut tasks = Vec::with_capacity(count);
        while tasks.len() < count {
            let next = timeout(limit, deliveries.next()).await.map_err(|_| "not all tasks came")?;
            let task = task_of(&next.ok_or("the broker ended the delivery")??)?;
            publish(&self.channel, "", PROGRESS, &update(&task, ProgressType::Status(0))).await?;
            tasks.push(task);
        }
        self.stop(workflow).await?;
        Ok(tasks)
    }

    pub async fn stop(&self, workflow: &str) -> Outcome<()> {
        Ok(self.channel.basic_cancel(workflow.into(), BasicCancelOptions::default()).await?)
    }

    pub async fn progress(&self, tasks: &[Task], count: usize) -> Outcome<()> {
        for (number, task) in (0_u32..).zip(tasks.iter().cycle().take(count)) {
            let fraction = f64::from(number) / count as f64;
            publish(&self.channel, "", PROGRESS, &update(task, ProgressType::Progress(fraction))).await?;
        }
        Ok(())
    }
}

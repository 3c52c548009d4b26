//! Submissions as the platform's own client would not make them, or hardly: twice, with parameters of other types,
//! and as large as a broker takes.

use lapin::options::{QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use prost::Message;
use prost_types::{Struct, Value, value::Kind};
use serde_json::json;
use timesweep::amqp::wire::job_result::ResultType;
use timesweep::amqp::wire::{JobResult, JobSubmission};
use uuid::Uuid;

use super::installation::{ERROR, Installation, SUCCEEDED, parameters};
use crate::real::support::eventually;

const ESDL: &str = "<?xml version='1.0' encoding='UTF-8'?>\n<esdl:EnergySystem \
     xmlns:esdl=\"http://www.tno.nl/esdl\" id=\"5f6a0c2e-9d3a-4f43-8a7b-0f4b0f6a6c11\" name=\"in\"></esdl:EnergySystem>";

/// With a queue for its result.
async fn submission(place: &Installation, parameters: &[(&str, Kind)]) -> (String, Vec<u8>) {
    let job = Uuid::now_v7();
    let (_connection, channel) = place.clients.channel().await;
    let queue = format!("jobs.{job}.result");
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    let (name, none) = (queue.as_str(), FieldTable::default);
    channel.queue_declare(name.into(), durable, none()).await.expect("a queue");
    let options = QueueBindOptions::default();
    let bound = channel.queue_bind(name.into(), "omotes_exchange".into(), name.into(), options, none());
    bound.await.expect("bound");
    let fields = parameters.iter().map(|(key, kind)| ((*key).to_owned(), Value { kind: Some(kind.clone()) }));
    let body = JobSubmission {
        uuid: job.to_string(),
        workflow_type: "echo".into(),
        esdl: ESDL.into(),
        params_dict: Some(Struct { fields: fields.collect() }),
        ..JobSubmission::default()
    };
    (queue, body.encode_to_vec())
}

async fn result(place: &Installation, queue: &str) -> JobResult {
    eventually("its result comes", async || place.clients.waiting(queue).await == 1).await;
    JobResult::decode(place.clients.take(queue).await.delivery.data.as_slice()).expect("a result")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_submitted_again_and_again_is_done_once() {
    let place = Installation::new().await;
    let serving = place.serve().await;
    let _worker = place.worker("first", &["echo"]).await;
    let mut client = place.client().await;
    let (queue, body) = submission(&place, &[("seconds", Kind::NumberValue(0.3))]).await;
    place.clients.publish("job_submissions", &[body.clone(), body.clone()]).await;
    eventually("it is at work", async || place.at_work().len() == 1).await;
    place.clients.publish("job_submissions", std::slice::from_ref(&body)).await;
    let first = result(&place, &queue).await;
    assert_eq!(first.result_type(), ResultType::Succeeded, "{}", first.logs);
    place.clients.publish("job_submissions", &[body]).await;
    // Whoever comes behind it has his result: what it would have begun is over.
    let next = client.submits("echo", parameters("", 0.0, 0)).await;
    assert_eq!(client.result(&next).await["result"], SUCCEEDED);
    place.no_job_is_left().await;
    assert_eq!(place.clients.waiting(&queue).await, 0, "one result, and no more");
    serving.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_of_other_types_reach_the_worker_as_they_came_and_fail_their_job_alone() {
    let place = Installation::new().await;
    let serving = place.serve().await;
    let _worker = place.worker("first", &["echo"]).await;
    let list = Kind::ListValue(prost_types::ListValue { values: vec![Value { kind: None }] });
    let mut queues = Vec::new();
    for seconds in
        [Kind::StringValue("many".into()), Kind::BoolValue(true), Kind::NumberValue(f64::NAN), list]
    {
        let (queue, body) = submission(&place, &[("seconds", seconds)]).await;
        place.clients.publish("job_submissions", &[body]).await;
        queues.push(queue);
    }
    let mut ended = Vec::new();
    for queue in &queues {
        let result = result(&place, queue).await;
        println!(
            "{}: {}",
            result.result_type().as_str_name(),
            result.logs.lines().last().unwrap_or_default()
        );
        ended.push(result.result_type());
    }
    // Python takes the truth for a number.
    let failed = ResultType::Error;
    assert_eq!(ended, [failed, ResultType::Succeeded, failed, failed]);
    place.no_job_is_left().await;
    assert_eq!(serving.health().await.code, 200);
    serving.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_esdl_as_large_as_the_broker_takes_is_worked_at_and_one_whose_task_is_larger_fails() {
    let place = Installation::new().await;
    let serving = place.serve().await;
    let _worker = place.worker("first", &["echo"]).await;
    let mut client = place.client().await;
    let esdl = |filling: &str| ESDL.replace("></esdl", &format!(">{filling}</esdl"));
    // The broker takes 16 MiB, and a parser texts of 10 MB; a quotation mark is two bytes in a task.
    let (large, too_large) = (esdl(&" ".repeat(9_900_000)), esdl(&"\"".repeat(9_900_000)));
    let large = format!("{large}{}", " ".repeat((16 << 20) - 1_200 - large.len()));
    for (esdl, ends) in [(large, SUCCEEDED), (too_large, ERROR)] {
        client.order(
            &json!({"submit": {"workflow": "echo", "parameters": parameters("", 0.0, 0), "esdl": esdl}}),
        );
        let result = client.hears(|told| told.get("result").is_some_and(|result| result == ends)).await;
        let says_why =
            result["logs"].as_str().is_some_and(|logs| logs.contains("too large for the message broker"));
        assert_eq!(says_why, ends == ERROR, "{}", result["logs"]);
    }
    place.no_job_is_left().await;
    serving.stop().await;
}

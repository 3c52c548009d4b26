//! What keeps the program from listening, in sentences.

use std::sync::Arc;
use std::time::Duration;

use lapin::options::{BasicConsumeOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use timesweep::config::{AmqpSettings, ResultsSettings};
use timesweep::problem::{Kind, Problem};
use timesweep::registry::memory::Memory;
use uuid::Uuid;

use super::broker::{Listening, TestBroker, deletion, durable, settings};

async fn refused(settings: &AmqpSettings) -> Problem {
    refused_while_it_stands_by(settings).await.0
}

/// And whether another one of us has the queue.
async fn refused_while_it_stands_by(settings: &AmqpSettings) -> (Problem, bool) {
    let listening = Listening::starting(settings, Arc::new(Memory::default()));
    let counters = Arc::clone(&listening.counters);
    (listening.fails().await, counters.deletions.stands_by())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_somebody_else_listens_to_is_left_alone() {
    let broker = TestBroker::new().await;
    let (_connection, channel) = broker.channel().await;
    durable(&channel, "job_deletions").await;
    let other = channel.basic_consume(
        "job_deletions".into(),
        "an orchestrator".into(),
        BasicConsumeOptions::default(),
        FieldTable::default(),
    );
    let _other = other.await.expect("a consumer");
    let (problem, stands_by) = refused_while_it_stands_by(&broker.settings()).await;
    assert_eq!(problem.kind, Kind::Refused);
    assert!(!stands_by, "nobody would ever take over from it");
    assert!(problem.sentence.contains("(1 of them)"), "{problem}");
    assert!(
        problem.sentence.starts_with("somebody else takes messages from `job_deletions` on"),
        "{problem}"
    );
    assert!(problem.hint.is_some_and(|hint| hint.contains("stop the other consumer")));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_later_does_not_get_every_other_message() {
    let (broker, registry) = (TestBroker::new().await, Memory::default());
    let listening = Listening::on(&broker.settings(), Arc::new(registry.clone())).await;
    let (_connection, channel) = broker.channel().await;
    let later = channel.basic_consume(
        "job_deletions".into(),
        "an orchestrator".into(),
        BasicConsumeOptions::default(),
        FieldTable::default(),
    );
    let problem = later.await.expect_err("the queue is taken");
    assert!(problem.to_string().contains("ACCESS_REFUSED"), "{problem}");
    broker.publish("job_deletions", &[deletion(Uuid::now_v7())]).await;
    crate::real::support::eventually("it is ours", async || listening.counters.deletions.recorded() == 1)
        .await;
    let (problem, stands_by) = refused_while_it_stands_by(&broker.settings()).await;
    assert_eq!(problem.kind, Kind::Refused, "nor does a second timesweep");
    assert!(stands_by, "it waits for the first one to end");
    listening.end().await.expect("a quiet end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_cannot_be_used_is_named_with_the_reason() {
    let broker = TestBroker::new().await;
    let [host, port, user, password] = broker.parts();
    let place = format!("{host}:{port}");
    let wrong_password = format!("amqp://{user}:geheim@{place}/{}", broker.vhost);
    let wrong_vhost = format!("amqp://{user}:{password}@{place}/nowhere");
    let nobody = format!("amqp://{user}:{password}@127.0.0.1:1/{}", broker.vhost);
    for (url, kind, said) in [
        (
            wrong_password,
            Kind::Usage,
            format!("the broker {place}/{} does not let `{user}` in", broker.vhost),
        ),
        (wrong_vhost, Kind::Usage, format!("`{user}` cannot use the virtual host of {place}/nowhere")),
        (nobody, Kind::Unreachable, "the broker 127.0.0.1:1/".into()),
    ] {
        let problem = refused(&settings(&url)).await;
        assert_eq!(problem.kind, kind, "{problem}");
        assert!(problem.sentence.starts_with(&said), "{problem}");
        let shown = format!("{problem} {problem:?}");
        assert!(!shown.contains("geheim") && !shown.contains(&password), "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_was_declared_otherwise_is_named() {
    let broker = TestBroker::new().await;
    let (_connection, channel) = broker.channel().await;
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), AMQPValue::LongInt(5));
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare("job_deletions".into(), durable, arguments).await.expect("a queue");
    let problem = refused(&broker.settings()).await;
    assert!(
        problem.sentence.starts_with("cannot declare the queue `job_deletions` on the broker"),
        "{problem}"
    );
    assert!(problem.to_string().contains("PRECONDITION_FAILED"), "{problem}");
    assert!(problem.hint.is_some_and(|hint| hint.contains("declared it in another way")));
}

#[tokio::test(flavor = "multi_thread")]
async fn results_that_cannot_be_listened_to_end_both_lines() {
    let broker = TestBroker::new().await;
    let mut both = broker.settings();
    let nowhere = settings(&format!("{}_nowhere", broker.url())).broker;
    both.results = Some(ResultsSettings { broker: nowhere, queue: "omotes_task_result_events".into() });
    let problem = tokio::time::timeout(Duration::from_secs(20), refused(&both)).await.expect("it ends");
    assert_eq!(problem.kind, Kind::Usage, "{problem}");
    assert!(problem.sentence.contains("_nowhere"), "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_not_trusted_gets_no_password_and_a_private_authority_can_be_named() {
    let broker = TestBroker::new().await;
    let [_, _, user, password] = broker.parts();
    let of_testbed = |name: &str| std::env::var(name).expect(name);
    let port = of_testbed("TIMESWEEP_TEST_AMQP_TLS_PORT");
    let mut settings = settings(&format!("amqps://{user}:{password}@127.0.0.1:{port}/{}", broker.vhost));
    let problem = refused(&settings).await;
    assert_eq!(problem.kind, Kind::Unreachable, "{problem}");
    assert!(problem.to_string().contains("UnknownIssuer"), "{problem}");
    settings.broker.ca_file = Some(of_testbed("TIMESWEEP_TEST_AMQP_CA").into());
    let listening = Listening::on(&settings, Arc::new(Memory::default())).await;
    listening.end().await.expect("a quiet end");
    settings.broker.ca_file = Some("/nonexistent/ca.pem".into());
    let problem = refused(&settings).await;
    assert!(problem.sentence.starts_with("`ca_file` /nonexistent/ca.pem cannot be read"), "{problem}");
}

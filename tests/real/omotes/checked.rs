//! What `check` says of the brokers of an orchestrator's place.

use lapin::options::{BasicConsumeOptions, BasicGetOptions, ExchangeDeclareOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, Consumer, ExchangeKind};
use serde_json::Value;

use super::installation::Installation;
use crate::real::amqp::broker::TestBroker;
use crate::real::owned::place::Place;
use crate::real::support::Ran;

const DURABLE: QueueDeclareOptions = QueueDeclareOptions {
    durable: true,
    passive: false,
    exclusive: false,
    auto_delete: false,
    nowait: false,
};

fn checked(place: &Installation, code: i32) -> Value {
    place.ran(&["check", "--output", "json"]).with_code(code).json()
}

/// Sentences and causes of everything that cannot be used.
fn troubles(checked: &Value) -> Vec<String> {
    let all = checked["troubles"].as_array().expect("troubles");
    all.iter().map(|trouble| format!("{} {}", trouble["sentence"], trouble["causes"])).collect()
}

fn queue<'a>(checked: &'a Value, of: &str, name: &str) -> &'a Value {
    let brokers = checked["brokers"].as_array().expect("brokers");
    let broker = brokers.iter().find(|broker| broker["of"] == of).expect("a broker");
    let queues = broker["queues"].as_array().expect("queues");
    queues.iter().find(|queue| queue["queue"] == name).expect("a queue")
}

/// As the platform's own orchestrator stands there.
async fn orchestrator(broker: &TestBroker) -> (Connection, Consumer) {
    let (connection, channel) = broker.channel().await;
    let exclusive = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
    let name = "request_available_workflows";
    channel.queue_declare(name.into(), exclusive, FieldTable::default()).await.expect("its queue");
    let consumer = consume(&channel, "job_submissions").await;
    (connection, consumer)
}

async fn consume(channel: &Channel, name: &str) -> Consumer {
    channel.queue_declare(name.into(), DURABLE, FieldTable::default()).await.expect("a queue");
    let (tag, options) = ("somebody", BasicConsumeOptions::default());
    channel.basic_consume(name.into(), tag.into(), options, FieldTable::default()).await.expect("a consumer")
}

async fn declare(broker: &TestBroker, name: &str, key: &str, value: AMQPValue) {
    let (_connection, channel) = broker.channel().await;
    let mut arguments = FieldTable::default();
    arguments.insert(key.into(), value);
    channel.queue_declare(name.into(), DURABLE, arguments).await.expect("a queue");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_looks_at_both_brokers_and_changes_nothing() {
    let place = Installation::new().await;
    let before = (place.clients.everything().await, place.workers.everything().await);
    let found = checked(&place, 0);
    assert!(troubles(&found).is_empty(), "{found}");
    assert_eq!(queue(&found, "clients", "job_submissions")["is_there"], false);
    assert_eq!(queue(&found, "workers", "echo")["is_there"], false);
    assert_eq!(before, (place.clients.everything().await, place.workers.everything().await));
    // The same where everything is there, and messages wait.
    place.serve().await.stop().await;
    place.clients.publish("job_submissions", &[b"a message".to_vec()]).await;
    let before = (place.clients.everything().await, place.workers.everything().await);
    let found = checked(&place, 0);
    assert_eq!(queue(&found, "clients", "job_submissions")["waiting"], 1);
    assert_eq!(before, (place.clients.everything().await, place.workers.everything().await));
    let (_connection, channel) = place.clients.channel().await;
    let message = channel.basic_get("job_submissions".into(), BasicGetOptions::default()).await;
    assert!(!message.expect("the queue").expect("the message").delivery.redelivered, "nobody had it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_of_brokers_reads_like_this() {
    let place = Installation::new().await;
    let (first, second) = (place.serve().await, place.serve().await);
    place.clients.publish("timesweep_dead_letters", &[b"?".to_vec()]).await;
    let (_connection, channel) = place.workers.channel().await;
    let priority = |mut table: FieldTable| {
        table.insert("x-max-priority".into(), AMQPValue::LongInt(10));
        table
    };
    channel.queue_declare("echo".into(), DURABLE, priority(FieldTable::default())).await.expect("as it is");
    crate::real::amqp::broker::publish_on(&channel, "echo", &[b"a task".to_vec()]).await;
    let said = place.ran(&["check"]).with_code(0).out;
    let said = said.replace(&place.clients.place(), "CLIENTS").replace(&place.workers.place(), "WORKERS");
    let brokers = said.find("broker of").expect("brokers");
    insta::assert_snapshot!(&said[brokers..]);
    first.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_names_a_broker_that_does_not_let_us_in_and_looks_at_the_other() {
    for (name, value, code, said) in [
        ("SDK_RABBITMQ_PASSWORD", "wrong", 2, "does not let"),
        ("SDK_RABBITMQ_VIRTUALHOST", "nowhere", 2, "cannot use the virtual host of"),
        ("SDK_RABBITMQ_PORT", "1", 5, "cannot be reached"),
    ] {
        let mut place = Installation::new().await;
        place.more = vec![(name, value.into())];
        let found = checked(&place, code);
        let said_of_it = troubles(&found);
        assert_eq!(said_of_it.len(), 1, "{said_of_it:?}");
        assert!(said_of_it[0].contains(said), "{said_of_it:?}");
        assert_eq!(queue(&found, "workers", "echo")["is_there"], false, "the other one is looked at");
        assert_eq!(found["report"]["verdict"], "done", "and so is the store");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_looks_at_the_brokers_where_the_database_is_away() {
    let mut place = Installation::new().await;
    place.more = vec![("POSTGRESQL_PORT", "1".into())];
    let found = checked(&place, 5);
    assert!(
        found["error"]["sentence"].as_str().is_some_and(|said| said.contains("cannot connect")),
        "{found}"
    );
    assert_eq!(queue(&found, "clients", "job_submissions")["is_there"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_names_what_is_declared_in_another_way_with_the_way_out() {
    let place = Installation::new().await;
    declare(&place.clients, "job_deletions", "x-max-length", AMQPValue::LongInt(5)).await;
    declare(&place.workers, "echo", "x-queue-type", AMQPValue::LongString("quorum".into())).await;
    let (_connection, channel) = place.clients.channel().await;
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    let (name, kind) = ("omotes_exchange", ExchangeKind::Direct);
    channel.exchange_declare(name.into(), kind, durable, FieldTable::default()).await.expect("an exchange");
    let exclusive = QueueDeclareOptions { exclusive: true, ..DURABLE };
    let (name, arguments) = ("timesweep_dead_letters", FieldTable::default());
    channel.queue_declare(name.into(), exclusive, arguments).await.expect("a queue");
    let Ran { out, .. } = place.ran(&["check"]).with_code(4);
    let (clients, workers) = (place.clients.place(), place.workers.place());
    for said in [
        format!(
            "error: the exchange `omotes_exchange` on the broker {clients} is declared in another way than we do\n"
        ),
        format!(
            "error: the queue `job_deletions` on the broker {clients} is declared in another way than we do\n"
        ),
        format!("error: the queue `echo` on the broker {workers} is declared in another way than we do\n"),
        format!(
            "error: the queue `timesweep_dead_letters` on the broker {clients} belongs to another connection alone\n"
        ),
        "because: inequivalent arg 'x-max-length' for queue 'job_deletions'".into(),
        "hint: let it run empty and delete it there".into(),
    ] {
        assert!(out.contains(&said), "{said}\n{out}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_tells_of_others_who_take_the_same_messages() {
    let place = Installation::new().await;
    let theirs = orchestrator(&place.clients).await;
    let said = troubles(&checked(&place, 4));
    assert_eq!(said.len(), 1, "told once: {said:?}");
    assert!(
        said[0].contains("another orchestrator is at work on") && said[0].contains("each message"),
        "{said:?}"
    );
    theirs.0.close(200, "it was stopped".into()).await.expect("it goes");
    // Replicas of ours are no others.
    let (first, second) = (place.serve().await, place.serve().await);
    let found = checked(&place, 0);
    assert_eq!(queue(&found, "clients", "job_submissions")["consumers"], 2);
    let (_clients, on_clients) = place.clients.channel().await;
    let _one = consume(&on_clients, "job_submissions").await;
    let (_workers, on_workers) = place.workers.channel().await;
    let _other = consume(&on_workers, "omotes_task_result_events").await;
    let said = troubles(&checked(&place, 4));
    assert_eq!(said.len(), 1, "{said:?}");
    for (queue, broker) in
        [("job_submissions", &place.clients), ("omotes_task_result_events", &place.workers)]
    {
        let theirs = format!("`{queue}` on {} has 3 consumers, 2 of them timesweep", broker.place());
        assert!(said[0].contains(&theirs), "{theirs}: {said:?}");
    }
    first.stop().await;
    second.stop().await;
}

/// What docs/omotes.md says of rights, each by what needs it.
const CLIENTS: [&str; 3] = [
    "omotes_exchange|job_submissions|job_deletions|job_cancellations|timesweep_workflow_requests|timesweep_dead_letters",
    "omotes_exchange|job_submissions|job_deletions|timesweep_workflow_requests|amq.default",
    "omotes_exchange|job_submissions|job_deletions|job_cancellations|timesweep_workflow_requests",
];
const WORKERS: [&str; 3] = [
    "omotes_task_result_events|omotes_task_progress_events|timesweep_dead_letters|celery.pidbox|echo|rest",
    "celery.pidbox|echo|rest|amq.default",
    "omotes_task_result_events|omotes_task_progress_events|echo|rest",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_check_names_each_right_that_is_missing_and_no_other() {
    let mut place = Installation::new().await;
    let user = place.clients.user().await;
    for prefix in ["SDK", "TASK", "CELERY"] {
        let [name, password] = ["USERNAME", "PASSWORD"].map(|part| format!("{prefix}_RABBITMQ_{part}"));
        place.more.push((name.leak(), user.name.clone()));
        place.more.push((password.leak(), "secret".into()));
    }
    place.clients.grant(&user, CLIENTS).await;
    place.workers.grant(&user, WORKERS).await;
    assert!(troubles(&checked(&place, 0)).is_empty());
    // The same where everything is there: what is enough for `check` is enough for `serve`.
    place.serve().await.stop().await;
    place.clients.publish("job_cancellations", &[]).await;
    assert!(troubles(&checked(&place, 0)).is_empty());
    for (broker, rights) in [(&place.clients, CLIENTS), (&place.workers, WORKERS)] {
        for (number, word) in ["configure", "write", "read"].into_iter().enumerate() {
            for name in rights[number].split('|') {
                let others: Vec<&str> = rights[number].split('|').filter(|other| *other != name).collect();
                let others = others.join("|");
                let mut fewer = rights;
                fewer[number] = &others;
                broker.grant(&user, fewer).await;
                let said = troubles(&checked(&place, 4));
                assert_eq!(said.len(), 1, "{said:?}");
                let named = [
                    format!("{word} access to queue '{name}' "),
                    format!("{word} access to exchange '{name}' "),
                ];
                assert!(named.iter().any(|named| said[0].contains(named)), "{word} {name}: {said:?}");
                assert!(said[0].contains("lacks rights on the broker"), "{said:?}");
            }
        }
        broker.grant(&user, rights).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_beside_an_orchestrator_looks_at_its_brokers() {
    let place = Place::on_influx().await;
    let found = place.ran(&["check", "--output", "json"]).with_code(0).json();
    assert_eq!(queue(&found, "clients", "job_deletions")["is_there"], false);
    assert_eq!(queue(&found, "workers", "omotes_task_result_events")["is_there"], false);
    // Beside a service that has the queues for itself.
    let place = Place::on_influx().await;
    let serving = place.serve().await;
    let found = place.ran(&["check", "--output", "json"]).with_code(0).json();
    let advice = found["advice"].to_string();
    assert!(
        advice.contains("somebody takes from `job_deletions` on") && advice.contains("`timesweep serve`"),
        "{advice}"
    );
    serving.stop().await;
    let place = Place::on_influx().await;
    declare(&place.clients, "job_deletions", "x-max-length", AMQPValue::LongInt(5)).await;
    let said = troubles(&place.ran(&["check", "--output", "json"]).with_code(4).json());
    assert!(said.len() == 1 && said[0].contains("declared in another way"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_that_is_called_like_a_queue_of_this_installation_is_refused() {
    for name in ["TASK_RESULT_QUEUE_NAME", "TASK_PROGRESS_QUEUE_NAME"] {
        let mut place = Installation::new().await;
        place.more = vec![(name, "echo".into())];
        let Ran { err, .. } = place.ran(&["check"]).with_code(2);
        assert!(err.contains("a workflow cannot be called `echo`") && err.contains(name), "{err}");
        assert!(!place.declares("echo").await);
    }
}

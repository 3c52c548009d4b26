//! More than one process, crowds, processes that are killed, and a broker that is started again.

use std::time::{Duration, Instant};

use serde_json::json;

use super::installation::{
    CANCELLED, Client, Installation, STATUS_RUNNING, SUCCEEDED, dataset_of, parameters,
};
use crate::real::own_broker::OwnBroker;
use crate::real::pooler::Pooler;
use crate::real::support::eventually;

async fn all_succeed(clients: &[Client], each: usize) {
    let deadline = Instant::now() + Duration::from_mins(10);
    while clients.iter().any(|client| client.results() < each) {
        assert!(
            Instant::now() < deadline,
            "not all of {each} each: {:#?}",
            clients.iter().map(missing).collect::<Vec<_>>()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for client in clients {
        let submitted = client.submitted();
        assert_eq!(submitted.len(), each);
        for job in submitted {
            assert_eq!(client.result(&job).await["result"], SUCCEEDED, "{job}");
        }
    }
}

/// All that a client heard of the jobs without a result.
fn missing(client: &Client) -> Vec<serde_json::Value> {
    let told = client.told();
    let has_result =
        |job: &serde_json::Value| told.iter().any(|told| told["job"] == *job && told.get("result").is_some());
    told.iter().filter(|told| !has_result(&told["job"])).cloned().collect()
}

fn submit_many(client: &mut Client, count: usize) {
    client.order(
        &json!({"submit": {"workflow": "echo", "parameters": parameters("", 0.0, 1), "count": count}}),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_share_the_work_and_either_may_be_killed() {
    let place = Installation::new().await;
    let (first, second) = (place.serve().await, place.serve().await);
    let _workers = (place.worker("first", &["echo"]).await, place.worker("second", &["echo"]).await);
    let mut client = place.client().await;
    submit_many(&mut client, 20);
    eventually("some are done", async || client.results() >= 5).await;
    first.kill().await;
    all_succeed(&[client], 20).await;
    place.no_job_is_left().await;
    // A new one, and the other one goes.
    let third = place.serve().await;
    second.kill().await;
    let mut client = place.client().await;
    submit_many(&mut client, 10);
    all_succeed(&[client], 10).await;
    place.no_job_is_left().await;
    third.stop().await;
}

/// `jobs` from `processes` clients to three workers, in `rounds`.
async fn crowd(processes: usize, jobs: usize, rounds: usize) {
    let place = Installation::new().await;
    let serving = place.serve().await;
    let mut workers = Vec::new();
    for name in ["first", "second", "third"] {
        workers.push(place.worker(name, &["echo"]).await);
    }
    for round in 0..rounds {
        let starting: Vec<Client> = (0..processes).map(|_| place.client_starts()).collect();
        for client in &starting {
            client.hears(|told| told.get("workflows").is_some()).await;
        }
        let mut clients = starting;
        let began = Instant::now();
        let each = jobs / processes;
        for client in &mut clients {
            submit_many(client, each);
        }
        all_succeed(&clients, each).await;
        println!("round {round}: {jobs} jobs in {:.1?}", began.elapsed());
        place.no_job_is_left().await;
        assert_eq!(place.database.number("SELECT count(*) FROM timesweep_outbox").await, 0);
        make_room(&place).await;
    }
    serving.stop().await;
}

/// InfluxDB keeps some nine files open for each database, and a process may open no more than 20,000 where a crowd of
/// a few rounds comes.
async fn make_room(place: &Installation) {
    for name in place.ground.names().await {
        if uuid::Uuid::parse_str(&name).is_ok() {
            place.ground.lose(&name).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_crowd_gets_all_of_its_results() {
    crowd(2, 40, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes many minutes; dev/soak runs it"]
async fn a_crowd_gets_all_of_its_results_ten_times_in_a_row() {
    let rounds =
        std::env::var("TIMESWEEP_CROWD_ROUNDS").map_or(10, |rounds| rounds.parse().expect("a number"));
    crowd(5, 500, rounds).await;
}

/// Killed at this point while a job is submitted and done, and started again.
async fn killed_during_a_job(point: &str) {
    let place = Installation::new().await;
    let mut killed = place.serve_until_killed(point);
    let worker = async {
        eventually("the queue is declared", async || place.declares("echo").await).await;
        place.worker("first", &["echo"]).await
    };
    let _worker = worker.await;
    let mut client = place.client_starts();
    // It may be dead before it could tell of its workflows, and the client waits for a minute.
    let mut submitted = None;
    let deadline = Instant::now() + Duration::from_mins(1);
    while killed.is_running() {
        assert!(Instant::now() < deadline, "{point} was never reached: {}", killed.log());
        if submitted.is_none() && client.told().iter().any(|told| told.get("workflows").is_some()) {
            submitted = Some(client.submits("echo", parameters("", 0.0, 1)).await);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let again = place.serve().await;
    client.hears(|told| told.get("workflows").is_some()).await;
    let job = match submitted {
        Some(job) => job,
        None => client.submits("echo", parameters("", 0.0, 1)).await,
    };
    let result = client.result(&job).await;
    assert_eq!(result["result"], SUCCEEDED, "{point}: {result}");
    place.no_job_is_left().await;
    let dataset = dataset_of(&result);
    eventually("its data belongs to it", async || place.owner(&dataset).await.as_ref() == Some(&job)).await;
    again.stop().await;
}

macro_rules! killed_at {
    ($(($name:ident, $point:literal),)*) => { $(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            killed_during_a_job($point).await;
        }
    )* };
}

killed_at! {
    (killed_when_a_task_is_about_to_be_sent, "outbox-attempted"),
    (killed_when_letters_are_confirmed, "letters-confirmed:2"),
    (killed_before_letters_are_forgotten, "outbox-before-sent:3"),
    (killed_after_letters_are_forgotten, "outbox-sent"),
}

/// Killed while a running job is deleted, and started again.
#[tokio::test(flavor = "multi_thread")]
async fn killed_while_a_job_is_deleted_its_client_is_told_and_its_task_ends() {
    let place = Installation::new().await;
    let serving = place.serve().await;
    let _worker = place.worker("first", &["echo"]).await;
    let mut client = place.client().await;
    let job = client.submits("echo", parameters("", 300.0, 0)).await;
    client.status(&job, STATUS_RUNNING).await;
    serving.stop().await;
    // What is written by the deletion waits in the outbox when the process dies.
    client.order(&json!({"delete": job}));
    let mut killed = place.serve_until_killed("letters-confirmed");
    assert_eq!(killed.ended().await, 909);
    let again = place.serve().await;
    assert_eq!(client.result(&job).await["result"], CANCELLED);
    eventually("its task ends", async || place.at_work().is_empty()).await;
    place.no_job_is_left().await;
    again.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_transaction_pooler_an_orchestrator_takes_nothing() {
    let mut place = Installation::new().await;
    place.serve().await.stop().await;
    place.clients.publish("job_submissions", &[b"a message".to_vec()]).await;
    let pooler = Pooler::before(&place.database);
    place.more = vec![("POSTGRESQL_PORT", pooler.port.to_string())];
    let serving = place.starts().await;
    let says = async || serving.log().contains("so two replicas could send the same letters");
    eventually("it says so", says).await;
    eventually("its health says so", async || serving.health().await.code == 503).await;
    assert_eq!(place.clients.waiting("job_submissions").await, 1);
    serving.stop().await;
    assert_eq!(place.clients.waiting("job_submissions").await, 1);
}

/// We are back before its client, whose queue nothing leads to until then.
#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_comes_while_the_clients_broker_is_away_is_got() {
    let broker = OwnBroker::start();
    let place = Installation::with_clients_at(broker.host().await).await;
    let serving = place.serve().await;
    let _worker = place.worker("first", &["echo"]).await;
    let mut client = place.client().await;
    let job = client.submits("echo", parameters("", 1.0, 0)).await;
    client.status(&job, STATUS_RUNNING).await;
    broker.end("TERM");
    let letters = "SELECT count(*) FROM timesweep_outbox WHERE kind = 'result'";
    eventually("its result waits", async || place.database.number(letters).await == 1).await;
    client.signal("STOP");
    broker.start_again();
    eventually("its result leaves", async || place.database.number(letters).await == 0).await;
    client.signal("CONT");
    let result = client.result(&job).await;
    assert_eq!(result["result"], SUCCEEDED, "{result}");
    place.no_job_is_left().await;
    serving.stop().await;
}

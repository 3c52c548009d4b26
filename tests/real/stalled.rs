//! A network that passes nothing on any more, while every connection stays open: nothing waits for ever.

use std::sync::Arc;
use std::time::Duration;

use timesweep::config::{Config, Machine, StoreConfig};
use timesweep::problem::{Kind, Problem, Result};
use timesweep::report::Verdict;
use timesweep::retention::model::ChunkPart;
use timesweep::state::State;
use timesweep::store::postgres::limits::Limits;
use timesweep::store::timescale::Timescale;
use timesweep::store::{Driver, DropFailure, DropOrder, EndOrder, Wanted};
use timesweep::sweep::apply::{Order, Pass};
use timesweep::sweep::execute::Silent;
use tokio_util::sync::CancellationToken;

use super::direct;
use super::proxy::Proxy;
use super::support::TestDatabase;

/// Much longer than any limit of [`short`], much shorter than any that people have.
const IN_TIME: Duration = Duration::from_secs(8);

fn short() -> Limits {
    Limits {
        connect: Duration::from_secs(2),
        wake: Duration::from_millis(400),
        verify: Duration::from_secs(1),
        look: Duration::from_secs(3),
        work: Duration::from_secs(2),
    }
}

fn configuration(database: &TestDatabase, proxy: &Proxy) -> StoreConfig {
    let url = database.file("proxy-url");
    std::fs::write(&url, &proxy.url).expect("a file for the url");
    let text = format!(
        "[stores.main]\nurl = {{ file = {:?} }}\n[[policies]]\ntable = \"public.*\"\ndrop_after = \"2 days\"\n\
         [caps]\nshare_of_bytes = \"100 %\"",
        url.display().to_string()
    );
    Config::parse(&text, "test", &Machine).expect("a configuration").stores[0].clone()
}

fn driver(database: &TestDatabase, proxy: &Proxy) -> Arc<Timescale> {
    Arc::new(Timescale::with_limits(&configuration(database, proxy), short()).expect("a driver"))
}

async fn in_time<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(IN_TIME, work).await.unwrap_or_else(|_| panic!("{what} waits for ever"))
}

#[track_caller]
fn is_unreachable<T>(what: &str, answer: Result<T>) -> Problem {
    let Err(problem) = answer else { panic!("{what} was answered") };
    assert_eq!(problem.kind, Kind::Unreachable, "{what}: {problem}");
    problem
}

/// Asks each question of a driver through a network that hangs as soon as the question is put.
async fn asked<T>(
    database: &TestDatabase,
    hangs_at: &str,
    ask: impl AsyncFnOnce(&dyn Driver) -> Result<T>,
) -> String {
    let proxy = Proxy::before(database);
    proxy.hang_at(hangs_at);
    let driver = driver(database, &proxy);
    let answer = in_time(hangs_at, ask(driver.as_ref())).await;
    assert!(proxy.has_swallowed(), "{hangs_at} is not asked");
    is_unreachable(hangs_at, answer).to_string()
}

#[tokio::test]
async fn no_question_waits_for_ever_for_its_answer() {
    let database = TestDatabase::new().await;
    database.daily_table("t", 3).await;
    let table = direct::table(&database, "t").await;
    let parts: Vec<ChunkPart> = table.chunks[0].parts.clone();
    let (name, roles) = (table.name.clone(), vec!["postgres".to_owned()]);
    let end = EndOrder {
        sessions: Vec::new(),
        roles: roles.clone(),
        in_the_way_of: Some((name.clone(), parts.clone())),
    };
    let facts = asked(&database, "timescaledb_information.chunks", async |driver| {
        driver.facts(&Wanted::default()).await
    })
    .await;
    let said = "cannot read what is in the database: the server has not answered for 2 s";
    assert!(facts.starts_with(said) && facts.contains("hint: check the network"), "{facts}");
    let said = "cannot look for blockers: the server has not answered for 3 s";
    let blockers =
        asked(&database, "l.relation = ANY", async |driver| driver.blockers(&name, &parts).await).await;
    assert!(blockers.starts_with(said), "{blockers}");
    asked(&database, "pg_database_size", async |driver| driver.total_bytes().await).await;
    asked(&database, "pg_postmaster_start_time", async |driver| driver.disk().await).await;
    asked(&database, "pg_indexes_size", async |driver| {
        driver.size_parts(std::slice::from_ref(&table.name)).await
    })
    .await;
    asked(&database, "ORDER BY w.n", async |driver| driver.still_there(&parts).await).await;
    asked(&database, "AS ours", async |driver| driver.sessions(&roles).await).await;
    asked(&database, "k.confrelid AS oid", async |driver| driver.end_sessions(&end).await).await;
    asked(&database, "drop_chunk'", async |driver| driver.advice().await).await;
    asked(&database, "pg_try_advisory_lock", async |driver| driver.lock_runner("run one").await).await;
    asked(&database, "extversion", async |driver| driver.open_dropper().await).await;
}

/// A transaction whose answer did not come: nobody knows whether it was committed.
#[tokio::test]
async fn a_transaction_is_not_waited_for_for_ever() {
    let database = TestDatabase::new().await;
    database.daily_table("t", 3).await;
    let table = direct::table(&database, "t").await;
    for hangs_at in ["BEGIN", "drop_chunks(", "COMMIT"] {
        let proxy = Proxy::before(&database);
        let mut dropper = driver(&database, &proxy).open_dropper().await.expect("a session");
        proxy.hang_at(hangs_at);
        let order = DropOrder {
            dataset: table.name.clone(),
            kind: table.kind.clone(),
            chunks: table.chunks[..1].to_vec(),
            protect_aggregates: false,
        };
        let answer = in_time(hangs_at, dropper.drop_chunks(&order)).await;
        let why = "the server has not answered for 2 s".to_owned();
        assert_eq!(answer, Err(DropFailure::Unknown(why)), "{hangs_at}");
        drop(dropper);
        assert_eq!(database.chunks("t").await, 3, "nothing was committed: {hangs_at}");
    }
}

/// A firewall forgets connections that were silent for long; the server is there all the same.
#[tokio::test]
async fn a_session_that_the_network_has_forgotten_is_replaced() {
    let database = TestDatabase::new().await;
    database.daily_table("t", 3).await;
    let proxy = Proxy::before(&database);
    let driver = driver(&database, &proxy);
    driver.facts(&Wanted::default()).await.expect("facts");
    proxy.forget();
    let bytes = in_time("a look", driver.total_bytes()).await.expect("an answer in a new session");
    assert!(bytes.is_some_and(|bytes| bytes.0 > 0), "{bytes:?}");
}

/// The report comes, and says that the next run has to find out.
#[tokio::test]
async fn a_run_whose_network_dies_at_a_drop_ends_with_a_report() {
    let database = TestDatabase::new().await;
    database.daily_table("t", 5).await;
    let proxy = Proxy::before(&database);
    proxy.hang_at("drop_chunks(");
    let state = State::in_memory().await.expect("a state");
    let pass = Pass {
        driver: driver(&database, &proxy),
        state: Arc::new(state),
        config: configuration(&database, &proxy),
        command: "run --apply".into(),
        stop: CancellationToken::new(),
        progress: Arc::new(Silent),
        exit_code: |_| 0,
        gate: None,
    };
    // Each question after the drops has its own limit.
    let run = tokio::time::timeout(IN_TIME * 5, pass.apply(Order::Everything)).await;
    let report = run.expect("the run ends").expect("a report");
    assert_eq!(report.verdict, Verdict::Partial);
    assert!(report.stopped.is_some_and(|why| why.contains("run again when the store is back")));
    assert_eq!(database.chunks("t").await, 5);
}

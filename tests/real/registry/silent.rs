//! A network that forgot the connections that waited, without a word to either end.

use std::time::{Duration, Instant};

use timesweep::retention::ownership::event::Event;

use super::super::support::{TestDatabase, eventually};
use super::super::tcp_proxy::{Mode, TcpProxy};
use super::world::{Place, START, id};

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_nobody_answers_any_more_costs_seconds() {
    let database = TestDatabase::without_extension().await;
    let (credentials, rest) = database.url.split_once('@').expect("a role");
    let (host, name) = rest.split_once('/').expect("a database");
    let proxy = TcpProxy::before(host).await;
    let registry = Place::Postgres(format!("{credentials}@{}/{name}", proxy.address)).open().await;
    registry.record(&[Event::Deleted(id(1))], START).await.expect("recorded");
    // No firewall forgets a connection that was just used, and such a one is not asked.
    tokio::time::sleep(Duration::from_secs(3)).await;
    proxy.set(Mode::Mute);
    let began = Instant::now();
    let recorded = tokio::spawn(async move { registry.record(&[Event::Deleted(id(2))], START).await });
    eventually("it asks", async || proxy.answered() > 0).await;
    proxy.set(Mode::Pass);
    recorded.await.expect("the task").expect("a new connection");
    assert!(began.elapsed() < Duration::from_mins(1), "{:?}", began.elapsed());
}

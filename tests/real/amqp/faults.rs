//! What breaks while messages come in: the registry, the connection, the queue for dead letters.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lapin::options::QueueDeleteOptions;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::broker::{Listening, TestBroker, deletion, jobs, settings};
use super::registries::Stubborn;
use crate::real::support::eventually;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_acknowledged_before_it_is_committed() {
    let broker = TestBroker::new().await;
    let registry = Arc::new(Stubborn::failing(2));
    let bodies: Vec<Vec<u8>> = jobs(50).into_iter().map(deletion).collect();
    broker.publish("job_deletions", &bodies).await;
    let listening = Listening::on(&broker.settings(), registry.clone()).await;
    eventually("all are deleted", async || registry.inner.change(|ledger| ledger.deleted_jobs.len()) == 50)
        .await;
    assert!(registry.calls() >= 3, "it was tried again");
    assert!(listening.counters.deletions.interruptions() >= 2);
    listening.end().await.expect("a quiet end");
    assert_eq!(broker.waiting("job_deletions").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_committed_stays_in_the_queue() {
    let broker = TestBroker::new().await;
    let registry = Arc::new(Stubborn::failing(usize::MAX));
    broker.publish("job_deletions", &[deletion(Uuid::now_v7())]).await;
    let listening = Listening::starting(&broker.settings(), registry.clone());
    eventually("it was tried", async || registry.calls() >= 2).await;
    let counters = &listening.counters.deletions;
    eventually("it is said", async || counters.trouble().is_some_and(|why| why.contains("registry is away")))
        .await;
    listening.end().await.expect("a quiet end");
    eventually("it is still there", async || broker.waiting("job_deletions").await == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_told_to_end_finishes_the_batch_in_hand() {
    let broker = TestBroker::new().await;
    let registry = Arc::new(Stubborn::waiting());
    broker.publish("job_deletions", &[deletion(Uuid::now_v7())]).await;
    let listening = Listening::on(&broker.settings(), registry.clone()).await;
    eventually("the batch is in hand", async || registry.calls() == 1).await;
    listening.cancel.cancel();
    registry.gate.add_permits(1);
    listening.end().await.expect("a quiet end");
    assert_eq!(registry.inner.change(|ledger| ledger.deleted_jobs.len()), 1);
    assert_eq!(broker.waiting("job_deletions").await, 0, "it was acknowledged");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_that_goes_nowhere_is_not_acknowledged() {
    let broker = TestBroker::new().await;
    let registry = Arc::new(Stubborn::failing(0));
    let listening = Listening::on(&broker.settings(), registry.clone()).await;
    let (_connection, channel) = broker.channel().await;
    let options = QueueDeleteOptions::default();
    channel.queue_delete("timesweep_dead_letters".into(), options).await.expect("the queue goes");
    broker.publish("job_deletions", &[vec![0xff; 10]]).await;
    eventually("it is kept", async || listening.counters.deletions.dead_letters() == 1).await;
    assert!(listening.counters.deletions.interruptions() >= 1, "it was given back first");
    listening.end().await.expect("a quiet end");
    assert_eq!(broker.waiting("timesweep_dead_letters").await, 1);
}

/// Its end stands behind messages that wait here already.
#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_is_deleted_while_a_batch_is_in_work_is_declared_and_listened_to_again() {
    let broker = TestBroker::new().await;
    let registry = Arc::new(Stubborn::waiting());
    let listening = Listening::on(&broker.settings(), registry.clone()).await;
    broker.publish("job_deletions", &[deletion(Uuid::now_v7())]).await;
    eventually("the batch is in hand", async || registry.calls() == 1).await;
    broker.publish("job_deletions", &[deletion(Uuid::now_v7()), deletion(Uuid::now_v7())]).await;
    eventually("the next one is here", async || broker.waiting("job_deletions").await == 0).await;
    let (_connection, channel) = broker.channel().await;
    channel.queue_delete("job_deletions".into(), QueueDeleteOptions::default()).await.expect("it goes");
    // What was said to us before this was answered is here.
    assert_eq!(broker.waiting("job_deletions").await, 0);
    registry.gate.add_permits(100);
    let counters = &listening.counters.deletions;
    eventually("it is noticed", async || counters.interruptions() >= 1 && counters.listens()).await;
    broker.publish("job_deletions", &[deletion(Uuid::now_v7())]).await;
    let deleted = || registry.inner.change(|ledger| ledger.deleted_jobs.len());
    eventually("all were taken", async || deleted() == 4).await;
    listening.end().await.expect("a quiet end");
}

/// A line to the broker that can be cut, and be away for a while.
struct Line {
    url: String,
    is_away: Arc<AtomicBool>,
    cut: std::sync::Mutex<CancellationToken>,
}

impl Line {
    async fn to(broker: &TestBroker) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let here = listener.local_addr().expect("an address");
        let [host, port, ..] = broker.parts();
        let there = format!("{host}:{port}");
        let line = Arc::new(Self {
            url: broker.url().replace(&there, &here.to_string()),
            is_away: Arc::default(),
            cut: std::sync::Mutex::default(),
        });
        let shared = Arc::clone(&line);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                if shared.is_away.load(Ordering::SeqCst) {
                    continue;
                }
                let cut = shared.cut.lock().expect("the line").clone();
                let there = there.clone();
                tokio::spawn(async move {
                    let mut server = TcpStream::connect(there).await.expect("the broker answers");
                    tokio::select! {
                        () = cut.cancelled() => {}
                        _ = copy_bidirectional(&mut client, &mut server) => {}
                    }
                });
            }
        });
        line
    }

    fn cut(&self) {
        std::mem::take(&mut *self.cut.lock().expect("the line")).cancel();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_is_cut_is_taken_up_again_and_nothing_is_lost() {
    let broker = TestBroker::new().await;
    let line = Line::to(&broker).await;
    let registry = Arc::new(Stubborn::failing(0));
    let listening = Listening::on(&settings(&line.url), registry.clone()).await;
    let all = jobs(3_000);
    let deleted = || registry.inner.change(|ledger| ledger.deleted_jobs.len());
    for (round, some) in all.chunks(1_000).enumerate() {
        let bodies: Vec<Vec<u8>> = some.iter().copied().map(deletion).collect();
        let (_connection, channel) = broker.channel().await;
        tokio::join!(super::broker::publish_on(&channel, "job_deletions", &bodies), async {
            eventually("some came", async || deleted() > round * 1_000 + 100).await;
            line.is_away.store(round == 1, Ordering::SeqCst);
            line.cut();
        });
        if line.is_away.load(Ordering::SeqCst) {
            let counters = &listening.counters.deletions;
            let before = counters.interruptions();
            eventually("it tries again", async || counters.interruptions() >= before + 2).await;
            assert!(!counters.listens() && counters.trouble().is_some());
            line.is_away.store(false, Ordering::SeqCst);
        }
        eventually("all of them came", async || deleted() == (round + 1) * 1_000).await;
    }
    assert!(listening.counters.deletions.interruptions() >= 3);
    eventually("it listens again", async || listening.counters.deletions.listens()).await;
    assert_eq!(listening.counters.deletions.trouble(), None);
    // What came back with the last cut stands before this one.
    broker.publish("job_deletions", &[deletion(Uuid::from_u128(u128::MAX))]).await;
    eventually("the last one came", async || deleted() == 3_001).await;
    tokio::time::timeout(Duration::from_secs(10), listening.end()).await.expect("it ends").expect("quietly");
    assert_eq!(broker.waiting("job_deletions").await, 0);
}

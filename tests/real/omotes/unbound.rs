//! Results whose client's queue is there, and nothing leads to it.

use lapin::types::FieldTable;

use super::letters::{Hearing, Post, job, progress};
use super::refusals::{all_is_well, is_an_error, result};
use crate::real::support::eventually;

/// As a broker leaves it behind that was restarted: queues last, the exchange and what is bound to it do not.
#[tokio::test(flavor = "multi_thread")]
async fn a_result_finds_its_queue_also_where_nothing_is_bound_any_more() {
    let post = Post::new().await;
    let (here, gone, bound) = (job(), job(), job());
    let queue = format!("jobs.{}.result", here.0);
    post.clients.publish(&queue, &[]).await;
    let mut client = post.client(bound, "result").await;
    post.write(&[
        result(here, b"r".to_vec()),
        result(gone, b"r".to_vec()),
        progress(here, 1),
        result(bound, b"r".to_vec()),
    ])
    .await;
    let sending = post.sending();
    assert_eq!(client.next().await.data, b"r");
    post.is_empty().await;
    assert_eq!(post.clients.waiting(&queue).await, 1);
    assert_eq!(sending.counters.interruptions(), 0);
    sending.end().await;
}

/// Its user lacks a right that docs/omotes.md asks for.
#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_we_may_not_put_into_its_queue_waits_and_one_without_a_queue_does_not() {
    let mut post = Post::new().await;
    post.clients_url = post.clients.user_who_may(".*", "^omotes_exchange$").await;
    let (here, gone, other) = (job(), job(), job());
    let queue = format!("jobs.{}.result", here.0);
    post.clients.publish(&queue, &[]).await;
    let mut client = post.client(other, "progress").await;
    post.write(&[result(here, b"r".to_vec()), result(gone, b"r".to_vec()), progress(other, 1)]).await;
    let sending = post.sending();
    assert_eq!(client.next().await.data, b"1");
    let is_told = || sending.counters.trouble().is_some_and(|why| why.contains("amq.default"));
    eventually("it is told", async || is_told()).await;
    assert_eq!(post.database.number("SELECT count(*) FROM timesweep_outbox").await, 1, "it waits");
    post.clients.let_the_user(".*", ".*").await;
    post.is_empty().await;
    assert_eq!(post.clients.waiting(&queue).await, 1);
    sending.end().await;
}

/// As after a restart of its broker.
#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_no_broker_takes_is_told_also_where_nothing_is_bound_any_more() {
    let post = Post::new().await;
    let job = job();
    let (connection, channel) = post.clients.channel().await;
    let queue = format!("jobs.{}.result", job.0);
    let mut results = Hearing::of(connection, channel, &queue, None, FieldTable::default()).await;
    post.write(&[result(job, vec![b' '; 17 << 20])]).await;
    let sending = post.sending();
    is_an_error(&mut results, job, 17 << 20).await;
    post.is_empty().await;
    sending.has_failed(1).await;
    all_is_well(&post, sending).await;
}

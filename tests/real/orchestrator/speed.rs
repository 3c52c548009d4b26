//! By hand: how many messages a second become rows and letters, without a broker.
//! `cargo nextest run --run-ignored only --no-capture jobs_a_second_by_hand`

use std::sync::Arc;
use std::time::Instant;

use prost::Message;
use timesweep::amqp::taker::Taker;
use timesweep::omotes::letter::Content;
use timesweep::omotes::takers::{Deletions, Submissions, TaskProgress, TaskResults};
use uuid::Uuid;

use super::place::{Place, deletion, fraction, outcome, start, submission};

const JOBS: usize = 5_000;

async fn timed(what: &str, taker: &dyn Taker, bodies: &[Vec<u8>]) {
    let began = Instant::now();
    for some in bodies.chunks(usize::from(taker.at_once())) {
        let some: Vec<&[u8]> = some.iter().map(Vec::as_slice).collect();
        taker.take(&some).await.expect("taken");
    }
    let rate = bodies.len() as f64 / began.elapsed().as_secs_f64();
    println!("{what}: {rate:.0} a second");
}

async fn send(place: &mut Place) -> Vec<(Uuid, Uuid)> {
    let (mut tasks, mut count, began) = (Vec::new(), 0, Instant::now());
    loop {
        let letters = place.outbox.next(500).await.expect("letters");
        if letters.is_empty() {
            break;
        }
        let ids: Vec<i64> = letters.iter().map(|(id, _)| *id).collect();
        place.outbox.attempted(&ids).await.expect("attempted");
        place.outbox.sent(&ids).await.expect("sent");
        count += ids.len();
        let task = |letter: &timesweep::omotes::letter::Letter| match letter.content {
            Content::Task { celery_id, .. } => Some((letter.job.0, celery_id)),
            _ => None,
        };
        tasks.extend(letters.iter().filter_map(|(_, letter)| task(letter)));
    }
    println!("letters: {:.0} a second", count as f64 / began.elapsed().as_secs_f64());
    tasks
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement, by hand"]
async fn jobs_a_second_by_hand() {
    let mut place = Place::new().await;
    let replica = || Arc::clone(&place.replicas[0]);
    let takers =
        (Submissions(replica()), TaskProgress(replica()), TaskResults(replica()), Deletions(replica()));
    for round in 0..2 {
        println!("--- round {round}");
        let mut message = submission(Uuid::now_v7());
        message.esdl = "<an element with=\"an attribute\"/>".repeat(3_000);
        let submissions: Vec<Vec<u8>> = (0..JOBS)
            .map(|_| {
                message.uuid = Uuid::now_v7().to_string();
                message.encode_to_vec()
            })
            .collect();
        timed("submissions of 100 kB", &takers.0, &submissions).await;
        let tasks = send(&mut place).await;
        let all = |body: &dyn Fn(Uuid, Uuid) -> Vec<u8>| -> Vec<Vec<u8>> {
            tasks.iter().map(|(job, task)| body(*job, *task)).collect()
        };
        timed("starts", &takers.1, &all(&start)).await;
        timed("fractions", &takers.1, &all(&|job, task| fraction(job, task, 0.5))).await;
        send(&mut place).await;
        let (results, deletions) = tasks.split_at(JOBS / 2);
        let results: Vec<_> = results.iter().map(|(job, task)| outcome(*job, *task, true)).collect();
        timed("results", &takers.2, &results).await;
        let deletions: Vec<_> = deletions.iter().map(|(job, _)| deletion(*job)).collect();
        timed("deletions", &takers.3, &deletions).await;
        send(&mut place).await;
        assert!(place.is_empty().await);
    }
}

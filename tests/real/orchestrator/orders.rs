//! Messages in any order, delivered again, to two replicas at the same moment: every job gets one last letter, no
//! row stays, and the registry has every success and every deletion.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fastrand::Rng;
use prost::Message;
use timesweep::amqp::taker::{Delivered, Taker};
use timesweep::amqp::wire::JobSubmission;
use timesweep::omotes::letter::Content;
use timesweep::omotes::takers::{Deletions, Submissions, TaskProgress, TaskResults};
use uuid::Uuid;

use super::place::{Place, UNKNOWN, deletion, fraction, outcome, said, start, submission};

#[derive(Default)]
struct Queue(Vec<(Vec<u8>, bool)>);

/// The four queues, and what there is to expect.
struct World {
    place: Place,
    queues: [Queue; 4],
    rng: Rng,
    jobs: Vec<Uuid>,
    succeeding: BTreeSet<Uuid>,
    deleted: BTreeSet<Uuid>,
    unknown: BTreeSet<Uuid>,
    last_letters: BTreeMap<Uuid, Vec<String>>,
    /// Jobs whose task left.
    sent: BTreeSet<Uuid>,
}

const SUBMISSIONS: usize = 0;
const DELETIONS: usize = 1;
const PROGRESS: usize = 2;
const RESULTS: usize = 3;

impl World {
    async fn new(seed: u64) -> Self {
        let place = Place::new().await;
        let (mut rng, queues) = (Rng::with_seed(seed), Default::default());
        let jobs: Vec<Uuid> = (0..12).map(|_| Uuid::now_v7()).collect();
        let some = |share: f64, rng: &mut Rng| -> BTreeSet<Uuid> {
            jobs.iter().copied().filter(|_| rng.f64() < share).collect()
        };
        let (succeeding, deleted, unknown) = (some(0.6, &mut rng), some(0.4, &mut rng), some(0.1, &mut rng));
        let mut world = Self {
            place,
            queues,
            rng,
            jobs,
            succeeding,
            deleted,
            unknown,
            last_letters: BTreeMap::new(),
            sent: BTreeSet::new(),
        };
        for job in world.jobs.clone() {
            let mut message: JobSubmission = submission(job);
            if world.unknown.contains(&job) {
                message.workflow_type = UNKNOWN.into();
            }
            world.put(SUBMISSIONS, message.encode_to_vec());
        }
        for job in world.deleted.clone() {
            world.put(DELETIONS, deletion(job));
        }
        world
    }

    /// Once for sure, and half of them once more.
    fn put(&mut self, queue: usize, body: Vec<u8>) {
        if self.rng.bool() {
            self.queues[queue].0.push((body.clone(), true));
        }
        self.queues[queue].0.insert(0, (body, false));
    }

    /// Some messages, not in the order in which they came.
    fn draw(&mut self, queue: usize) -> Vec<(Vec<u8>, bool)> {
        let there = &mut self.queues[queue].0;
        self.rng.shuffle(there);
        let count = self.rng.usize(0..=there.len().min(5));
        let mut drawn: Vec<_> = there.drain(..count).collect();
        // The broker says of the second one that it is the second.
        drawn.sort_by_key(|(_, again)| *again);
        drawn
    }

    async fn step(&mut self) {
        let drawn: Vec<_> = [SUBMISSIONS, DELETIONS, PROGRESS, RESULTS].map(|queue| self.draw(queue)).into();
        let replica = |rng: &mut Rng| Arc::clone(&self.place.replicas[rng.usize(0..2)]);
        let takers: [Box<dyn Taker>; 4] = [
            Box::new(Submissions(replica(&mut self.rng))),
            Box::new(Deletions(replica(&mut self.rng))),
            Box::new(TaskProgress(replica(&mut self.rng))),
            Box::new(TaskResults(replica(&mut self.rng))),
        ];
        // All of them at the same moment, and the sender as well.
        let ((), (), (), (), letters) = tokio::join!(
            take(&*takers[0], &drawn[0]),
            take(&*takers[1], &drawn[1]),
            take(&*takers[2], &drawn[2]),
            take(&*takers[3], &drawn[3]),
            self.place.outbox.next(100),
        );
        let letters = letters.expect("letters");
        let ids: Vec<i64> = letters.iter().map(|(id, _)| *id).collect();
        let standing = self.place.outbox.attempted(&ids).await.expect("attempted");
        for (id, letter) in letters {
            if !standing.contains(&id) {
                continue;
            }
            let job = letter.job.0;
            match letter.content {
                Content::Task { celery_id, .. } => {
                    assert!(self.sent.insert(job), "{job} began twice");
                    self.put(PROGRESS, start(job, celery_id));
                    self.put(PROGRESS, fraction(job, celery_id, 0.5));
                    let is_success = self.succeeding.contains(&job);
                    self.put(RESULTS, outcome(job, celery_id, is_success));
                }
                Content::Result(_) => self.last_letters.entry(job).or_default().push(said(&letter)),
                _ => {}
            }
        }
        self.place.outbox.sent(&ids).await.expect("sent");
    }

    fn is_drained(&self) -> bool {
        self.queues.iter().all(|queue| queue.0.is_empty())
    }
}

async fn take(taker: &dyn Taker, drawn: &[(Vec<u8>, bool)]) {
    let bodies: Vec<&[u8]> = drawn.iter().map(|(body, _)| body.as_slice()).collect();
    let again: Vec<_> = drawn.iter().map(|(_, again)| Delivered { again: *again, id: None }).collect();
    let reasons = taker.take_delivered(&bodies, &again).await.expect("taken");
    assert_eq!(reasons, vec![None; bodies.len()]);
}

async fn play(seed: u64) {
    let mut world = World::new(seed).await;
    let mut quiet = 0;
    while quiet < 3 {
        world.step().await;
        quiet = if world.is_drained() { quiet + 1 } else { 0 };
    }
    let at = |job: &Uuid| format!("seed {seed}, job {job}: {:?}", world.last_letters.get(job));
    for job in &world.jobs {
        assert_eq!(world.last_letters.get(job).map_or(0, Vec::len), 1, "{}", at(job));
        let has_succeeded = world.sent.contains(job) && world.succeeding.contains(job);
        let dataset = has_succeeded.then(|| super::place::dataset_of(*job));
        let is_deleted = world.deleted.contains(job);
        let expected = (has_succeeded || is_deleted).then_some((dataset, is_deleted));
        assert_eq!(world.place.registration(*job).await, expected, "{}", at(job));
    }
    assert!(world.place.is_empty().await, "seed {seed}");
    assert_eq!(world.place.database.number("SELECT count(*) FROM timesweep_outbox").await, 0, "seed {seed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_any_order_every_job_gets_one_last_letter_and_leaves_no_row() {
    let first = std::env::var("TIMESWEEP_SEED").map_or(0, |text| text.parse().expect("a number"));
    for seed in first..first + 6 {
        play(seed).await;
    }
}

use super::item::LONGEST_PAUSE;
use super::*;
use crate::retention::model::StoreName;
use crate::retention::plan::{Drawing, draw};
use crate::retention::rules::Rules;
use crate::retention::testing::{daily, rule, store};

fn dataset(name: &str, chunks: i64) -> DatasetPlan {
    let rules = Rules { policies: vec![rule(Some("public.*"), Some("1 day"))], ..Rules::default() };
    let drawing = Drawing { id: uuid::Uuid::nil(), made_by: "test".into(), store: StoreName("main".into()) };
    draw(drawing, &store(vec![daily(name, chunks)]), &rules, &[], None).datasets.remove(0)
}

fn queue(datasets: &[DatasetPlan], attempts: u32) -> Queue {
    let mut builder = Queue::builder(attempts);
    for plan in datasets {
        builder.add(plan, false, false);
    }
    builder.build()
}

fn dropped(chunks: usize, held: Duration, released: Instant) -> Dropped {
    Dropped { chunks, held, released }
}

/// All of them went, and nobody waited for long.
fn went_well(queue: &mut Queue, lane: usize, chunks: usize) {
    let dropped = dropped(chunks, Duration::from_millis(1), Instant::now());
    queue.went_well(lane, dropped, Vec::new());
}

fn try_next(queue: &mut Queue, now: Instant) -> Batch {
    match queue.next(now) {
        Next::Try(batch) => batch,
        other => panic!("nothing to try: {other:?}"),
    }
}

#[test]
fn batches_grow_while_transactions_are_short() {
    let mut queue = queue(&[dataset("a", 300)], 3);
    let mut sizes = Vec::new();
    while let Next::Try(batch) = queue.next(Instant::now()) {
        sizes.push(batch.items.len());
        went_well(&mut queue, batch.lane, batch.items.len());
    }
    assert_eq!(sizes, [8, 16, 32, 64, 64, 64, 50]);
    assert!(matches!(queue.next(Instant::now()), Next::Finished));
}

#[test]
fn a_batch_begins_with_its_newest_chunk() {
    let mut queue = queue(&[dataset("a", 20)], 3);
    let ends = |batch: &Batch| batch.items.iter().map(|item| item.plan.chunk.range.end).collect::<Vec<_>>();
    let (first, second) = (try_next(&mut queue, Instant::now()), try_next(&mut queue, Instant::now()));
    assert!(ends(&first).is_sorted_by(|newer, older| newer > older), "{:?}", ends(&first));
    assert!(ends(&first)[0] < ends(&second)[7], "older batches come first");
}

#[test]
fn a_batch_of_which_somebody_held_a_part_is_halved_and_the_rest_comes_again() {
    let mut queue = queue(&[dataset("a", 20)], 3);
    let mut batch = try_next(&mut queue, Instant::now());
    let stayed = batch.items.split_off(1);
    queue.went_well(batch.lane, dropped(1, Duration::ZERO, Instant::now()), stayed);
    assert_eq!(try_next(&mut queue, Instant::now()).items.len(), 4);
    assert_eq!(queue.take_rest().len(), 18 - 1 - 4, "none is lost: one went and four are in hand");
}

#[test]
fn where_others_wait_they_get_time_of_their_own() {
    let now = Instant::now();
    let mut queue = queue(&[dataset("a", 100)], 3);
    let batch = try_next(&mut queue, now);
    queue.had_to_wait(batch.lane, batch.items, now);
    let batch = try_next(&mut queue, now);
    let held = Duration::from_millis(10);
    queue.went_well(batch.lane, dropped(batch.items.len(), held, now), Vec::new());
    let Next::Wait(Some(until)) = queue.next(now) else { panic!("not at once") };
    assert_eq!(
        until,
        now + REST_FOR_EACH_CHUNK * 92,
        "as long as a plan over the 92 chunks that are left takes"
    );
    try_next(&mut queue, until);
}

#[test]
fn one_who_waits_because_of_a_referenced_table_waits_for_one_chunk_at_a_time() {
    let now = Instant::now();
    let mut builder = Queue::builder(3);
    builder.add(&dataset("a", 100), true, false);
    let mut queue = builder.build();
    let batch = try_next(&mut queue, now);
    assert_eq!(batch.items.len(), 8);
    queue.had_to_wait(batch.lane, batch.items, now);
    for _ in 0..CALM_AFTER {
        let batch = try_next(&mut queue, now + LONGEST_PAUSE);
        assert_eq!(batch.items.len(), 1);
        queue.went_well(batch.lane, dropped(1, Duration::ZERO, now), Vec::new());
    }
    assert!(try_next(&mut queue, now + LONGEST_PAUSE).items.len() > 1);
}

#[test]
fn a_blocked_chunk_comes_after_all_others_and_is_given_up_in_the_end() {
    let now = Instant::now();
    let mut queue = queue(&[dataset("a", 7)], 2);
    let first = try_next(&mut queue, now);
    let blocked = first.items[0].plan.chunk.label();
    assert!(queue.had_to_wait(first.lane, first.items, now).is_empty());
    let mut others = 0;
    while let Next::Try(batch) = queue.next(now) {
        assert!(batch.items.iter().all(|item| item.plan.chunk.label() != blocked));
        others += batch.items.len();
        queue.went_well(batch.lane, dropped(1, Duration::ZERO, now), Vec::new());
    }
    assert_eq!(others, 4);
    let Next::Wait(Some(ready)) = queue.next(now) else { panic!("the blocked chunk waits") };
    assert!(ready > now);
    let last = try_next(&mut queue, ready);
    assert_eq!(last.items[0].plan.chunk.label(), blocked);
    let given_up = queue.had_to_wait(last.lane, last.items, ready);
    assert_eq!(given_up.len(), 1);
    assert_eq!(given_up[0].tries, 2);
    assert!(matches!(queue.next(ready), Next::Finished));
}

#[test]
fn two_workers_take_two_datasets_and_share_the_last_one() {
    let mut queue = queue(&[dataset("a", 20), dataset("b", 20)], 3);
    let (first, second) = (try_next(&mut queue, Instant::now()), try_next(&mut queue, Instant::now()));
    assert_ne!(first.lane, second.lane);
    let third = try_next(&mut queue, Instant::now());
    assert_eq!(third.lane, first.lane);
}

#[test]
fn a_dataset_whose_readers_are_in_the_way_has_one_worker_until_it_is_calm() {
    let mut now = Instant::now();
    let mut queue = queue(&[dataset("a", 2_000)], 3);
    let batch = try_next(&mut queue, now);
    queue.had_to_wait(batch.lane, batch.items, now);
    for _ in 0..CALM_AFTER {
        let batch = try_next(&mut queue, now);
        assert!(matches!(queue.next(now), Next::Wait(_)), "one worker at a time");
        queue.went_well(batch.lane, dropped(1, Duration::ZERO, now), Vec::new());
        now += REST_FOR_EACH_CHUNK * 2_000;
    }
    try_next(&mut queue, now);
    try_next(&mut queue, now);
}

#[test]
fn a_dataset_with_space_partitions_has_one_worker() {
    let mut plan = dataset("a", 20);
    plan.space_dimensions = 1;
    let mut queue = queue(&[plan], 3);
    let first = try_next(&mut queue, Instant::now());
    assert!(matches!(queue.next(Instant::now()), Next::Wait(None)));
    went_well(&mut queue, first.lane, first.items.len());
    try_next(&mut queue, Instant::now());
}

#[test]
fn datasets_that_lock_referenced_tables_never_run_beside_each_other() {
    let mut builder = Queue::builder(3);
    builder.add(&dataset("a", 20), true, false);
    builder.add(&dataset("b", 20), true, false);
    let mut queue = builder.build();
    try_next(&mut queue, Instant::now());
    assert!(matches!(queue.next(Instant::now()), Next::Wait(None)));
}

#[test]
fn nobody_waits_for_an_instant_of_a_dataset_that_another_worker_has_in_hand() {
    let now = Instant::now();
    let mut plan = dataset("a", 4);
    plan.space_dimensions = 1;
    let mut queue = queue(&[plan], 9);
    // Both of its chunks had to wait, alone, and are tried again later.
    let batch = try_next(&mut queue, now);
    queue.try_alone(batch.lane, batch.items);
    for _ in 0..2 {
        let alone = try_next(&mut queue, now);
        queue.had_to_wait(alone.lane, alone.items, now);
    }
    let Next::Wait(Some(_)) = queue.next(now) else { panic!("there is an instant to wait for") };
    let later = now + LONGEST_PAUSE * 2;
    try_next(&mut queue, later);
    let next = queue.next(later);
    assert!(matches!(next, Next::Wait(None)), "the other chunk is ready, but must not be tried: {next:?}");
}

#[test]
fn no_batch_has_more_relations_than_the_limit() {
    let mut plan = dataset("a", 300);
    for chunk in &mut plan.chunks {
        let part = chunk.chunk.parts[0].clone();
        chunk.chunk.parts = vec![part; 10];
    }
    let mut queue = queue(&[plan], 3);
    for _ in 0..8 {
        let batch = try_next(&mut queue, Instant::now());
        assert!(batch.items.len() * 10 <= MOST_RELATIONS);
        went_well(&mut queue, batch.lane, batch.items.len());
    }
}

#[test]
fn a_chunk_is_not_given_up_while_somebodys_patience_runs() {
    let mut queue = queue(&[dataset("a", 3)], 1);
    let start = Instant::now();
    let mut batch = try_next(&mut queue, start);
    batch.items.truncate(1);
    batch.items[0].not_given_up_before = Some(start + Duration::from_millis(300));
    assert!(queue.had_to_wait(batch.lane, batch.items, start).is_empty(), "its only try is used up, and yet");
    let Next::Wait(Some(ready)) = queue.next(start) else { panic!("it waits") };
    assert_eq!(ready, start + Duration::from_millis(300));
    let batch = try_next(&mut queue, ready);
    assert_eq!(queue.had_to_wait(batch.lane, batch.items, ready).len(), 1, "nobody asked for more");
}

#[test]
fn a_chunk_whose_blockers_are_gone_has_all_its_tries_again() {
    let mut queue = queue(&[dataset("a", 3)], 2);
    let mut now = Instant::now();
    let mut tries = 0;
    let given_up = loop {
        let mut batch = try_next(&mut queue, now);
        batch.items.truncate(1);
        tries += 1;
        if tries == 2 {
            batch.items[0].start_over();
        }
        let given_up = queue.had_to_wait(batch.lane, batch.items, now);
        if !given_up.is_empty() {
            break given_up;
        }
        now += LONGEST_PAUSE;
    };
    assert_eq!((tries, given_up[0].tries), (4, 4));
}

/// Each batch waits anew for whoever reads the table: fewer and longer ones wait less often.
#[test]
fn batches_grow_also_where_each_has_to_wait() {
    let mut now = Instant::now();
    let mut queue = queue(&[dataset("a", 300)], 50);
    let mut sizes = Vec::new();
    while sizes.len() < 4 {
        let batch = try_next(&mut queue, now);
        queue.had_to_wait(batch.lane, batch.items, now);
        now += LONGEST_PAUSE;
        let batch = try_next(&mut queue, now);
        sizes.push(batch.items.len());
        queue.went_well(batch.lane, dropped(batch.items.len(), Duration::from_millis(1), now), Vec::new());
        now += LONGEST_PAUSE;
    }
    assert_eq!(sizes, [8, 16, 32, 64]);
}

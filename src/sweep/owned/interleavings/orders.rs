//! Short orders are enumerated, long ones drawn; a stop is tried at every step of a pass that drops.

use super::event::{EVENTS, Event, Fault, as_line};
use super::world::World;

/// What an enumeration has seen.
#[derive(Debug, Default)]
pub struct Seen {
    pub states: usize,
    pub passes: usize,
}

/// A history and what went wrong after it.
pub type Found = (Vec<Event>, String);

/// Every order of up to `depth` events after a world; the first that breaks a promise ends it.
pub fn enumerate(
    world: &World,
    history: &mut Vec<Event>,
    depth: usize,
    seen: &mut Seen,
) -> Result<(), Found> {
    seen.states += 1;
    if let Some(fault) = world.fault() {
        return Err((history.clone(), fault.into()));
    }
    if depth == 0 {
        let settled = world.clone().settle_down();
        seen.passes += settled.map_err(|why| (history.clone(), why))?;
        return Ok(());
    }
    for event in EVENTS.iter().copied().filter(|event| world.is_possible(*event)) {
        let mut next = world.clone();
        next.happen(event);
        seen.passes += usize::from(matches!(event, Event::Check(_)));
        history.push(event);
        enumerate(&next, history, depth - 1, seen)?;
        history.pop();
    }
    Ok(())
}

/// One order of so many events; some passes stop at a step, and in some of them something happens.
pub fn draw(random: &mut fastrand::Rng, mut world: World, length: usize) -> Result<usize, Found> {
    let mut history = Vec::new();
    for _ in 0..length {
        let event = drawn(random, &world);
        history.push(event);
        world.happen(event);
        if let Some(fault) = world.fault() {
            return Err((history, fault.into()));
        }
    }
    world.settle_down().map_err(|why| (history, why))
}

fn drawn(random: &mut fastrand::Rng, world: &World) -> Event {
    let possible: Vec<&'static Event> = EVENTS.iter().filter(|event| world.is_possible(**event)).collect();
    let comes: Vec<&'static Event> =
        possible.iter().copied().filter(|event| event.comes_at_any_step()).collect();
    let step = random.usize(..LONGEST_PASS);
    match (possible[random.usize(..possible.len())], random.u8(..3)) {
        (Event::Check(Fault::None), 0) => Event::Check(Fault::StopsAt(step)),
        (Event::Check(Fault::None), 1) if !comes.is_empty() => {
            Event::Check(Fault::Meets(step, comes[random.usize(..comes.len())]))
        }
        (event, _) => *event,
    }
}

/// What a failure printed, once more.
pub fn replay(mut world: World, history: &[Event]) -> Result<usize, String> {
    for event in history {
        assert!(world.is_possible(*event), "{event:?}");
        world.happen(*event);
        if let Some(fault) = world.fault() {
            return Err(fault.into());
        }
    }
    world.settle_down()
}

/// More steps than any pass takes here.
pub const LONGEST_PASS: usize = 44;

/// What leads to a dataset that the next check lets go.
pub const TO_A_DROP: [&[Event]; 3] = [
    &[
        Event::Start(0),
        Event::Write(0),
        Event::Fail(0),
        Event::Result(0),
        Event::Check(Fault::None),
        Event::Pause,
        // Only now has a check seen the mark.
        Event::Check(Fault::None),
    ],
    &[
        Event::Start(0),
        Event::Write(0),
        Event::Succeed(0),
        Event::Result(0),
        Event::Delete(0),
        Event::Check(Fault::None),
        Event::Pause,
    ],
    &[
        Event::Delete(0),
        Event::Start(0),
        Event::Write(0),
        Event::Succeed(0),
        Event::Result(0),
        Event::Check(Fault::None),
        Event::Pause,
    ],
];

/// Every kind of world: who is at work is told or listed, the store keeps times or counts, and it is ours alone or not.
pub fn kinds() -> impl Iterator<Item = World> {
    (0..8).map(|kind: u8| {
        let [by_list_only, counts, beside] = [1, 2, 4].map(|bit| kind & bit != 0);
        World::new(by_list_only, None).counting(counts).beside_others(beside)
    })
}

#[track_caller]
fn assert_found_nothing<T>(found: Result<T, Found>, world: &World, seen: &Seen) {
    if let Err((history, why)) = found {
        panic!("{why} ({seen:?}):\n{}", as_line(world, &history));
    }
}

fn every_order(depth: usize) -> Seen {
    let mut seen = Seen::default();
    for world in kinds() {
        let found = enumerate(&world, &mut Vec::new(), depth, &mut seen);
        assert_found_nothing(found, &world, &seen);
    }
    seen
}

/// A pass that drops is cut off at each step; then anything happens, and another replica goes on.
fn every_stop(depth: usize) -> Seen {
    let mut seen = Seen::default();
    let worlds = kinds().filter(|world| !world.by_list_only);
    for (world, prefix) in worlds.flat_map(|world| TO_A_DROP.map(|prefix| (world.clone(), prefix))) {
        let due = world.clone().after(prefix);
        let whole = due.clone().after(&[Event::Check(Fault::None)]);
        assert!(due.written.is_some() && whole.written.is_none(), "{prefix:?} leads to a drop");
        assert!(whole.steps < LONGEST_PASS, "{}", whole.steps);
        for step in 0..whole.steps {
            let stop = Event::Check(Fault::StopsAt(step));
            let mut history = [prefix, &[stop]].concat();
            let found = enumerate(&due.clone().after(&[stop]), &mut history, depth, &mut seen);
            assert_found_nothing(found, &world, &seen);
        }
    }
    seen
}

/// Something happens at each step of a pass that drops, as far as it can come so late.
fn every_meeting(depth: usize) -> Seen {
    let mut seen = Seen::default();
    for (world, prefix) in kinds().flat_map(|world| TO_A_DROP.map(|prefix| (world.clone(), prefix))) {
        // A second job is at work from before, so that it can write.
        for prefix in [prefix.to_vec(), [prefix, &[Event::Start(1)]].concat()] {
            let due = world.clone().after(&prefix);
            let comes = EVENTS.iter().filter(|event| event.comes_at_any_step() && due.is_possible(**event));
            for (event, step) in comes.flat_map(|event| (0..LONGEST_PASS).map(move |step| (event, step))) {
                let meets = Event::Check(Fault::Meets(step, event));
                let mut history = [&prefix[..], &[meets]].concat();
                let found = enumerate(&due.clone().after(&[meets]), &mut history, depth, &mut seen);
                assert_found_nothing(found, &world, &seen);
            }
        }
    }
    seen
}

#[test]
fn every_short_order_around_the_pass_keeps_what_is_owned_and_drops_what_is_not() {
    let seen = every_order(3);
    assert!(seen.states > 3_000 && seen.passes > 20_000, "{seen:?}");
}

#[test]
fn a_job_that_a_list_shows_late_keeps_what_it_wrote_before() {
    let mut seen = Seen::default();
    let check = Event::Check(Fault::None);
    for between in [&[][..], &[Event::Pause, check]] {
        let beginning = [between, &[Event::Start(0), Event::Write(0), check, Event::Pause, check]].concat();
        let world = World::new(true, None);
        let found = enumerate(&world.clone().after(&beginning), &mut beginning.clone(), 2, &mut seen);
        assert_found_nothing(found, &world, &seen);
    }
}

#[test]
fn a_pass_that_is_cut_off_at_any_step_loses_nothing_and_another_replica_goes_on() {
    let seen = every_stop(1);
    assert!(seen.states > 1_000, "{seen:?}");
}

#[test]
fn what_comes_in_the_middle_of_a_pass_is_seen_or_waits() {
    let seen = every_meeting(0);
    assert!(seen.states > 1_000, "{seen:?}");
}

/// Between the last look and the drop nobody writes: a job whose write would come there writes behind the pass.
#[test]
fn a_write_that_waits_for_the_drop_makes_the_dataset_anew() {
    for (world, step) in kinds().flat_map(|world| (0..LONGEST_PASS).map(move |step| (world.clone(), step))) {
        let meets = Event::Check(Fault::Meets(step, &Event::Write(1)));
        let history = [TO_A_DROP[0], &[Event::Start(1), meets, Event::Succeed(1)]].concat();
        let found = replay(world.clone(), &history);
        assert_found_nothing(found.map_err(|why| (history, why)), &world, &Seen::default());
    }
}

/// Found by drawing: an empty list took the row of a dataset that an earlier list had lacked, and a job claimed.
#[test]
fn a_claim_of_a_dataset_that_a_list_lacked_is_not_undone_by_an_empty_list() {
    let written = [Event::Start(0), Event::Write(0), Event::Succeed(0), Event::Check(Fault::None)];
    let claimed = [Event::Check(Fault::Omits), Event::Result(0), Event::Check(Fault::ListsNothing)];
    let world = World::new(false, None).beside_others(true);
    assert_eq!(replay(world, &[written.as_slice(), &claimed].concat()).map(|_| ()), Ok(()));
}

#[test]
fn long_orders_around_the_pass_keep_what_is_owned_and_drop_what_is_not() {
    let mut random = fastrand::Rng::with_seed(11);
    draw_many(&mut random, 2_000, 20);
}

fn draw_many(random: &mut fastrand::Rng, rounds: usize, longest: usize) {
    let kinds: Vec<World> = kinds().collect();
    for round in 0..rounds {
        let (world, length) = (&kinds[round % kinds.len()], random.usize(6..longest));
        let found = draw(random, world.clone(), length);
        assert_found_nothing(found, world, &Seen { states: round, passes: 0 });
    }
}

/// Minutes; `dev/soak` runs it.
#[test]
#[ignore = "takes minutes; dev/soak runs it"]
fn every_longer_order_around_the_ownership_pass() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    draw_many(&mut fastrand::Rng::with_seed(seed), 200_000, 30);
    println!("stops: {:?}", every_stop(2));
    println!("meetings: {:?}", every_meeting(1));
    println!("orders: {:?}", every_order(5));
}

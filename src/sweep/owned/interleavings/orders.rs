//! Short orders are enumerated, long ones drawn; a stop is tried at every step of a pass that drops.

use super::world::{EVENTS, Event, Fault, World};

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
    for event in EVENTS.into_iter().filter(|event| world.is_possible(*event)) {
        let mut next = world.clone();
        next.happen(event);
        seen.passes += usize::from(matches!(event, Event::Check(_)));
        history.push(event);
        enumerate(&next, history, depth - 1, seen)?;
        history.pop();
    }
    Ok(())
}

/// One order of so many events, some of them stops at a step.
pub fn draw(random: &mut fastrand::Rng, mut world: World, length: usize) -> Result<usize, Found> {
    let mut history = Vec::new();
    for _ in 0..length {
        let possible: Vec<Event> = EVENTS.into_iter().filter(|event| world.is_possible(*event)).collect();
        let mut event = possible[random.usize(..possible.len())];
        if event == Event::Check(Fault::None) && random.bool() {
            event = Event::Check(Fault::StopsAt(random.usize(..LONGEST_PASS)));
        }
        history.push(event);
        world.happen(event);
        if let Some(fault) = world.fault() {
            return Err((history, fault.into()));
        }
    }
    world.settle_down().map_err(|why| (history, why))
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

#[track_caller]
fn assert_found_nothing(found: Result<(), Found>) {
    if let Err((history, why)) = found {
        panic!("{why}, after {history:?}");
    }
}

fn every_order(depth: usize) -> Seen {
    let mut seen = Seen::default();
    for (by_list_only, counts) in [(false, false), (true, false), (false, true), (true, true)] {
        let world = World::new(by_list_only, None).counting(counts);
        assert_found_nothing(enumerate(&world, &mut Vec::new(), depth, &mut seen));
    }
    seen
}

/// A pass that drops is cut off at each step; then anything happens, and another replica goes on.
fn every_stop(depth: usize) -> Seen {
    let mut seen = Seen::default();
    for (prefix, counts) in TO_A_DROP.into_iter().flat_map(|prefix| [(prefix, false), (prefix, true)]) {
        let due = World::new(false, None).counting(counts).after(prefix);
        let mut whole = due.clone();
        whole.check(Fault::None, None);
        assert!(due.written.is_some() && whole.written.is_none(), "{prefix:?} leads to a drop");
        assert!(whole.steps < LONGEST_PASS, "{}", whole.steps);
        for step in 0..whole.steps {
            let stop = Event::Check(Fault::StopsAt(step));
            let mut world = due.clone();
            world.happen(stop);
            let mut history = [prefix, &[stop]].concat();
            assert_found_nothing(enumerate(&world, &mut history, depth, &mut seen));
        }
    }
    seen
}

/// Something happens at each step of a pass that drops, as far as it can come so late.
fn every_meeting(depth: usize) -> Seen {
    let mut seen = Seen::default();
    for (prefix, by_list_only) in TO_A_DROP.into_iter().flat_map(|prefix| [(prefix, false), (prefix, true)]) {
        let due = World::new(by_list_only, None).counting(by_list_only).after(prefix);
        for (step, event) in (0..LONGEST_PASS).flat_map(|step| EVENTS.map(|event| (step, event))) {
            let comes = matches!(
                event,
                Event::Start(_)
                    | Event::Write(_)
                    | Event::Succeed(_)
                    | Event::Fail(_)
                    | Event::Result(_)
                    | Event::Delete(_)
            );
            // A second job is at work from before, so that it can write.
            let with_another = due.clone().after(&[Event::Start(1)]);
            for mut world in [due.clone(), with_another] {
                if !comes || !world.is_possible(event) {
                    continue;
                }
                world.check(Fault::None, Some((step, event)));
                let mut history = [prefix, &[event]].concat();
                assert_found_nothing(enumerate(&world, &mut history, depth, &mut seen));
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
        let world = World::new(true, None).after(&beginning);
        assert_found_nothing(enumerate(&world, &mut beginning.clone(), 2, &mut seen));
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

#[test]
fn long_orders_around_the_pass_keep_what_is_owned_and_drop_what_is_not() {
    let mut random = fastrand::Rng::with_seed(11);
    for round in 0..2_000 {
        let length = random.usize(6..20);
        let drawn = draw(&mut random, kind(round), length);
        assert_found_nothing(drawn.map(|_| ()));
    }
}

fn kind(round: usize) -> World {
    World::new(round.is_multiple_of(2), None).counting(round % 4 < 2)
}

/// Minutes; `dev/soak` runs it.
#[test]
#[ignore = "takes minutes; dev/soak runs it"]
fn every_longer_order_around_the_ownership_pass() {
    println!("{:?}", every_order(5));
    println!("{:?}", every_stop(2));
    println!("{:?}", every_meeting(1));
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for round in 0..200_000 {
        let length = random.usize(6..30);
        let drawn = draw(&mut random, kind(round), length);
        assert_found_nothing(drawn.map(|_| ()));
    }
}

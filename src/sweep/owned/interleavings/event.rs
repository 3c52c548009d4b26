//! What can happen around a pass, and how an order of it is written down so that it can be tried again.
//!
//! Invariant: the line that a failure prints is Rust, and `replay` of it meets the same failure.

use super::world::World;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    Start(usize),
    Write(usize),
    /// The job is done; nobody has heard of it yet.
    Succeed(usize),
    Fail(usize),
    /// The result arrives, for the first time or again.
    Result(usize),
    Delete(usize),
    /// Another program removes the row.
    LoseRow,
    /// Longer than the grace goes by without anything.
    Pause,
    /// The store forgets what it counted.
    Restart,
    Check(Fault),
}

/// What a pass meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    Unreachable,
    ListsNothing,
    Omits,
    Refused,
    Lost,
    DoneButLost,
    /// It is cut off there, and another replica goes on.
    StopsAt(usize),
    /// That happens at this step, or as soon after it as it can.
    Meets(usize, &'static Event),
}

pub static EVENTS: [Event; 22] = [
    Event::Start(0),
    Event::Start(1),
    Event::Write(0),
    Event::Write(1),
    Event::Succeed(0),
    Event::Succeed(1),
    Event::Fail(0),
    Event::Fail(1),
    Event::Result(0),
    Event::Result(1),
    Event::Delete(0),
    Event::Delete(1),
    Event::LoseRow,
    Event::Pause,
    Event::Restart,
    Event::Check(Fault::None),
    Event::Check(Fault::Unreachable),
    Event::Check(Fault::ListsNothing),
    Event::Check(Fault::Omits),
    Event::Check(Fault::Refused),
    Event::Check(Fault::Lost),
    Event::Check(Fault::DoneButLost),
];

impl Event {
    /// What a job or a person does, at any moment.
    pub fn comes_at_any_step(&self) -> bool {
        matches!(
            self,
            Self::Start(_)
                | Self::Write(_)
                | Self::Succeed(_)
                | Self::Fail(_)
                | Self::Result(_)
                | Self::Delete(_)
        )
    }

    fn as_rust(self) -> String {
        match self {
            Self::Check(Fault::Meets(step, event)) => {
                format!("Check(Fault::Meets({step}, &Event::{event:?}))")
            }
            Self::Check(fault) => format!("Check(Fault::{fault:?})"),
            other => format!("{other:?}"),
        }
    }
}

/// What a failing test prints: to be pasted into a test of its own.
pub fn as_line(world: &World, history: &[Event]) -> String {
    let events: Vec<String> = history.iter().map(|event| format!("Event::{}", event.as_rust())).collect();
    format!("replay(World::{}, &[{}])", world.kind(), events.join(", "))
}

//! Lets both sides work on copies of the same data, in turns, and collects what they and the users met.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::Connection;

use crate::Outcome;
use crate::contender::{self, Finish, Side};
use crate::crowd::{Crowd, Errors, Experience, User};
use crate::long_reader::LongReader;
use crate::report::shown;
use crate::scenario::{Scenario, Task};
use crate::server::{COPY, Server, TEMPLATE};
use crate::waits::median;

/// One side, once.
#[derive(Debug)]
pub struct Run {
    pub finish: Finish,
    pub users: BTreeMap<User, Experience>,
    /// Expired chunks that are still there after the run.
    pub left: u32,
    /// The same at the moment when the long reader ended.
    pub left_at_long_readers_end: Option<u32>,
}

impl Run {
    pub fn errors(&self) -> Errors {
        let mut all = Errors::new();
        for (code, count) in self.users.values().flat_map(|user| &user.errors) {
            *all.entry(code.clone()).or_default() += count;
        }
        all
    }
}

/// All runs of one side.
#[derive(Debug, Default)]
pub struct Runs(pub Vec<Run>);

impl Runs {
    pub fn total(&self) -> Duration {
        median(self.0.iter().map(|run| run.finish.total).collect())
    }

    /// The median of what `of` tells about one user; none where that user was not there.
    pub fn of_user(&self, user: User, of: impl Fn(&Experience) -> Duration) -> Option<Duration> {
        let values: Vec<Duration> = self.0.iter().filter_map(|run| run.users.get(&user).map(&of)).collect();
        (!values.is_empty()).then(|| median(values))
    }

    pub fn peak_memory(&self) -> Option<u64> {
        self.0.iter().filter_map(|run| run.finish.peak_memory).max()
    }
}

#[derive(Debug, Default)]
pub struct Sides {
    pub one_call: Runs,
    pub timesweep: Runs,
}

pub async fn both_sides(server: &Server, scenario: &Scenario, runs: u32) -> Outcome<Sides> {
    eprintln!("bench: {}: preparing {}", scenario.name, scenario.about());
    scenario.fixture.build(server).await?;
    let mut sides = Sides::default();
    for number in 1..=runs {
        for side in Side::BOTH {
            let run = once(server, scenario, side).await?;
            eprintln!("bench: {}: run {number} of {runs}, {}", scenario.name, summary(side, &run));
            match side {
                Side::OneCall => sides.one_call.0.push(run),
                Side::Timesweep => sides.timesweep.0.push(run),
            }
        }
    }
    server.drop(COPY).await?;
    server.drop(TEMPLATE).await?;
    Ok(sides)
}

async fn once(server: &Server, scenario: &Scenario, side: Side) -> Outcome<Run> {
    server.copy_template().await?;
    let crowd = Crowd::start(server, scenario.users).await?;
    let long_reader = match scenario.long_reader {
        Some(lasts) => Some(LongReader::start(server, scenario.fixture, lasts).await?),
        None => None,
    };
    crowd.dropping_begins();
    let finish = contender::work(server, side, scenario.task, scenario.fixture).await?;
    let users = crowd.stop().await?;
    let left_at_long_readers_end = match long_reader {
        Some(reader) => Some(reader.chunks_left_at_its_end().await?),
        None => None,
    };
    let left = chunks_left(server, scenario).await?;
    Ok(Run { finish, users, left, left_at_long_readers_end })
}

/// A plan leaves everything where it is, which is no fault.
async fn chunks_left(server: &Server, scenario: &Scenario) -> Outcome<u32> {
    if matches!(scenario.task, Task::Plan) {
        return Ok(0);
    }
    let mut connection = server.connect(COPY).await?;
    let left = scenario.fixture.expired_chunks(&mut connection).await?;
    connection.close().await?;
    Ok(left)
}

fn summary(side: Side, run: &Run) -> String {
    let mut parts = vec![format!("{side:?}: {}", shown(run.finish.total))];
    parts.extend(run.finish.note.clone());
    parts.extend(run.users.iter().map(|(user, met)| format!("{user:?} {}", shown(met.dropping.longest()))));
    parts.extend(run.errors().into_iter().map(|(code, count)| format!("{code} × {count}")));
    parts.push(format!("{} chunks left", run.left));
    parts.join(", ")
}

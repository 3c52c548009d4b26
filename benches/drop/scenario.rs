//! What is measured: data, users, and what must come out.

use std::time::Duration;

use crate::Outcome;
use crate::check::Check;
use crate::crowd::User;
use crate::fixture::{ChunkSize, Fixture};

#[derive(Debug, Clone, Copy)]
pub enum Task {
    Drop,
    Plan,
}

#[derive(Debug, Clone)]
pub struct Scenario {
    pub name: &'static str,
    about: &'static str,
    pub task: Task,
    pub fixture: Fixture,
    pub users: &'static [User],
    /// A transaction that has read an old chunk before the drop begins.
    pub long_reader: Option<Duration>,
    pub checks: &'static [Check],
}

const MEBIBYTE: u64 = 1024 * 1024;

pub const ALL: [Scenario; 7] = [
    Scenario {
        about: "nobody else there",
        checks: &[Check::Done, Check::TotalAtMost(1.1)],
        ..dropping("idle-tiny", Fixture::tiny(4, 500))
    },
    Scenario {
        about: "nobody else there",
        checks: &[Check::Done, Check::TotalAtMost(1.1)],
        ..dropping("idle-1mb", Fixture { size: ChunkSize::Megabyte, ..Fixture::tiny(4, 500) })
    },
    Scenario {
        about: "a writer and two readers",
        users: &User::ALL,
        checks: &[
            Check::Done,
            Check::NoUserError,
            Check::TotalAtMost(0.2),
            Check::LatestReaderBeyondIdle(Duration::from_millis(60)),
        ],
        ..dropping("latest-reader", Fixture::tiny(1, 1_000))
    },
    Scenario {
        about: "a writer and two readers, a foreign key to a small table",
        users: &User::ALL,
        checks: &[Check::Done, Check::WriterAtMost(0.01)],
        ..dropping("foreign-key", Fixture { foreign_key: true, ..Fixture::tiny(1, 1_000) })
    },
    Scenario {
        about: "the same and a transaction of 5 s that has read one chunk",
        users: &User::ALL,
        long_reader: Some(Duration::from_secs(5)),
        checks: &[Check::WriterAtMost(0.01), Check::OthersGoneBeforeLongReader],
        ..dropping("foreign-key-long-reader", Fixture { foreign_key: true, ..Fixture::tiny(1, 300) })
    },
    Scenario {
        about: "a writer and two readers, default server settings",
        users: &User::ALL,
        checks: &[Check::Done, Check::NobodySees("53200")],
        ..dropping("many-chunks", Fixture::tiny(1, 5_000))
    },
    Scenario {
        about: "`plan` against `show_chunks` and one query for the sizes",
        task: Task::Plan,
        checks: &[Check::TotalAtMost(2.0), Check::PeakMemoryBelow(64 * MEBIBYTE)],
        ..dropping("plan", Fixture::tiny(1, 10_000))
    },
];

impl Scenario {
    pub fn about(&self) -> String {
        format!("{}; {}", self.about, self.fixture)
    }
}

const fn dropping(name: &'static str, fixture: Fixture) -> Scenario {
    Scenario { name, about: "", task: Task::Drop, fixture, users: &[], long_reader: None, checks: &[] }
}

/// The named ones, or all; with a fifth of the chunks for a quick look.
pub fn choose(names: &[String], quick: bool) -> Outcome<Vec<Scenario>> {
    if let Some(unknown) = names.iter().find(|name| ALL.iter().all(|scenario| scenario.name != **name)) {
        let known: Vec<&str> = ALL.iter().map(|scenario| scenario.name).collect();
        return Err(format!("there is no scenario `{unknown}`; there are {}", known.join(", ")).into());
    }
    let wanted = |scenario: &Scenario| names.is_empty() || names.iter().any(|name| name == scenario.name);
    Ok(ALL
        .into_iter()
        .filter(wanted)
        .map(|scenario| if quick { smaller(scenario) } else { scenario })
        .collect())
}

fn smaller(mut scenario: Scenario) -> Scenario {
    scenario.fixture.expired /= 5;
    scenario
}

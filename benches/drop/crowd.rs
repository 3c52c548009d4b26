//! The users of the database: a writer and two readers, each in a loop on a connection of its own.
//!
//! Statements are prepared, as most drivers do by themselves with one that comes again and again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnection;
use tokio::task::JoinHandle;

use crate::Outcome;
use crate::server::{COPY, Server};
use crate::waits::Waits;

/// How many statements of each user ended with which SQLSTATE.
pub type Errors = BTreeMap<String, u32>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum User {
    Writer,
    RecentReader,
    LatestReader,
}

impl User {
    pub const ALL: [Self; 3] = [Self::Writer, Self::RecentReader, Self::LatestReader];

    fn statement(self) -> &'static str {
        match self {
            Self::Writer => "INSERT INTO readings_1 VALUES (now(), 1)",
            Self::RecentReader => "SELECT count(*) FROM readings_1 WHERE ts > now() - interval '1 minute'",
            Self::LatestReader => "SELECT * FROM readings_1 ORDER BY ts DESC LIMIT 1",
        }
    }

    /// Time between two statements. What is written in a minute is also what the recent reader counts.
    fn pause(self) -> Duration {
        match self {
            Self::Writer | Self::RecentReader => Duration::from_millis(5),
            Self::LatestReader => Duration::ZERO,
        }
    }
}

/// The first statements are planned and fill caches; they count nowhere.
const WARMING_UP: u8 = 0;
const IDLE: u8 = 1;
const DROPPING: u8 = 2;
const OVER: u8 = 3;

const WARM_UP_TIME: Duration = Duration::from_secs(2);
/// How long the users are watched before anybody drops.
const IDLE_TIME: Duration = Duration::from_secs(5);

/// What one user met while nobody dropped, and while somebody did.
#[derive(Debug, Clone, Default)]
pub struct Experience {
    pub idle: Waits,
    pub dropping: Waits,
    pub errors: Errors,
}

pub struct Crowd {
    phase: Arc<AtomicU8>,
    users: Vec<(User, JoinHandle<Outcome<Experience>>)>,
}

impl Crowd {
    /// Comes back when the users have been watched without a drop.
    pub async fn start(server: &Server, users: &[User]) -> Outcome<Self> {
        let phase = Arc::new(AtomicU8::new(WARMING_UP));
        let mut tasks = Vec::new();
        for user in users {
            let connection = server.connect(COPY).await?;
            tasks.push((*user, tokio::spawn(work(*user, connection, Arc::clone(&phase)))));
        }
        let crowd = Self { phase, users: tasks };
        if !users.is_empty() {
            tokio::time::sleep(WARM_UP_TIME).await;
            crowd.enter(IDLE);
            tokio::time::sleep(IDLE_TIME).await;
        }
        Ok(crowd)
    }

    fn enter(&self, phase: u8) {
        self.phase.store(phase, Ordering::SeqCst);
    }

    /// From here on every statement that ends counts as one during the drop.
    pub fn dropping_begins(&self) {
        self.enter(DROPPING);
    }

    /// Lets everybody finish the statement in hand.
    pub async fn stop(self) -> Outcome<BTreeMap<User, Experience>> {
        self.enter(OVER);
        let mut experiences = BTreeMap::new();
        for (user, task) in self.users {
            experiences.insert(user, task.await??);
        }
        Ok(experiences)
    }
}

async fn work(user: User, mut connection: PgConnection, phase: Arc<AtomicU8>) -> Outcome<Experience> {
    let mut experience = Experience::default();
    while phase.load(Ordering::SeqCst) != OVER {
        let begin = Instant::now();
        let result = sqlx::query(user.statement()).execute(&mut connection).await;
        let wait = begin.elapsed();
        match phase.load(Ordering::SeqCst) {
            WARMING_UP => {}
            IDLE => experience.idle.add(wait),
            _ => experience.dropping.add(wait),
        }
        if let Err(error) = result {
            *experience.errors.entry(sqlstate(&error).ok_or(error)?).or_default() += 1;
        }
        tokio::time::sleep(user.pause()).await;
    }
    Ok(experience)
}

/// The server's code for an error; none where the connection is broken.
pub fn sqlstate(error: &sqlx::Error) -> Option<String> {
    error.as_database_error()?.code().map(String::from)
}

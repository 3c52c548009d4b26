//! A run that cannot end by itself: one chunk stays locked, and everything else is gone already.

use std::process::{Child, Command, Stdio};

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor};

use super::support::{Ran, TestDatabase, eventually};

/// Many tries, so that only the test ends the run.
pub const RULES: &str = "attempts = 100\n[[policies]]\ntable = \"public.*\"\ndrop_after = \"3 days\"\n\
     [caps]\nshare_of_bytes = \"100 %\"\n";

pub struct AtWork {
    child: Child,
    reader: PgConnection,
}

impl AtWork {
    /// Makes `public.t` with 20 chunks, of which 16 shall go; locks the oldest, starts `run --apply` and
    /// waits until all others are gone.
    pub async fn start(database: &TestDatabase) -> Self {
        Self::start_on(database, &database.url).await
    }

    /// The same, where the program reaches the database by another address.
    pub async fn start_on(database: &TestDatabase, url: &str) -> Self {
        database.daily_table("t", 20).await;
        let reader = lock_oldest_chunk(database, "t").await;
        let child = start_on(database, url);
        eventually("all other chunks are gone", async || database.chunks("t").await == 5).await;
        Self { child, reader }
    }

    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status().expect("a shell");
        assert!(sent.success());
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("the child's state").is_none()
    }

    /// The last chunk may go now.
    pub async fn unlock(&mut self) {
        self.reader.execute("ROLLBACK").await.expect("rollback");
    }

    pub fn ended(self) -> Ran {
        Ran::from(self.child.wait_with_output().expect("the run ends"))
    }
}

pub fn start(database: &TestDatabase) -> Child {
    start_on(database, &database.url)
}

fn start_on(database: &TestDatabase, url: &str) -> Child {
    let mut command = database.timesweep(&["run", "--apply", "--output", "json"]);
    command.env("TEST_DATABASE_URL", url);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("timesweep starts")
}

/// A session that reads the oldest chunk in a transaction which stays open.
pub async fn lock_oldest_chunk(database: &TestDatabase, table: &str) -> PgConnection {
    let mut reader = database.connect().await;
    let query = format!("SELECT c::text FROM show_chunks('{table}') c ORDER BY c LIMIT 1");
    let oldest: String =
        sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(&mut reader).await.expect("a chunk");
    reader.execute("BEGIN").await.expect("begin");
    reader.execute(AssertSqlSafe(format!("SELECT count(*) FROM {oldest}"))).await.expect("read");
    reader
}

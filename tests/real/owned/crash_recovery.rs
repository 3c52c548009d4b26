//! A PostgreSQL with schemas of jobs breaks off: it forgets what it counted, so everything counts as changed once.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::ground::Ground;
use super::place::{Place, id};
use crate::real::own_server::OwnServer;
use crate::real::support::{TestDatabase, eventually};

/// Two orphans and an owned dataset in a server of its own, whose changes are known.
struct Shaken {
    place: Place,
    owner: Uuid,
    kept: String,
    orphans: [String; 2],
    /// Ends after everything else.
    server: OwnServer,
}

impl Shaken {
    async fn new() -> Self {
        let server = OwnServer::start();
        let store = TestDatabase::without_extension_on(&server.url).await;
        let mut place = Place::on(Ground::Schemas(Box::new(store))).await.with_orchestrator().await;
        place.times = place.times.replace("grace = \"2 s\"", "grace = \"1 hour\"");
        let (owner, kept, orphans) = (Uuid::now_v7(), id(), [id(), id()]);
        for dataset in orphans.iter().chain([&kept]) {
            place.ground.write(dataset).await;
        }
        place.orchestrator_writes(&format!("'{kept}'"), &format!("'{owner}'"), "NULL").await;
        let shaken = Self { place, owner, kept, orphans, server };
        shaken.comes_to_rest().await;
        shaken
    }

    /// The server tells its counters a moment after they changed.
    async fn comes_to_rest(&self) {
        let mut before = None;
        eventually("two passes find the same", async || {
            let now = Some(self.pass().await);
            std::mem::replace(&mut before, now.clone()) == now
        })
        .await;
    }

    /// The last change of each dataset as a pass leaves it, microseconds since 1970.
    async fn pass(&self) -> BTreeMap<String, i64> {
        self.place.ran(&["run", "--apply"]).with_code(0);
        let query = "SELECT dataset, coalesce(last_change, first_seen) FROM timesweep_seen_dataset";
        let mut connection = self.place.database.connect().await;
        let rows: Vec<(String, i64)> = sqlx::query_as(query).fetch_all(&mut connection).await.expect(query);
        rows.into_iter().collect()
    }

    fn store(&self) -> &TestDatabase {
        match &self.place.ground {
            Ground::Schemas(store) => store,
            Ground::Influx(_) => panic!("these are schemas"),
        }
    }

    /// Every dataset gets as many writes as it had: a count alone would tell nothing. And yet each one changed
    /// after `before`, once.
    async fn has_changed_once(&self, before: &BTreeMap<String, i64>) {
        for dataset in before.keys() {
            self.store().run(&format!("INSERT INTO \"{dataset}\".carrier VALUES (now(), 1.5)")).await;
        }
        self.comes_to_rest().await;
        let after = self.pass().await;
        assert_eq!(after.len(), 3);
        assert!(after.iter().all(|(dataset, at)| *at > before[dataset]), "{before:?} {after:?}");
        assert_eq!(self.pass().await, after);
    }

    /// With a short grace what nobody owns goes, and what a job owns does not.
    async fn settles(&mut self) {
        self.place.times = self.place.times.replace("grace = \"1 hour\"", "grace = \"2 s\"");
        eventually("the orphans go", async || {
            self.place.ran(&["run", "--apply"]).with_code(0);
            let names = self.place.ground.names().await;
            self.orphans.iter().all(|orphan| !names.contains(orphan))
        })
        .await;
        assert!(self.place.ground.has(&self.kept).await);
        assert_eq!(self.place.row(&self.kept).await, Some((Some(self.owner), false)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_broke_off_counts_as_one_change_of_everything() {
    let mut shaken = Shaken::new().await;
    let before = shaken.pass().await;
    shaken.server.break_off();
    shaken.place.ran(&["run", "--apply"]).with_code(5);
    shaken.server.start_again();
    shaken.has_changed_once(&before).await;
    shaken.settles().await;
}

/// One session is killed: the server throws out all others and recovers, without being started anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_recovers_by_itself_counts_as_one_change_of_everything() {
    let mut shaken = Shaken::new().await;
    let before = shaken.pass().await;
    let started = "SELECT (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint";
    let running_since = shaken.store().number(started).await;
    let mut session = shaken.store().connect().await;
    let pid: i32 =
        sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut session).await.expect("a process id");
    let killed = std::process::Command::new("kill").args(["-KILL", &pid.to_string()]).status();
    assert!(killed.expect("kill starts").success());
    drop(session);
    eventually("it recovers", async || shaken.place.ran(&["plan"]).code == 0).await;
    assert_eq!(shaken.store().number(started).await, running_since);
    shaken.has_changed_once(&before).await;
    shaken.settles().await;
}

//! The ground of an InfluxDB of its own, and what only it can meet.

use std::sync::Arc;

use async_trait::async_trait;
use timesweep::config::{Config, Machine};
use timesweep::retention::facts::NativeRule;
use timesweep::retention::model::Chunk;
use timesweep::retention::name::RelationName;
use timesweep::store::{self, Change, Driver, DropFailure};

use super::ground::{Ground, chunks, facts, order, table};
use crate::own_influx::{OwnInflux, post, query};

pub struct OnInflux {
    server: OwnInflux,
    driver: Arc<dyn Driver>,
}

const DAY: i64 = 86_400;

impl OnInflux {
    pub async fn new() -> Self {
        let server = OwnInflux::start("false");
        for statement in [
            "CREATE DATABASE \"public\" WITH DURATION INF SHARD DURATION 1d NAME \"t\"",
            "CREATE RETENTION POLICY \"u\" ON \"public\" DURATION 100d REPLICATION 1 SHARD DURATION 1d",
        ] {
            let answer = query(&server.url, statement).await;
            assert!(!answer.contains("error"), "{statement}: {answer}");
        }
        let today = jiff::Timestamp::now().as_second().div_euclid(DAY) * DAY;
        for (policy, days) in [("t", 7), ("u", 2)] {
            let lines: Vec<String> = (0..days).map(|day| format!("m v=1.5 {}", today - day * DAY)).collect();
            let url = format!("{}/write?db=public&rp={policy}&precision=s", server.url);
            assert_eq!(post(url, lines.join("\n")).await, "");
        }
        let text = format!("[stores.main]\nkind = \"influxdb\"\nurl = \"{}\"", server.url);
        let config = Config::parse(&text, "test", &Machine).expect("a configuration");
        let driver = store::open(&config.stores[0]).expect("a driver");
        Self { server, driver }
    }

    async fn shards(&self) -> String {
        query(&self.server.url, "SHOW SHARDS").await
    }
}

#[async_trait]
impl Ground for OnInflux {
    fn driver(&self) -> Arc<dyn Driver> {
        Arc::clone(&self.driver)
    }

    async fn drop_elsewhere(&mut self, chunk: &Chunk) {
        query(&self.server.url, &format!("DROP SHARD {}", chunk.parts[0].oid)).await;
    }

    async fn freeze(&mut self, _chunk: &Chunk) {
        unreachable!("nothing is frozen here");
    }

    async fn lock(&mut self, _chunk: &Chunk) {
        unreachable!("nothing is locked here");
    }

    async fn release(&mut self) {}

    async fn connect(&mut self) -> String {
        unreachable!("nobody is connected here");
    }
}

#[tokio::test]
async fn a_retention_policy_of_the_server_is_told_as_a_native_one() {
    let ground = OnInflux::new().await;
    let all = facts(&ground).await;
    let [t, u] = all.datasets.as_slice() else { panic!("{:?}", all.datasets) };
    assert!(t.native_policies.is_empty(), "INF is no rule");
    let [native] = u.native_policies.as_slice() else { panic!("one rule") };
    assert!(
        matches!(&native.rule, NativeRule::DropAfter(after) if after.to_string().contains("2400")),
        "{native:?}"
    );
    assert_eq!(u.chunk_interval, Some(DAY * 1_000_000));
    assert!(all.server.starts_with("InfluxDB 1."), "{}", all.server);
    let days: Vec<i64> = t.chunks.iter().map(|chunk| chunk.range.end - chunk.range.start).collect();
    assert_eq!(days, [DAY * 1_000_000; 7]);
    assert!(t.chunks.iter().all(|chunk| chunk.range.start % (DAY * 1_000_000) == 0));
}

#[tokio::test]
async fn a_group_that_is_not_the_planned_one_stays() {
    let ground = OnInflux::new().await;
    let before = chunks(&ground).await;
    let other = facts(&ground).await.datasets[1].chunks[0].clone();
    let mut longer = before[0].clone();
    longer.range.end += 1;
    let mut stranger = before[0].clone();
    stranger.parts[0].relation = RelationName::new("public", "u/1");
    let shards = ground.shards().await;
    for wrong in [other, longer, stranger] {
        let mut order = order(&ground, &before[1..2]).await;
        order.chunks.push(wrong);
        let mut dropper = ground.driver().open_dropper().await.expect("a session");
        let answer = dropper.drop_chunks(&order).await;
        let Err(DropFailure::Changed(changes)) = answer else { panic!("{answer:?}") };
        assert!(matches!(changes.as_slice(), [(1, Change::Differs(_))]), "{changes:?}");
        assert_eq!(ground.shards().await, shards, "nothing went");
    }
}

/// The server leaves whole tables out of such an answer, and does not mark it as partial.
#[tokio::test]
async fn a_server_that_limits_rows_is_an_error_and_no_shorter_list() {
    let ground = OnInflux::new().await;
    let parts: Vec<_> = chunks(&ground).await.into_iter().flat_map(|chunk| chunk.parts).collect();
    let order = order(&ground, &chunks(&ground).await[..1]).await;
    let names = ["b", "c", "d", "e"];
    for name in names {
        query(&ground.server.url, &format!("CREATE DATABASE {name} WITH NAME \"t\"")).await;
        post(format!("{}/write?db={name}", ground.server.url), "m v=1".into()).await;
    }
    for most in [1, 2, 9, 12] {
        ground.server.limit_rows(most);
        let there = ground.driver().still_there(&parts).await;
        assert!(there.as_ref().is_err() || there == Ok(vec![true; 7]), "{most} rows: {there:?}");
        assert!(ground.driver().facts(&timesweep::store::Wanted::default()).await.is_err(), "{most} rows");
        let mut dropper = ground.driver().open_dropper().await.expect("a session");
        if there.is_err() {
            let answer = dropper.drop_chunks(&order).await;
            assert!(matches!(answer, Err(DropFailure::Permanent { .. })), "{most} rows: {answer:?}");
        }
    }
    ground.server.limit_rows(0);
    assert_eq!(chunks(&ground).await.len(), 7, "nothing went");
}

#[tokio::test]
async fn the_plan_of_a_policy_drops_exactly_its_groups_through_the_whole_program() {
    let ground = OnInflux::new().await;
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("timesweep.toml");
    let text = format!(
        "[state]\npath = {:?}\n[stores.main]\nkind = \"influxdb\"\nurl = \"{}\"\n[[policies]]\ntable = \"public.t\"\n\
         drop_after = \"3 days\"\n[[policies]]\ntable = \"public.u\"\ntake_over_native_policy = true\n[caps]\nshare_of_bytes = \"100 %\"\n",
        folder.path().join("state.db").display().to_string(),
        ground.server.url
    );
    std::fs::write(&config, text).expect("a configuration");
    let before = table(&ground).await.chunks;
    let others = facts(&ground).await.datasets[1].chunks.len();
    let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_timesweep"));
    let ran = program.arg("--config").arg(&config).args(["run", "--apply"]).output().expect("it starts");
    assert!(
        ran.status.success(),
        "{}{}",
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr)
    );
    let after = table(&ground).await.chunks;
    assert_eq!(after, before[before.len() - 4..], "today and three days before");
    assert_eq!(facts(&ground).await.datasets[1].chunks.len(), others);
}

/// The program with this configuration: what it said, on either way out.
fn said(ground: &OnInflux, more: &str, arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("timesweep.toml");
    let text = format!("[stores.main]\nkind = \"influxdb\"\nurl = \"{}\"\n{more}", ground.server.url);
    std::fs::write(&file, text).expect("a configuration");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_timesweep"));
    command.env_clear().env("HOME", folder.path()).arg("--config").arg(&file).args(arguments);
    let output = command.output().expect("timesweep starts");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[tokio::test]
async fn the_program_speaks_of_what_influxdb_has() {
    let ground = OnInflux::new().await;
    let checked = said(&ground, "", &["check"]);
    assert!(checked.contains("  without a login:\n"), "{checked}");
    assert!(checked.contains("can drop shard groups of 2 of 2 retention policies"), "{checked}");
    let missing = "[[policies]]\ntable = \"public.nothing\"\ndrop_after = \"1 day\"\n";
    let planned = said(&ground, missing, &["plan"]);
    assert!(planned.contains("there is no retention policy public.nothing on this server"), "{planned}");
    let far = "[[policies]]\ntable = \"elsewhere.something\"\ndrop_after = \"1 day\"\n";
    let hinted = said(&ground, far, &["plan"]);
    assert!(hinted.contains("names are database.retention_policy"), "{hinted}");
    for text in [checked, planned, hinted] {
        for word in ["hypertable", "role", "pg_", "schema"] {
            assert!(!text.contains(word), "{word}: {text}");
        }
    }
}

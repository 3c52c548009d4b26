//! Disk, freed bytes and growth, measured on a real server: on its host, by SQL, by a command.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use sqlx::AssertSqlSafe;
use timesweep::report::Report;
use timesweep::report::measure::{SizeParts, TableMeasure};
use timesweep::retention::estimate::forecast::Sample;
use timesweep::retention::model::{ByteCount, StoreName};
use timesweep::retention::name::RelationName;
use timesweep::state::{DiskSample, State};

use super::direct;
use super::support::{TestDatabase, eventually, server_folder};

const POLICY: &str =
    "[[policies]]\ntable = \"public.*\"\ndrop_after = \"3 days\"\n[caps]\nshare_of_bytes = \"100 %\"\n";
const MIB: u64 = 1 << 20;
const DAY: i64 = 86_400_000_000;

/// Eight days with more than a megabyte each; four of the chunks are expired.
async fn heavy_table(database: &TestDatabase) {
    database.daily_table("heavy", 8).await;
    database
        .run(
            "ALTER TABLE heavy ADD note text; ALTER TABLE heavy ALTER note SET STORAGE EXTERNAL; \
             INSERT INTO heavy SELECT date_trunc('day', now()) - day * interval '1 day' + number * interval '1 minute', number, 2, \
                 CASE WHEN number % 100 = 0 THEN repeat('x', 5000) ELSE repeat('y', 1000) END \
               FROM generate_series(0, 7) day, generate_series(2, 1000) number; ANALYZE heavy",
        )
        .await;
}

fn report(database: &TestDatabase, arguments: &[&str]) -> Report {
    let mut all = vec!["--output", "json"];
    all.extend(arguments);
    serde_json::from_value(database.ran(&all).with_code(0).json()).expect("a report")
}

fn measure<'a>(report: &'a Report, table: &str) -> &'a TableMeasure {
    let name = RelationName::new("public", table);
    let dataset = report.datasets.iter().find(|dataset| dataset.name == name).expect("the table");
    dataset.measure.as_ref().expect("it was measured")
}

fn on_this_host(more: &str) -> String {
    format!("{POLICY}[disk]\ndata_folder = {:?}\n{more}", server_folder().display().to_string())
}

/// Within a twentieth, and a mebibyte.
#[track_caller]
fn assert_near(one: ByteCount, other: ByteCount) {
    let allowed = one.0.max(other.0) / 20 + MIB;
    assert!(one.0.abs_diff(other.0) <= allowed, "{one} is not about {other}");
}

#[tokio::test]
async fn what_a_run_frees_is_measured_and_about_what_was_expected() {
    let database = TestDatabase::new().await;
    heavy_table(&database).await;
    database.configuration(POLICY);
    let report = report(&database, &["run", "--apply"]);
    let freed = report.freed.as_ref().expect("freed");
    assert!(freed.expected.0 > 4 * MIB, "{freed:?}");
    assert_near(freed.expected, freed.measured.expect("measured"));
    assert_eq!(freed.difference, None, "{freed:?}");

    let heavy = measure(&report, "heavy");
    assert_eq!((heavy.chunks_before, heavy.chunks_after), (8, Some(4)));
    let sum = |parts: &SizeParts| -> ByteCount {
        let parts = [parts.table, parts.index, parts.toast, parts.compressed];
        parts.into_iter().map(|part| part.expect("known")).sum()
    };
    let after = heavy.after.as_ref().expect("measured");
    assert_eq!((sum(&heavy.before), sum(after)), (heavy.before.total, after.total));
    assert_eq!(heavy.before.total, report.datasets[0].bytes_before);
    assert_eq!(heavy.before.total.0 - after.total.0, freed.expected.0);
    assert!(after.toast.is_some_and(|toast| toast.0 > 100_000), "{after:?}");
    let mean = heavy.mean_chunk.expect("known").0;
    assert_eq!(mean, heavy.before.total.0 / 8);
    let daily = heavy.daily_bytes.expect("known");
    assert!((daily - mean as f64).abs() < mean as f64 / 10.0, "{daily} {mean}");
    assert!(heavy.daily_rows.is_some_and(|rows| (900.0..1100.0).contains(&rows)), "{:?}", heavy.daily_rows);
    assert_near(heavy.steady_state.expect("known"), ByteCount(4 * mean));
    let due = heavy.next_due.expect("known") - report.started_at;
    assert!((0..=DAY).contains(&due), "{due}");
    assert_eq!(heavy.history.len(), 2, "before and after");
    assert_eq!(report.datasets[0].kept.iter().map(|kept| kept.chunks).sum::<usize>(), 4);
}

#[tokio::test]
async fn the_disk_is_read_on_the_servers_own_host() {
    let database = TestDatabase::new().await;
    heavy_table(&database).await;
    let name = database.name.clone();
    let mut connection = database.connect().await;
    for statement in [
        "SET allow_in_place_tablespaces = on".to_owned(),
        format!("CREATE TABLESPACE \"{name}\" LOCATION ''"),
    ] {
        sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await.expect("a tablespace");
    }
    database.configuration(&on_this_host(""));
    let report = report(&database, &["run", "--apply"]);
    sqlx::query(AssertSqlSafe(format!("DROP TABLESPACE \"{name}\"")))
        .execute(&mut connection)
        .await
        .expect("dropped");

    let disk = report.disk.as_ref().expect("a disk");
    assert_eq!((disk.source.as_str(), disk.unknown.as_slice()), ("this host", &[][..]));
    for reading in [&disk.before, &disk.after] {
        let reading = reading.as_ref().expect("a reading");
        assert!(reading.data.is_some_and(|data| data >= report.bytes_after.expect("known")), "{reading:?}");
        assert!(reading.wal.is_some_and(|wal| wal.0 >= 16 * MIB), "{reading:?}");
        assert!(
            reading.tablespaces.iter().any(|space| space.name == name && space.bytes.is_some()),
            "{reading:?}"
        );
        let system = &reading.file_systems[0];
        assert!(system.holds.contains(&"data".to_owned()) && system.holds.contains(&name), "{system:?}");
        assert!(system.size > system.free && system.free.0 > 0, "{system:?}");
    }
    // The same bytes as `du` counts, but for what other tests write at the same time.
    let du = std::process::Command::new("du").args(["-B1", "-s"]).arg(server_folder()).output().expect("du");
    let du: u64 = String::from_utf8_lossy(&du.stdout)
        .split('\t')
        .next()
        .and_then(|n| n.parse().ok())
        .expect("a number");
    let after = disk.after.as_ref().expect("a reading");
    let all: u64 = [after.stored(), after.wal].into_iter().flatten().map(|bytes| bytes.0).sum();
    assert!(all.abs_diff(du) < du / 4, "{all} {du}");
    assert!(
        disk.forecasts[0].why_none.as_deref().is_some_and(|why| why.contains("5 are needed")),
        "{disk:?}"
    );
    assert!(report.freed.as_ref().expect("freed").measured.is_some());
}

#[tokio::test]
async fn samples_count_what_all_runs_have_freed_until_then() {
    let database = TestDatabase::new().await;
    database.daily_table("t", 8).await;
    database.configuration(&on_this_host(""));
    database.ran(&["check"]).with_code(0);
    // What a refused run leaves is no sign of the policy.
    database.configuration(&on_this_host("").replace("100 %", "1 %"));
    database.ran(&["run", "--apply"]).with_code(4);
    database.configuration(&on_this_host(""));
    let first = report(&database, &["run", "--apply"]);
    database
        .run("INSERT INTO t SELECT date_trunc('day', now()) - day * interval '1 day', 1, 2 FROM generate_series(5, 6) day")
        .await;
    let second = report(&database, &["run", "--apply"]);
    database.ran(&["check"]).with_code(0);
    let freed = [first.bytes_expected().0, second.bytes_expected().0];
    assert!(freed.iter().all(|bytes| *bytes > 0), "{freed:?}");

    let state = State::open(&database.file("state.db")).await.expect("the state");
    let samples = state.disk_samples(&first.identity.system, 0).await.expect("samples");
    let found: Vec<(u64, bool)> = samples.iter().map(|s| (s.sample.freed, s.sample.after_run)).collect();
    let both = freed[0] + freed[1];
    let refused = [(0, false); 3];
    let runs = [(0, false), (freed[0], true), (freed[0], false), (both, true), (both, false)];
    assert_eq!(found, [&refused[..], &runs[..]].concat());
}

#[tokio::test]
async fn samples_of_many_runs_give_a_date() {
    let database = TestDatabase::new().await;
    database.daily_table("t", 8).await;
    database.configuration(&on_this_host(""));
    let first = report(&database, &["run", "--apply"]);
    let disk = first.disk.expect("a disk").after.expect("a reading");
    let system = &disk.file_systems[0];
    let state = State::open(&database.file("state.db")).await.expect("the state");
    // A hundredth of the disk comes every day, and half of it went by runs.
    let step = system.size.0 / 100;
    let samples = (1..=20_u64).map(|ago| DiskSample {
        store: StoreName("main".into()),
        system: first.identity.system.clone(),
        path: system.path.clone(),
        sample: Sample {
            at: disk.at - ago.cast_signed() * DAY,
            size: system.size.0,
            used: (system.used().0 + 20 * step / 2 - ago * step / 2).saturating_sub(20 * step / 2),
            freed: 0,
            after_run: true,
        },
    });
    state.add_disk_samples(&samples.collect::<Vec<_>>()).await.expect("added");
    state.close().await.expect("closed");
    let again = report(&database, &["run", "--apply"]);
    let forecast = &again.disk.expect("a disk").forecasts[0];
    assert!(forecast.samples >= 20, "{forecast:?}");
    let full = forecast.with_policy.iter().find(|until| until.percent == 100).expect("100 %");
    let expected = system.free.0 as f64 / (step as f64 / 2.0);
    let days = full.days.unwrap_or_else(|| panic!("a date: {forecast:?}"));
    assert!((days - expected).abs() < expected / 5.0 + 2.0, "{days} {expected}");
    let text = database.ran(&["report"]).with_code(0).out;
    assert!(text.contains("with the policy: ") && text.contains("100 % in "), "{text}");
}

#[tokio::test]
async fn a_folder_of_another_cluster_is_not_taken_for_the_servers() {
    let database = TestDatabase::new().await;
    database.daily_table("t", 8).await;
    let folder = database.file("other");
    std::fs::create_dir_all(folder.join("global")).expect("a folder");
    std::fs::write(folder.join("global/pg_control"), [1_u8; 64]).expect("a file");
    let settings = format!("{POLICY}[disk]\ndata_folder = {:?}\n", folder.display().to_string());
    for (source, by, unread) in [("auto", "SQL", false), ("local", "this host", true)] {
        database.configuration(&format!("{settings}source = \"{source}\"\n"));
        let checked = database.ran(&["--output", "json", "check"]).with_code(0).json();
        assert_eq!(
            (checked["disk"]["source"].as_str(), checked["disk"]["before"].is_null()),
            (Some(by), unread)
        );
        let why = checked["disk"]["unknown"].to_string();
        assert!(why.contains("is of cluster 72340172838076673, the store of cluster"), "{why}");
    }
    assert_eq!(report(&database, &["run", "--apply"]).chunks_dropped(), 4);
}

#[tokio::test]
async fn a_role_without_rights_measures_what_it_may_and_calls_the_rest_unknown() {
    let database = TestDatabase::new().await;
    heavy_table(&database).await;
    let owner = database.role("owner").await;
    database.run(&format!("ALTER TABLE heavy OWNER TO {owner}")).await;
    database.configuration(POLICY);
    let mut command = database.timesweep(&["--output", "json", "run", "--apply"]);
    command.env("TEST_DATABASE_URL", database.url_as(&owner, "secret"));
    let ran = super::support::Ran::from(command.output().expect("timesweep starts")).with_code(0);
    let report: Report = serde_json::from_value(ran.json()).expect("a report");
    let disk = report.disk.as_ref().expect("a disk");
    assert_eq!(disk.source, "SQL");
    let reading = disk.after.as_ref().expect("a reading");
    assert_eq!((reading.data, reading.wal, reading.file_systems.len()), (None, None, 0));
    for why in ["our role may not see where the data folder is", "pg_read_all_stats", "pg_monitor"] {
        assert!(disk.unknown.iter().any(|unknown| unknown.contains(why)), "{why}: {:?}", disk.unknown);
    }
    let freed = report.freed.as_ref().expect("freed");
    assert_near(freed.expected, freed.measured.expect("the database's own size is for everybody"));
    assert!(measure(&report, "heavy").after.is_some());
}

#[tokio::test]
async fn a_command_measures_what_this_host_cannot() {
    let database = TestDatabase::new().await;
    database.daily_table("t", 8).await;
    let with = |command: &[&str]| database.configuration(&format!("{POLICY}[disk]\ncommand = {command:?}\n"));
    let folder = server_folder().display().to_string();
    with(&[env!("CARGO_BIN_EXE_timesweep"), "disk", "--data-folder", &folder, "--output", "json"]);
    let checked = database.ran(&["--output", "json", "check"]).with_code(0).json();
    let disk = &checked["disk"];
    assert!(disk["source"].as_str().is_some_and(|source| source.starts_with("the command ")), "{disk}");
    assert!(disk["before"]["file_systems"][0]["size"].as_u64().is_some_and(|size| size > 0), "{disk}");
    assert_eq!(disk["unknown"], Value::Array(Vec::new()));

    with(&["sh", "-c", "echo permission denied >&2; exit 255"]);
    let report = report(&database, &["run", "--apply"]);
    assert_eq!(report.chunks_dropped(), 4, "a measurement fails no run");
    let disk = report.disk.expect("a disk");
    assert_eq!(disk.unknown, ["the disk is unknown: the command sh ended with code 255: permission denied"]);
}

#[tokio::test]
async fn a_signal_ends_a_measurement_that_takes_long() {
    let database = TestDatabase::new().await;
    database.daily_table("t", 8).await;
    database.configuration(&format!("{POLICY}[disk]\ncommand = [\"sleep\", \"100\"]\n"));
    let mut command = database.timesweep(&["--output", "json", "run", "--apply"]);
    let run = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("timesweep starts");
    let at_work = "SELECT count(*) FROM pg_stat_activity \
         WHERE datname = current_database() AND application_name LIKE 'timesweep run %'";
    eventually("the run has its lock", async || database.number(at_work).await > 0).await;
    let began = Instant::now();
    let sent = std::process::Command::new("sh").args(["-c", &format!("kill -INT {}", run.id())]).status();
    assert!(sent.expect("a shell").success());
    let ran = super::support::Ran::from(run.wait_with_output().expect("it ends")).with_code(130);
    assert!(began.elapsed() < Duration::from_secs(50));
    let report: Report = serde_json::from_value(ran.json()).expect("a report");
    assert_eq!((report.chunks_dropped(), database.chunks("t").await), (0, 8));
    assert_eq!(report.disk.expect("a disk").unknown, ["the disk is unknown: a signal ended the run"]);
}

#[tokio::test]
async fn the_verb_disk_prints_one_reading() {
    let database = TestDatabase::new().await;
    let folder = server_folder().display().to_string();
    let read = database.ran(&["disk", "--data-folder", &folder, "--output", "json"]).with_code(0).json();
    assert!(read["data"].as_u64().is_some_and(|data| data > MIB), "{read}");
    let text = database.ran(&["disk", "--data-folder", &folder]).with_code(0).out;
    assert!(text.starts_with("disk, read by this host\n") && text.contains("write-ahead log"), "{text}");
    let none = database.ran(&["disk", "--data-folder", "/etc"]).with_code(5);
    assert!(none.err.contains("/etc is no data folder on this host"), "{}", none.err);

    database.configuration(&on_this_host(""));
    let of_store = database.ran(&["disk", "--output", "json"]).with_code(0).json();
    assert_eq!(of_store["system"], read["system"]);
    // A previews' rule: looking makes no state.
    assert!(!database.file("state.db").exists());
}

/// The program as a user who owns nothing here.
fn as_nobody(folder: &std::path::Path, json: &str) -> super::support::Ran {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_timesweep"));
    command.args(["disk", "--output", json, "--data-folder"]).arg(folder);
    command.env_clear().current_dir("/").uid(65_534).gid(65_534);
    super::support::Ran::from(command.output().expect("the tests run as root"))
}

#[test]
fn what_may_not_be_read_is_unknown_and_never_a_part_of_a_sum() {
    let refused = as_nobody(&server_folder(), "json").with_code(5);
    assert!(refused.err.contains("Permission denied"), "{}", refused.err);

    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    for name in ["global", "pg_wal", "pg_tblspc", "base/5"] {
        std::fs::create_dir_all(at(name)).expect("a folder");
    }
    std::fs::write(at("global/pg_control"), [1; 64]).expect("a file");
    std::fs::write(at("base/1"), [1; 64]).expect("a file");
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).expect("for everybody");
    std::fs::set_permissions(at("base/5"), PermissionsExt::from_mode(0o700)).expect("for root only");
    let read = as_nobody(folder.path(), "json").with_code(0).json();
    assert!(read["data"].is_null() && read["wal"].is_u64(), "{read}");
    let why = read["unknown"][0].as_str().expect("a reason");
    assert!(
        why.starts_with("the size of data is unknown: ") && why.contains("base/5: Permission denied"),
        "{why}"
    );
    assert!(read["file_systems"][0]["free"].is_u64(), "{read}");
    assert!(as_nobody(folder.path(), "text").out.contains("  unknown: the size of data is unknown"));
}

#[tokio::test]
async fn the_parts_of_a_compressed_chunk_are_its_own_and_its_companion() {
    let database = TestDatabase::new().await;
    database.daily_table("t", 3).await;
    database
        .run(
            "CREATE TABLE companion WITH (autovacuum_enabled = false) AS SELECT number, repeat('x', 100) FROM generate_series(1, 2000) number; \
             INSERT INTO _timescaledb_catalog.compression_settings (relid, compress_relid) \
               SELECT c, 'companion' FROM show_chunks('t') c ORDER BY c LIMIT 1",
        )
        .await;
    let companion = database.number("SELECT pg_total_relation_size('companion')").await;
    let table = direct::table(&database, "t").await;
    let all: ByteCount = table.chunks.iter().filter_map(timesweep::retention::model::Chunk::bytes).sum();
    let nothing = RelationName::new("public", "nothing");
    let parts =
        direct::driver(&database).size_parts(&[table.name.clone(), nothing.clone()]).await.expect("parts");
    let of = |name: &RelationName| &parts.iter().find(|(found, _)| found == name).expect("an answer").1;
    assert_eq!(of(&table.name).compressed, Some(ByteCount(companion.unsigned_abs())));
    assert_eq!(of(&table.name).total, all);
    assert_eq!(of(&nothing).total, ByteCount(0));
}

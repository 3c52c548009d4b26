//! Weighing against `du` itself, data folders made by hand, and commands that answer well and badly.

use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::tree::{Limit, Scale};
use super::*;
use crate::retention::measured::TablespaceFacts;
use crate::retention::model::ByteCount;

mod commands;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn limit() -> Limit {
    Limit { deadline: Instant::now() + Duration::from_mins(1), given_up: Arc::new(AtomicBool::new(false)) }
}

fn du(folder: &Path) -> u64 {
    let output = Command::new("du").args(["-B1", "-s", "--"]).arg(folder).output().expect("du");
    let text = String::from_utf8(output.stdout).expect("text");
    text.split('\t').next().expect("a number").parse().expect("a number")
}

fn weighed(folder: &Path) -> u64 {
    Scale::new(limit(), &mut |_| {}).weigh(folder, &[]).expect("in time").bytes().expect("readable")
}

/// Hard links, holes, links to elsewhere and to nowhere, odd names, a folder in a folder.
fn odd_tree() -> TempDir {
    let tree = folder();
    let at = |name: &str| tree.path().join(name);
    fs::create_dir_all(at("a/b/c d\n")).expect("folders");
    fs::write(at("plain"), vec![1_u8; 100_000]).expect("a file");
    fs::hard_link(at("plain"), at("a/again")).expect("a hard link");
    fs::hard_link(at("plain"), at("a/b/and again")).expect("a hard link");
    let sparse = fs::File::create(at("a/sparse")).expect("a file");
    sparse.write_all_at(b"x", 1 << 30).expect("a byte after a hole");
    fs::write(at("a/b/c d\n/empty"), "").expect("a file");
    symlink("/usr", at("a/elsewhere")).expect("a link");
    symlink("nowhere", at("a/nowhere")).expect("a link");
    symlink("x".repeat(3000), at("a/long")).expect("a link that has a block of its own");
    // Some file systems count blocks for good only once they are written.
    rustix::fs::sync();
    tree
}

#[test]
fn a_tree_weighs_what_du_says() {
    let tree = odd_tree();
    assert_eq!(weighed(tree.path()), du(tree.path()));
    let outside = folder();
    fs::hard_link(tree.path().join("plain"), outside.path().join("plain")).expect("a hard link");
    let mut look = |_: &Path| {};
    let mut scale = Scale::new(limit(), &mut look);
    let both = [tree.path(), outside.path()].map(|root| scale.weigh(root, &[]).expect("in time").bytes());
    let together: u64 = both.into_iter().flatten().sum();
    assert_eq!(together, du(tree.path()) + du(outside.path()) - 102_400, "a file in two trees counts once");
}

#[test]
fn files_and_folders_that_vanish_while_we_look_are_fine() {
    let tree = odd_tree();
    let mut look = |path: &Path| {
        if path.ends_with("a/sparse") {
            fs::remove_file(path).expect("the file was there");
        } else if path.ends_with("a/b") {
            fs::remove_dir_all(path).expect("the folder was there");
        }
    };
    let weight = Scale::new(limit(), &mut look).weigh(tree.path(), &[]).expect("in time");
    assert_eq!(weight.unreadable, None);
    assert_eq!(weight.bytes(), Some(du(tree.path())));
}

#[test]
fn what_is_mounted_below_counts_for_its_own_file_system() {
    let memory = tempfile::tempdir_in("/dev/shm").expect("a folder in memory");
    fs::write(memory.path().join("file"), vec![1; 500_000]).expect("a file");
    let mut look = |_: &Path| {};
    let mut scale = Scale::new(limit(), &mut look);
    let weight = scale.weigh(Path::new("/dev"), &[]).expect("in time");
    let device = |path: &str| fs::metadata(path).expect(path).dev();
    assert_ne!(device("/dev"), device("/dev/shm"));
    assert!(weight.by_device[&device("/dev/shm")] >= 500_000, "{weight:?}");
    assert!(weight.by_device.contains_key(&device("/dev")), "{weight:?}");
    assert_eq!(scale.met[&device("/dev/shm")], Path::new("/dev/shm"));
}

#[test]
fn weighing_ends_when_the_time_is_over_or_nobody_waits() {
    let tree = odd_tree();
    let over = Limit { deadline: Instant::now(), ..limit() };
    assert!(Scale::new(over, &mut |_| {}).weigh(tree.path(), &[]).is_err());
    let given_up = Limit { given_up: Arc::new(AtomicBool::new(true)), ..limit() };
    assert!(Scale::new(given_up, &mut |_| {}).weigh(tree.path(), &[]).is_err());
}

const SYSTEM: u64 = 7_710_853_138_172_717_455;

/// A data folder with its log and one tablespace elsewhere, on two file systems, as a server leaves it.
struct Cluster {
    data: TempDir,
    wal: TempDir,
    space: TempDir,
}

impl Cluster {
    fn new() -> Self {
        let memory = tempfile::tempdir_in("/dev/shm").expect("a folder in memory");
        let cluster = Self { data: folder(), wal: memory, space: folder() };
        for name in ["global", "base/5", "pg_tblspc"] {
            fs::create_dir_all(cluster.at(name)).expect("a folder");
        }
        fs::write(cluster.at("global/pg_control"), [&SYSTEM.to_ne_bytes()[..], &[0; 100]].concat())
            .expect("a file");
        fs::write(cluster.at("postmaster.pid"), "1\n/data\n1795305600\n5432\n").expect("a file");
        fs::write(cluster.at("base/5/1259"), vec![0; 300_000]).expect("a file");
        fs::create_dir(cluster.space.path().join("PG_17_202406281")).expect("a folder");
        fs::write(cluster.space.path().join("PG_17_202406281/1"), vec![0; 50_000]).expect("a file");
        fs::write(cluster.wal.path().join("000000010000000000000001"), vec![0; 70_000]).expect("a file");
        symlink(cluster.wal.path(), cluster.at("pg_wal")).expect("a link");
        symlink(cluster.space.path(), cluster.at("pg_tblspc/16400")).expect("a link");
        cluster
    }

    fn at(&self, name: &str) -> PathBuf {
        self.data.path().join(name)
    }

    fn facts(&self) -> DiskFacts {
        DiskFacts {
            data_folder: Some(self.data.path().display().to_string()),
            server_started: Some(1_795_305_601),
            data: Some(ByteCount(1)),
            tablespaces: vec![TablespaceFacts {
                oid: 16400,
                name: "fast".into(),
                path: None,
                bytes: Some(ByteCount(2)),
            }],
            ..DiskFacts::default()
        }
    }

    async fn measured(&self, settings: &DiskSettings, facts: &DiskFacts) -> Measurement {
        let system = SYSTEM.to_string();
        measure(settings, Known { facts: Some(facts), system: &system, now: 5 }).await.expect("a disk")
    }
}

#[tokio::test]
async fn data_log_and_tablespaces_are_apart_with_their_file_systems() {
    let cluster = Cluster::new();
    let measured = cluster.measured(&DiskSettings::default(), &cluster.facts()).await;
    assert_eq!((measured.source.as_str(), measured.unknown), (THIS_HOST, Vec::new()));
    let reading = measured.reading.expect("a reading");
    assert_eq!(reading.data, Some(ByteCount(du(cluster.data.path()))));
    assert_eq!(reading.wal, Some(ByteCount(du(cluster.wal.path()))));
    let space = &reading.tablespaces[0];
    assert_eq!((space.name.as_str(), space.bytes), ("fast", Some(ByteCount(du(cluster.space.path())))));
    assert_eq!(space.path.as_deref(), cluster.space.path().to_str());
    let shm = reading.file_systems.iter().find(|system| system.path == "/dev/shm").expect("two file systems");
    assert_eq!(shm.holds, ["wal"]);
    let other =
        reading.file_systems.iter().find(|system| system.path != "/dev/shm").expect("two file systems");
    assert_eq!(other.holds, ["data", "fast"]);
    let df = Command::new("df").args(["--output=pcent", &other.path]).output().expect("df");
    let df = String::from_utf8(df.stdout).expect("text");
    let percent: f64 =
        df.lines().last().expect("a line").trim().trim_end_matches('%').parse().expect("a number");
    // df rounds up.
    assert!((other.used_percent() - percent).abs() <= 1.1, "{} {percent}", other.used_percent());
}

#[tokio::test]
async fn a_log_and_a_tablespace_inside_the_data_folder_count_once() {
    let cluster = Cluster::new();
    fs::remove_file(cluster.at("pg_wal")).expect("the link");
    fs::create_dir_all(cluster.at("pg_wal/archive_status")).expect("a folder");
    fs::write(cluster.at("pg_wal/000000010000000000000001"), vec![0; 70_000]).expect("a file");
    fs::create_dir_all(cluster.at("pg_tblspc/16401/PG_17_202406281")).expect("a tablespace in place");
    let reading =
        cluster.measured(&DiskSettings::default(), &cluster.facts()).await.reading.expect("a reading");
    assert_eq!(reading.wal, Some(ByteCount(du(&cluster.at("pg_wal")))));
    let in_place = reading.tablespaces.iter().find(|space| space.name == "16401").expect("in place");
    let inside: ByteCount = [reading.data, reading.wal, in_place.bytes].into_iter().flatten().sum();
    assert_eq!(inside, ByteCount(du(cluster.data.path())));
}

#[tokio::test]
async fn a_link_that_leads_to_no_tablespace_makes_it_unknown() {
    let cluster = Cluster::new();
    let elsewhere = folder();
    symlink(elsewhere.path(), cluster.at("pg_tblspc/16402")).expect("a link");
    symlink("/nowhere/at/all", cluster.at("pg_tblspc/16403")).expect("a link");
    let measured = cluster.measured(&DiskSettings::default(), &cluster.facts()).await;
    let reading = measured.reading.expect("a reading");
    let unknown: Vec<_> = reading.tablespaces.iter().filter(|space| space.bytes.is_none()).collect();
    assert_eq!(unknown.len(), 2, "{unknown:?}");
    assert!(
        measured.unknown.iter().any(|why| why.contains("tablespace 16402 is unknown")),
        "{:?}",
        measured.unknown
    );
    assert_eq!(reading.stored(), None, "a sum with an unknown part is unknown");
    assert!(reading.data.is_some());
}

#[tokio::test]
async fn only_the_very_servers_folder_is_read() {
    let cluster = Cluster::new();
    let standby = Cluster::new();
    fs::write(standby.at("standby.signal"), "").expect("a file");
    let restarted = DiskFacts { server_started: Some(1_795_400_000), ..cluster.facts() };
    let hidden = DiskFacts { data_folder: None, ..cluster.facts() };
    let elsewhere = DiskFacts { data_folder: Some("/nowhere/data".into()), ..cluster.facts() };
    let other = Cluster::new();
    fs::write(other.at("global/pg_control"), [1; 8]).expect("a file");
    for (facts, why) in [
        (standby.facts(), "of another server of the same cluster"),
        (restarted, "of another server of the same cluster"),
        (other.facts(), "is of cluster 72340172838076673, the store of cluster 7710853138172717455"),
        (elsewhere, "/nowhere/data is no data folder on this host"),
        (hidden, "our role may not see where the data folder is"),
    ] {
        let by_sql = cluster.measured(&DiskSettings::default(), &facts).await;
        assert_eq!((by_sql.source.as_str(), by_sql.reading.and_then(|r| r.data)), (SQL, Some(ByteCount(1))));
        assert!(by_sql.unknown[0].starts_with("the file systems are unknown: "), "{:?}", by_sql.unknown);
        assert!(by_sql.unknown[0].contains(why), "{:?}", by_sql.unknown);
        let local = DiskSettings { source: DiskSource::Local, ..DiskSettings::default() };
        let nothing = cluster.measured(&local, &facts).await;
        assert_eq!((nothing.source.as_str(), nothing.reading), (THIS_HOST, None));
        assert!(nothing.unknown[0].contains(why), "{:?}", nothing.unknown);
    }
}

#[tokio::test]
async fn a_configured_folder_goes_before_the_servers_word() {
    let cluster = Cluster::new();
    let facts = DiskFacts { data_folder: Some("/srv/inside/a/container".into()), ..cluster.facts() };
    let settings =
        DiskSettings { data_folder: Some(cluster.data.path().to_owned()), ..DiskSettings::default() };
    assert_eq!(cluster.measured(&settings, &facts).await.source, THIS_HOST);
    let sql = DiskSettings { source: DiskSource::Sql, ..settings };
    assert_eq!(cluster.measured(&sql, &facts).await.source, SQL);
}

#[tokio::test]
async fn a_store_without_a_disk_has_no_measurement() {
    let known = Known { facts: None, system: "1", now: 0 };
    assert_eq!(measure(&DiskSettings::default(), known).await, None);
}

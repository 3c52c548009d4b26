//! `[disk] command`: what it prints is believed only as far as it can be true.

use super::*;

fn asking(script: &str) -> DiskSettings {
    DiskSettings {
        source: DiskSource::Command,
        command: ["sh", "-c", script].map(str::to_owned).into(),
        time_limit: Duration::from_secs(20),
        ..DiskSettings::default()
    }
}

async fn answer(settings: &DiskSettings) -> Measurement {
    let known = Known { facts: None, system: "7", now: 5 };
    measure(settings, known).await.expect("a measurement")
}

const READING: &str = r#"{"at":1,"data":10,"wal":null,"tablespaces":[],"file_systems":[{"path":"/data","holds":["data"],"size":100,"free":40,"free_inodes":9}]}"#;

#[tokio::test]
async fn a_reading_on_the_last_line_counts_by_our_clock() {
    let script = format!("echo welcome; echo noise >&2; echo '{READING}'");
    let measured = answer(&asking(&script)).await;
    assert_eq!((measured.source.as_str(), &measured.unknown[..]), ("the command sh", &[][..]));
    let reading = measured.reading.expect("a reading");
    assert_eq!((reading.at, reading.data, reading.wal), (5, Some(ByteCount(10)), None));
    assert_eq!(reading.file_systems[0].used(), ByteCount(60));
}

#[tokio::test]
async fn what_timesweep_disk_prints_is_understood() {
    let cluster = Cluster::new();
    let read = read_folder(cluster.data.path(), &DiskSettings::default(), 5).await.expect("a reading");
    let json = serde_json::to_string(&read).expect("JSON");
    let known = |system| Known { facts: None, system, now: 5 };
    let settings = asking(&format!("cat <<'END'\n{json}\nEND"));
    let system = SYSTEM.to_string();
    let measured = measure(&settings, known(&system)).await.expect("a measurement");
    assert_eq!(measured.reading, Some(read.reading));
    let measured = measure(&settings, known("8")).await.expect("a measurement");
    assert_eq!(measured.reading, None);
    assert_eq!(
        measured.unknown,
        [
            "the disk is unknown: the command sh tells of cluster 7710853138172717455, and the store is of cluster 8"
        ]
    );
}

#[tokio::test]
async fn a_bad_answer_is_unknown_with_the_reason() {
    let impossible = READING.replace("\"free\":40", "\"free\":400");
    for (script, why) in [
        ("echo not JSON".to_owned(), "prints something that is no reading: expected"),
        ("true".into(), "prints something that is no reading: EOF"),
        ("echo '{}'".into(), "prints something that is no reading: missing field"),
        ("printf '\\377'".into(), "prints something that is no text"),
        ("echo one >&2; echo no route to host >&2; exit 255".into(), "ended with code 255: no route to host"),
        ("exit 3".into(), "ended with code 3"),
        ("kill -9 $$".into(), "was killed"),
        (
            "while :; do echo 0123456789012345678901234567890123456789; done".into(),
            "prints more than any reading needs",
        ),
        (format!("echo '{impossible}'"), "says that /data has more free than it is large"),
    ] {
        let measured = answer(&asking(&script)).await;
        assert_eq!(measured.reading, None, "{script}");
        let all = measured.unknown.join("|");
        assert!(all.starts_with(&format!("the disk is unknown: the command sh {why}")), "{script}: {all}");
    }
}

#[tokio::test]
async fn a_slow_command_is_ended_and_a_missing_one_is_named() {
    let slow = DiskSettings { time_limit: Duration::from_millis(200), ..asking("sleep 60") };
    let began = Instant::now();
    let measured = answer(&slow).await;
    assert!(began.elapsed() < Duration::from_secs(10));
    assert!(measured.unknown[0].contains("gives no answer within"), "{:?}", measured.unknown);
    let missing = DiskSettings { command: vec!["/no/such/program".into()], ..asking("") };
    let measured = answer(&missing).await;
    assert!(measured.unknown[0].contains("cannot be started"), "{:?}", measured.unknown);
}

#[tokio::test]
async fn arguments_reach_the_command_as_they_are_written() {
    let settings =
        DiskSettings { command: ["printf", "%s\n", READING].map(str::to_owned).into(), ..asking("") };
    assert!(answer(&settings).await.reading.is_some());
}

/// Our environment may hold passwords; a program on another host's behalf has no use for them.
#[tokio::test]
async fn a_command_gets_no_more_of_our_environment_than_it_needs() {
    for ours in ["CARGO_MANIFEST_DIR", "PATH"] {
        assert!(std::env::var_os(ours).is_some(), "{ours} is in the environment of this test");
    }
    let script = format!("test -z \"$CARGO_MANIFEST_DIR\" && test -n \"$PATH\" && echo '{READING}'");
    let measured = answer(&asking(&script)).await;
    assert!(measured.reading.is_some(), "{measured:?}");
}

//! What people read about disk and growth, as snapshots.

use super::*;
use crate::report::measure::{DaysUntil, DiskForecast, TableMeasure, TablespaceReading};
use crate::report::{DatasetReport, Kept, Verdict};
use crate::retention::model::{StoreIdentity, StoreName};
use crate::retention::name::RelationName;

const GIB: u64 = 1 << 30;

fn reading(data: u64, free: u64) -> DiskReading {
    DiskReading {
        at: 0,
        data: Some(ByteCount(data * GIB)),
        wal: Some(ByteCount(GIB)),
        tablespaces: vec![TablespaceReading {
            name: "fast".into(),
            path: Some("/mnt/fast".into()),
            bytes: Some(ByteCount(GIB / 2)),
        }],
        file_systems: vec![FileSystemReading {
            path: "/var/lib/postgresql".into(),
            holds: vec!["data".into(), "wal".into()],
            size: ByteCount(100 * GIB),
            free: ByteCount(free * GIB),
            free_inodes: Some(6_500_000),
        }],
    }
}

fn disk_report() -> DiskReport {
    let until = |days: [f64; 3]| {
        let days = [80, 90, 100].into_iter().zip(days);
        days.map(|(percent, days)| DaysUntil { percent, days: Some(days) }).collect()
    };
    DiskReport {
        source: "this host".into(),
        before: Some(reading(80, 19)),
        after: Some(reading(66, 33)),
        unknown: vec!["the size of tablespace 7 is unknown: \u{1b}[31m".into()],
        forecasts: vec![DiskForecast {
            path: "/var/lib/postgresql".into(),
            samples: 30,
            span_days: 60.0,
            slope_with_policy: Some(1.0),
            slope_without_policy: Some(2.0),
            with_policy: until([74.2, 130.0, 200.0]),
            without_policy: until([0.0, 0.4, 12.0]),
            why_none: None,
        }],
    }
}

fn measured_table() -> TableMeasure {
    let parts = |total: u64| SizeParts {
        total: ByteCount(total * GIB),
        table: Some(ByteCount(total * GIB / 2)),
        index: Some(ByteCount(total * GIB / 4)),
        toast: Some(ByteCount(0)),
        compressed: Some(ByteCount(total * GIB / 4)),
    };
    TableMeasure {
        before: parts(40),
        after: Some(parts(26)),
        chunks_before: 40,
        chunks_after: Some(26),
        mean_chunk: Some(ByteCount(GIB)),
        largest_chunk: Some(ByteCount(2 * GIB)),
        daily_bytes: Some(GIB as f64),
        daily_rows: Some(1_234_567.8),
        next_due: Some(1_795_305_600_000_000),
        steady_state: Some(ByteCount(31 * GIB)),
        one_more_month: Some(ByteCount(30 * GIB)),
        ..TableMeasure::default()
    }
}

fn table(name: &str, measure: TableMeasure, reason: &str) -> DatasetReport {
    DatasetReport {
        undecided: false,
        name: RelationName::new("public", name),
        policy: None,
        chunks_before: measure.chunks_before,
        bytes_before: measure.before.total,
        items: Vec::new(),
        left_out: Vec::new(),
        refusals: Vec::new(),
        warnings: Vec::new(),
        measure: Some(measure),
        kept: vec![Kept { reason: reason.into(), chunks: 26, bytes: ByteCount(26 * GIB) }],
    }
}

fn report(disk: Option<DiskReport>, datasets: Vec<DatasetReport>) -> Report {
    Report {
        run: uuid::Uuid::nil(),
        command: "run --apply".into(),
        store: StoreName("main".into()),
        identity: StoreIdentity { system: "1".into(), database: "metrics".into(), database_oid: 1 },
        server: "PostgreSQL".into(),
        place: None,
        plan: uuid::Uuid::nil(),
        started_at: 0,
        ended_at: 0,
        verdict: Verdict::Done,
        stopped: None,
        datasets,
        unmatched_policies: Vec::new(),
        refusals: Vec::new(),
        warnings: Vec::new(),
        drifts: Vec::new(),
        settled: Vec::new(),
        cut_off: Vec::new(),
        from_journal: false,
        bytes_before: None,
        bytes_after: None,
        gate: None,
        sessions: None,
        disk,
        freed: None,
        owned: None,
        past_runs: Vec::new(),
    }
}

#[test]
fn a_measured_run_reads_like_this() {
    let mut report = report(
        Some(disk_report()),
        vec![table("conditions", measured_table(), "has data newer than 2026-10-23")],
    );
    report.freed = Some(FreedReport {
        expected: ByteCount(14 * GIB),
        measured: Some(ByteCount(12 * GIB)),
        difference: Some("others wrote meanwhile".into()),
        measured_again: true,
    });
    insta::assert_snapshot!(render(&report));
}

#[test]
fn what_is_not_known_is_called_unknown() {
    let disk = DiskReport {
        source: "SQL".into(),
        before: Some(DiskReading { data: Some(ByteCount(GIB)), ..DiskReading::default() }),
        after: Some(DiskReading::default()),
        unknown: vec!["the file systems are unknown: no server can be asked for them by SQL".into()],
        forecasts: vec![DiskForecast {
            path: "/".into(),
            samples: 1,
            span_days: 0.0,
            slope_with_policy: None,
            slope_without_policy: None,
            with_policy: vec![DaysUntil { percent: 80, days: None }],
            without_policy: vec![DaysUntil { percent: 80, days: None }],
            why_none: Some("1 sample so far, 5 are needed".into()),
        }],
    };
    let measure = TableMeasure {
        why_unknown: Some("its time is a number, and its unit is not known".into()),
        ..TableMeasure::default()
    };
    let mut report = report(Some(disk), vec![table("events", measure, "no policy")]);
    report.freed = Some(FreedReport::default());
    insta::assert_snapshot!(render(&report));
}

#[test]
fn one_look_has_nothing_to_compare_with() {
    let report = DiskReport { source: "SQL".into(), before: Some(reading(80, 19)), ..DiskReport::default() };
    insta::assert_snapshot!(disk(&report, None));
}

#[test]
fn nothing_measured_is_nothing_said() {
    assert_eq!(render(&report(None, Vec::new())), "");
}

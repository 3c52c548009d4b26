//! Reports for tests: one for each verdict, rich, and one with hostile names. Not in the program.

use uuid::Uuid;

use crate::retention::guard::{GuardName, Refusal};
use crate::retention::model::{ByteCount, StoreIdentity, StoreName};
use crate::retention::name::RelationName;

use super::early::About;
use super::gate::{GateReport, LauncherRow, TicketReport};
use super::measure::{
    DaysUntil, DiskForecast, DiskReading, DiskReport, Fate, FileSystemReading, FreedReport, TablespaceReading,
};
use super::past::PastRun;
use super::sessions::{EndedSession, Ending, SessionReport, SessionsReport};
use super::{ItemOutcome, ItemReport, Kept, Report, Verdict};

mod tables;

pub const GIB: u64 = 1 << 30;
const DAY: i64 = 86_400_000_000;
/// 2026-11-22 02:00 UTC, a Sunday.
pub const NOW: i64 = 1_795_312_800_000_000;
pub const HOSTILE: &str = "a\u{1b}]0;x\u{7}\"><script>alert('x')</script>&\u{202e}\n b";

pub fn all() -> Vec<(&'static str, Report)> {
    vec![
        ("done", done()),
        ("partial", partial()),
        ("refused", refused()),
        ("skipped", skipped()),
        ("busy", busy()),
        ("unreachable", unreachable()),
        ("hostile", hostile()),
        ("many", many_tables()),
    ]
}

pub fn done() -> Report {
    let mut report = rich();
    let dropped = |item: &mut ItemReport| item.outcome = ItemOutcome::Dropped;
    report.datasets[0].items.iter_mut().for_each(dropped);
    for mark in report.datasets[0].measure.iter_mut().flat_map(|measure| &mut measure.chunks) {
        if mark.fate == Fate::Stayed {
            mark.fate = Fate::Dropped;
        }
    }
    report.verdict = Verdict::Done;
    report.warnings.clear();
    if let Some(disk) = &mut report.disk {
        disk.after = Some(reading(330, 4));
    }
    report.freed = Some(freed(413));
    report
}

pub fn partial() -> Report {
    rich()
}

pub fn refused() -> Report {
    let mut report = rich();
    report.verdict = Verdict::Refused;
    report.datasets.truncate(2);
    report.datasets[0].items.clear();
    report.datasets[1].items.clear();
    report.datasets[1].refusals = vec![Refusal::new(
        GuardName::CapBytes,
        "this would drop 61 % of its bytes, and the cap is 50 %",
        "raise `caps.share_of_bytes`, or apply a plan with --override-caps",
    )];
    report.warnings.clear();
    report.freed = None;
    if let Some(disk) = &mut report.disk {
        disk.after = disk.before.clone();
    }
    report
}

pub fn skipped() -> Report {
    let reason = "not due: the launcher has no row for pg1 on 2026-11-22";
    let mut report = early(Verdict::Skipped, "");
    report.stopped = None;
    report.gate = Some(GateReport {
        open: false,
        reason: reason.into(),
        asked: "launcher".into(),
        day: "2026-11-22".into(),
        launcher: None,
        ticket: None,
    });
    report
}

pub fn busy() -> Report {
    early(
        Verdict::Busy,
        "another run works on this database: run 4f00c2aa since 2026-11-22 01:58 UTC\nhint: try again when it has ended",
    )
}

pub fn unreachable() -> Report {
    early(
        Verdict::Unreachable,
        "the database at pg1:5432 cannot be reached\n  because: Connection refused (os error 111)\nhint: is it running?",
    )
}

/// The same name wherever text can come from elsewhere.
pub fn hostile() -> Report {
    let mut report = rich();
    let text = || HOSTILE.to_owned();
    report.identity.database = text();
    report.server = text();
    report.stopped = Some(text());
    report.warnings = vec![text()];
    for dataset in &mut report.datasets {
        dataset.name = RelationName::new(HOSTILE, HOSTILE);
        dataset.policy = Some(text());
        dataset.warnings = vec![text()];
        dataset.kept = vec![Kept { reason: text(), chunks: 1, bytes: ByteCount(1) }];
        for item in &mut dataset.items {
            item.chunk = text();
            item.shown_range = text();
        }
    }
    for session in report.sessions.iter_mut().flat_map(|sessions| &mut sessions.found) {
        session.application = text();
        session.statement = text();
    }
    for disk in report.disk.iter_mut().flat_map(|disk| [&mut disk.before, &mut disk.after]).flatten() {
        for system in &mut disk.file_systems {
            system.path = text();
        }
    }
    report
}

pub fn many_tables() -> Report {
    let mut report = rich();
    let first = report.datasets[0].clone();
    report.datasets = (1..=50_u64)
        .map(|number| {
            let mut dataset = first.clone();
            dataset.name = RelationName::new("sensors", format!("device_type_{number:03}"));
            if let Some(measure) = &mut dataset.measure {
                measure.history.iter_mut().for_each(|point| point.bytes.0 /= number);
                measure.daily_bytes = measure.daily_bytes.map(|daily| daily / number as f64);
                measure.steady_state = measure.steady_state.map(|steady| ByteCount(steady.0 / number));
            }
            dataset
        })
        .collect();
    report
}

fn early(verdict: Verdict, why: &str) -> Report {
    let store = StoreName("pg1".into());
    let about = About { command: "run --apply", store: &store, now: NOW };
    Report {
        stopped: Some(why.into()),
        past_runs: past_runs(),
        ..Report::empty(Uuid::from_u128(0x4f), about, verdict)
    }
}

/// Nine of twelve chunks dropped, and something in every section.
fn rich() -> Report {
    Report {
        run: Uuid::from_u128(0x019a_b1c2_d3e4_7f00_8123_4567_89ab_cdef),
        command: "run --apply".into(),
        store: StoreName("pg1".into()),
        identity: StoreIdentity {
            system: "7710853138".into(),
            database: "metrics".into(),
            database_oid: 16384,
        },
        server: "PostgreSQL 17.11, TimescaleDB 2.19.3 (apache)".into(),
        place: None,
        plan: Uuid::from_u128(0x019a_b1c2_d3e4_7f00_8123_4567_89ab_0001),
        started_at: NOW,
        ended_at: NOW + 93_000_000,
        verdict: Verdict::Partial,
        stopped: None,
        datasets: vec![tables::conditions(), tables::plant(), tables::events()],
        unmatched_policies: Vec::new(),
        refusals: Vec::new(),
        warnings: vec!["the role may not see what other roles run; grant pg_read_all_stats".into()],
        drifts: Vec::new(),
        settled: Vec::new(),
        cut_off: Vec::new(),
        from_journal: false,
        bytes_before: Some(ByteCount(180 * GIB)),
        bytes_after: Some(ByteCount(149 * GIB)),
        gate: Some(gate()),
        sessions: Some(sessions()),
        disk: Some(disk()),
        freed: Some(freed(310)),
        owned: None,
        past_runs: past_runs(),
    }
}

fn gate() -> GateReport {
    GateReport {
        open: true,
        reason: "the launcher says that pg1 is due".into(),
        asked: "launcher".into(),
        day: "2026-11-22".into(),
        launcher: Some(LauncherRow {
            id: "4711".into(),
            vm_name: "pg1".into(),
            status: "planned".into(),
            who: "dba".into(),
            start_time: "2026-11-22 02:00:00".into(),
        }),
        ticket: Some(TicketReport {
            path: "/var/lib/timesweep/ticket_pg1_2026-11-22".into(),
            before: Some("none".into()),
            after: Some("partial".into()),
        }),
    }
}

fn session(pid: i32, application: &str) -> SessionReport {
    SessionReport {
        pid,
        role: "platform".into(),
        application: application.into(),
        address: Some("10.0.0.7".into()),
        state: "idle in transaction".into(),
        statement: "SELECT * FROM conditions WHERE ts > now() - interval '1 year'".into(),
        since_seconds: 5_400,
    }
}

fn sessions() -> SessionsReport {
    let ended = EndedSession {
        session: session(4242, "grafana"),
        how: Ending::Terminated,
        in_the_way_of: Some("_timescaledb_internal._hyper_1_10_chunk".into()),
        at: NOW + 60_000_000,
        done: true,
    };
    SessionsReport {
        mode: "terminate_blockers".into(),
        found: vec![session(4242, "grafana"), session(4243, "exporter")],
        ended: vec![ended],
        notes: vec!["the statements of role superuser are not visible to us".into()],
    }
}

fn freed(tenths_of_gib: u64) -> FreedReport {
    FreedReport {
        expected: ByteCount(12 * 3_516 * (GIB / 1024)),
        measured: Some(ByteCount(tenths_of_gib * GIB / 10)),
        difference: Some("a checkpoint is pending".into()),
        measured_again: true,
    }
}

fn reading(data: u64, wal: u64) -> DiskReading {
    DiskReading {
        at: NOW,
        data: Some(ByteCount(data * GIB)),
        wal: Some(ByteCount(wal * GIB)),
        tablespaces: vec![TablespaceReading {
            name: "cold".into(),
            path: Some("/mnt/cold".into()),
            bytes: Some(ByteCount(700 * GIB)),
        }],
        file_systems: vec![
            FileSystemReading {
                path: "/var/lib/postgresql".into(),
                holds: vec!["data".into(), "wal".into()],
                size: ByteCount(500 * GIB),
                free: ByteCount((500 - data - wal) * GIB),
                free_inodes: Some(31_000_000),
            },
            FileSystemReading {
                path: "/mnt/cold".into(),
                holds: vec!["cold".into()],
                size: ByteCount(2_000 * GIB),
                free: ByteCount(1_290 * GIB),
                free_inodes: None,
            },
        ],
    }
}

fn disk() -> DiskReport {
    let until = |percent, days| DaysUntil { percent, days };
    DiskReport {
        source: "this host".into(),
        before: Some(reading(400, 4)),
        after: Some(reading(350, 4)),
        unknown: vec!["the free inodes of /mnt/cold: the file system has none".into()],
        forecasts: vec![
            DiskForecast {
                path: "/var/lib/postgresql".into(),
                samples: 11,
                span_days: 70.0,
                slope_with_policy: Some(1.9e9),
                slope_without_policy: Some(6.2e9),
                with_policy: vec![until(80, Some(34.2)), until(90, Some(54.0)), until(100, Some(74.3))],
                without_policy: vec![until(80, Some(7.0)), until(90, Some(15.5)), until(100, Some(24.1))],
                why_none: None,
            },
            DiskForecast {
                path: "/mnt/cold".into(),
                samples: 2,
                span_days: 7.0,
                slope_with_policy: None,
                slope_without_policy: None,
                with_policy: vec![until(80, None), until(90, None), until(100, None)],
                without_policy: Vec::new(),
                why_none: Some("2 samples are too few for a date".into()),
            },
        ],
    }
}

fn past_runs() -> Vec<PastRun> {
    let run = |weeks: i64, verdict: Verdict, chunks: usize| PastRun {
        run: Uuid::from_u128(u128::from(weeks.unsigned_abs())),
        command: "run --apply".into(),
        started_at: NOW - weeks * 7 * DAY,
        seconds: Some(80 + weeks),
        verdict: Some(verdict),
        chunks: Some(chunks),
        bytes: Some(ByteCount(chunks as u64 * 3 * GIB)),
    };
    let mut runs = vec![
        run(1, Verdict::Done, 7),
        run(2, Verdict::Partial, 5),
        run(3, Verdict::NothingToDo, 0),
        run(4, Verdict::Refused, 0),
        run(5, Verdict::Done, 7),
        run(6, Verdict::Interrupted, 3),
        run(7, Verdict::Done, 7),
    ];
    runs.push(PastRun::cut_off(Uuid::from_u128(8), "apply".into(), NOW - 56 * DAY));
    runs
}

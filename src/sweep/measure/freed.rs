//! What was freed: expected, by the sizes of the chunks, and measured, with the reason where they differ.
//!
//! Where they differ it is measured again for a short while: some file systems give room back a moment
//! later, and files that are open stay until they are closed. On the file systems it is what the store's files weigh
//! less; where those are unknown it is the store's own size.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::report::Report;
use crate::report::measure::FreedReport;
use crate::report::table::minute;
use crate::retention::measured::DiskReading;
use crate::retention::model::ByteCount;

use super::{Look, Measuring};

/// How long a difference may take to settle, and when it is looked at again: a look may be a command on
/// another host, so there are only a few.
const PAUSES: [Duration; 4] =
    [Duration::from_millis(500), Duration::from_secs(1), Duration::from_millis(2500), Duration::from_secs(5)];

/// Sizes change under our hands: less than this, or than a twentieth, is no difference.
const SMALL: u64 = 1 << 20;

/// Measures until expected and measured agree, or for a while; fills in `freed` and `bytes_after`.
pub(super) async fn settle(
    measuring: Measuring<'_>,
    before: Option<&Look>,
    report: &mut Report,
    stop: &CancellationToken,
) -> Option<Look> {
    let mut pauses = PAUSES.into_iter();
    let mut again = false;
    loop {
        let look = measuring.look(stop).await;
        report.bytes_after = measuring.driver.total_bytes().await.unwrap_or(None);
        let scales = Scales::new(before, look.as_ref(), report);
        let waits = look.is_some() && scales.dropped && scales.falls_short();
        if waits
            && !stop.is_cancelled()
            && let Some(pause) = pauses.next()
        {
            tokio::select! {
                () = tokio::time::sleep(pause) => {
                    again = true;
                    continue;
                }
                // What was seen last stands.
                () = stop.cancelled() => {}
            }
        }
        report.freed = Some(FreedReport {
            expected: scales.expected,
            measured: scales.measured(),
            difference: scales.difference(),
            measured_again: again,
        });
        return look;
    }
}

/// How much smaller everything is, as far as it is known; negative where it grew.
struct Scales {
    /// Whether anything was dropped; otherwise a difference is of no interest.
    dropped: bool,
    expected: ByteCount,
    /// Data and tablespaces on the file systems.
    on_disk: Option<i128>,
    /// The store's own size.
    of_store: Option<i128>,
    /// How much more may be written to those file systems, without what the write-ahead log took.
    free: Option<i128>,
    /// The server's last checkpoint, where it was before the run.
    checkpoint_before: Option<i64>,
}

impl Scales {
    fn new(before: Option<&Look>, after: Option<&Look>, report: &Report) -> Self {
        let reading = |look: Option<&Look>| look.and_then(|look| look.measurement.reading.clone());
        let known = |reading: &DiskReading| !reading.file_systems.is_empty();
        let readings = reading(before).filter(known).zip(reading(after).filter(known));
        let checkpoint = after.and_then(|look| look.facts.as_ref()?.last_checkpoint);
        Self {
            dropped: report.chunks_dropped() > 0,
            expected: report.bytes_expected(),
            on_disk: readings.as_ref().and_then(|(before, after)| smaller(before.stored(), after.stored())),
            of_store: smaller(report.bytes_before, report.bytes_after),
            free: readings.as_ref().map(|(before, after)| more_free(before, after)),
            checkpoint_before: checkpoint.filter(|at| *at < report.started_at),
        }
    }

    fn signed(&self) -> Option<i128> {
        self.on_disk.or(self.of_store)
    }

    fn measured(&self) -> Option<ByteCount> {
        let smaller = self.signed()?.max(0);
        Some(ByteCount(u64::try_from(smaller).unwrap_or(u64::MAX)))
    }

    fn small(&self) -> i128 {
        i128::from(SMALL.max(self.expected.0 / 20))
    }

    fn falls_short(&self) -> bool {
        self.signed().is_some_and(|measured| i128::from(self.expected.0) - measured > self.small())
    }

    fn difference(&self) -> Option<String> {
        if !self.dropped {
            return None;
        }
        let Some(measured) = self.signed() else { return Some("the size before or after is unknown".into()) };
        let expected = i128::from(self.expected.0);
        if measured - expected > self.small() {
            return Some("something else was removed meanwhile".into());
        }
        if self.falls_short() {
            return Some(self.why_short().join("; "));
        }
        let still_taken = self.free.is_some_and(|free| measured - free > self.small());
        still_taken.then(|| {
            "not all of it can be written to yet: removed files are still open, or others wrote meanwhile"
                .into()
        })
    }

    fn why_short(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if let Some(at) = self.checkpoint_before {
            let last = minute(at);
            reasons.push(format!(
                "the server removes the last files at its next checkpoint; the last one was at {last} UTC"
            ));
        }
        let agrees =
            self.of_store.is_some_and(|store| (store - i128::from(self.expected.0)).abs() <= self.small());
        reasons.push(match (self.on_disk, agrees) {
            (Some(_), true) => "the database itself is as much smaller as expected, so other databases of the server wrote meanwhile".into(),
            _ => "others wrote meanwhile, or removed files are still open".into(),
        });
        reasons
    }
}

fn smaller(before: Option<ByteCount>, after: Option<ByteCount>) -> Option<i128> {
    Some(i128::from(before?.0) - i128::from(after?.0))
}

fn more_free(before: &DiskReading, after: &DiskReading) -> i128 {
    let free = |reading: &DiskReading| {
        let stores = |holds: &[String]| holds.iter().any(|part| part != "wal");
        let systems = reading.file_systems.iter().filter(|system| stores(&system.holds));
        systems.map(|system| i128::from(system.free.0)).sum::<i128>()
    };
    let wal = smaller(after.wal, before.wal).unwrap_or(0);
    free(after) - free(before) + wal
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: i128 = 1 << 30;

    fn scales(on_disk: Option<i128>, of_store: Option<i128>, free: Option<i128>) -> Scales {
        Scales {
            dropped: true,
            expected: ByteCount(1 << 30),
            on_disk,
            of_store,
            free,
            checkpoint_before: None,
        }
    }

    #[track_caller]
    fn assert_said(scales: &Scales, measured: Option<i128>, said: Option<&str>) {
        assert_eq!(scales.measured().map(|bytes| i128::from(bytes.0)), measured);
        match (scales.difference(), said) {
            (None, None) => {}
            (Some(why), Some(said)) => assert!(why.contains(said), "{why}"),
            (found, said) => panic!("{found:?} instead of {said:?}"),
        }
    }

    #[test]
    fn a_difference_has_its_reason_and_agreement_none() {
        let near = GIB - (1 << 20);
        assert_said(&scales(Some(near), Some(GIB), Some(GIB)), Some(near), None);
        assert_said(&scales(None, Some(near), None), Some(near), None);
        assert_said(&scales(None, None, None), None, Some("unknown"));
        assert_said(
            &scales(Some(GIB / 2), Some(GIB), None),
            Some(GIB / 2),
            Some("other databases of the server"),
        );
        assert_said(&scales(Some(-GIB), None, None), Some(0), Some("others wrote meanwhile"));
        assert_said(&scales(None, Some(3 * GIB), None), Some(3 * GIB), Some("something else was removed"));
        assert_said(
            &scales(Some(GIB), Some(GIB), Some(GIB / 2)),
            Some(GIB),
            Some("removed files are still open"),
        );
        let pending = Scales { checkpoint_before: Some(0), ..scales(Some(0), Some(0), None) };
        assert_said(
            &pending,
            Some(0),
            Some("at its next checkpoint; the last one was at 1970-01-01 00:00 UTC"),
        );
        let idle = Scales { dropped: false, expected: ByteCount(0), ..scales(Some(-GIB), None, None) };
        assert_said(&idle, Some(0), None);
    }
}

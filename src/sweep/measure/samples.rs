//! Keeps what was measured of each file system, and draws the forecasts from all that is kept.

use crate::problem::Result;
use crate::report::Report;
use crate::report::measure::{DiskReading, DiskReport, FileSystemReading};
use crate::retention::estimate::forecast::{Sample, forecast};
use crate::state::DiskSample;

use super::Measuring;

/// How far back samples are read, in microseconds; the forecast itself looks back less.
const FAR_BACK: i64 = 400 * 86_400_000_000;

/// New samples, oldest first; `freed` in them is what this run freed.
pub(super) type Taken = Vec<DiskSample>;

pub(super) fn of_check(measuring: Measuring<'_>, reading: Option<&DiskReading>) -> Taken {
    let systems =
        reading.into_iter().flat_map(|reading| reading.file_systems.iter().map(|s| (reading.at, s)));
    systems.map(|(at, system)| sample(measuring, at, system, 0, false)).collect()
}

pub(super) fn of_run(measuring: Measuring<'_>, disk: &DiskReport, run: &Report) -> Taken {
    let mut taken = of_check(measuring, disk.before.as_ref());
    if let Some(after) = &disk.after {
        for system in &after.file_systems {
            let freed = freed_on(system, disk, run);
            taken.push(sample(measuring, after.at, system, freed, did_all(run)));
        }
    }
    taken
}

/// Only what is left after a whole run belongs to the trend with the policy.
fn did_all(run: &Report) -> bool {
    run.stopped.is_none()
        && run.refusals.is_empty()
        && run.datasets.iter().all(|dataset| dataset.refusals.is_empty())
}

fn sample(
    measuring: Measuring<'_>,
    at: i64,
    system: &FileSystemReading,
    freed: u64,
    after_run: bool,
) -> DiskSample {
    DiskSample {
        store: measuring.config.name.clone(),
        system: measuring.facts.identity.system.clone(),
        path: system.path.clone(),
        sample: Sample { at, size: system.size.0, used: system.used().0, freed, after_run },
    }
}

/// Where everything lies on one file system it is what the chunks weighed; otherwise each part counts
/// where it lies, by how much smaller it became.
fn freed_on(system: &FileSystemReading, disk: &DiskReport, run: &Report) -> u64 {
    let Some(after) = disk.after.as_ref().filter(|_| run.chunks_dropped() > 0) else { return 0 };
    let stores = |system: &&FileSystemReading| system.holds.iter().any(|part| part != "wal");
    if after.file_systems.iter().filter(stores).count() == 1 {
        return if stores(&system) { run.bytes_expected().0 } else { 0 };
    }
    let Some(before) = &disk.before else { return 0 };
    let parts = system.holds.iter().filter(|part| home_of(part, before, after) == Some(&system.path));
    parts.map(|part| weight(part, before).saturating_sub(weight(part, after))).sum()
}

/// A part that lies on several file systems counts for the one that has the most to gain from it.
fn home_of<'a>(part: &str, before: &DiskReading, after: &'a DiskReading) -> Option<&'a String> {
    let gain = |system: &&FileSystemReading| {
        let earlier = before.file_systems.iter().find(|earlier| earlier.path == system.path);
        earlier.map_or(0, |earlier| system.free.0.saturating_sub(earlier.free.0))
    };
    let homes = after.file_systems.iter().filter(|system| system.holds.iter().any(|held| held == part));
    homes.max_by_key(gain).map(|system| &system.path)
}

fn weight(part: &str, reading: &DiskReading) -> u64 {
    let bytes = match part {
        "data" => reading.data,
        "wal" => None,
        name => reading.tablespaces.iter().find(|space| space.name == name).and_then(|space| space.bytes),
    };
    bytes.unwrap_or_default().0
}

pub(super) async fn remember_and_forecast(
    measuring: Measuring<'_>,
    mut taken: Taken,
    report: &mut DiskReport,
) -> Result<()> {
    let Some(now) = taken.iter().map(|sample| sample.sample.at).max() else { return Ok(()) };
    let system = &measuring.facts.identity.system;
    let mut known = measuring.state.disk_samples(system, now.saturating_sub(FAR_BACK)).await?;
    for sample in &mut taken {
        let earlier = known.iter().filter(|known| known.path == sample.path);
        let until_now = earlier.map(|known| known.sample.freed).max().unwrap_or(0);
        sample.sample.freed = sample.sample.freed.saturating_add(until_now);
    }
    measuring.state.add_disk_samples(&taken).await?;
    known.append(&mut taken);
    let newest = report.after.as_ref().or(report.before.as_ref());
    for system in newest.map(|reading| reading.file_systems.as_slice()).unwrap_or_default() {
        let series: Vec<Sample> =
            known.iter().filter(|sample| sample.path == system.path).map(|sample| sample.sample).collect();
        report.forecasts.push(forecast(&system.path, &series));
    }
    Ok(())
}

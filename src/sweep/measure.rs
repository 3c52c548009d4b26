//! Measures before and after a run: the disk, what was freed, and every table with its growth.
//!
//! Called by the pass around its execution, and by `check` for one look. Invariant: a measurement
//! never fails a run and never changes what it does; what went wrong becomes one sentence under *unknown*.

use std::collections::HashMap;
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use crate::config::StoreConfig;
use crate::disk::{self, Known, Measurement};
use crate::report::Report;
use crate::report::measure::{DiskReport, SizeParts, TableMeasure};
use crate::retention::facts::StoreFacts;
use crate::retention::measured::DiskFacts;
use crate::retention::name::DatasetName;
use crate::retention::plan::{DatasetPlan, Plan};
use crate::state::State;
use crate::store::Driver;

use super::gather::our_now;

mod freed;
mod samples;
mod tables;

/// What every measurement needs.
#[derive(Clone, Copy)]
pub struct Measuring<'a> {
    pub driver: &'a dyn Driver,
    pub state: &'a State,
    pub config: &'a StoreConfig,
    pub facts: &'a StoreFacts,
}

/// How things were before the run.
pub struct Before {
    began: Instant,
    disk: Option<Look>,
    parts: Parts,
}

/// One look at the disk, with what the server said about it.
struct Look {
    measurement: Measurement,
    facts: Option<DiskFacts>,
}

/// Sizes of tables by their parts, and why there are none.
#[derive(Default)]
struct Parts {
    by_table: HashMap<DatasetName, SizeParts>,
    why_unknown: Option<String>,
}

impl Measuring<'_> {
    /// A signal ends a look; its part of the report is unknown then.
    pub async fn before(self, plan: &Plan, stop: &CancellationToken) -> Before {
        let began = Instant::now();
        let (disk, parts) = tokio::join!(self.look(stop), self.parts(plan));
        Before { began, disk, parts }
    }

    /// Fills in what the report says about disk, freed bytes and tables.
    pub async fn after(self, before: Before, plan: &Plan, report: &mut Report, stop: &CancellationToken) {
        let settled = freed::settle(self, before.disk.as_ref(), report, stop);
        let (disk, parts) = tokio::join!(settled, self.parts(plan));
        // By the store's clock, as the sample from before the run.
        let took = i64::try_from(before.began.elapsed().as_micros()).unwrap_or(i64::MAX);
        let at = self.facts.now.saturating_add(took);
        tables::fill(self, plan, &before.parts, &parts, at, report).await;
        report.disk = self.disk_report(before.disk, disk, report).await;
    }

    /// One look for `check`, which runs nothing.
    pub async fn once(self) -> Option<DiskReport> {
        let look = self.look(&CancellationToken::new()).await?;
        let mut report = of_looks(Some(&look), None);
        let taken = samples::of_check(self, look.measurement.reading.as_ref());
        self.remember_and_forecast(taken, &mut report).await;
        Some(report)
    }

    async fn disk_report(
        self,
        before: Option<Look>,
        after: Option<Look>,
        run: &Report,
    ) -> Option<DiskReport> {
        let mut report = of_looks(before.as_ref(), Some(after.as_ref()?));
        let taken = samples::of_run(self, &report, run);
        self.remember_and_forecast(taken, &mut report).await;
        Some(report)
    }

    async fn remember_and_forecast(self, taken: samples::Taken, report: &mut DiskReport) {
        if let Err(problem) = samples::remember_and_forecast(self, taken, report).await {
            report.unknown.push(format!("the forecast is unknown: {}", problem.sentence));
        }
    }

    /// How a table grows, by its chunks alone.
    pub fn growth(self, plan: &DatasetPlan) -> TableMeasure {
        let facts = self.facts.datasets.iter().find(|facts| facts.name == plan.name);
        facts.map(|facts| tables::growth(self, plan, facts)).unwrap_or_default()
    }

    async fn look(self, stop: &CancellationToken) -> Option<Look> {
        let (facts, trouble) = match self.driver.disk().await {
            Ok(facts) => (facts, None),
            Err(problem) => {
                (None, Some(format!("what the server says about its disk is unknown: {problem}")))
            }
        };
        let known = Known { facts: facts.as_ref(), system: &self.facts.identity.system, now: our_now() };
        let measured = tokio::select! {
            biased;
            measured = disk::measure(&self.config.disk, known) => measured,
            () = stop.cancelled() => {
                let unknown = vec!["the disk is unknown: a signal ended the run".into()];
                Some(Measurement { unknown, ..Measurement::default() })
            }
        };
        let mut measurement = match (measured, &trouble) {
            (Some(measurement), _) => measurement,
            (None, Some(_)) => Measurement { source: disk::SQL.into(), ..Measurement::default() },
            (None, None) => return None,
        };
        measurement.unknown.extend(trouble);
        Some(Look { measurement, facts })
    }

    async fn parts(self, plan: &Plan) -> Parts {
        let names: Vec<DatasetName> = plan.datasets.iter().map(|dataset| dataset.name.clone()).collect();
        match self.driver.size_parts(&names).await {
            Ok(parts) => Parts { by_table: parts.into_iter().collect(), why_unknown: None },
            Err(problem) => Parts { by_table: HashMap::new(), why_unknown: Some(problem.sentence) },
        }
    }
}

fn of_looks(before: Option<&Look>, after: Option<&Look>) -> DiskReport {
    let mut report = DiskReport::default();
    for look in [before, after].into_iter().flatten() {
        if !look.measurement.source.is_empty() {
            report.source.clone_from(&look.measurement.source);
        }
        for why in &look.measurement.unknown {
            if !report.unknown.contains(why) {
                report.unknown.push(why.clone());
            }
        }
    }
    let reading = |look: &Look| look.measurement.reading.clone();
    report.before = before.and_then(reading);
    report.after = after.and_then(reading);
    report
}

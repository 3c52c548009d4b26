//! The pass that drops: lock, settle, gather, plan, execute, measure, report.
//!
//! A saved plan is only a restriction: facts are read again, decisions are made again, and what is left
//! of the plan is executed. Invariant: whatever happens after the run has begun, it gets its report.

use std::sync::Arc;
use std::time::Instant;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::config::StoreConfig;
use crate::problem::{Problem, Result};
use crate::report::early::About;
use crate::report::gate::GateReport;
use crate::report::{DatasetReport, ItemOutcome, ItemReport, LeftOut, Report, Verdict, verdict};
use crate::retention::drift::{Drift, Selection, compare};
use crate::retention::facts::StoreFacts;
use crate::retention::guard::Refusal;
use crate::retention::plan::{DatasetPlan, Plan, rules_hash, unmatched_policies};
use crate::retention::reason::Decision;
use crate::state::{NewRun, RunId, State};
use crate::store::Driver;

use super::execute::{self, Executed, Progress, Setting};
use super::gather::{self, our_now};
use super::measure::Measuring;
use super::past;
use super::queue::Queue;
use super::sessions::Sessions;
use super::settle;

/// What shall be dropped.
#[derive(Debug, Clone)]
pub enum Order {
    /// Everything that the rules let go now.
    Everything,
    /// What a saved plan says, as far as it is still true.
    Saved { plan: Box<Plan>, override_caps: bool },
}

pub struct Pass {
    pub driver: Arc<dyn Driver>,
    pub state: Arc<State>,
    pub config: StoreConfig,
    /// As it stands in the journal: `run --apply`, `apply`.
    pub command: String,
    pub stop: CancellationToken,
    pub progress: Arc<dyn Progress>,
    /// Gives the exit code that the journal remembers.
    pub exit_code: fn(Verdict) -> u8,
    /// What the gate said, for the report.
    pub gate: Option<GateReport>,
}

impl Pass {
    pub async fn apply(self, order: Order) -> Result<Report> {
        let run = RunId(Uuid::now_v7());
        let began = Instant::now();
        let lock = self.driver.lock_runner(&format!("run {}", short(run.0))).await?;
        let facts = gather::facts(self.driver.as_ref(), &self.config).await?;
        let (only, drifts, override_caps) = self.restriction(&order, &facts)?;
        let plan = gather::plan(&facts, &self.config, Some(&self.state), only.as_ref()).await?;
        let plan_id = match &order {
            Order::Saved { plan, .. } => plan.id,
            Order::Everything => plan.id,
        };
        // An override that a busy or refused run cannot use is not used up.
        if override_caps
            && plan.refusals.is_empty()
            && !self.state.use_cap_override(plan_id, our_now()).await?
        {
            return Err(Problem::refused("the caps were overridden for this plan before")
                .hint("an override works once; draw a new plan and read it"));
        }
        self.begin(run, plan_id, &facts).await?;
        let mut report = self.new_report(run, plan_id, &plan, &facts, drifts);
        let measuring = self.measuring(&facts);
        let before = measuring.before(&plan, &self.stop).await;
        let sessions = Arc::new(self.sessions(run));
        sessions.look().await;
        let executed = match settle::settle(self.driver.as_ref(), &self.state, &facts.identity, run).await {
            Ok(settled) => {
                report.settled = settled;
                self.execute(run, &plan, &facts, override_caps, lock, &sessions).await
            }
            // While nobody knows what became of those chunks, their bytes could be counted twice.
            Err(problem) => Executed { items: Vec::new(), trouble: Some(problem) },
        };
        let interrupted = self.is_cut_short(&executed);
        fill(&mut report, &plan, executed, (&order, only.as_ref()), override_caps);
        if interrupted {
            report.stopped.get_or_insert_with(|| "a signal ended the run".into());
        }
        measuring.after(before, &plan, &mut report, &self.stop).await;
        report.sessions = sessions.report();
        report.past_runs = past::runs_before(&self.state, &report).await;
        Ok(self.finish(run, began, report, interrupted).await)
    }

    fn measuring<'a>(&'a self, facts: &'a StoreFacts) -> Measuring<'a> {
        Measuring { driver: self.driver.as_ref(), state: &self.state, config: &self.config, facts }
    }

    /// Checks a saved plan against the store and compares it with the facts.
    fn restriction(
        &self,
        order: &Order,
        facts: &StoreFacts,
    ) -> Result<(Option<Selection>, Vec<Drift>, bool)> {
        let Order::Saved { plan, override_caps } = order else { return Ok((None, Vec::new(), false)) };
        refuse_foreign_plan(plan, facts, &self.config)?;
        let (selection, drifts) = compare(plan, facts);
        Ok((Some(selection), drifts, *override_caps))
    }

    async fn begin(&self, run: RunId, plan_id: Uuid, facts: &StoreFacts) -> Result<()> {
        let new = NewRun {
            id: run,
            store: self.config.name.clone(),
            identity: facts.identity.clone(),
            command: self.command.clone(),
            plan_id: Some(plan_id),
            started_at: facts.now,
            policies_hash: rules_hash(&self.config.rules),
        };
        // What can fail comes before the run begins: from there on it gets its report.
        self.state.add_size_samples(&gather::size_samples(facts, &self.config)).await?;
        self.state.begin_run(&new).await.map(|_| ())
    }

    fn new_report(
        &self,
        run: RunId,
        plan_id: Uuid,
        plan: &Plan,
        facts: &StoreFacts,
        drifts: Vec<Drift>,
    ) -> Report {
        let about = About { command: &self.command, store: &self.config.name, now: facts.now };
        Report {
            identity: plan.identity.clone(),
            server: plan.server.clone(),
            plan: plan_id,
            unmatched_policies: unmatched_policies(facts, &self.config.rules),
            refusals: plan.refusals.clone(),
            warnings: plan.warnings.clone(),
            drifts,
            bytes_before: facts.database_bytes,
            gate: self.gate.clone(),
            ..Report::empty(run.0, about, Verdict::NothingToDo)
        }
    }

    fn sessions(&self, run: RunId) -> Sessions {
        let (driver, state) = (Arc::clone(&self.driver), Arc::clone(&self.state));
        Sessions::new(driver, state, run, &self.config, Arc::clone(&self.progress))
    }

    async fn execute(
        &self,
        run: RunId,
        plan: &Plan,
        facts: &StoreFacts,
        override_caps: bool,
        lock: Box<dyn crate::store::RunnerLock>,
        sessions: &Arc<Sessions>,
    ) -> Executed {
        let mut builder = Queue::builder(self.config.execution.attempts);
        for dataset in plan.allowed(override_caps) {
            let known = facts.datasets.iter().find(|known| known.name == dataset.name);
            let locks_others = known.is_some_and(|known| !known.referenced_tables.is_empty());
            let protect =
                known.is_some_and(|known| !known.aggregates.is_empty()) && self.protects_aggregates();
            builder.add(dataset, locks_others, protect);
        }
        let setting = Setting {
            driver: Arc::clone(&self.driver),
            state: Arc::clone(&self.state),
            run,
            store: self.config.name.clone(),
            identity: facts.identity.clone(),
            now: facts.now,
            lock,
            stop: self.stop.clone(),
            progress: Arc::clone(&self.progress),
            sessions: Arc::clone(sessions),
        };
        execute::execute(setting, builder.build(), self.config.execution.parallelism).await
    }

    fn protects_aggregates(&self) -> bool {
        self.config.rules.guards.continuous_aggregates == crate::retention::rules::OnDependants::Refuse
    }

    /// A signal left something undone. One that comes later, while the run measures, takes nothing back.
    fn is_cut_short(&self, executed: &Executed) -> bool {
        let not_tried = |item: &ItemReport| matches!(item.outcome, ItemOutcome::NotTried { .. });
        self.stop.is_cancelled() && executed.items.iter().any(|(_, item)| not_tried(item))
    }

    /// Ends the run in the journal. A journal that cannot be written takes nothing back: the report says so.
    async fn finish(&self, run: RunId, began: Instant, mut report: Report, interrupted: bool) -> Report {
        let took = i64::try_from(began.elapsed().as_micros()).unwrap_or(i64::MAX);
        report.ended_at = report.started_at.saturating_add(took);
        report.verdict = verdict(&report, interrupted);
        if let Err(problem) = self.write_down(run, &report).await {
            report.stopped.get_or_insert_with(|| problem.to_string());
            report.verdict = verdict(&report, interrupted);
        }
        report
    }

    async fn write_down(&self, run: RunId, report: &Report) -> Result<()> {
        let json = serde_json::to_string(report)
            .map_err(|error| Problem::unreachable("the report cannot be written").because(&error))?;
        self.state.finish_run(run, our_now(), (self.exit_code)(report.verdict), &json).await
    }
}

fn fill(
    report: &mut Report,
    plan: &Plan,
    executed: Executed,
    (order, only): (&Order, Option<&Selection>),
    override_caps: bool,
) {
    let saved_of = |dataset: &DatasetPlan| match order {
        Order::Saved { plan, .. } => plan.datasets.iter().find(|saved| saved.name == dataset.name),
        Order::Everything => None,
    };
    report.datasets = plan
        .datasets
        .iter()
        .map(|dataset| dataset_report(dataset, saved_of(dataset), only, override_caps))
        .collect();
    let lanes: Vec<usize> = lanes_of(plan, override_caps);
    for (lane, item) in executed.items {
        report.datasets[lanes[lane]].items.push(item);
    }
    for dataset in &mut report.datasets {
        dataset.items.sort_by_key(|item| (item.range.end, item.range.start));
    }
    report.stopped = executed.trouble.map(|problem| problem.to_string());
}

/// The dataset's place in the plan for every lane of the queue.
fn lanes_of(plan: &Plan, override_caps: bool) -> Vec<usize> {
    let run_allowed = plan.refusals.is_empty();
    (0..plan.datasets.len())
        .filter(|index| run_allowed && plan.datasets[*index].is_allowed(override_caps))
        .collect()
}

/// `saved`: the same dataset in the saved plan that is applied.
fn dataset_report(
    dataset: &DatasetPlan,
    saved: Option<&DatasetPlan>,
    only: Option<&Selection>,
    override_caps: bool,
) -> DatasetReport {
    let left_out = |chunk: &&crate::retention::plan::ChunkPlan| {
        chunk.decision != Decision::Drop
            && only.is_some_and(|only| only.includes(&dataset.name, chunk.chunk.range))
    };
    let mut refusals: Vec<Refusal> = dataset.refusals.clone();
    refusals.retain(|refusal| !(override_caps && refusal.is_cap()));
    // What a saved plan refused stays refused: applying it does not make the work done.
    let drawn = if only.is_none() { Some(dataset) } else { saved };
    refusals.extend(drawn.and_then(DatasetPlan::refused_chunks));
    DatasetReport {
        undecided: dataset.is_undecided(),
        name: dataset.name.clone(),
        policy: dataset.policy.as_ref().map(|policy| format!("{policy} ({})", policy.source)),
        chunks_before: dataset.chunks.len(),
        bytes_before: dataset.bytes(),
        items: Vec::new(),
        left_out: dataset
            .chunks
            .iter()
            .filter(left_out)
            .map(|chunk| LeftOut { chunk: chunk.chunk.label(), reason: chunk.reason.sentence(&dataset.axis) })
            .collect(),
        refusals,
        warnings: dataset.warnings.clone(),
        measure: None,
        kept: Vec::new(),
    }
}

/// Another cluster or database, other rules, or too late: the whole plan is refused.
fn refuse_foreign_plan(plan: &Plan, facts: &StoreFacts, config: &StoreConfig) -> Result<()> {
    let anew = "draw a new plan with `timesweep plan --out FILE`";
    if plan.identity != facts.identity {
        let (planned, here) = (plan.identity.to_string(), facts.identity.to_string());
        let sentence = if planned == here {
            format!("the plan is for an earlier {here}, which was dropped since")
        } else {
            format!("the plan is for {planned}, this is {here}")
        };
        return Err(
            Problem::refused(sentence).hint("connect to the server the plan was drawn on, or draw a new one")
        );
    }
    if plan.store != config.name {
        return Err(Problem::refused(format!(
            "the plan is for store {}, this is {}",
            plan.store, config.name
        ))
        .hint(anew));
    }
    if facts.now > plan.expires_at {
        let hours = (facts.now - plan.expires_at) / 3_600_000_000;
        return Err(Problem::refused(format!("the plan expired {hours} h ago"))
            .hint(format!("{anew}; `plan.lifetime` says how long one is good")));
    }
    if plan.rules_hash != rules_hash(&config.rules) {
        return Err(
            Problem::refused("the policies, caps or guards have changed since the plan was drawn").hint(anew)
        );
    }
    Ok(())
}

fn short(id: Uuid) -> String {
    // The end of a version 7 id is random; its beginning is a clock.
    let text = id.simple().to_string();
    text[text.len() - 8..].to_owned()
}

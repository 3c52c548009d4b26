//! `timesweep apply FILE`: exactly a saved plan, as far as it is still true.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use uuid::Uuid;

use super::{Common, exit, open, output, progress, publish, signals};
use crate::problem::{Problem, Result};
use crate::report::gate::GateReport;
use crate::report::{Report, text};
use crate::retention::plan::Plan;
use crate::retention::plan_file;
use crate::state::State;
use crate::sweep::apply::{Order, Pass};
use crate::sweep::gated::Ran;

#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// A plan that `timesweep plan --out FILE` saved
    file: PathBuf,
    /// Drop more than the caps allow, for this one plan and once; give the plan's id
    #[arg(long, value_name = "PLAN-ID")]
    override_caps: Option<Uuid>,
}

pub async fn apply(common: &Common, args: &ApplyArgs) -> Result<u8> {
    let plan = read(&args.file)?;
    let override_caps = match args.override_caps {
        Some(id) if id != plan.id => {
            return Err(Problem::usage(format!(
                "--override-caps names plan {id}, the file holds plan {}",
                plan.id
            ))
            .hint("read the plan, and give its own id"));
        }
        other => other.is_some(),
    };
    execute(common, "apply", Order::Saved { plan: Box::new(plan), override_caps }).await
}

/// The pass, and its report to everybody who is to have it.
async fn execute(common: &Common, command: &str, order: Order) -> Result<u8> {
    let opened = open::open(common)?;
    let publisher = publish::Publisher::new(&opened)?;
    let ran = Ran { outcome: sweep(common, opened, command, order, None).await, gate: None };
    let mut report = publisher.or_tell(command, ran).await?;
    let code = exit::of_verdict(report.verdict);
    publisher.publish(&mut report, code).await;
    conclude(common, &report)?;
    Ok(code)
}

/// The pass that `apply` and `run --apply` share; `gate` goes into its report.
pub async fn sweep(
    common: &Common,
    opened: open::Opened,
    command: &str,
    order: Order,
    gate: Option<GateReport>,
) -> Result<Report> {
    let stop = signals::stop_token();
    let is_new = !opened.state_path.exists();
    let state = Arc::new(State::open(&opened.state_path).await?);
    let pass = Pass {
        driver: opened.driver,
        state: Arc::clone(&state),
        config: opened.store,
        command: command.to_owned(),
        stop,
        progress: progress::bar(common.output),
        exit_code: exit::of_verdict,
        gate,
    };
    let report = pass.apply(order).await;
    if is_new && report.is_ok() {
        // One that was moved or lost looks the same as a first run, and takes its holds along.
        let path = opened.state_path.display();
        output::note(&format!("{path} is a new state file: it knows no holds and no earlier runs"));
    }
    if let Some(state) = Arc::into_inner(state)
        && let Err(problem) = state.close().await
    {
        // Everything is on disk already; the next run reads the side files as well.
        output::note(&problem.to_string());
    }
    report
}

/// What happens to every report, also that of a run that was skipped.
pub fn conclude(common: &Common, report: &Report) -> Result<()> {
    output::print(common.output, || text::render(report), report)
}

fn read(path: &Path) -> Result<Plan> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Problem::usage(format!("the plan {} cannot be read", path.display()))
            .because(&error)
            .hint("save one with `timesweep plan --out FILE`")
    })?;
    plan_file::read(&text).map_err(|error| {
        Problem::refused(format!("{} is not applied: {error}", path.display()))
            .hint("draw a new plan with `timesweep plan --out FILE`")
    })
}

//! `timesweep plan`: what would go and what stays; saved with `--out`. Deletes nothing, creates no state.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{Common, exit, open, output, owned};
use crate::problem::{Problem, Result};
use crate::report::plan_text;
use crate::report::table::minute;
use crate::retention::plan::Plan;
use crate::retention::plan_file;
use crate::sweep::gather;
use crate::whole_file;

#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Save the plan for `timesweep apply`
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// List every chunk on a line of its own
    #[arg(long)]
    all: bool,
    /// End with 10 where there is something to do
    #[arg(long)]
    detailed_exitcode: bool,
}

pub async fn plan(common: &Common, args: &PlanArgs) -> Result<u8> {
    if let Some(opened) = owned::open_if_meant(common).await? {
        if args.out.is_some() {
            return Err(Problem::usage(
                "a plan of owned data is not saved: who owns what changes with every result",
            )
            .hint(
                "leave --out away; `timesweep run --apply` looks at everything once more before each drop",
            ));
        }
        return owned::pass::preview(common, &opened, args.all, args.detailed_exitcode).await;
    }
    if let Some(path) = &args.out {
        refuse_impossible_place(path)?;
    }
    let plan = draw(common).await?;
    output::print(common.output, || plan_text::render(&plan, args.all), &plan)?;
    if let Some(path) = &args.out {
        save(&plan, path)?;
        output::note(&what_the_file_is_good_for(common, &plan, path));
    }
    let something = args.detailed_exitcode && plan.going() > 0;
    Ok(if something { exit::SOMETHING_TO_DO } else { exit::DONE })
}

fn what_the_file_is_good_for(common: &Common, plan: &Plan, path: &Path) -> String {
    let path = path.display();
    let goes = plan.allowed(false).any(|dataset| dataset.going().next().is_some());
    let overridden = || plan.allowed(true).any(|dataset| dataset.going().next().is_some());
    if plan.going() > 0 && !goes && overridden() {
        return format!(
            "saved to {path}; the caps refuse all of it; to drop it all the same, this once: timesweep apply {path} --override-caps {}",
            plan.id
        );
    }
    if plan.going() > 0 && !goes {
        return format!(
            "saved to {path}; guards refuse all of it, so `timesweep apply {path}` would end with 4"
        );
    }
    let until = minute(plan.expires_at);
    // The rules are part of the plan: with others it is refused.
    let again = if common.has_own_policy() { ", with the same --table and its rule," } else { "" };
    format!("saved to {path}; until {until} UTC `timesweep apply {path}`{again} does exactly this")
}

/// The preview that `plan` and `run` without `--apply` share.
pub async fn draw(common: &Common) -> Result<Plan> {
    let opened = open::open(common)?;
    let state = open::existing_state(&opened.state_path).await?;
    let facts = gather::facts(opened.driver.as_ref(), &opened.store).await?;
    let plan = gather::plan(&facts, &opened.store, state.as_ref(), None).await?;
    if let Some(state) = state {
        state.close().await?;
    }
    // A preview is none the worse for it, but what it shows may be going at this moment.
    if let Ok(Some(runner)) = opened.driver.runner().await {
        output::note(&format!("note: {runner}"));
    }
    Ok(plan)
}

/// Before anybody waits for a plan that cannot be kept.
fn refuse_impossible_place(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let tried = if path.is_dir() {
        Err(std::io::Error::from(std::io::ErrorKind::IsADirectory))
    } else {
        whole_file::try_out(folder)
    };
    tried.map_err(|error| {
        Problem::usage(format!("the plan cannot be written to {}", path.display()))
            .because(&error)
            .hint("name a file in a folder that this user may write to")
    })
}

/// Written beside its place and renamed, so that a full disk never leaves half a plan there.
fn save(plan: &Plan, path: &Path) -> Result<()> {
    let cannot = |error: &(dyn std::error::Error + 'static)| {
        Problem::unreachable(format!("the plan cannot be written to {}", path.display()))
            .because(error)
            .hint("nothing was dropped; choose another place with --out")
    };
    let text = plan_file::write(plan).map_err(|error| cannot(&error))?;
    let mut beside = path.as_os_str().to_owned();
    beside.push(".part");
    std::fs::write(&beside, text).map_err(|error| cannot(&error))?;
    std::fs::rename(&beside, path).map_err(|error| cannot(&error))
}

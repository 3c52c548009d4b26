//! `timesweep run`: the whole run a scheduler calls; a preview without `--apply`.

use clap::Args;

use super::{Common, apply, exit, output, plan};
use crate::problem::Result;
use crate::report::plan_text;
use crate::sweep::apply::Order;

#[derive(Debug, Args)]
pub struct RunArgs {
    /// Drop what the plan says
    #[arg(long)]
    apply: bool,
}

pub async fn run(common: &Common, args: &RunArgs) -> Result<u8> {
    if args.apply {
        return apply::execute(common, "run --apply", Order::Everything).await;
    }
    let plan = plan::draw(common).await?;
    output::print(common.output, || plan_text::render(&plan, false), &plan)?;
    output::note("a preview: nothing was dropped; add --apply to drop");
    Ok(exit::DONE)
}

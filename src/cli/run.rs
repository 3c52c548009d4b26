//! `timesweep run`: the whole run a scheduler calls; a preview without `--apply`.

use clap::Args;

use super::publish::Publisher;
use super::schedule::{SkipArgs, parse_go};
use super::{Common, apply, exit, open, output, owned, plan};
use crate::problem::{Problem, Result};
use crate::report::early::About;
use crate::report::{Verdict, plan_text};
use crate::sweep::apply::Order;
use crate::sweep::gated::{self, Go};
use crate::sweep::gather::our_now;

const COMMAND: &str = "run --apply";

#[derive(Debug, Args)]
pub struct RunArgs {
    /// Ask the gate where there is one, and drop what the plan says
    #[arg(long)]
    apply: bool,
    /// Data of jobs: a person has looked, and what the store lacks really is gone; counts for this run
    #[arg(long, requires = "apply")]
    accept_empty: bool,
    /// What an earlier `timesweep gate` said: `yes` goes, `no` is skipped, all else is an error
    #[arg(long, value_name = "VALUE", requires = "apply")]
    go: Option<String>,
    #[command(flatten)]
    skip: SkipArgs,
}

pub async fn run(common: &Common, args: &RunArgs) -> Result<u8> {
    let skip_code = args.skip.code()?;
    let go = args.go.as_deref().map(parse_go).transpose()?;
    if let Some(mut opened) = owned::open_if_meant(common).await? {
        opened.settings.check.accept_empty = args.accept_empty;
        if args.apply {
            return owned::pass::run(common, opened, go, &args.skip, skip_code).await;
        }
        let code = owned::pass::preview(common, &opened, false, false).await?;
        output::note("a preview: nothing was dropped; add --apply to drop");
        return Ok(code);
    }
    if args.accept_empty {
        return Err(Problem::usage("`--accept-empty` is about data that jobs own, and this run is not")
            .hint("leave it out, or name the configuration with [ownership]"));
    }
    if args.apply {
        return behind_its_gate(common, go, &args.skip, skip_code).await;
    }
    let plan = plan::draw(common).await?;
    output::print(common.output, || plan_text::render(&plan, false), &plan)?;
    output::note("a preview: nothing was dropped; add --apply to drop");
    Ok(exit::DONE)
}

async fn behind_its_gate(common: &Common, go: Option<Go>, skip: &SkipArgs, skip_code: u8) -> Result<u8> {
    let mut opened = open::open(common)?;
    let (gate, store) = (opened.gate.take(), opened.store.name.clone());
    let publisher = Publisher::new(&opened)?;
    let about = About { command: COMMAND, store: &store, now: our_now() };
    let sweep = |said| apply::sweep(common, opened, COMMAND, Order::Everything, said);
    let ran = Box::pin(gated::run(gate.as_ref(), go, about, sweep)).await;
    let mut report = publisher.or_tell(COMMAND, ran).await?;
    let is_skipped = report.verdict == Verdict::Skipped;
    let code = if is_skipped { skip_code } else { exit::of_verdict(report.verdict) };
    publisher.publish(&mut report, code).await;
    if is_skipped && skip.is_silent(common.output) {
        // Nobody is told about a skip, but about a mail that did not go.
        report.warnings.iter().for_each(|warning| output::note(&format!("warning: {warning}")));
    } else {
        apply::conclude(common, &report)?;
    }
    Ok(code)
}

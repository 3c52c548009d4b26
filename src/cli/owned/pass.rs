//! `plan` and `run` on owned data: a preview that writes nothing, and the pass behind its gate.

use std::sync::Arc;

use super::OpenedOwned;
use crate::cli::schedule::SkipArgs;
use crate::cli::{Common, apply, exit, output, signals};
use crate::problem::Result;
use crate::report::early::About;
use crate::report::owned::Standing;
use crate::report::{Report, Verdict, owned_text};
use crate::state::State;
use crate::sweep::gated::{self, Go};
use crate::sweep::gather::our_now;

const COMMAND: &str = "run --apply";

/// `plan`, and `run` without `--apply`.
pub async fn preview(
    common: &Common,
    opened: &OpenedOwned,
    all: bool,
    detailed_exitcode: bool,
) -> Result<u8> {
    let mut report = opened.pass("plan", signals::stop_token(), None).preview(all).await?;
    let owned = report.owned.take().unwrap_or_default();
    // A refusal is shown, and fails no preview.
    let something = detailed_exitcode && owned.count(Standing::Due) > 0;
    let text = owned_text::render_preview(&report, &owned, all);
    report.owned = Some(owned);
    output::print(common.output, || text, &report)?;
    Ok(if something { exit::SOMETHING_TO_DO } else { exit::DONE })
}

pub async fn run(
    common: &Common,
    opened: OpenedOwned,
    go: Option<Go>,
    skip: &SkipArgs,
    skip_code: u8,
) -> Result<u8> {
    let about = About { command: COMMAND, store: &opened.settings.store, now: our_now() };
    let sweep = |gate| async {
        let state = State::open(&opened.state_path).await?;
        let pass = opened.pass(COMMAND, signals::stop_token(), gate);
        let report = pass.run(&state).await;
        // Everything is on disk already; the next run reads the side files as well.
        let _ = state.close().await;
        report
    };
    let ran = gated::run(opened.gate.as_ref(), go, about, sweep).await;
    let mut report = opened.publisher.or_tell(COMMAND, ran).await?;
    let is_skipped = report.verdict == Verdict::Skipped;
    let code = if is_skipped { skip_code } else { exit::of_verdict(report.verdict) };
    opened.publisher.publish(&mut report, code).await;
    if !(is_skipped && skip.is_silent(common.output)) {
        apply::conclude(common, &report)?;
    }
    Ok(code)
}

/// One pass of the loop, in a state that stays open.
pub async fn pass_of_loop(
    opened: &OpenedOwned,
    state: &Arc<State>,
    stop: &tokio_util::sync::CancellationToken,
) -> Result<Report> {
    opened.pass("serve", stop.clone(), None).run(state.as_ref()).await
}

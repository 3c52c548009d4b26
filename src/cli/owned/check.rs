//! `check` on owned data: whether store and registry answer, what they advise, which times are in force.

use std::fmt::Write as _;

use serde_json::json;

use super::OpenedOwned;
use crate::cli::{Common, exit, output, signals};
use crate::problem::{Result, printable};
use crate::report::Report;
use crate::report::owned::Standing;
use crate::report::plan_text::run_refusals;
use crate::sweep::owned::found::length;

pub async fn check(common: &Common, opened: &OpenedOwned) -> Result<u8> {
    let (report, advice) = look(opened).await?;
    let refused = !report.refusals.is_empty();
    let json = json!({ "report": report, "advice": advice });
    output::print(common.output, || render(opened, &report, &advice), &json)?;
    Ok(if refused { exit::REFUSED } else { exit::DONE })
}

pub async fn look(opened: &OpenedOwned) -> Result<(Report, Vec<String>)> {
    let report = opened.pass("check", signals::stop_token(), None).preview(false).await?;
    let mut advice = opened.store.advice().await?;
    advice.extend(opened.registry.advice().await?);
    advice.extend(report.warnings.iter().cloned());
    Ok((report, advice))
}

pub fn render(opened: &OpenedOwned, report: &Report, advice: &[String]) -> String {
    let check = &opened.settings.check;
    let mut text = format!("store {}: {}\n", report.store, printable(&report.server));
    let _ = writeln!(
        text,
        "a pass every {}, a grace of {}, registrations without data for {}, at most {} % or {} in one pass",
        length(check.check_interval),
        length(check.grace),
        length(check.registration_lifetime),
        check.cap_share as f64 / 100.0,
        check.cap_count
    );
    text.push_str(&run_refusals(&report.refusals));
    if let Some(owned) = &report.owned {
        let counts = Standing::ALL.into_iter().map(|standing| (standing.word(), owned.count(standing)));
        let counts: Vec<String> =
            counts.filter(|(_, count)| *count > 0).map(|(word, count)| format!("{count} {word}")).collect();
        let said = if counts.is_empty() { "no datasets".to_owned() } else { counts.join(", ") };
        let _ = writeln!(text, "{said}");
    }
    for advice in advice {
        let _ = writeln!(text, "advice: {}", printable(advice));
    }
    text
}

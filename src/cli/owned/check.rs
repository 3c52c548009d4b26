//! `check` on owned data: whether store, registry and brokers answer, what they advise, which times are in force.
//!
//! Invariant: whatever is wrong with one of them, the others are tried as well.

use std::fmt::Write as _;

use serde::Serialize;

use super::{Meant, OpenedOwned};
use crate::amqp::look::{self, Looked};
use crate::cli::check::{Outside, Trouble};
use crate::cli::{Common, exit, open, output, signals};
use crate::config::Config;
use crate::omotes::brokers;
use crate::omotes::workflows::Workflows;
use crate::problem::{Problem, Result, printable};
use crate::report::Report;
use crate::report::owned::Standing;
use crate::report::plan_text::run_refusals;
use crate::sweep::owned::found::length;

#[derive(Debug, Serialize)]
struct Checked {
    /// Unless store or registry cannot be looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<Report>,
    advice: Vec<String>,
    #[serde(flatten)]
    outside: Outside,
    exit_code: u8,
    /// As of every verb that fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Trouble>,
}

pub async fn check(common: &Common, meant: Box<Meant>) -> Result<u8> {
    let (gate, config) = (open::gate_of(common, &meant.config)?, &meant.config);
    let mut outside = Outside::of(gate.as_ref(), config.mail.as_ref(), &config.report).await;
    let of_brokers = outside.add_brokers(Box::pin(look_at_brokers(config)).await);
    let (inside, report, mut advice, problem) = match Box::pin(open_and_look(common, meant)).await {
        Ok((opened, report, advice)) => (render(&opened, &report, &[]), Some(report), advice, None),
        Err(problem) => (String::new(), None, Vec::new(), Some(problem)),
    };
    advice.extend(of_brokers);
    let exit_code = exit_code(problem.as_ref(), report.as_ref(), &outside);
    let error = problem.as_ref().map(Trouble::from);
    let checked = Checked { report, advice, outside, exit_code, error };
    let text = || {
        inside + &checked.outside.render() + &advised(&checked.advice) + &checked.outside.render_troubles()
    };
    output::print(common.output, text, &checked)?;
    if let Some(problem) = problem {
        output::note(&format!("error: {problem}"));
    }
    Ok(exit_code)
}

fn exit_code(problem: Option<&Problem>, report: Option<&Report>, outside: &Outside) -> u8 {
    let is_refused = report.is_some_and(|report| !report.refusals.is_empty());
    let inside = problem.map(exit::of_problem).or(is_refused.then_some(exit::REFUSED));
    exit::gravest(inside.into_iter().chain(outside.exit_codes()))
}

async fn look_at_brokers(config: &Config) -> Looked {
    if let Some(settings) = &config.omotes {
        // What is wrong with the file is told where it is opened.
        let workflows = Workflows::of(settings).ok();
        let names: Vec<&str> = workflows.iter().flat_map(Workflows::names).collect();
        return brokers::look(settings, &names).await;
    }
    match &config.amqp {
        Some(settings) => look::beside_an_orchestrator(settings).await,
        None => Looked::default(),
    }
}

async fn open_and_look(common: &Common, meant: Box<Meant>) -> Result<(OpenedOwned, Report, Vec<String>)> {
    let opened = meant.open(common).await?;
    let (report, advice) = look(&opened).await?;
    Ok((opened, report, advice))
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
    text + &advised(advice)
}

fn advised(advice: &[String]) -> String {
    advice.iter().fold(String::new(), |text, advice| text + "advice: " + &printable(advice) + "\n")
}

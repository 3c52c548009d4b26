//! `timesweep check`: connects to everything, and says what it found and what would be refused.

use std::fmt::Write as _;

use serde::Serialize;

use super::{Common, exit, open, output, owned};
use crate::config::{MailSettings, ReportSettings};
use crate::gate::Gate;
use crate::mail;
use crate::problem::{Result, printable};
use crate::report::gate::GateReport;
use crate::report::gate_text;
use crate::report::measure::{DiskReport, TableMeasure};
use crate::report::measure_text::{self, per_day};
use crate::report::plan_text::{all_refusals, run_refusals, source_of, table_refusals};
use crate::report::table::{counted, indented, number, plain};
use crate::retention::facts::StoreFacts;
use crate::retention::model::ByteCount;
use crate::retention::plan::{DatasetPlan, Plan};
use crate::retention::sessions::{SessionMode, SessionRules};
use crate::state::State;
use crate::sweep::measure::Measuring;
use crate::sweep::{gated, gather};
use crate::whole_file;

#[derive(Debug, Serialize)]
struct Checked {
    store: String,
    server: String,
    identity: String,
    role: String,
    privileges: Vec<String>,
    state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    gate: Option<GateReport>,
    /// What the mail server said, where there is one and it lets us in.
    #[serde(skip_serializing_if = "Option::is_none")]
    mail: Option<String>,
    tables: Vec<CheckedTable>,
    disk: Option<DiskReport>,
    advice: Vec<String>,
    refusals: Vec<crate::retention::guard::Refusal>,
}

#[derive(Debug, Serialize)]
struct CheckedTable {
    table: String,
    time: String,
    chunks: usize,
    bytes: ByteCount,
    /// A day; `None` is unknown.
    daily_bytes: Option<f64>,
    steady_state: Option<ByteCount>,
    policy: String,
    source: String,
    refusals: Vec<crate::retention::guard::Refusal>,
    warnings: Vec<String>,
}

pub async fn check(common: &Common) -> Result<u8> {
    if let Some(opened) = owned::open_if_meant(common).await? {
        return owned::check::check(common, &opened).await;
    }
    let opened = open::open(common)?;
    let state = State::open(&opened.state_path).await?;
    let facts = gather::facts(opened.driver.as_ref(), &opened.store).await?;
    let plan = gather::plan(&facts, &opened.store, Some(&state), None).await?;
    state.add_size_samples(&gather::size_samples(&facts, &opened.store)).await?;
    let measuring =
        Measuring { driver: opened.driver.as_ref(), state: &state, config: &opened.store, facts: &facts };
    let disk = measuring.once().await;
    let growth = |dataset: &DatasetPlan| measuring.growth(dataset);
    let tables = plan.datasets.iter().map(|dataset| checked_table(dataset, &growth(dataset))).collect();
    state.close().await?;
    let mut advice = opened.driver.advice().await?;
    advice.extend(plan.warnings.iter().cloned());
    let place = format!(
        "{} (holds the journal; one runner per database by the server's lock)",
        opened.state_path.display()
    );
    let checked = checked(&facts, &plan, &opened.store.sessions, advice, place);
    let mut checked = Checked { tables, disk, ..checked };
    if let Some(gate) = &opened.gate {
        look_at(gate, &mut checked).await;
    }
    try_out(opened.mail.as_ref(), &opened.report, &mut checked).await;
    output::print(common.output, || render(&checked), &checked)?;
    Ok(if plan.is_refused() { exit::REFUSED } else { exit::DONE })
}

/// Asks without writing a ticket. What is wrong with the launcher keeps nobody from reading the rest.
async fn look_at(gate: &Gate, checked: &mut Checked) {
    match gated::look(gate).await {
        Ok(said) => checked.gate = Some(said),
        Err(problem) => checked.advice.push(format!("the gate cannot be asked: {problem}")),
    }
}

/// Where the report shall go. A run that cannot get rid of it works all the same.
async fn try_out(mail: Option<&MailSettings>, report: &ReportSettings, checked: &mut Checked) {
    if let Some(settings) = mail {
        match mail::try_out(settings).await {
            Ok(said) => checked.mail = Some(said),
            Err(why) => checked.advice.push(format!("no mail can be sent: {why}")),
        }
    }
    if let Some(folder) = &report.folder
        && let Err(error) = whole_file::try_out(folder)
    {
        checked.advice.push(format!(
            "reports cannot be kept in {}: {error}; make the folder, or give it to this user",
            folder.display()
        ));
    }
}

fn checked(
    facts: &StoreFacts,
    plan: &Plan,
    sessions: &SessionRules,
    advice: Vec<String>,
    state: String,
) -> Checked {
    Checked {
        store: plan.store.to_string(),
        server: plan.server.clone(),
        identity: plan.identity.to_string(),
        role: facts.connection.role.clone(),
        privileges: privileges(facts, sessions),
        state,
        gate: None,
        mail: None,
        tables: Vec::new(),
        disk: None,
        advice,
        refusals: plan.refusals.clone(),
    }
}

fn privileges(facts: &StoreFacts, sessions: &SessionRules) -> Vec<String> {
    let can = |yes: bool, what: &str| format!("{} {what}", if yes { "can" } else { "cannot" });
    let owned = facts.datasets.iter().filter(|dataset| dataset.droppable_by_us).count();
    vec![
        format!("can drop chunks of {owned} of {}", counted(facts.datasets.len(), "hypertable")),
        can(facts.sees_other_sessions, "see other sessions' statements (pg_read_all_stats)"),
        can(
            facts.connection.may_signal_backends,
            &format!("end other sessions (pg_signal_backend); {}", ends(sessions)),
        ),
    ]
}

fn ends(sessions: &SessionRules) -> String {
    match sessions.mode {
        SessionMode::Leave => "it never does so by itself".into(),
        mode => format!("`sessions.mode` is `{}`, for {}", mode.word(), sessions.roles.join(", ")),
    }
}

fn checked_table(dataset: &DatasetPlan, growth: &TableMeasure) -> CheckedTable {
    CheckedTable {
        table: dataset.name.to_string(),
        time: dataset.axis.kind.to_string(),
        chunks: dataset.chunks.len(),
        bytes: dataset.bytes(),
        daily_bytes: growth.daily_bytes,
        steady_state: growth.steady_state,
        policy: dataset.policy.as_ref().map_or_else(|| "none, everything stays".into(), ToString::to_string),
        source: dataset.policy.as_ref().map_or_else(String::new, |policy| source_of(policy, dataset)),
        refusals: all_refusals(dataset),
        warnings: dataset.warnings.clone(),
    }
}

fn render(checked: &Checked) -> String {
    let mut text = format!(
        "store {}: {}\n  {}\n  state: {}\n  role {}:\n",
        checked.store,
        printable(&checked.server),
        printable(&checked.identity),
        printable(&checked.state),
        printable(&checked.role)
    );
    for privilege in &checked.privileges {
        let _ = writeln!(text, "    {}", printable(privilege));
    }
    if let Some(mail) = &checked.mail {
        let _ = writeln!(text, "  mail: {}", printable(mail));
    }
    text.push_str(&checked.gate.as_ref().map(gate_text::render).unwrap_or_default());
    text.push('\n');
    text.push_str(&table_of(&checked.tables));
    for table in
        checked.tables.iter().filter(|table| !table.refusals.is_empty() || !table.warnings.is_empty())
    {
        let _ = writeln!(text, "\n{}", table.table);
        text.push_str(&table_refusals(&table.refusals));
        for warning in &table.warnings {
            let _ = writeln!(text, "  warning: {}", printable(warning));
        }
    }
    if let Some(report) = &checked.disk {
        text.push('\n');
        text.push_str(measure_text::disk(report, None).trim_end_matches('\n'));
        text.push('\n');
    }
    if !checked.advice.is_empty() {
        text.push('\n');
    }
    for advice in &checked.advice {
        let _ = writeln!(text, "warning: {}", printable(advice));
    }
    text.push_str(&run_refusals(&checked.refusals));
    text
}

fn table_of(tables: &[CheckedTable]) -> String {
    if tables.is_empty() {
        return "  no hypertables\n".into();
    }
    let mut table = plain(&["table", "time", "chunks", "size", "a day", "steady state", "policy", "from"]);
    for checked in tables {
        table.add_row(vec![
            comfy_table::Cell::new(&checked.table),
            comfy_table::Cell::new(printable(&checked.time)),
            number(checked.chunks),
            number(checked.bytes),
            number(checked.daily_bytes.map_or_else(unknown, per_day)),
            number(checked.steady_state.map_or_else(unknown, |bytes| bytes.to_string())),
            comfy_table::Cell::new(printable(&checked.policy)),
            comfy_table::Cell::new(printable(&checked.source)),
        ]);
    }
    indented(&table)
}

fn unknown() -> String {
    "unknown".into()
}

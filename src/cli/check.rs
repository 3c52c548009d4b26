//! `timesweep check`: connects to everything, and says what it found and what would be refused.

use std::fmt::Write as _;

use serde::Serialize;

use super::{Common, exit, open, output, owned};
use crate::problem::{Result, printable, told};
use crate::report::measure::{DiskReport, TableMeasure};
use crate::report::measure_text::{self, per_day};
use crate::report::plan_text::{all_refusals, run_refusals, source_of, table_refusals};
use crate::report::table::{indented, number, plain};
use crate::retention::facts::{ConnectionFacts, StoreFacts, Words};
use crate::retention::model::ByteCount;
use crate::retention::name::quote_identifier;
use crate::retention::plan::{DatasetPlan, Plan};
use crate::retention::sessions::{SessionMode, SessionRules};
use crate::state::State;
use crate::sweep::gather;
use crate::sweep::measure::Measuring;

mod brokers;
mod outside;

pub use outside::{Outside, Trouble};

#[derive(Debug, Serialize)]
struct Checked {
    /// What the store told, unless it cannot be looked at: then that is the first of the troubles.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    looked: Option<Looked>,
    #[serde(flatten)]
    outside: Outside,
    exit_code: u8,
    /// As of every verb that fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Trouble>,
}

#[derive(Debug, Serialize)]
struct Looked {
    store: String,
    server: String,
    identity: String,
    role: String,
    privileges: Vec<String>,
    state: String,
    tables: Vec<CheckedTable>,
    disk: Option<DiskReport>,
    advice: Vec<String>,
    refusals: Vec<crate::retention::guard::Refusal>,
    #[serde(skip)]
    is_refused: bool,
    #[serde(skip)]
    words: Words,
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
    if let Some(meant) = owned::meant(common)? {
        return owned::check::check(common, meant).await;
    }
    let opened = open::open(common)?;
    // Whatever is wrong with one of them, the others are tried as well.
    let looked = look_at_store(&opened).await;
    let outside = Outside::of(opened.gate.as_ref(), opened.mail.as_ref(), &opened.report).await;
    let (looked, problem) = match looked {
        Ok(looked) => (Some(looked), None),
        Err(problem) => (None, Some(problem)),
    };
    let is_refused = looked.as_ref().is_some_and(|looked| looked.is_refused);
    let of_store = problem.as_ref().map(exit::of_problem).or(is_refused.then_some(exit::REFUSED));
    let exit_code = exit::gravest(of_store.into_iter().chain(outside.exit_codes()));
    let error = problem.as_ref().map(Trouble::from);
    let checked = Checked { looked, outside, exit_code, error };
    output::print(common.output, || render(&checked), &checked)?;
    if let Some(problem) = problem {
        output::note(&format!("error: {problem}"));
    }
    Ok(exit_code)
}

async fn look_at_store(opened: &open::Opened) -> Result<Looked> {
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
    let looked = looked(&facts, &plan, &opened.store.sessions, advice, place);
    Ok(Looked { tables, disk, ..looked })
}

fn looked(
    facts: &StoreFacts,
    plan: &Plan,
    sessions: &SessionRules,
    advice: Vec<String>,
    state: String,
) -> Looked {
    Looked {
        store: plan.store.to_string(),
        server: plan.server.clone(),
        identity: plan.identity.to_string(),
        role: facts.connection.role.clone(),
        privileges: privileges(facts, sessions),
        state,
        tables: Vec::new(),
        disk: None,
        advice,
        refusals: plan.refusals.clone(),
        is_refused: plan.is_refused(),
        words: facts.words,
    }
}

fn privileges(facts: &StoreFacts, sessions: &SessionRules) -> Vec<String> {
    let can = |yes: bool, what: &str| format!("{} {what}", if yes { "can" } else { "cannot" });
    let (words, all) = (facts.words, facts.datasets.len());
    let owned = facts.datasets.iter().filter(|dataset| dataset.droppable_by_us).count();
    let noun = if all == 1 { words.dataset() } else { words.datasets() };
    let drops = format!("can drop {} of {owned} of {all} {noun}", words.chunks());
    if words == Words::Influx {
        // Nobody's session is ever in the way there.
        return vec![drops];
    }
    vec![
        drops,
        can(facts.sees_other_sessions, "see other sessions' statements (pg_read_all_stats)"),
        end_sessions(&facts.connection, sessions),
    ]
}

fn end_sessions(us: &ConnectionFacts, sessions: &SessionRules) -> String {
    let ends = ends(sessions);
    if us.may_signal_backends {
        return format!("can end other sessions (pg_signal_backend); {ends}");
    }
    if us.is_member_of_roles {
        return format!("can end sessions of {}, as a member; {ends}", sessions.roles.join(", "));
    }
    let grant = match sessions.mode {
        SessionMode::Leave => String::new(),
        _ => format!("; GRANT pg_signal_backend TO {};", quote_identifier(&us.role)),
    };
    format!("cannot end other sessions (pg_signal_backend); {ends}{grant}")
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
    let outside = &checked.outside;
    let Some(looked) = &checked.looked else { return outside.render() + &outside.render_troubles() };
    let mut text = format!(
        "store {}: {}\n  {}\n  state: {}\n  {}:\n",
        looked.store,
        printable(&looked.server),
        printable(&looked.identity),
        printable(&looked.state),
        printable(who(looked))
    );
    for privilege in &looked.privileges {
        let _ = writeln!(text, "    {}", printable(privilege));
    }
    text.push_str(&outside.render());
    text.push('\n');
    text.push_str(&table_of(&looked.tables, looked.words));
    for table in looked.tables.iter().filter(|table| !table.refusals.is_empty() || !table.warnings.is_empty())
    {
        let _ = writeln!(text, "\n{}", table.table);
        text.push_str(&table_refusals(&table.refusals));
        text.extend(table.warnings.iter().map(|warning| told("  warning: ", warning)));
    }
    if let Some(report) = &looked.disk {
        text.push('\n');
        text.push_str(measure_text::disk(report, None).trim_end_matches('\n'));
        text.push('\n');
    }
    if !looked.advice.is_empty() || !outside.troubles.is_empty() {
        text.push('\n');
    }
    text.extend(looked.advice.iter().map(|advice| told("warning: ", advice)));
    text.push_str(&outside.render_troubles());
    text.push_str(&run_refusals(&looked.refusals));
    text
}

fn who(looked: &Looked) -> String {
    match (looked.words, looked.role.as_str()) {
        (Words::Timescale, role) => format!("role {role}"),
        (Words::Influx, "") => "without a login".into(),
        (Words::Influx, user) => format!("user {user}"),
    }
}

fn table_of(tables: &[CheckedTable], words: Words) -> String {
    if tables.is_empty() {
        return format!("  no {}\n", words.datasets());
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

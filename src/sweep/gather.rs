//! Reads facts and holds, and draws the plan from them.

use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use crate::config::StoreConfig;
use crate::problem::{Problem, Result};
use crate::retention::drift::Selection;
use crate::retention::facts::{Hold, NotADataset, StoreFacts, Words};
use crate::retention::name::{DatasetName, TablePattern};
use crate::retention::plan::{DatasetPlan, Drawing, Plan, draw};
use crate::retention::policy::PolicySource;
use crate::retention::rules::Rules;
use crate::state::{SizeSample, State};
use crate::store::{Driver, Wanted};

/// What program draws plans; it stands in every plan file.
pub const MADE_BY: &str = concat!("timesweep ", env!("CARGO_PKG_VERSION"));

/// The facts that a store's rules ask for. A policy for a table that is none is an error, and nothing
/// was touched.
pub async fn facts(driver: &dyn Driver, config: &StoreConfig) -> Result<StoreFacts> {
    let facts = driver.facts(&wanted(&config.rules)).await?;
    refuse_long_waits(config.execution.lock_timeout, facts.connection.deadlock_timeout)?;
    match facts.not_datasets.first() {
        Some(missing) => Err(not_a_dataset(missing, &driver.facts(&Wanted::default()).await?)),
        None => Ok(facts),
    }
}

/// A plan drawn from these facts, with the holds of now. `only` restricts it to a saved plan.
pub async fn plan(
    facts: &StoreFacts,
    config: &StoreConfig,
    state: Option<&State>,
    only: Option<&Selection>,
) -> Result<Plan> {
    let holds = match state {
        Some(state) => state.holds(&config.name, &facts.identity, facts.now).await?,
        None => Vec::new(),
    };
    let drawing = Drawing { id: Uuid::now_v7(), made_by: MADE_BY.into(), store: config.name.clone() };
    let mut plan = draw(drawing, facts, &config.rules, &holds, only);
    plan.warnings.extend(holds.iter().filter_map(|hold| known_by_name(hold, facts)));
    if wanted(&config.rules).only.is_none() {
        let unmatched: Vec<String> =
            holds.iter().filter(|hold| pins_nothing(hold, &plan)).map(unmatched).collect();
        plan.warnings.extend(unmatched);
    }
    Ok(plan)
}

/// Our lock timeout has to be well below the server's `deadlock_timeout` (microseconds): then we give up
/// before the server looks for deadlocks, and no user's query is ever the victim.
fn refuse_long_waits(lock_timeout: Duration, deadlock_timeout: i64) -> Result<()> {
    let allowed = Duration::from_micros(deadlock_timeout.unsigned_abs() / 4);
    // Zero: a store that has no such limit.
    if deadlock_timeout == 0 || lock_timeout <= allowed {
        return Ok(());
    }
    Err(Problem::usage(format!(
        "`lock_timeout` is {} ms, and the server's deadlock_timeout is {} ms: a user's query could be killed instead of us",
        lock_timeout.as_millis(),
        deadlock_timeout / 1000
    ))
    .hint(format!("set `lock_timeout` to at most {} ms", allowed.as_millis())))
}

/// An upgrade or a restore makes another database of the same name: whether a hold is meant for it, a person has to say.
fn known_by_name(hold: &Hold, facts: &StoreFacts) -> Option<String> {
    let set_on = hold.set_on.as_ref()?;
    let target = hold.chunk.as_ref().unwrap_or(&hold.dataset);
    let which = if set_on.system == facts.identity.system { "an earlier" } else { "another" };
    Some(format!(
        "hold {} on {target} was set on {which} {set_on} and counts here as well, since store and database have the same names: \
         set it anew if it is meant for this one, and remove it with `timesweep hold remove {}` if it is not",
        hold.id, hold.id
    ))
}

/// A hold on something that is not there: renamed or dropped.
fn pins_nothing(hold: &Hold, plan: &Plan) -> bool {
    let is_it = |dataset: &DatasetPlan| match &hold.chunk {
        None => dataset.name == hold.dataset,
        Some(name) => {
            dataset.chunks.iter().any(|chunk| chunk.chunk.parts.iter().any(|part| part.relation == *name))
        }
    };
    !plan.datasets.iter().any(is_it)
}

fn unmatched(hold: &Hold) -> String {
    let target = hold.chunk.as_ref().unwrap_or(&hold.dataset);
    format!("hold {} pins nothing here: there is no {target}; look whether it was renamed", hold.id)
}

/// On the command line one table is named, and nothing else is looked at.
fn wanted(rules: &Rules) -> Wanted {
    let exact: Vec<DatasetName> = rules
        .policies
        .iter()
        .filter_map(|rule| rule.table.as_ref().and_then(TablePattern::exact_name))
        .collect();
    let typed = rules.policies.iter().any(|rule| rule.source == PolicySource::CommandLine);
    Wanted { only: (typed && exact.len() == rules.policies.len()).then(|| exact.clone()), expected: exact }
}

fn not_a_dataset(missing: &NotADataset, facts: &StoreFacts) -> Problem {
    let (name, words) = (&missing.name, facts.words);
    let sentence = match (&missing.what_it_is, words) {
        (Some(what), _) => {
            return Problem::usage(format!("{name} is {what}, not a {}", words.dataset()))
                .hint(format!("`timesweep check` lists the {}", words.datasets()));
        }
        (None, Words::Timescale) => {
            format!("there is no table {name} in database {}", facts.identity.database)
        }
        (None, Words::Influx) => format!("there is no retention policy {name} on this server"),
    };
    Problem::usage(sentence).hint(nearest(missing, facts))
}

/// A third of the letters may differ; a right name in another schema is one step away.
fn nearest(missing: &NotADataset, facts: &StoreFacts) -> String {
    let wanted = &missing.name;
    let distance = |name: &DatasetName| {
        let letters = strsim::damerau_levenshtein(&wanted.name.to_lowercase(), &name.name.to_lowercase());
        letters + usize::from(wanted.schema != name.schema)
    };
    let allowed = (wanted.name.chars().count() / 3).max(1);
    let best = facts.datasets.iter().map(|dataset| &dataset.name).min_by_key(|name| distance(name));
    match best {
        Some(name) if distance(name) <= allowed => format!("did you mean {name}?"),
        _ => format!(
            "`timesweep check` lists the {}; names are {}, compared letter by letter",
            facts.words.datasets(),
            facts.words.name()
        ),
    }
}

/// The sizes of all datasets, to be remembered.
pub fn size_samples(facts: &StoreFacts, config: &StoreConfig) -> Vec<SizeSample> {
    let sample = |dataset: &crate::retention::facts::DatasetFacts| SizeSample {
        store: config.name.clone(),
        identity: facts.identity.clone(),
        dataset: dataset.name.clone(),
        at: facts.now,
        bytes: dataset.chunks.iter().filter_map(crate::retention::model::Chunk::bytes).sum(),
        chunks: dataset.chunks.len() as u64,
    };
    facts.datasets.iter().map(sample).collect()
}

/// Our clock, microseconds since 1970 UTC.
pub fn our_now() -> i64 {
    Timestamp::now().as_microsecond()
}

//! The plan: what shall happen to every chunk of a store, and why; a value that is shown, saved and run.
//!
//! `plan` and `apply` are one path (invariant 1): both work on this value, and the executor has no
//! dry-run flag. Invariant: a plan names exact chunks by object id, name and range, never a rule to be
//! evaluated again.

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::decide::{Circumstances, decide};
use super::drift::Selection;
use super::facts::{DatasetFacts, Hold, NativeRule, StoreFacts};
use super::guard::{self, GuardName, Refusal};
use super::model::{ByteCount, Chunk, StoreIdentity, StoreName};
use super::name::{DatasetName, TablePattern, quote_identifier};
use super::policy::{NoCutoff, Policy};
use super::reason::{Decision, Reason};
use super::resolve::{Resolved, resolve};
use super::rules::Rules;
use super::time_axis::{Position, TimeAxis};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    pub id: Uuid,
    pub made_by: String,
    pub store: StoreName,
    pub identity: StoreIdentity,
    pub server: String,
    /// The store's clock when the facts were read, microseconds since 1970 UTC.
    pub now: i64,
    pub expires_at: i64,
    /// Fingerprint of all rules: a plan drawn under other rules is not applied.
    pub rules_hash: String,
    pub datasets: Vec<DatasetPlan>,
    /// Refusals of the whole run.
    pub refusals: Vec<Refusal>,
    pub warnings: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetPlan {
    pub name: DatasetName,
    pub axis: TimeAxis,
    pub policy: Option<Policy>,
    pub cutoff: Option<Position>,
    pub space_dimensions: u32,
    /// Oldest first.
    pub chunks: Vec<ChunkPlan>,
    pub refusals: Vec<Refusal>,
    pub warnings: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkPlan {
    pub chunk: Chunk,
    pub decision: Decision,
    pub reason: Reason,
    /// When the chunk becomes old enough, microseconds since 1970 UTC.
    pub due: Option<i64>,
    /// The hold that keeps it afterwards, where its age keeps it still.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub also_held: Option<Reason>,
}

impl ChunkPlan {
    /// When a kept chunk goes by itself; `None` where something else than time has to change first.
    pub fn goes_at(&self) -> Option<i64> {
        let old_enough = match self.reason {
            Reason::NotExpired { .. } | Reason::InTheFuture => self.due?,
            Reason::Held { .. } => self.due.unwrap_or(i64::MIN),
            _ => return None,
        };
        match self.hold() {
            Some(Reason::Held { expires_at, .. }) => Some(old_enough.max((*expires_at)?)),
            _ => Some(old_enough),
        }
    }

    /// The hold that keeps it now or will.
    pub fn hold(&self) -> Option<&Reason> {
        match &self.reason {
            held @ Reason::Held { .. } => Some(held),
            _ => self.also_held.as_ref(),
        }
    }
}

/// What only the caller can know about a plan.
#[derive(Debug, Clone)]
pub struct Drawing {
    pub id: Uuid,
    pub made_by: String,
    pub store: StoreName,
}

/// Draws the plan: every dataset and chunk of the facts gets its decision.
///
/// `only` is what a saved plan allows: whatever else could go by now stays, and caps count what is left.
pub fn draw(
    drawing: Drawing,
    facts: &StoreFacts,
    rules: &Rules,
    holds: &[Hold],
    only: Option<&Selection>,
) -> Plan {
    let datasets =
        facts.datasets.iter().map(|dataset| draw_dataset(dataset, facts, rules, holds, only)).collect();
    Plan {
        id: drawing.id,
        made_by: drawing.made_by,
        store: drawing.store,
        identity: facts.identity.clone(),
        server: facts.server.clone(),
        now: facts.now,
        expires_at: facts.now.saturating_add(rules.plan_lifetime),
        rules_hash: rules_hash(rules),
        datasets,
        refusals: run_refusals(facts, rules),
        warnings: run_warnings(facts, rules),
    }
}

fn draw_dataset(
    dataset: &DatasetFacts,
    facts: &StoreFacts,
    rules: &Rules,
    holds: &[Hold],
    only: Option<&Selection>,
) -> DatasetPlan {
    let (policy, ambiguous) = match resolve(rules, dataset) {
        Resolved::Policy(policy) => (Some(policy), None),
        Resolved::Nothing => (None, None),
        Resolved::Ambiguous(first, second) => (None, Some(ambiguous_policy(&first, &second))),
    };
    let around = Circumstances { now: facts.now, zone: &rules.zone, holds, guards: rules.guards };
    let mut decided = decide(dataset, policy.as_ref(), around);
    if let Some(only) = only {
        keep_what_was_not_planned(&dataset.name, &mut decided.chunks, only);
    }
    let axis = TimeAxis::new(dataset.kind.clone(), policy.as_ref().and_then(|p| p.integer_unit));
    let now = axis.position_of_now(facts.now, dataset.integer_now, &rules.zone);
    let mut refusals: Vec<Refusal> = ambiguous.into_iter().collect();
    refusals.extend(dataset_refusals(dataset, policy.as_ref(), &decided.chunks, facts));
    refusals.extend(guard::cap::over_the_cap(&decided.chunks, rules.caps, now));
    DatasetPlan {
        name: dataset.name.clone(),
        warnings: dataset_warnings(dataset, policy.as_ref(), &decided.chunks),
        axis,
        policy,
        cutoff: decided.cutoff,
        space_dimensions: dataset.space_dimensions,
        chunks: decided.chunks,
        refusals,
    }
}

fn keep_what_was_not_planned(dataset: &DatasetName, chunks: &mut [ChunkPlan], only: &Selection) {
    for chunk in chunks.iter_mut().filter(|chunk| chunk.decision == Decision::Drop) {
        if !only.includes(dataset, chunk.chunk.range) {
            chunk.decision = Decision::Keep;
            chunk.reason = Reason::NotInPlan;
        }
    }
}

/// Guards of one dataset. A table nobody has a policy for is only looked at, so nothing refuses it.
fn dataset_refusals(
    dataset: &DatasetFacts,
    policy: Option<&Policy>,
    chunks: &[ChunkPlan],
    facts: &StoreFacts,
) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    if policy.is_none() {
        return refusals;
    }
    refusals.extend(guard::inventory::implausible(dataset));
    refusals.extend(guard::policy_owner::managed_twice(dataset, policy));
    if chunks.iter().any(|chunk| chunk.decision == Decision::Drop) {
        refusals.extend(guard::dependants::foreign_key_points_here(dataset));
        refusals.extend(guard::privilege::not_the_owner(dataset, &facts.connection.role));
    }
    refusals
}

fn ambiguous_policy(first: &str, second: &str) -> Refusal {
    Refusal::new(
        GuardName::AmbiguousPolicy,
        format!("two policies match it: {first} and {second}"),
        "add a policy with the table's exact name",
    )
}

fn run_refusals(facts: &StoreFacts, rules: &Rules) -> Vec<Refusal> {
    [
        guard::clock::clocks_apart(facts.now, facts.our_now, rules.guards.max_clock_skew),
        guard::inventory::standby(facts.read_only),
        guard::activity::another_drop_is_running(&facts.other_drops),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn run_warnings(facts: &StoreFacts, rules: &Rules) -> Vec<String> {
    let mut warnings = Vec::new();
    if !facts.sees_other_sessions {
        warnings.push(format!(
            "role {} cannot see other sessions' statements, so a drop that only waits is not noticed; GRANT pg_read_all_stats TO {};",
            facts.connection.role,
            quote_identifier(&facts.connection.role)
        ));
    }
    let unmatched = unmatched_policies(facts, rules);
    warnings.extend(unmatched.iter().map(|table| format!("the policy for {table} matches nothing")));
    warnings
}

/// Patterns of policies that stand for no table. A typing error in one would keep data for ever.
pub fn unmatched_policies(facts: &StoreFacts, rules: &Rules) -> Vec<String> {
    let patterns = rules.policies.iter().filter_map(|rule| rule.table.as_ref());
    let is_unmatched = |table: &&TablePattern| {
        table.exact_name().is_none() && !facts.datasets.iter().any(|dataset| table.matches(&dataset.name))
    };
    patterns.filter(is_unmatched).map(ToString::to_string).collect()
}

fn dataset_warnings(dataset: &DatasetFacts, policy: Option<&Policy>, chunks: &[ChunkPlan]) -> Vec<String> {
    let mut warnings = Vec::new();
    if let (Some(error), Some(_)) = (&dataset.integer_now_error, policy) {
        warnings.push(format!("its integer-now function fails: {error}"));
    } else if let Some(problem) = chunks.iter().find_map(no_cutoff) {
        warnings.push(format!("its policy lets nothing go: {problem}; {}", problem.way_out()));
    }
    for native in &dataset.native_policies {
        if native.last_run_failed {
            warnings.push(format!("the last run of TimescaleDB job {} failed", native.job));
        }
        if let NativeRule::Unsupported(rule) = &native.rule {
            warnings
                .push(format!("TimescaleDB job {} has a rule that is not understood: {rule}", native.job));
        }
    }
    if chunks.iter().any(|chunk| chunk.decision == Decision::Drop) {
        for table in &dataset.referenced_tables {
            warnings.push(format!("each drop locks {table} for a moment, because of a foreign key"));
        }
    }
    warnings
}

fn no_cutoff(chunk: &ChunkPlan) -> Option<&NoCutoff> {
    match &chunk.reason {
        Reason::NoCutoff { problem } => Some(problem),
        _ => None,
    }
}

/// A fingerprint of everything in the rules that can change a decision.
pub fn rules_hash(rules: &Rules) -> String {
    let zone: &TimeZone = &rules.zone;
    let text = format!(
        "{:?}|{:?}|{}|{:?}|{:?}|{:?}",
        rules.policies,
        rules.default_policy,
        rules.take_over_native_policies,
        rules.caps,
        rules.guards,
        zone.iana_name()
    );
    hex(&Sha256::digest(text.as_bytes()))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl DatasetPlan {
    /// When the first chunk that is kept now goes by itself.
    pub fn next_going(&self) -> Option<i64> {
        let kept = self.chunks.iter().filter(|chunk| chunk.decision == Decision::Keep);
        kept.filter_map(ChunkPlan::goes_at).min()
    }

    /// A hold is what keeps chunks from ever going.
    pub fn is_held(&self) -> bool {
        self.next_going().is_none() && self.hold().is_some()
    }

    /// The first hold without an end.
    pub fn hold(&self) -> Option<&Reason> {
        let endless = |hold: &&Reason| matches!(hold, Reason::Held { expires_at: None, .. });
        self.chunks.iter().filter_map(ChunkPlan::hold).find(endless)
    }

    /// It has a policy, and nobody can say what the policy lets go.
    pub fn is_undecided(&self) -> bool {
        self.policy.is_some() && self.chunks.iter().any(|chunk| no_cutoff(chunk).is_some())
    }

    pub fn going(&self) -> impl Iterator<Item = &ChunkPlan> {
        self.chunks.iter().filter(|chunk| chunk.decision == Decision::Drop)
    }

    /// Chunks that the policy lets go and a guard does not, as one refusal. The others of the table may go.
    pub fn refused_chunks(&self) -> Option<Refusal> {
        let mut refused = self.chunks.iter().filter(|chunk| chunk.decision == Decision::Refuse);
        let first = refused.next()?;
        let more = match refused.count() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        Some(Refusal::new(
            GuardName::Dependants,
            format!(
                "{}{more} would go, but a guard keeps them: {}",
                first.chunk.label(),
                first.reason.sentence(&self.axis)
            ),
            "refresh the aggregate and shorten its policy's start_offset, or set `guards.continuous_aggregates = \"allow\"`",
        ))
    }

    /// True where the executor may touch this dataset; a cap may be overridden by a person.
    pub fn is_allowed(&self, caps_overridden: bool) -> bool {
        self.refusals.iter().all(|refusal| caps_overridden && refusal.is_cap())
    }

    pub fn bytes_going(&self) -> ByteCount {
        self.going().filter_map(|chunk| chunk.chunk.bytes()).sum()
    }

    pub fn bytes(&self) -> ByteCount {
        self.chunks.iter().filter_map(|chunk| chunk.chunk.bytes()).sum()
    }
}

impl Plan {
    /// What would go if nothing refused it.
    pub fn going(&self) -> usize {
        self.datasets.iter().map(|dataset| dataset.going().count()).sum()
    }

    /// What the executor may drop: nothing where the run itself is refused.
    pub fn allowed(&self, caps_overridden: bool) -> impl Iterator<Item = &DatasetPlan> {
        let run_allowed = self.refusals.is_empty();
        self.datasets.iter().filter(move |dataset| run_allowed && dataset.is_allowed(caps_overridden))
    }

    pub fn is_refused(&self) -> bool {
        let by_a_guard =
            |dataset: &DatasetPlan| !dataset.refusals.is_empty() || dataset.refused_chunks().is_some();
        !self.refusals.is_empty() || self.datasets.iter().any(by_a_guard)
    }
}

#[cfg(test)]
mod tests;

//! Which policy is in force for a dataset: the configuration's, the server's own, or the default.
//!
//! An exact name beats a pattern; two entries that match equally well are an error, because guessing
//! between two retentions can drop data. Invariant: what is resolved here is what `check` prints,
//! what `plan` uses and what the plan's hash covers.

use super::facts::{DatasetFacts, NativePolicy, NativeRule};
use super::policy::{DropAfter, Policy, PolicySource};
use super::rules::{PolicyRule, Rules};

/// The outcome of looking for a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolved {
    Policy(Policy),
    Nothing,
    /// Two entries of the configuration match equally well; their tables as written.
    Ambiguous(String, String),
}

pub fn resolve(rules: &Rules, dataset: &DatasetFacts) -> Resolved {
    match configured(&rules.policies, dataset) {
        Configured::One(rule) => from_rule(rule, rules, dataset),
        Configured::Two(first, second) => Resolved::Ambiguous(first, second),
        Configured::Nothing => native_or_default(rules, dataset),
    }
}

enum Configured<'a> {
    One(&'a PolicyRule),
    Two(String, String),
    Nothing,
}

fn configured<'a>(policies: &'a [PolicyRule], dataset: &DatasetFacts) -> Configured<'a> {
    let matching = |rule: &&PolicyRule| rule.table.as_ref().is_some_and(|table| table.matches(&dataset.name));
    let is_exact = |rule: &&PolicyRule| rule.table.as_ref().is_some_and(|table| table.exact_name().is_some());
    let (exact, patterns): (Vec<_>, Vec<_>) = policies.iter().filter(matching).partition(is_exact);
    let best = if exact.is_empty() { patterns } else { exact };
    match best.as_slice() {
        [] => Configured::Nothing,
        [one] => Configured::One(one),
        [first, second, ..] => Configured::Two(shown(first), shown(second)),
    }
}

fn shown(rule: &PolicyRule) -> String {
    rule.table.as_ref().map_or_else(|| "default".into(), ToString::to_string)
}

fn from_rule(rule: &PolicyRule, rules: &Rules, dataset: &DatasetFacts) -> Resolved {
    let take_over = rule.take_over_native || rules.take_over_native_policies;
    let drop_after = rule.drop_after.or_else(|| {
        // An entry that only says "take over" runs the native rule under our guards.
        (take_over && rule.keep_newest.is_none()).then(|| native_drop_after(dataset)).flatten()
    });
    if drop_after.is_none() && rule.keep_newest.is_none() {
        return native_or_default(rules, dataset);
    }
    Resolved::Policy(Policy {
        drop_after,
        keep_newest: rule.keep_newest,
        integer_unit: rule.integer_unit,
        take_over_native: take_over,
        source: rule.source.clone(),
    })
}

fn native_or_default(rules: &Rules, dataset: &DatasetFacts) -> Resolved {
    if let Some((native, drop_after)) = native_rule(dataset) {
        return Resolved::Policy(Policy {
            drop_after: Some(drop_after),
            keep_newest: None,
            integer_unit: None,
            take_over_native: rules.take_over_native_policies,
            source: PolicySource::NativeJob { job: native.job },
        });
    }
    match &rules.default_policy {
        // A native policy we cannot read still says that somebody else decides here.
        Some(rule) if dataset.native_policies.is_empty() => from_rule(rule, rules, dataset),
        _ => Resolved::Nothing,
    }
}

fn native_drop_after(dataset: &DatasetFacts) -> Option<DropAfter> {
    native_rule(dataset).map(|(_, drop_after)| drop_after)
}

fn native_rule(dataset: &DatasetFacts) -> Option<(&NativePolicy, DropAfter)> {
    dataset.native_policies.iter().find_map(|native| match native.rule {
        NativeRule::DropAfter(drop_after) => Some((native, drop_after)),
        NativeRule::Unsupported(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{dataset, days, rule};
    use super::*;

    fn native(job: i32, after: &str) -> NativePolicy {
        NativePolicy {
            job,
            scheduled: true,
            rule: NativeRule::DropAfter(days(after)),
            last_run_failed: false,
        }
    }

    fn resolved(rules: &Rules, dataset: &DatasetFacts) -> String {
        match resolve(rules, dataset) {
            Resolved::Policy(policy) => format!("{policy} from {}", policy.source),
            Resolved::Nothing => "nothing".into(),
            Resolved::Ambiguous(first, second) => format!("{first} or {second}"),
        }
    }

    #[test]
    fn an_exact_name_beats_a_pattern_and_a_pattern_the_default() {
        let mut rules = Rules { default_policy: Some(rule(None, Some("9 days"))), ..Rules::default() };
        let table = dataset("public.conditions");
        assert_eq!(resolved(&rules, &table), "drop after 9 days from default");
        rules.policies.push(rule(Some("public.*"), Some("5 days")));
        assert_eq!(resolved(&rules, &table), "drop after 5 days from configuration for public.*");
        rules.policies.push(rule(Some("public.conditions"), Some("2 days")));
        assert_eq!(resolved(&rules, &table), "drop after 2 days from configuration for public.conditions");
    }

    #[test]
    fn two_patterns_that_match_are_never_guessed_between() {
        let rules = Rules {
            policies: vec![
                rule(Some("public.*"), Some("5 days")),
                rule(Some("*.conditions"), Some("3 days")),
            ],
            ..Rules::default()
        };
        assert_eq!(resolved(&rules, &dataset("public.conditions")), "public.* or *.conditions");
    }

    #[test]
    fn a_native_job_comes_before_the_default_and_after_the_configuration() {
        let mut table = dataset("public.conditions");
        table.native_policies = vec![native(1001, "7 days")];
        let mut rules = Rules { default_policy: Some(rule(None, Some("9 days"))), ..Rules::default() };
        assert_eq!(resolved(&rules, &table), "drop after 7 days from TimescaleDB job 1001");
        rules.policies.push(rule(Some("public.conditions"), Some("2 days")));
        assert_eq!(resolved(&rules, &table), "drop after 2 days from configuration for public.conditions");
    }

    #[test]
    fn an_entry_that_only_takes_over_runs_the_native_rule() {
        let mut table = dataset("public.conditions");
        table.native_policies = vec![native(1001, "7 days")];
        let mut entry = rule(Some("public.conditions"), None);
        entry.take_over_native = true;
        let rules = Rules { policies: vec![entry], ..Rules::default() };
        assert_eq!(resolved(&rules, &table), "drop after 7 days from configuration for public.conditions");
    }

    #[test]
    fn a_native_policy_we_cannot_read_is_not_overruled_by_the_default() {
        let mut table = dataset("public.conditions");
        let rule_text = NativeRule::Unsupported("drop_created_before 5 days".into());
        table.native_policies = vec![NativePolicy { rule: rule_text, ..native(1, "1 day") }];
        let rules = Rules { default_policy: Some(rule(None, Some("9 days"))), ..Rules::default() };
        assert_eq!(resolved(&rules, &table), "nothing");
    }
}

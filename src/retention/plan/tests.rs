use super::super::facts::{NativePolicy, OtherDrop};
use super::super::policy::PolicySource;
use super::super::rules::{OnDependants, PolicyRule};
use super::super::testing::{daily, days, rule, store};
use super::*;

fn drawing() -> Drawing {
    Drawing { id: Uuid::nil(), made_by: "timesweep test".into(), store: StoreName("main".into()) }
}

fn rules(policies: Vec<PolicyRule>) -> Rules {
    Rules { policies, ..Rules::default() }
}

fn guards_of(dataset: &DatasetPlan) -> Vec<GuardName> {
    dataset.refusals.iter().map(|refusal| refusal.guard).collect()
}

#[test]
fn every_chunk_of_every_dataset_has_a_decision() {
    let facts = store(vec![daily("a", 10), daily("b", 4)]);
    let plan = draw(drawing(), &facts, &rules(vec![rule(Some("public.a"), Some("6 days"))]), &[], None);
    assert_eq!(plan.datasets.iter().map(|d| d.chunks.len()).sum::<usize>(), 14);
    assert_eq!(plan.going(), 3);
    assert!(!plan.is_refused());
    assert_eq!(plan.allowed(false).map(DatasetPlan::bytes_going).sum::<ByteCount>(), ByteCount(3_000));
}

#[test]
fn a_refused_run_allows_nothing() {
    let mut facts = store(vec![daily("a", 10)]);
    facts.other_drops.push(OtherDrop {
        pid: 1,
        role: "r".into(),
        backend: "b".into(),
        statement: "s".into(),
    });
    let plan = draw(drawing(), &facts, &rules(vec![rule(Some("public.a"), Some("6 days"))]), &[], None);
    assert_eq!(plan.allowed(true).count(), 0);
    assert_eq!(plan.going(), 3, "the preview still shows what would go");
}

#[test]
fn a_cap_refuses_its_table_alone_and_can_be_overridden() {
    let facts = store(vec![daily("a", 10), daily("b", 10)]);
    let policies = vec![rule(Some("public.a"), Some("1 day")), rule(Some("public.b"), Some("7 days"))];
    let plan = draw(drawing(), &facts, &rules(policies), &[], None);
    assert_eq!(guards_of(&plan.datasets[0]), [GuardName::CapBytes]);
    assert_eq!(plan.allowed(false).count(), 1);
    assert_eq!(plan.allowed(true).count(), 2);
}

#[test]
fn a_table_that_is_managed_twice_is_refused_and_no_override_helps() {
    let mut table = daily("a", 10);
    let native = NativePolicy {
        job: 1000,
        scheduled: true,
        rule: NativeRule::DropAfter(days("6 days")),
        last_run_failed: false,
    };
    table.native_policies = vec![native];
    let facts = store(vec![table]);
    let plan = draw(drawing(), &facts, &rules(vec![rule(Some("public.a"), Some("6 days"))]), &[], None);
    assert_eq!(guards_of(&plan.datasets[0]), [GuardName::PolicyOwner]);
    assert_eq!(plan.allowed(true).count(), 0);
    let only_native = draw(drawing(), &facts, &rules(vec![]), &[], None);
    assert_eq!(guards_of(&only_native.datasets[0]), [GuardName::PolicyOwner]);
    assert_eq!(
        only_native.datasets[0].policy.as_ref().map(|p| &p.source),
        Some(&PolicySource::NativeJob { job: 1000 })
    );
    let taken_over = Rules { take_over_native_policies: true, ..rules(vec![]) };
    assert_eq!(draw(drawing(), &facts, &taken_over, &[], None).allowed(false).count(), 1);
}

#[test]
fn two_policies_that_match_equally_refuse_the_table() {
    let facts = store(vec![daily("ab", 10)]);
    let policies = vec![rule(Some("public.a*"), Some("6 days")), rule(Some("public.*b"), Some("3 days"))];
    let plan = draw(drawing(), &facts, &rules(policies), &[], None);
    assert_eq!(guards_of(&plan.datasets[0]), [GuardName::AmbiguousPolicy]);
    assert_eq!(plan.going(), 0);
}

#[test]
fn a_table_without_a_policy_is_never_refused() {
    let mut table = daily("a", 3);
    table.relations_in_catalog = 99;
    table.droppable_by_us = false;
    assert!(!draw(drawing(), &store(vec![table]), &rules(vec![]), &[], None).is_refused());
}

#[test]
fn the_hash_changes_with_every_rule_that_can_change_a_decision() {
    let base = rules(vec![rule(Some("public.a"), Some("6 days"))]);
    let mut longer = base.clone();
    longer.policies = vec![rule(Some("public.a"), Some("7 days"))];
    let mut capped = base.clone();
    capped.caps.chunks = 1;
    let mut zone = base.clone();
    zone.zone = TimeZone::get("Europe/Berlin").expect("zone");
    let mut unguarded = base.clone();
    unguarded.guards.continuous_aggregates = OnDependants::Allow;
    let mut skewed = base.clone();
    skewed.guards.max_clock_skew += 1;
    let mut with_default = base.clone();
    with_default.default_policy = Some(rule(None, Some("6 days")));
    let mut taking_over = base.clone();
    taking_over.take_over_native_policies = true;
    for other in [&longer, &capped, &zone, &unguarded, &skewed, &with_default, &taking_over] {
        assert_ne!(rules_hash(&base), rules_hash(other), "{other:?}");
    }
    assert_eq!(rules_hash(&base), rules_hash(&base.clone()));
}

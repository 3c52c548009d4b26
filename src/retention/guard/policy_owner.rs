//! One table, one owner of its retention: a table that the server's own policy job manages as well is
//! refused until the configuration takes it over.

use super::{GuardName, Refusal};
use crate::retention::facts::{DatasetFacts, NativeRule, SERVER_ITSELF};
use crate::retention::policy::Policy;

pub fn managed_twice(dataset: &DatasetFacts, policy: Option<&Policy>) -> Option<Refusal> {
    let native = dataset.native_policies.first()?;
    if policy?.take_over_native {
        return None;
    }
    let rule = match &native.rule {
        NativeRule::DropAfter(after) => format!("drop after {after}"),
        NativeRule::Unsupported(text) => text.clone(),
    };
    let (who, remove) = match native.job {
        SERVER_ITSELF => {
            ("the server itself".into(), "switch that off with ALTER RETENTION POLICY … DURATION INF")
        }
        job => (format!("TimescaleDB job {job}"), "remove the job with remove_retention_policy()"),
    };
    Some(Refusal::new(
        GuardName::PolicyOwner,
        format!("{who} manages it, too ({rule})"),
        format!("set `take_over_native_policy = true` in the table's policy, or {remove}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retention::facts::NativePolicy;
    use crate::retention::policy::PolicySource;
    use crate::retention::testing::{daily, days};

    #[test]
    fn a_native_job_refuses_unless_taken_over() {
        let mut policy = Policy {
            drop_after: Some(days("3 days")),
            keep_newest: None,
            integer_unit: None,
            take_over_native: false,
            source: PolicySource::CommandLine,
        };
        let mut table = daily("t", 3);
        assert_eq!(managed_twice(&table, Some(&policy)), None);
        let rule = NativeRule::DropAfter(days("5 days"));
        table.native_policies =
            vec![NativePolicy { job: 1003, scheduled: true, rule, last_run_failed: false }];
        assert_eq!(managed_twice(&table, None), None, "without a policy of ours nothing is managed twice");
        let refusal = managed_twice(&table, Some(&policy)).expect("refused");
        assert_eq!(refusal.sentence, "TimescaleDB job 1003 manages it, too (drop after 5 days)");
        let job = std::mem::replace(&mut table.native_policies[0].job, SERVER_ITSELF);
        let refusal = managed_twice(&table, Some(&policy)).expect("refused");
        assert!(refusal.sentence.starts_with("the server itself manages it"), "{}", refusal.sentence);
        table.native_policies[0].job = job;
        policy.take_over_native = true;
        assert_eq!(managed_twice(&table, Some(&policy)), None);
    }
}

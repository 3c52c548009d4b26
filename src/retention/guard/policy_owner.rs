//! One table, one owner of its retention: a table that the server's own policy job manages as well is
//! refused until the configuration takes it over.

use super::{GuardName, Refusal};
use crate::retention::facts::{DatasetFacts, NativeRule};
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
    Some(Refusal::new(
        GuardName::PolicyOwner,
        format!("TimescaleDB job {} manages it, too ({rule})", native.job),
        "set `take_over_native_policy = true` in the table's policy, or remove the job with remove_retention_policy()",
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
        policy.take_over_native = true;
        assert_eq!(managed_twice(&table, Some(&policy)), None);
    }
}

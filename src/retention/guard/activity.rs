//! Ends a run as busy while somebody else drops chunks: a client, a procedure, or a background policy job.

use super::{GuardName, Refusal};
use crate::retention::facts::OtherDrop;

pub fn another_drop_is_running(others: &[OtherDrop]) -> Option<Refusal> {
    let first = others.first()?;
    let more = match others.len() {
        1 => String::new(),
        count => format!(" and {} more", count - 1),
    };
    Some(Refusal::new(
        GuardName::Activity,
        format!(
            "another drop is running: process {} of role {} ({}): {}{more}",
            first.pid, first.role, first.backend, first.statement
        ),
        "try again when it has ended",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_drop_is_named_and_means_busy() {
        assert_eq!(another_drop_is_running(&[]), None);
        let other = OtherDrop {
            pid: 42,
            role: "app".into(),
            backend: "Retention Policy [1006]".into(),
            statement: "CALL _timescaledb_functions.policy_retention()".into(),
        };
        let refusal = another_drop_is_running(&[other.clone(), other]).expect("refused");
        assert!(refusal.is_busy());
        assert!(refusal.sentence.contains("process 42 of role app"));
        assert!(refusal.sentence.ends_with("and 1 more"));
    }
}

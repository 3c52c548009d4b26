//! Says before the run what the server would refuse during it: only the owner may drop chunks.

use super::{GuardName, Refusal};
use crate::retention::facts::DatasetFacts;
use crate::retention::name::quote_identifier;

pub fn not_the_owner(dataset: &DatasetFacts, role: &str) -> Option<Refusal> {
    (!dataset.droppable_by_us).then(|| {
        Refusal::new(
            GuardName::Privilege,
            format!("it belongs to role {}, and {role} is no member of it", dataset.owner),
            format!(
                "GRANT {} TO {}; or, where that role may do more than it should, give the table to another one by ALTER TABLE … OWNER TO",
                quote_identifier(&dataset.owner),
                quote_identifier(role)
            ),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retention::testing::daily;

    #[test]
    fn the_grant_that_helps_is_spelled_out() {
        assert_eq!(not_the_owner(&daily("t", 1), "sweeper"), None);
        let foreign = DatasetFacts { droppable_by_us: false, owner: "a\"b".into(), ..daily("t", 1) };
        let refusal = not_the_owner(&foreign, "sweeper").expect("refused");
        assert!(refusal.way_out.starts_with("GRANT \"a\"\"b\" TO \"sweeper\";"), "{}", refusal.way_out);
    }
}

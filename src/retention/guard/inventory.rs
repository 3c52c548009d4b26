//! Refuses to act on an inventory that cannot be complete: an error is never a reason to delete.
//!
//! The listing of chunks is compared with an independent count of the catalog, and ranges have to make
//! sense. A standby is refused here as well: what it shows may be old, and it cannot drop.

use super::{GuardName, Refusal};
use crate::retention::facts::DatasetFacts;

pub fn implausible(dataset: &DatasetFacts) -> Option<Refusal> {
    incomplete_listing(dataset).or_else(|| impossible_ranges(dataset)).or_else(|| same_chunk_twice(dataset))
}

pub fn standby(read_only: bool) -> Option<Refusal> {
    read_only.then(|| {
        Refusal::new(
            GuardName::ReadOnly,
            "the server is a standby or read-only",
            "connect to the primary, or switch `default_transaction_read_only` off",
        )
    })
}

fn incomplete_listing(dataset: &DatasetFacts) -> Option<Refusal> {
    let (listed, counted) = (dataset.relations_listed(), dataset.relations_in_catalog);
    (listed != counted).then(|| {
        Refusal::new(
            GuardName::Inventory,
            format!("{listed} chunks are listed, but the catalog has {counted}"),
            "look for chunks that were made or removed by hand; nothing is dropped while the two differ",
        )
    })
}

fn impossible_ranges(dataset: &DatasetFacts) -> Option<Refusal> {
    let bad = dataset.chunks.iter().find(|chunk| !chunk.range.is_well_formed())?;
    Some(Refusal::new(
        GuardName::Inventory,
        format!("the range of {} ends before it starts", bad.label()),
        "report this: the catalog is damaged or of a version that is not understood",
    ))
}

fn same_chunk_twice(dataset: &DatasetFacts) -> Option<Refusal> {
    let mut oids: Vec<u32> = dataset.chunks.iter().flat_map(|c| c.parts.iter().map(|p| p.oid)).collect();
    oids.sort_unstable();
    let twice = oids.windows(2).any(|pair| pair[0] == pair[1]);
    twice.then(|| {
        Refusal::new(
            GuardName::Inventory,
            "a chunk is listed twice",
            "report this: the catalog is damaged or of a version that is not understood",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retention::testing::{chunk, daily};

    #[test]
    fn an_inventory_that_cannot_be_true_is_refused() {
        assert_eq!(implausible(&daily("t", 5)), None);
        let missing = DatasetFacts { relations_in_catalog: 6, ..daily("t", 5) };
        assert!(
            implausible(&missing)
                .expect("refused")
                .sentence
                .contains("5 chunks are listed, but the catalog has 6")
        );
        let empty = DatasetFacts { chunks: Vec::new(), ..daily("t", 5) };
        assert!(implausible(&empty).is_some());
        let mut backwards = daily("t", 1);
        backwards.chunks[0] = chunk(1, 2, 1);
        assert!(implausible(&backwards).is_some());
        let mut twice = daily("t", 2);
        twice.chunks[1].parts[0].oid = twice.chunks[0].parts[0].oid;
        assert!(implausible(&twice).is_some());
    }

    #[test]
    fn a_standby_is_refused() {
        assert_eq!(standby(false), None);
        assert_eq!(standby(true).expect("refused").guard, GuardName::ReadOnly);
    }
}

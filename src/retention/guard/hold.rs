//! Keeps what a person has pinned, with author, reason and expiry.

use crate::retention::facts::Hold;
use crate::retention::model::Chunk;
use crate::retention::name::DatasetName;
use crate::retention::reason::Reason;

/// The hold that keeps a chunk, if there is one. `now` in microseconds since 1970 UTC: a hold that has
/// expired by the store's clock does not count any more.
pub fn held(dataset: &DatasetName, chunk: &Chunk, holds: &[Hold], now: i64) -> Option<Reason> {
    let keeps = |hold: &&Hold| {
        let pins = match &hold.chunk {
            // By its own name alone: the table may have been renamed since.
            Some(name) => chunk.parts.iter().any(|part| part.relation == *name),
            None => hold.dataset == *dataset,
        };
        pins && hold.expires_at.is_none_or(|at| at > now)
    };
    // The one that lasts longest says until when; one without an end lasts longest.
    let lasts = |hold: &&Hold| (hold.expires_at.is_none(), hold.expires_at);
    holds.iter().filter(keeps).max_by_key(lasts).map(|hold| Reason::Held {
        hold: hold.id,
        author: hold.author.clone(),
        because: hold.reason.clone(),
        expires_at: hold.expires_at,
        set_on: hold.set_on.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retention::name::RelationName;
    use crate::retention::testing::{NOW, chunk, part};

    fn hold(dataset: &str, chunk: Option<RelationName>, expires_at: Option<i64>) -> Hold {
        let dataset = dataset.parse().expect("name");
        Hold { id: 1, dataset, chunk, author: "ann".into(), reason: "audit".into(), expires_at, set_on: None }
    }

    #[test]
    fn of_several_holds_the_one_that_lasts_longest_counts() {
        let table: DatasetName = "public.t".parse().expect("name");
        let until = |ends: &[Option<i64>]| {
            let holds: Vec<Hold> = ends.iter().map(|end| hold("public.t", None, *end)).collect();
            match held(&table, &chunk(1, -2, -1), &holds, NOW) {
                Some(Reason::Held { expires_at, .. }) => expires_at,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(until(&[Some(NOW + 1), Some(NOW + 9), Some(NOW + 5)]), Some(NOW + 9));
        assert_eq!(until(&[Some(NOW + 1), None, Some(NOW + 5)]), None);
    }

    #[test]
    fn a_hold_pins_a_chunk_or_a_whole_dataset_until_it_expires() {
        let table: DatasetName = "public.t".parse().expect("name");
        let mut pinned = chunk(1, -2, -1);
        pinned.parts.push(part(2, 5));
        let second_part = Some(part(2, 0).relation);
        let cases = [
            (hold("public.t", None, None), true),
            (hold("public.other", None, None), false),
            (hold("public.t", second_part.clone(), None), true),
            (hold("public.name_before_it_was_renamed", second_part, None), true),
            (hold("public.t", Some(part(3, 0).relation), None), false),
            (hold("public.t", None, Some(NOW + 1)), true),
            (hold("public.t", None, Some(NOW)), false),
        ];
        for (hold, keeps) in cases {
            assert_eq!(held(&table, &pinned, std::slice::from_ref(&hold), NOW).is_some(), keeps, "{hold:?}");
        }
    }
}

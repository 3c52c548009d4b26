//! The pages of every list hold what the whole ledger holds, and what is known of one dataset is what the
//! ledger knows of it.

use std::collections::BTreeSet;

use timesweep::registry::Registry;
use timesweep::registry::pages::{self, Listed};
use timesweep::retention::ownership::{JobId, Ledger, OwnedName};

const LISTS: [Listed; 3] = [Listed::Known, Listed::Marked, Listed::Held];

/// What a person can see of these: instants of rows that nobody has taken in yet are those of the question.
fn shown(ledger: &Ledger, names: &[OwnedName]) -> Vec<String> {
    let one = |name: &OwnedName| {
        let row = ledger.rows.get(name).map(|row| (row.job, row.mark.as_ref().map(|mark| mark.announced)));
        let claims: Vec<JobId> = ledger.claims.of(name).iter().map(|claim| claim.job).collect();
        let seen = ledger.datasets.get(name);
        format!("{name:?} {row:?} {claims:?} {:?} {seen:?} {:?}", ledger.owners(name), ledger.holds.get(name))
    };
    names.iter().map(one).collect()
}

pub async fn say_what_the_ledger_says(registry: &dyn Registry, now: i64) {
    let ledger = registry.ledger().await.expect("the ledger");
    for listed in LISTS {
        let expected = pages::page(&ledger, listed, None, usize::MAX, now).names;
        for limit in [1, 2, expected.len().max(1), 100] {
            let found = walk(registry, listed, limit, now, &ledger).await;
            assert_eq!(found, expected, "{listed:?} by {limit}");
        }
        for odd in ["", "\0", "a\0", "b\u{1}", "zzz", "\u{10ffff}"] {
            let page = registry.page(listed, Some(odd), 3, now).await.expect("a page");
            assert_eq!(page.names, pages::page(&ledger, listed, Some(odd), 3, now).names, "{odd:?}");
        }
    }
    for job in ledger.deleted_jobs.keys().chain(ledger.jobs.keys()) {
        let part = registry.about(&[], &[*job]).await.expect("a part");
        let claimed: Vec<&OwnedName> = ledger.claims.by(*job).collect();
        assert_eq!(part.claims.by(*job).collect::<Vec<_>>(), claimed);
        assert_eq!(part.deleted_jobs.get(job), ledger.deleted_jobs.get(job));
        let claimed: Vec<OwnedName> = claimed.into_iter().cloned().collect();
        assert_eq!(shown(&part, &claimed), shown(&ledger, &claimed), "{job:?}");
    }
    let nothing = [OwnedName("nobody's".into()), OwnedName("a\0".into())];
    assert_eq!(
        shown(&registry.about(&nothing, &[]).await.expect("a part"), &nothing),
        shown(&ledger, &nothing)
    );
}

/// Where nobody writes beside us: a deletion by others counts from the next check on.
pub async fn list_the_tombstones_of_the_ledger(registry: &dyn Registry) {
    let ledger = registry.ledger().await.expect("the ledger");
    let expected: Vec<(JobId, i64)> = ledger.tombstones.iter().map(|(job, at)| (*job, *at)).collect();
    for limit in [1, 2, 100] {
        assert_eq!(walk_tombstones(registry, limit).await, expected);
    }
}

/// Follows the pages of a list to its end.
async fn walk(
    registry: &dyn Registry,
    listed: Listed,
    limit: usize,
    now: i64,
    ledger: &Ledger,
) -> Vec<OwnedName> {
    let mut found: Vec<OwnedName> = Vec::new();
    loop {
        let after = found.last().map(|name| name.0.clone());
        let page = registry.page(listed, after.as_deref(), limit, now).await.expect("a page");
        assert!(page.names.len() <= limit);
        assert_eq!(shown(&page.ledger, &page.names), shown(ledger, &page.names), "{listed:?} by {limit}");
        let about = registry.about(&page.names, &[]).await.expect("a part");
        assert_eq!(shown(&about, &page.names), shown(ledger, &page.names), "{listed:?} by {limit}");
        found.extend(page.names.iter().cloned());
        if page.names.len() < limit {
            let each: BTreeSet<&OwnedName> = found.iter().collect();
            assert_eq!(each.len(), found.len(), "each once");
            return found;
        }
    }
}

async fn walk_tombstones(registry: &dyn Registry, limit: usize) -> Vec<(JobId, i64)> {
    let mut found: Vec<(JobId, i64)> = Vec::new();
    loop {
        let after = found.last().map(|(job, _)| job.0.to_string());
        let page = registry.tombstones(after.as_deref(), limit).await.expect("deleted jobs");
        found.extend(&page);
        if page.len() < limit {
            return found;
        }
    }
}

//! The contract of `store/owned.rs`, one test a promise.

use std::time::Duration;

use timesweep::problem::Kind;
use timesweep::retention::ownership::OwnedName;
use timesweep::store::owned::{DropTrouble, ListedDataset, OwnedStore};

use super::ground::{Ground, named, our_names, ours};
use crate::tcp_proxy::Mode;

/// Writes one test per promise and per ground.
macro_rules! on_every_ground {
    ($($promise:ident)*) => {
        mod in_memory {
            use super::super::memory::InMemory;
            $(#[tokio::test] async fn $promise() { super::$promise(&InMemory::new()).await; })*
        }
        mod on_influx {
            use super::super::influx::OnInflux;
            $(#[tokio::test] async fn $promise() {
                let ground = OnInflux::new();
                super::$promise(&ground).await;
                ground.clean().await;
            })*
        }
        mod on_schemas {
            use super::super::schemas::OnSchemas;
            $(#[tokio::test] async fn $promise() { super::$promise(&OnSchemas::new().await).await; })*
        }
    };
}

on_every_ground! {
    the_list_is_complete_and_a_look_agrees_with_it
    one_among_look_alikes_goes_and_nothing_else
    what_is_missing_is_gone
    a_name_is_a_name_whatever_its_letters_are
    a_write_is_told_and_standing_still_is_not
    whoever_asks_is_told_the_same
    a_store_that_is_out_of_reach_is_an_error_and_no_empty_list
    an_answer_that_is_cut_anywhere_is_an_error_and_no_shorter_list
    a_drop_whose_answer_is_lost_is_never_called_gone_unless_it_is
    a_store_stays_the_same_store
}

/// Each differs from the first in one thing that somebody could get wrong.
const LOOK_ALIKES: [&str; 12] =
    ["ab", "AB", "aB", "a", "abc", "a b", "ab ", "a\"b", "\"ab\"", "a'b", "ab\"; DROP DATABASE x; --", "a%b"];

/// With `t_` before it the longest name that PostgreSQL has.
const LONGEST: &str = "llllllllllllllllllllllllllllllllllllllllllllllllllllllllllll1";

/// Letters that a store may refuse in a name.
const ODD: [&str; 9] = [LONGEST, "ü表😀", "a\\b", "a\nb", "a/b", "..", "a.b", "a$b", "a\tb"];

async fn make(ground: &dyn Ground, names: &[&str]) -> Vec<OwnedName> {
    let names = names.iter().map(|rest| named(ground, rest));
    let mut names: Vec<OwnedName> = names.filter(|name| ground.allows(name)).collect();
    for name in &names {
        ground.create(name).await;
    }
    names.sort();
    names
}

async fn the_list_is_complete_and_a_look_agrees_with_it(ground: &dyn Ground) {
    let names = make(ground, &["one", "two", "three"]).await;
    assert_eq!(our_names(ground).await, names);
    let store = ground.store();
    for listed in ours(ground, store.as_ref()).await {
        let look = store.look(&listed.name).await.expect("a look").expect("it is there");
        assert_eq!(look.sighting(), listed.sighting());
        ground.write(&listed.name).await;
    }
    crate::support::eventually("a look tells a write as the list does", async || {
        let listed = ours(ground, store.as_ref()).await;
        let mut agree = true;
        for listed in &listed {
            let look = store.look(&listed.name).await.expect("a look").expect("it is there");
            agree &= look.sighting() == listed.sighting();
        }
        agree
    })
    .await;
    assert_eq!(store.look(&named(ground, "four")).await.expect("a look"), None);
}

async fn one_among_look_alikes_goes_and_nothing_else(ground: &dyn Ground) {
    let mut names = make(ground, &LOOK_ALIKES).await;
    assert!(names.len() >= 9, "{names:?}");
    assert_eq!(our_names(ground).await, names);
    while let Some(next) = names.pop() {
        assert_eq!(looked_at(ground, &next).await, Some(next.clone()));
        ground.store().drop_dataset(&next).await.expect("dropped");
        assert_eq!(looked_at(ground, &next).await, None);
        assert_eq!(our_names(ground).await, names, "without {next:?}");
    }
}

/// What a look at this name finds, by the name that the store gives it.
async fn looked_at(ground: &dyn Ground, name: &OwnedName) -> Option<OwnedName> {
    ground.store().look(name).await.expect("a look").map(|found| found.name)
}

async fn what_is_missing_is_gone(ground: &dyn Ground) {
    let names = make(ground, &["ab"]).await;
    for missing in ["nothing", "AB", "", "ab\0", &"n".repeat(64 << 10)] {
        let missing = named(ground, missing);
        let answer = ground.store().drop_dataset(&missing).await;
        // Where a name cannot even be written, nothing is sent.
        let refused = matches!(answer, Err(DropTrouble::Refused { .. })) && missing.0.contains('\0');
        assert!(answer.is_ok() || refused, "{answer:?}");
        assert_eq!(ground.store().look(&missing).await, Ok(None));
    }
    ground.store().drop_dataset(&names[0]).await.expect("dropped");
    ground.store().drop_dataset(&names[0]).await.expect("still gone");
    assert!(our_names(ground).await.is_empty());
}

async fn a_name_is_a_name_whatever_its_letters_are(ground: &dyn Ground) {
    let mut names = make(ground, &ODD).await;
    assert!(names.len() >= 2, "{names:?}");
    assert_eq!(our_names(ground).await, names);
    // A longer name than any store has must not be cut to one that is there.
    for more in ["x", &"x".repeat(64 << 10)] {
        let cut = named(ground, &format!("{LONGEST}{more}"));
        assert_eq!(ground.store().look(&cut).await, Ok(None));
        ground.store().drop_dataset(&cut).await.expect("nothing of that name is there");
        assert_eq!(our_names(ground).await, names);
    }
    while let Some(next) = names.pop() {
        assert_eq!(looked_at(ground, &next).await, Some(next.clone()));
        ground.store().drop_dataset(&next).await.expect("dropped");
        assert_eq!(our_names(ground).await, names, "without {next:?}");
    }
}

async fn a_write_is_told_and_standing_still_is_not(ground: &dyn Ground) {
    let names = make(ground, &["still", "written"]).await;
    let changes = async || {
        let listed = ours(ground, ground.store().as_ref()).await;
        listed.iter().map(ListedDataset::sighting).collect::<Vec<_>>()
    };
    // A server may count a write a moment after it.
    let settled = async || {
        let mut last = changes().await;
        loop {
            tokio::time::sleep(Duration::from_millis(1200)).await;
            let now = changes().await;
            if now == last {
                return now;
            }
            last = now;
        }
    };
    let before = settled().await;
    ground.write(&names[1]).await;
    crate::support::eventually("the write is told", async || changes().await[1] != before[1]).await;
    let after = settled().await;
    assert_eq!(after[0], before[0], "nobody wrote there");
    assert_ne!(after[1], before[1], "it is told from then on");
}

async fn whoever_asks_is_told_the_same(ground: &dyn Ground) {
    let names = make(ground, &["one", "two"]).await;
    let told = async |store: &dyn OwnedStore| {
        ours(ground, store).await.iter().map(ListedDataset::sighting).collect::<Vec<_>>()
    };
    ground.write(&names[0]).await;
    let store = ground.store();
    // A server may count a write a moment after it.
    let mut last = told(store.as_ref()).await;
    crate::support::eventually("nothing changes any more", async || {
        tokio::time::sleep(Duration::from_millis(1200)).await;
        let before = std::mem::replace(&mut last, told(store.as_ref()).await);
        before == last
    })
    .await;
    assert_eq!(told(ground.another_process().as_ref()).await, last, "nobody remembers anything here");
}

async fn a_store_that_is_out_of_reach_is_an_error_and_no_empty_list(ground: &dyn Ground) {
    let store = ground.unreachable().await;
    let problem = store.list().await.expect_err("nobody answers");
    assert_eq!(problem.kind, Kind::Unreachable, "{problem}");
}

async fn an_answer_that_is_cut_anywhere_is_an_error_and_no_shorter_list(ground: &dyn Ground) {
    let names = make(ground, &["a", "b", "c", "d"]).await;
    let Some((store, proxy)) = ground.behind_proxy().await else { return };
    ours(ground, store.as_ref()).await;
    proxy.set(Mode::Pass);
    ours(ground, store.as_ref()).await;
    let whole = proxy.answered();
    assert!(whole > 100, "the proxy is in between");
    let mut failed = 0;
    for cut in (0..whole).step_by((whole / 40).max(1)) {
        proxy.set(Mode::CutAfter(cut));
        match store.list().await {
            Ok(list) => {
                let there = |name: &OwnedName| list.iter().any(|dataset| dataset.name == *name);
                assert!(names.iter().all(there), "shorter after {cut} of {whole} bytes");
            }
            Err(_) => failed += 1,
        }
    }
    assert!(failed > 30, "only {failed} of the cut answers were errors");
    proxy.set(Mode::Pass);
    assert_eq!(ours(ground, store.as_ref()).await.len(), names.len(), "it works again");
}

async fn a_drop_whose_answer_is_lost_is_never_called_gone_unless_it_is(ground: &dyn Ground) {
    let names = make(ground, &["a", "b", "c"]).await;
    let Some((store, proxy)) = ground.behind_proxy().await else { return };
    let sent = ["COMMIT", "DROP+DATABASE"];
    let modes = [Mode::CutAfter(0), Mode::CutAfter(60), Mode::CutOnceAfter(0), Mode::CutOnceAfter(60)];
    for mode in modes.into_iter().chain(sent.map(Mode::BreakBefore)).chain(sent.map(Mode::BreakBehind)) {
        ground.create_again(&names[0]).await;
        proxy.set(mode);
        let answer = store.drop_dataset(&names[0]).await;
        let listed = our_names(ground).await.contains(&names[0]);
        match answer {
            Ok(()) => assert!(!listed, "{mode:?} said gone"),
            Err(DropTrouble::Refused { message, .. }) => assert!(listed, "{mode:?}: {message}"),
            Err(DropTrouble::Unknown(_)) => {}
        }
    }
    proxy.set(Mode::Pass);
    store.drop_dataset(&names[0]).await.expect("gone");
    assert_eq!(our_names(ground).await, names[1..]);
}

async fn a_store_stays_the_same_store(ground: &dyn Ground) {
    let identity = ground.store().identity().await.expect("an identity");
    make(ground, &["a"]).await;
    assert_eq!(ground.store().identity().await, Ok(identity));
    ground.store().advice().await.expect("advice");
}

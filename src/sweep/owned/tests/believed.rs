//! A store that lost everything: what a person has to say once, and how slowly registrations are forgotten.

use super::*;

fn believing(ground: &Ground, yes: bool) -> Ground {
    let mut settings = ground.settings.clone();
    settings.check.accept_empty = yes;
    Ground {
        store: ground.store.clone(),
        registry: ground.registry.clone(),
        journal: ground.journal.clone(),
        hour: ground.hour,
        settings,
    }
}

/// So many datasets that belong to jobs, seen by a check; and then the store has none of them.
async fn emptied(count: u128) -> Ground {
    let mut ground = Ground::default();
    for number in 1..=count {
        ground.write(number);
        ground.succeed(number, number);
    }
    ground.run().await;
    (1..=count).for_each(|number| ground.store.vanish(&name(number)));
    ground.later(1);
    ground
}

fn counts(report: &Report) -> (usize, usize) {
    (owned(report).count(Standing::Forgotten), owned(report).count(Standing::Absent))
}

fn registered(ground: &Ground) -> usize {
    ground.registry.change(|ledger| ledger.rows.len())
}

#[tokio::test]
async fn a_store_that_lost_everything_is_refused_until_a_person_says_that_it_is_true() {
    let mut ground = emptied(3).await;
    let before = ground.registry.change(|ledger| ledger.clone());
    let refused = ground.run().await;
    assert_eq!(refused.verdict, Verdict::Refused);
    assert!(text::render(&refused).contains("timesweep run --apply --accept-empty"));
    assert_eq!(ground.registry.change(|ledger| ledger.clone()), before);
    let believed = believing(&ground, true).run().await;
    assert_eq!((believed.verdict, counts(&believed)), (Verdict::NothingToDo, (0, 3)));
    // What was said is remembered of these three; their registrations last as long as any other one without data.
    ground.later(48);
    assert_eq!(counts(&ground.run().await), (0, 3));
    ground.later(1);
    assert_eq!((counts(&ground.run().await), registered(&ground)), ((3, 0), 0));
    ground.write(2);
    ground.later(1);
    assert_eq!(owned(&ground.run().await).count(Standing::Recovered), 1, "its job was never deleted");
}

#[tokio::test]
async fn what_a_person_says_of_an_empty_store_holds_for_one_pass() {
    let mut ground = emptied(3).await;
    believing(&ground, true).run().await;
    ground.later(1);
    ground.write(9);
    ground.succeed(9, 9);
    ground.run().await;
    ground.store.vanish(&name(9));
    for _ in 0..60 {
        ground.later(1);
        assert_eq!(ground.run().await.verdict, Verdict::Refused);
    }
    assert_eq!(registered(&ground), 4, "a pass that is refused forgets nothing");
}

#[tokio::test]
async fn a_cap_lets_registrations_be_forgotten_a_few_at_a_time() {
    for (count, most) in [(12, 5), (40, 10)] {
        let mut ground = emptied(count).await;
        believing(&ground, true).run().await;
        ground.later(49);
        let mut left = usize::try_from(count).expect("a count");
        assert_eq!(counts(&ground.run().await), (most, left - most), "of {count}");
        left -= most;
        while left > 0 {
            ground.later(1);
            let (forgotten, absent) = counts(&ground.run().await);
            assert!(
                forgotten > 0 && forgotten <= most && forgotten + absent == left,
                "{forgotten} of {left}"
            );
            left -= forgotten;
        }
        assert_eq!(registered(&ground), 0);
    }
}

/// All but one of these are missing: more than a pass believes by itself.
async fn almost_emptied(count: u128) -> Ground {
    let mut ground = emptied(count).await;
    ground.write(1);
    ground.later(1);
    ground
}

#[tokio::test]
async fn a_store_that_lacks_much_is_refused_with_the_way_out_that_ends_it() {
    let mut ground = almost_emptied(12).await;
    let before = ground.registry.change(|ledger| ledger.clone());
    let refused = ground.run().await;
    assert_eq!(refused.verdict, Verdict::Refused);
    let said = text::render(&refused);
    assert!(said.contains("11 registered datasets are missing at once, and 5 may be"), "{said}");
    assert!(said.contains("timesweep run --apply --accept-empty"), "{said}");
    assert_eq!(ground.registry.change(|ledger| ledger.clone()), before);
    let believed = believing(&ground, true).run().await;
    assert_eq!((believed.verdict, counts(&believed)), (Verdict::NothingToDo, (0, 11)));
    assert_eq!(owned(&believed).count(Standing::Owned), 1, "what is there is nobody's loss");
    ground.later(1);
    assert_eq!(ground.run().await.verdict, Verdict::NothingToDo, "nobody is asked again about these");
    // The next loss is another matter.
    for number in 20..=31 {
        ground.write(number);
        ground.succeed(number, number);
    }
    ground.run().await;
    (20..=31).for_each(|number| ground.store.vanish(&name(number)));
    ground.later(1);
    assert_eq!(ground.run().await.verdict, Verdict::Refused);
}

/// A person who is wrong about the server loses registrations, and never data.
#[tokio::test]
async fn what_was_believed_to_be_gone_belongs_to_its_job_when_it_comes_back() {
    let mut ground = almost_emptied(12).await;
    believing(&ground, true).run().await;
    for _ in 0..20 {
        ground.later(49);
        ground.run().await;
    }
    assert_eq!(registered(&ground), 1);
    for number in 2..=12 {
        ground.write(number);
    }
    for _ in 0..4 {
        ground.later(49);
        assert!(owned(&ground.run().await).items.is_empty(), "nothing is dropped for a loss");
    }
    assert_eq!(registered(&ground), 12);
}

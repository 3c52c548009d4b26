//! Holds, cap overrides and size samples.

use super::*;
use crate::retention::facts::Hold;

fn new_hold(chunk: Option<RelationName>, expires_at: Option<i64>) -> NewHold {
    NewHold {
        store: StoreName("vm7".into()),
        identity: database(7),
        dataset: RelationName::new(NASTY, "conditions"),
        chunk,
        author: "maria".into(),
        reason: NASTY.into(),
        created_at: 10,
        expires_at,
    }
}

fn database(oid: u32) -> StoreIdentity {
    StoreIdentity { system: "7".into(), database: "metrics".into(), database_oid: oid }
}

fn hold(id: i64, new: &NewHold) -> Hold {
    let NewHold { dataset, chunk, author, reason, expires_at, .. } = new.clone();
    Hold { id, dataset, chunk, author, reason, expires_at, set_on: None }
}

#[tokio::test]
async fn holds_are_in_force_until_they_expire_or_are_removed() {
    let state = State::in_memory().await.expect("open");
    let whole = new_hold(None, None);
    let chunk = new_hold(Some(RelationName::new("s", NASTY)), Some(100));
    let elsewhere = NewHold { store: StoreName("vm8".into()), identity: database(8), ..new_hold(None, None) };
    let first = state.add_hold(&whole).await.expect("add");
    let second = state.add_hold(&chunk).await.expect("add");
    state.add_hold(&elsewhere).await.expect("add");

    let vm7 = StoreName("vm7".into());
    assert_eq!(
        state.holds(&vm7, &database(7), 99).await.expect("holds"),
        [hold(first, &whole), hold(second, &chunk)]
    );
    assert_eq!(state.holds(&vm7, &database(7), 100).await.expect("holds"), [hold(first, &whole)]);
    assert!(state.remove_hold(first, 50).await.expect("remove"));
    assert!(!state.remove_hold(first, 60).await.expect("remove again"));
    assert!(!state.remove_hold(999, 60).await.expect("remove nothing"));
    assert_eq!(state.holds(&vm7, &database(7), 99).await.expect("holds"), [hold(second, &chunk)]);

    // The same database under another name, and the same name after an upgrade of its cluster.
    let renamed = StoreName("prod".into());
    assert_eq!(state.holds(&renamed, &database(7), 99).await.expect("holds"), [hold(second, &chunk)]);
    let by_name = Hold { set_on: Some(database(7)), ..hold(second, &chunk) };
    assert_eq!(state.holds(&vm7, &database(70), 99).await.expect("holds"), std::slice::from_ref(&by_name));
    let upgraded = StoreIdentity { system: "8".into(), ..database(7) };
    assert_eq!(state.holds(&vm7, &upgraded, 99).await.expect("holds"), [by_name]);
    let beside = StoreIdentity { database: "logs".into(), ..database(70) };
    assert!(
        state.holds(&vm7, &beside, 99).await.expect("holds").is_empty(),
        "another database of the store's name"
    );
    let renamed_there = StoreIdentity { database: "metrics2".into(), ..database(7) };
    assert_eq!(state.holds(&vm7, &renamed_there, 99).await.expect("holds"), [hold(second, &chunk)]);
    assert!(state.holds(&renamed, &database(70), 99).await.expect("holds").is_empty());

    let all = state.all_holds().await.expect("holds");
    assert_eq!(all.iter().map(|record| record.removed_at).collect::<Vec<_>>(), [Some(50), None, None]);
    assert_eq!(all.iter().map(|record| record.is_active(99)).collect::<Vec<_>>(), [false, true, true]);
    assert!(!all[1].is_active(100));
    assert_eq!((&all[2].store, &all[2].identity), (&elsewhere.store, &database(8)));
}

#[tokio::test]
async fn a_cap_override_works_once() {
    let state = State::in_memory().await.expect("open");
    let plan = Uuid::now_v7();
    assert!(state.use_cap_override(plan, 1).await.expect("first"));
    assert!(!state.use_cap_override(plan, 2).await.expect("second"));
    assert!(state.use_cap_override(Uuid::now_v7(), 2).await.expect("another plan"));
}

#[tokio::test]
async fn of_many_that_ask_at_once_one_gets_the_override() {
    let folder = folder();
    let states = [open(&file_in(&folder)).await, open(&file_in(&folder)).await];
    for _ in 0..20 {
        let plan = Uuid::now_v7();
        let (one, other) =
            tokio::join!(states[0].use_cap_override(plan, 1), states[1].use_cap_override(plan, 1));
        assert!(one.expect("one") ^ other.expect("other"));
    }
}

#[tokio::test]
async fn size_samples_are_one_series_per_database_and_dataset() {
    let state = State::in_memory().await.expect("open");
    let sample = |dataset: &str, at, bytes| SizeSample {
        store: StoreName("vm7".into()),
        identity: identity(),
        dataset: RelationName::new(NASTY, dataset),
        at,
        bytes: ByteCount(bytes),
        chunks: 3,
    };
    let recreated = StoreIdentity { database_oid: 1, ..identity() };
    let other = SizeSample { identity: recreated.clone(), ..sample("a", 2, 9) };
    state
        .add_size_samples(&[sample("b", 2, 5), sample("a", 3, 7), sample("a", 1, 6), other.clone()])
        .await
        .expect("add");
    state.add_size_samples(&[sample("a", 3, 8)]).await.expect("replace");
    state.add_size_samples(&[]).await.expect("nothing");

    let all = state.size_samples(&identity(), i64::MIN).await.expect("samples");
    assert_eq!(all, [sample("a", 1, 6), sample("a", 3, 8), sample("b", 2, 5)]);
    assert_eq!(state.size_samples(&identity(), 3).await.expect("samples"), [sample("a", 3, 8)]);
    assert_eq!(state.size_samples(&recreated, 0).await.expect("samples"), [other]);
}

#[tokio::test]
async fn disk_samples_are_one_series_per_cluster_and_file_system() {
    use crate::retention::estimate::forecast::Sample;
    let state = State::in_memory().await.expect("open");
    let sample = |system: &str, path: &str, at, used| DiskSample {
        store: StoreName("vm7".into()),
        system: system.into(),
        path: path.into(),
        sample: Sample { at, size: 100, used, freed: 7, after_run: at % 2 == 0 },
    };
    let other = sample("8", NASTY, 2, 1);
    state
        .add_disk_samples(&[
            sample("7", "/b", 2, 5),
            sample("7", NASTY, 3, 7),
            sample("7", NASTY, 1, 6),
            other.clone(),
        ])
        .await
        .expect("add");
    state.add_disk_samples(&[sample("7", NASTY, 3, 8)]).await.expect("replace");
    state.add_disk_samples(&[]).await.expect("nothing");
    let mut all = state.disk_samples("7", i64::MIN).await.expect("samples");
    all.sort_by_key(|sample| (sample.path.len(), sample.sample.at));
    assert_eq!(all, [sample("7", "/b", 2, 5), sample("7", NASTY, 1, 6), sample("7", NASTY, 3, 8)]);
    assert_eq!(state.disk_samples("7", 3).await.expect("samples"), [sample("7", NASTY, 3, 8)]);
    assert_eq!(state.disk_samples("8", 0).await.expect("samples"), [other]);
}

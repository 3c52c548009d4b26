//! What a person can keep.

use std::collections::BTreeMap;

use super::*;

async fn hold(world: &World, body: Value) -> Response {
    world.request(Method::POST, "/api/v1/holds").json(&body).send().await.expect("an answer")
}

fn holds(world: &World) -> BTreeMap<OwnedName, Option<i64>> {
    world.registry.change(|ledger| ledger.holds.clone())
}

#[tokio::test]
async fn a_hold_is_set_listed_and_removed() {
    let world = World::new().await;
    let answer = hold(&world, json!({"dataset": "a/b", "until": "2026-02-01T01:00:00+01:00"})).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let body: Value = answer.json().await.expect("JSON");
    assert_eq!(body, json!({"dataset": "a/b", "until": "2026-02-01T00:00:00Z"}));
    assert!(world.was_woken().await);
    assert_eq!(hold(&world, json!({"dataset": "b"})).await.status(), StatusCode::OK);
    world.registry.change(|ledger| ledger.holds.insert(OwnedName("over".into()), Some(NOW - 1)));
    let page = world.get("/api/v1/holds").await;
    assert_eq!(page["items"], json!([{"dataset": "a/b", "until": "2026-02-01T00:00:00Z"}, {"dataset": "b"}]));
    for (path, status) in [("/api/v1/holds/a%2Fb", 204), ("/api/v1/holds/b", 204)] {
        assert_eq!(world.ask(Method::DELETE, path).await.status().as_u16(), status);
        problem(world.ask(Method::DELETE, path).await, 404).await;
    }
    assert_eq!(holds(&world).into_keys().collect::<Vec<_>>(), [OwnedName("over".into())]);
}

#[tokio::test]
async fn a_hold_is_never_shortened_by_another_one() {
    let world = World::new().await;
    let until = |text: &str| json!({"dataset": "d", "until": text});
    assert_eq!(hold(&world, until("2026-02-01T00:00:00Z")).await.status(), StatusCode::OK);
    problem(hold(&world, until("2026-01-31T23:59:59Z")).await, 409).await;
    assert_eq!(hold(&world, until("2026-02-01T00:00:00Z")).await.status(), StatusCode::OK);
    assert_eq!(hold(&world, until("2026-03-01T00:00:00Z")).await.status(), StatusCode::OK);
    assert_eq!(hold(&world, json!({"dataset": "d", "until": null})).await.status(), StatusCode::OK);
    problem(hold(&world, until("9999-01-01T00:00:00Z")).await, 409).await;
    assert_eq!(holds(&world), BTreeMap::from([(OwnedName("d".into()), None)]));
}

#[tokio::test]
async fn what_is_no_hold_is_refused_and_writes_nothing() {
    let world = World::new().await;
    for body in [
        json!({"dataset": ""}),
        json!({"dataset": "a\u{0}b"}),
        json!({"dataset": "x".repeat(256)}),
        json!({"dataset": "d", "until": "tomorrow"}),
        json!({"dataset": "d", "until": "2025-12-31T00:00:00Z"}),
        json!({"dataset": "d", "until": "2026-01-01T00:00:00Z"}),
    ] {
        problem(hold(&world, body).await, 400).await;
    }
    for body in [json!({}), json!({"dataset": 1}), json!({"dataset": "d", "untill": null}), json!(null)] {
        problem(hold(&world, body).await, 422).await;
    }
    assert!(world.registry.change(|ledger| ledger.holds.is_empty()));
}

#[tokio::test]
async fn a_cancelled_mark_brings_the_dataset_back_and_holds_it() {
    let world = World::new().await;
    let (job, dataset) = (Uuid::now_v7(), OwnedName("my data/1".into()));
    world.registry.change(|ledger| {
        ledger.succeeded(JobId(job), &dataset, NOW);
        ledger.deleted(JobId(job), NOW);
    });
    let path = "/api/v1/marks/my%20data%2F1/cancel";
    let answer = world.ask(Method::POST, path).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let body: Value = answer.json().await.expect("JSON");
    assert_eq!(body, json!({"id": "my data/1", "kind": "deleted", "held_until": "2026-01-31T00:00:00Z"}));
    let ledger = world.registry.change(|ledger| ledger.clone());
    assert_eq!(ledger.owners(&dataset), [JobId(job)]);
    assert!(ledger.rows[&dataset].mark.is_none() && ledger.holds.contains_key(&dataset));
    problem(world.ask(Method::POST, path).await, 409).await;
}

#[tokio::test]
async fn a_cancelled_tombstone_lets_the_result_count() {
    let world = World::new().await;
    let job = Uuid::now_v7();
    world.registry.change(|ledger| ledger.deleted(JobId(job), NOW));
    let path = format!("/api/v1/marks/{job}/cancel");
    let answer = world.ask(Method::POST, &path).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(world.registry.change(|ledger| ledger.tombstones.is_empty() && ledger.deleted_jobs.is_empty()));
    problem(world.ask(Method::POST, &path).await, 404).await;
}

/// Its datasets are marked, and each of them is what a person has to name.
#[tokio::test]
async fn a_deleted_job_with_data_is_no_tombstone() {
    let world = World::new().await;
    let (job, dataset) = (Uuid::now_v7(), OwnedName("data".into()));
    world.registry.change(|ledger| {
        ledger.succeeded(JobId(job), &dataset, NOW);
        ledger.deleted(JobId(job), NOW);
    });
    problem(world.ask(Method::POST, &format!("/api/v1/marks/{job}/cancel")).await, 404).await;
    problem(world.ask(Method::POST, "/api/v1/marks/nothing/cancel").await, 404).await;
    assert_eq!(world.deletions(), 1);
}

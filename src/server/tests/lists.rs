//! Lists and their pages.

use super::*;

fn names(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().expect("items");
    let id = |item: &Value| item["name"].as_str().or(item["id"].as_str()).expect("a name").to_owned();
    items.iter().map(id).collect()
}

/// Follows the pages of a list to its end.
async fn all(world: &World, path: &str, limit: usize) -> Vec<String> {
    let (mut found, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let mut request = world.request(Method::GET, path).query(&[("limit", limit)]);
        if let Some(cursor) = &cursor {
            request = request.query(&[("cursor", cursor)]);
        }
        let page: Value = request.send().await.expect("an answer").json().await.expect("JSON");
        assert!(names(&page).len() <= limit);
        found.extend(names(&page));
        cursor = page["next"].as_str().map(str::to_owned);
        if cursor.is_none() {
            return found;
        }
    }
}

#[tokio::test]
async fn every_dataset_is_on_exactly_one_page() {
    let world = World::new().await;
    let mut expected: Vec<String> = (0..7).map(|number| format!("data {number}/é&?#%")).collect();
    for name in &expected {
        world
            .registry
            .change(|ledger| ledger.succeeded(JobId(Uuid::now_v7()), &OwnedName(name.as_str().into()), NOW));
    }
    expected.sort();
    for limit in [1, 2, 3, 6, 7, 8] {
        assert_eq!(all(&world, "/api/v1/datasets", limit).await, expected, "{limit}");
    }
    let whole = world.get("/api/v1/datasets").await;
    assert!(whole.get("next").is_none(), "{whole}");
}

#[tokio::test]
async fn a_dataset_shows_what_is_known_about_it() {
    let world = World::new().await;
    let [keeps, gone] = [Uuid::now_v7(), Uuid::now_v7()];
    world.registry.change(|ledger| {
        ledger.succeeded(JobId(keeps), &OwnedName("owned".into()), NOW);
        ledger.succeeded(JobId(gone), &OwnedName("deleted".into()), NOW);
        ledger.deleted(JobId(gone), NOW);
        ledger.holds.insert(OwnedName("deleted".into()), None);
        ledger.holds.insert(OwnedName("held before it came".into()), Some(NOW - 1));
    });
    let page = world.get("/api/v1/datasets").await;
    assert_eq!(
        page["items"],
        json!([
            {"name": "deleted", "state": "deleted", "owners": [], "marked_at": "2026-01-01T00:00:00Z", "held": true},
            {"name": "held before it came", "state": "unregistered", "owners": [], "held": false},
            {"name": "owned", "state": "owned", "owners": [keeps], "held": false},
        ])
    );
}

#[tokio::test]
async fn marks_are_listed_with_tombstones_behind() {
    let world = World::new().await;
    let [claimed, early] = [Uuid::from_u128(1), Uuid::from_u128(2)];
    world.registry.change(|ledger| {
        ledger.succeeded(JobId(claimed), &OwnedName("zebra".into()), NOW);
        ledger.succeeded(JobId(claimed), &OwnedName("ape".into()), NOW);
        ledger.deleted(JobId(claimed), NOW);
        ledger.deleted(JobId(early), NOW);
    });
    let expected = ["ape".to_owned(), "zebra".into(), early.to_string()];
    for limit in [1, 2, 3] {
        assert_eq!(all(&world, "/api/v1/marks", limit).await, expected);
    }
    let page = world.get("/api/v1/marks").await;
    assert_eq!(
        page["items"][2],
        json!({"id": early, "kind": "tombstone", "marked_at": "2026-01-01T00:00:00Z", "seen": false, "announced": false})
    );
    assert_eq!(page["items"][0]["kind"], "deleted");
}

#[tokio::test]
async fn runs_are_listed_newest_first() {
    let world = World::new().await;
    let run = |number: u32| RunView {
        id: format!("run-{number}"),
        store: "main".into(),
        command: "serve".into(),
        started_at: "2026-01-01T00:00:00Z".into(),
        ended_at: None,
        exit_code: None,
    };
    *world.shown.runs.lock().expect("the runs") = (1..=5).rev().map(run).collect();
    let expected: Vec<String> = (1..=5).rev().map(|number| format!("run-{number}")).collect();
    for limit in [1, 2, 5, 6] {
        assert_eq!(all(&world, "/api/v1/runs", limit).await, expected);
    }
    let broken = world.ask(Method::GET, "/api/v1/runs?cursor=broken").await;
    assert_eq!(problem(broken, 503).await, "the journal cannot be read");
}

#[tokio::test]
async fn a_page_of_no_size_is_refused() {
    let world = World::new().await;
    for list in ["datasets", "marks", "runs", "holds"] {
        for limit in ["0", "1001", "-1", "many", "1e3", "99999999999999999999"] {
            let answer = world.ask(Method::GET, &format!("/api/v1/{list}?limit={limit}")).await;
            let detail = problem(answer, 400).await;
            assert!(detail.contains("limit"), "{list} {limit}: {detail}");
        }
        let page = world.get(&format!("/api/v1/{list}?limit=1000&cursor=%F0%9F%92%A9")).await;
        assert_eq!(page["items"], json!([]), "{list}");
    }
}

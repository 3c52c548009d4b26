//! Who may do what.

use super::*;

const DELETE: &str = "/job/0191d6a0-0000-7000-8000-000000000000";

async fn ask(world: &World, method: Method, path: &str, authorization: Option<&str>) -> Response {
    let request = world.client.request(method, format!("{}{path}", world.url));
    let request = match authorization {
        Some(value) => request.header("authorization", value),
        None => request,
    };
    request.send().await.expect("an answer")
}

#[tokio::test]
async fn reading_and_deleting_are_rights_apart() {
    let world = World::new().await;
    for (token, read, delete) in [(READER, 200, 403), (WRITER, 403, 200), (BOTH, 200, 200)] {
        let bearer = format!("Bearer {token}");
        let answer = ask(&world, Method::GET, "/api/v1/datasets", Some(&bearer)).await;
        assert_eq!(answer.status().as_u16(), read, "{token}");
        let before = world.deletions();
        let answer = ask(&world, Method::DELETE, DELETE, Some(&bearer)).await;
        assert_eq!(answer.status().as_u16(), delete, "{token}");
        if delete == 403 {
            assert_eq!(world.deletions(), before);
            problem(answer, 403).await;
        }
    }
}

#[tokio::test]
async fn nobody_without_a_known_token_sees_or_changes_anything() {
    let world = World::new().await;
    let (half, more) = (format!("Bearer {}", &BOTH[..10]), format!("Bearer {BOTH}x"));
    let (basic, twice) = (format!("Basic {BOTH}"), format!("Bearer Bearer {BOTH}"));
    let wrong = [
        None,
        Some(""),
        Some("Bearer"),
        Some("Bearer "),
        Some(BOTH),
        Some(&half),
        Some(&more),
        Some(&basic),
        Some(&twice),
    ];
    for authorization in wrong {
        for (method, path) in [
            (Method::GET, "/api/v1/datasets"),
            (Method::GET, "/api/v1/marks"),
            (Method::GET, "/api/v1/runs"),
            (Method::GET, "/api/v1/holds"),
            (Method::GET, "/nothing"),
            (Method::DELETE, DELETE),
            (Method::POST, "/api/v1/marks/x/cancel"),
            (Method::POST, "/api/v1/holds"),
            (Method::DELETE, "/api/v1/holds/x"),
            (Method::POST, "/health"),
            (Method::PATCH, "/api/v1/datasets"),
        ] {
            let answer = ask(&world, method, path, authorization).await;
            assert!(answer.headers().contains_key("www-authenticate"), "{path} {authorization:?}");
            problem(answer, 401).await;
        }
    }
    assert_eq!(world.deletions(), 0);
    for open in ["/health", "/openapi.json"] {
        assert_eq!(ask(&world, Method::GET, open, None).await.status(), StatusCode::OK, "{open}");
    }
    let any_case = ask(&world, Method::GET, "/api/v1/runs", Some(&format!("bearer {BOTH}"))).await;
    assert_eq!(any_case.status(), StatusCode::OK);
}

#[tokio::test]
async fn without_a_token_this_machine_reads_and_nobody_deletes() {
    let world = World::with(Vec::new()).await;
    assert_eq!(ask(&world, Method::GET, "/api/v1/datasets", None).await.status(), StatusCode::OK);
    for (method, path) in [(Method::DELETE, DELETE), (Method::POST, "/api/v1/holds")] {
        for authorization in [None, Some("Bearer "), Some("Bearer anything-at-all-goes")] {
            let detail = problem(ask(&world, method.clone(), path, authorization).await, 403).await;
            assert!(detail.contains("no token is configured"), "{detail}");
        }
    }
    assert_eq!(world.deletions(), 0);
}

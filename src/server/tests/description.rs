//! The description says what is there, and nothing is there that it does not say.

use std::fs;
use std::path::Path;

use super::*;

const ADDRESSES: [(&str, &[&str]); 10] = [
    ("/api/v1/datasets", &["get"]),
    ("/api/v1/holds", &["get", "post"]),
    ("/api/v1/holds/{dataset}", &["delete"]),
    ("/api/v1/marks", &["get"]),
    ("/api/v1/marks/{id}/cancel", &["post"]),
    ("/api/v1/runs", &["get"]),
    ("/health", &["get"]),
    ("/job/{job_id}", &["delete", "get"]),
    ("/job/{job_id}/delete", &["post"]),
    ("/openapi.json", &["get"]),
];

fn described(document: &Value) -> Vec<(String, Vec<String>)> {
    let paths = document["paths"].as_object().expect("paths");
    let mut found: Vec<(String, Vec<String>)> = paths
        .iter()
        .map(|(path, methods)| {
            (path.clone(), methods.as_object().expect("methods").keys().cloned().collect())
        })
        .collect();
    found.sort();
    found
}

#[tokio::test]
async fn the_description_stays_as_clients_know_it() {
    let world = World::new().await;
    let answer = client().get(format!("{}/openapi.json", world.url)).send().await.expect("an answer");
    assert_eq!(answer.headers().get("content-type").expect("a type"), "application/json");
    insta::assert_snapshot!(answer.text().await.expect("text"));
}

#[tokio::test]
async fn every_address_is_described_and_every_described_address_is_there() {
    let world = World::new().await;
    let document = world.get("/openapi.json").await;
    let expected: Vec<(String, Vec<String>)> = ADDRESSES
        .iter()
        .map(|(path, methods)| ((*path).to_owned(), methods.iter().map(|&name| name.to_owned()).collect()))
        .collect();
    assert_eq!(described(&document), expected);
    for (path, methods) in expected {
        for method in methods {
            let there = path.replace("{job_id}", &Uuid::now_v7().to_string()).replace(['{', '}'], "");
            let method: Method = method.to_uppercase().parse().expect("a method");
            let answer = world.ask(method.clone(), &there).await;
            let body = answer.text().await.expect("text");
            assert!(!body.contains("nothing under this address"), "{method} {there}");
            assert!(!body.contains("Method Not Allowed"), "{method} {there}");
        }
    }
}

/// An address that is added to the router itself would be missing from the description.
#[test]
fn addresses_are_added_together_with_their_description_only() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/server");
    let mut files: Vec<_> =
        fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry").path()).collect();
    files.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/server.rs"));
    for path in files.iter().filter(|path| path.is_file()) {
        let text = fs::read_to_string(path).expect("a source");
        for other_way in [".route(", ".route_service(", ".nest(", ".nest_service(", ".merge("] {
            assert!(!text.contains(other_way), "{} adds an address by {other_way}", path.display());
        }
    }
}

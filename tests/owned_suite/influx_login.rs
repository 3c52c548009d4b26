//! An InfluxDB of its own that asks who is there, and one that is started again.

use timesweep::problem::Kind;
use timesweep::retention::ownership::OwnedName;
use timesweep::store::owned::ListedDataset;

use super::influx::open;
use crate::own_influx::{OwnInflux, post, query};

#[tokio::test]
async fn only_an_admin_gets_a_list_and_no_error_tells_the_password() {
    let server = OwnInflux::start("true");
    let made = query(&server.url, "CREATE USER boss WITH PASSWORD 'Geheim-1' WITH ALL PRIVILEGES").await;
    assert!(!made.contains("error"), "{made}");
    let right = format!("user = \"boss\"\n{}", server.secret("right", "Geheim-1"));
    let as_boss = server.url.replace("://", "://boss:Geheim-1@");
    for statement in [
        "CREATE DATABASE a",
        "CREATE DATABASE b",
        "CREATE USER guest WITH PASSWORD 'Geheim-2'",
        "GRANT ALL ON a TO guest",
    ] {
        let made = query(&as_boss, statement).await;
        assert!(!made.contains("error"), "{made}");
    }
    let wrong = format!("user = \"boss\"\n{}", server.secret("wrong", "Geheim-3"));
    // Such a user sees a list that is shorter, and would be complete by its looks.
    let guest = format!("user = \"guest\"\n{}", server.secret("guest", "Geheim-2"));
    for login in ["", &wrong, &guest] {
        let store = open(&server.url, login).expect("a store");
        let problem = store.list().await.expect_err("not let in");
        assert_eq!(problem.kind, Kind::Unreachable);
        let shown = format!("{problem} {problem:?}");
        assert!(shown.contains("an admin of this InfluxDB") && !shown.contains("Geheim"), "{shown}");
        // `b` is not shown to the guest, which does not mean that it is gone.
        for name in ["a", "b"] {
            let refused = store.drop_dataset(&OwnedName(name.into())).await.expect_err("not let in");
            assert!(!format!("{refused} {refused:?}").contains("Geheim"));
        }
    }
    let store = open(&server.url, &right).expect("a store");
    let names: Vec<String> =
        store.list().await.expect("a list").into_iter().map(|listed| listed.name.0.to_string()).collect();
    assert_eq!(names, ["a", "b"]);
    store.drop_dataset(&OwnedName("a".into())).await.expect("dropped");
}

#[tokio::test]
async fn a_server_that_was_started_again_hides_no_write() {
    let server = OwnInflux::start("false");
    for name in ["old", "new"] {
        query(&server.url, &format!("CREATE DATABASE {name}")).await;
    }
    post(format!("{}/write?db=old", server.url), "m v=1".into()).await;
    post(format!("{}/write?db=new", server.url), "m v=1".into()).await;
    let store = open(&server.url, "").expect("a store");
    let first = store.list().await.expect("a list");
    post(format!("{}/write?db=new", server.url), "m v=2".into()).await;
    server.stop();
    store.list().await.expect_err("it is down");
    server.up("false");
    let listed = store.list().await.expect("a list");
    for (then, now) in first.iter().zip(&listed) {
        assert_eq!(then.name, now.name);
        assert_ne!(then.change_token, now.change_token, "nobody can tell what was written before: {now:?}");
    }
    let other = open(&server.url, "").expect("another process").list().await.expect("a list");
    let tokens = |listed: &[ListedDataset]| listed.iter().map(ListedDataset::sighting).collect::<Vec<_>>();
    assert_eq!(tokens(&other), tokens(&listed), "a restart is a change once");
}

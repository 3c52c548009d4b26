//! What is too much, too slow, or in the wrong form.

use std::sync::atomic::Ordering;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

async fn connect(world: &World) -> TcpStream {
    TcpStream::connect(world.url.trim_start_matches("http://")).await.expect("a connection")
}

/// Everything that is answered until the server hangs up.
async fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused_before_it_is_read() {
    let world = World::new().await;
    let long = "x".repeat(10 << 20);
    for (method, path) in
        [(Method::POST, "/api/v1/holds".to_owned()), (Method::DELETE, format!("/job/{}", Uuid::now_v7()))]
    {
        // The server may hang up while the body is still on its way.
        let sent = world.request(method, &path).header("content-type", "application/json").body(long.clone());
        if let Ok(answer) = sent.send().await {
            problem(answer, 413).await;
        }
    }
    let mut stream = connect(&world).await;
    let head = format!(
        "POST /api/v1/holds HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {BOTH}\r\ncontent-type: application/json\r\ncontent-length: 10485760\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("the head is sent");
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("application/problem+json"), "{answer}");
    let mut stream = connect(&world).await;
    let head = head.replace("content-length: 10485760", "transfer-encoding: chunked");
    let chunk = format!("{head}11000\r\n{}\r\n0\r\n\r\n", "y".repeat(0x11000));
    stream.write_all(chunk.as_bytes()).await.expect("it is sent");
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("application/problem+json"), "{answer}");
    assert_eq!(world.deletions(), 0);
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let world = World::new().await;
    let long = "1".repeat(10 << 20);
    for head in [
        format!("DELETE /job/{long} HTTP/1.1\r\nhost: x\r\n\r\n"),
        format!("GET /health HTTP/1.1\r\nhost: x\r\nlong: {long}\r\n\r\n"),
        format!("GET /health HTTP/1.1\r\nhost: x\r\n{}\r\n", "a: b\r\n".repeat(1000)),
    ] {
        let mut stream = connect(&world).await;
        let (mut from, mut to) = stream.split();
        let mut answer = Vec::new();
        // It hangs up in the middle of what we send.
        let _ = tokio::join!(to.write_all(head.as_bytes()), from.read_to_end(&mut answer));
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let refused = answer.is_empty() || answer.starts_with("HTTP/1.1 4");
        assert!(refused, "{}", answer.chars().take(200).collect::<String>());
    }
    assert_eq!(world.get("/health").await["status"], "ok", "and it goes on");
}

#[tokio::test]
async fn what_is_in_the_wrong_form_is_a_problem() {
    let world = World::new().await;
    let post = |media_type: &'static str, body: &'static str| {
        world.request(Method::POST, "/api/v1/holds").header("content-type", media_type).body(body).send()
    };
    let json = "application/json";
    problem(post("text/plain", "{\"dataset\": \"d\"}").await.expect("an answer"), 415).await;
    problem(post("application/x-www-form-urlencoded", "dataset=d").await.expect("an answer"), 415).await;
    problem(post(json, "{\"dataset\":").await.expect("an answer"), 400).await;
    problem(post(json, "").await.expect("an answer"), 400).await;
    problem(post(json, "\u{feff}{}").await.expect("an answer"), 400).await;
    problem(world.ask(Method::GET, "/nowhere").await, 404).await;
    problem(world.ask(Method::PUT, "/api/v1/holds").await, 405).await;
    problem(world.ask(Method::DELETE, "/api/v1/holds/%FF").await, 400).await;
    assert!(world.registry.change(|ledger| ledger.holds.is_empty()));
}

#[tokio::test]
async fn who_hangs_up_changes_nothing_for_others() {
    let world = World::new().await;
    for sent in ["", "GET", "DELETE /job/", "GET /health HTTP/1.1\r\nhost: x\r\n", "\0\0\0\0\r\n\r\n"] {
        let mut stream = connect(&world).await;
        stream.write_all(sent.as_bytes()).await.expect("it is sent");
    }
    assert_eq!(world.get("/health").await["status"], "ok");
}

#[tokio::test]
async fn many_at_once_are_all_answered() {
    let world = Arc::new(World::new().await);
    let ask = |_| {
        let world = Arc::clone(&world);
        tokio::spawn(
            async move { world.ask(Method::DELETE, &format!("/job/{}", Uuid::now_v7())).await.status() },
        )
    };
    let asked: Vec<_> = (0..400).map(ask).collect();
    for answer in asked {
        assert_eq!(answer.await.expect("an answer"), StatusCode::OK);
    }
    assert_eq!(world.deletions(), 400);
}

#[tokio::test]
async fn the_end_waits_for_what_is_being_answered_and_not_for_idlers() {
    let world = World::new().await;
    let client = client();
    let kept = client.get(format!("{}/health", world.url)).send().await.expect("an answer");
    let _idle = connect(&world).await;
    drop(kept);
    let started = Instant::now();
    world.cancel.cancel();
    world.running.await.expect("it ends");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert!(client.get(format!("{}/health", world.url)).send().await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn who_is_slow_with_a_head_is_cut() {
    let world = World::new().await;
    for sent in ["", "GET /health HTTP/1.1\r\nhost: x\r\n"] {
        let mut stream = connect(&world).await;
        stream.write_all(sent.as_bytes()).await.expect("it is sent");
        let cut = tokio::time::timeout(Duration::from_secs(20), rest(&mut stream)).await;
        assert!(cut.is_ok(), "{sent:?} holds its place for ever");
    }
}

#[tokio::test]
async fn a_request_that_hangs_holds_the_end_for_a_bounded_time() {
    let world = World::new().await;
    let hangs = tokio::spawn(world.request(Method::GET, "/api/v1/runs?cursor=hangs").send());
    tokio::time::timeout(Duration::from_secs(10), async {
        while world.shown.asked.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("it is being answered");
    world.cancel.cancel();
    tokio::time::timeout(Duration::from_secs(30), world.running).await.expect("it ends").expect("well");
    assert!(hangs.await.expect("a task").is_err(), "it was cut");
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let world = World::new().await;
    let listen = world.url.trim_start_matches("http://").parse().expect("an address");
    let settings = ServeSettings { listen, tokens: Vec::new() };
    let (registry, shown) = (Arc::new(Memory::default()), Arc::<Shown>::default());
    let taken = serve(&settings, registry, Wake::default(), shown, CancellationToken::new()).await;
    let problem = taken.expect_err("it is taken");
    assert!(problem.sentence.starts_with(&format!("cannot listen on {listen}")), "{problem}");
}

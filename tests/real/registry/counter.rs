//! A proxy before the server that counts: statements of the client, and rows of the answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::super::support::TestDatabase;

/// Passes everything on.
pub struct Counter {
    pub url: String,
    statements: Arc<AtomicUsize>,
    rows: Arc<AtomicUsize>,
}

impl Counter {
    pub async fn before(database: &TestDatabase) -> Self {
        let (role, place) = database.url.rsplit_once('@').expect("a role in the url");
        let (server, name) = place.split_once('/').expect("a database in the url");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let url = format!("{role}@127.0.0.1:{port}/{name}?sslmode=disable");
        let counter = Self { url, statements: Arc::default(), rows: Arc::default() };
        let (server, statements) = (server.to_owned(), Arc::clone(&counter.statements));
        let rows = Arc::clone(&counter.rows);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.expect("the test server answers");
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                // The client's first message has no type.
                tokio::spawn(pass_on(from_client, to_server, true, b"EQ", Arc::clone(&statements)));
                tokio::spawn(pass_on(from_server, to_client, false, b"D", Arc::clone(&rows)));
            }
        });
        counter
    }

    /// The answer, and how many statements it took.
    pub async fn during<T>(&self, work: impl Future<Output = T>) -> (T, usize) {
        let before = self.statements.load(Ordering::SeqCst);
        let answer = work.await;
        (answer, self.statements.load(Ordering::SeqCst) - before)
    }

    /// The answer, and how many rows came for it.
    pub async fn rows_during<T>(&self, work: impl Future<Output = T>) -> (T, usize) {
        let before = self.rows.load(Ordering::SeqCst);
        let answer = work.await;
        (answer, self.rows.load(Ordering::SeqCst) - before)
    }
}

/// A message is a letter, its length and the rest.
async fn pass_on(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut is_bare: bool,
    counted: &'static [u8],
    count: Arc<AtomicUsize>,
) {
    loop {
        let mut message = vec![0; if is_bare { 4 } else { 5 }];
        if from.read_exact(&mut message).await.is_err() {
            return;
        }
        let at = message.len() - 4;
        let length = u32::from_be_bytes(message[at..].try_into().expect("four bytes")) as usize - 4;
        let counts = !is_bare && counted.contains(&message[0]);
        count.fetch_add(usize::from(counts), Ordering::SeqCst);
        is_bare = false;
        message.resize(message.len() + length, 0);
        from.read_exact(&mut message[at + 4..]).await.expect("the rest of a message");
        if to.write_all(&message).await.is_err() {
            return;
        }
    }
}

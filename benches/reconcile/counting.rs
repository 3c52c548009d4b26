//! A way through to PostgreSQL that counts the statements on it.
//!
//! Counted is what a client sends to be executed: each statement of a simple query, and each `Execute`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::Outcome;

const ENCRYPTION_WANTED: u32 = 80_877_103;

pub struct Counting {
    pub port: u16,
    count: Arc<AtomicU64>,
    server: JoinHandle<()>,
}

impl Counting {
    pub async fn start(to: u16) -> Outcome<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let count = Arc::<AtomicU64>::default();
        let counted = Arc::clone(&count);
        let server = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass_on(client, to, Arc::clone(&counted)));
            }
        });
        Ok(Self { port, count, server })
    }

    pub fn statements(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn pass_on(client: TcpStream, to: u16, count: Arc<AtomicU64>) -> std::io::Result<()> {
    let server = TcpStream::connect(("127.0.0.1", to)).await?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
    let mut began = false;
    loop {
        let kind = if began { Some(from_client.read_u8().await?) } else { None };
        let length = from_client.read_u32().await?;
        let mut body = vec![0; (length as usize).saturating_sub(4)];
        from_client.read_exact(&mut body).await?;
        let mut message: Vec<u8> = kind.into_iter().collect();
        message.extend(length.to_be_bytes());
        message.extend(&body);
        count.fetch_add(kind.map_or(0, |kind| statements(kind, &body)), Ordering::SeqCst);
        began |= kind.is_none() && !body.starts_with(&ENCRYPTION_WANTED.to_be_bytes());
        to_server.write_all(&message).await?;
    }
}

fn statements(kind: u8, body: &[u8]) -> u64 {
    match kind {
        b'Q' => {
            let text = String::from_utf8_lossy(body);
            let text = text.trim_end_matches('\0');
            text.split(';').filter(|statement| !statement.trim().is_empty()).count() as u64
        }
        b'E' => 1,
        _ => 0,
    }
}

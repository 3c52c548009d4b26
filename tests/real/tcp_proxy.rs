//! A TCP proxy inside of the test, which can cut, delay and mute what it passes on; for any server.
//!
//! It counts what the server answered, so that a test can learn how long an answer is and cut it anywhere.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Pass,
    /// Answers come so much later.
    Delay(Duration),
    /// Questions arrive so much later, and many together.
    Late(Duration),
    /// Once so many bytes of answers have passed since this mode began, every connection breaks off.
    CutAfter(usize),
    /// The same, but only for the connection that is on it; what comes later passes.
    CutOnceAfter(usize),
    /// Questions arrive, answers never do.
    Mute,
    /// A question with this text breaks off before it arrives; what comes later passes.
    BreakBefore(&'static str),
    /// A question with this text arrives, and the connection breaks off; what comes later passes.
    BreakBehind(&'static str),
}

pub struct TcpProxy {
    pub address: SocketAddr,
    mode: watch::Sender<Mode>,
    answered: Arc<AtomicUsize>,
}

impl TcpProxy {
    /// `server` is `host:port`.
    pub async fn before(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let mode = watch::Sender::new(Mode::Pass);
        let answered = Arc::new(AtomicUsize::new(0));
        let line = Line { mode: mode.clone(), answered: Arc::clone(&answered) };
        tokio::spawn(accept(listener, server.to_owned(), line));
        Self { address, mode, answered }
    }

    /// From now on, for connections that are open as well.
    pub fn set(&self, mode: Mode) {
        self.answered.store(0, Ordering::SeqCst);
        self.mode.send_replace(mode);
    }

    /// Bytes of answers that came since the last `set`.
    pub fn answered(&self) -> usize {
        self.answered.load(Ordering::SeqCst)
    }
}

#[derive(Clone)]
struct Line {
    mode: watch::Sender<Mode>,
    answered: Arc<AtomicUsize>,
}

async fn accept(listener: TcpListener, server: String, line: Line) {
    while let Ok((client, _)) = listener.accept().await {
        let Ok(server) = TcpStream::connect(&server).await else { continue };
        // Every piece as soon as it is there.
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let (client_reads, client_writes) = client.into_split();
        let (server_reads, server_writes) = server.into_split();
        let line = line.clone();
        tokio::spawn(async move {
            // Whichever ends first ends both: a connection breaks off in both directions.
            tokio::select! {
                () = pass_questions(client_reads, server_writes, line.clone()) => {}
                () = pass_answers(server_reads, client_writes, line.clone()) => {}
            }
        });
    }
}

async fn pass_questions(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, line: Line) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let holds = |text: &str| buffer[..length].windows(text.len()).any(|part| part == text.as_bytes());
        let mode = *line.mode.borrow();
        if let Mode::Late(late) = mode {
            tokio::time::sleep(late).await;
        }
        let (breaks, passes) = match mode {
            Mode::BreakBefore(text) if holds(text) => (true, 0),
            Mode::BreakBehind(text) if holds(text) => (true, length),
            _ => (false, length),
        };
        if to.write_all(&buffer[..passes]).await.is_err() {
            return;
        }
        if breaks {
            line.mode.send_replace(Mode::Pass);
            return;
        }
    }
}

async fn pass_answers(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, line: Line) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let before = line.answered.fetch_add(length, Ordering::SeqCst);
        let mode = *line.mode.borrow();
        let passes = match mode {
            Mode::Pass | Mode::Late(_) | Mode::BreakBefore(_) | Mode::BreakBehind(_) => length,
            Mode::Mute => 0,
            Mode::Delay(delay) => {
                tokio::time::sleep(delay).await;
                length
            }
            Mode::CutAfter(most) | Mode::CutOnceAfter(most) => most.saturating_sub(before).min(length),
        };
        if to.write_all(&buffer[..passes]).await.is_err() {
            return;
        }
        match mode {
            Mode::CutOnceAfter(_) if passes < length => {
                line.mode.send_replace(Mode::Pass);
                return;
            }
            Mode::CutAfter(_) if passes < length => return,
            _ => {}
        }
    }
}

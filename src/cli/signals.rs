//! SIGINT and SIGTERM: the transaction in hand is finished and journaled, then the run ends with
//! 130 or 143. A second one ends the process at once: a connection that hangs never finishes.

use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

static EXIT_CODE: AtomicU8 = AtomicU8::new(130);
static STOPPING: AtomicBool = AtomicBool::new(false);

pub fn exit_code() -> u8 {
    EXIT_CODE.load(Ordering::SeqCst)
}

/// A token that the first of the two signals cancels; the second ends the process.
pub fn stop_token() -> CancellationToken {
    let token = CancellationToken::new();
    for (kind, code) in [(SignalKind::interrupt(), 130), (SignalKind::terminate(), 143)] {
        // Without a handler the signal ends the process at once, which the journal survives as well.
        let Ok(stream) = signal(kind) else { continue };
        tokio::spawn(listen(stream, code, token.clone()));
    }
    token
}

async fn listen(mut stream: Signal, code: u8, token: CancellationToken) {
    while stream.recv().await.is_some() {
        if STOPPING.swap(true, Ordering::SeqCst) {
            end_at_once(code);
        }
        EXIT_CODE.store(code, Ordering::SeqCst);
        token.cancel();
    }
}

/// The journal survives it: what was in hand stays open there until the next run settles it.
fn end_at_once(code: u8) -> ! {
    let sentence = "error: a second signal ended the run at once; the next run settles what was in hand";
    let _ = writeln!(std::io::stderr().lock(), "{sentence}");
    std::process::exit(i32::from(code));
}

//! SIGINT and SIGTERM: the transaction in hand is finished and journaled, then the run ends with
//! 130 or 143.

use std::sync::atomic::{AtomicU8, Ordering};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

static EXIT_CODE: AtomicU8 = AtomicU8::new(130);

pub fn exit_code() -> u8 {
    EXIT_CODE.load(Ordering::SeqCst)
}

/// A token that the first of the two signals cancels.
pub fn stop_token() -> CancellationToken {
    let token = CancellationToken::new();
    for (kind, code) in [(SignalKind::interrupt(), 130), (SignalKind::terminate(), 143)] {
        // Without a handler the signal ends the process at once, which the journal survives as well.
        let Ok(mut stream) = signal(kind) else { continue };
        let token = token.clone();
        tokio::spawn(async move {
            if stream.recv().await.is_some() {
                EXIT_CODE.store(code, Ordering::SeqCst);
                token.cancel();
            }
        });
    }
    token
}

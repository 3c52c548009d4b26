//! Hears that letters were written, by any process.
//!
//! A notification may get lost with its session, so nobody waits for one alone. Invariant: one that came while
//! nobody waited wakes the next who does.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

pub(super) const CHANNEL: &str = "timesweep_outbox";

const PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Listener {
    written: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Listener {
    pub(super) fn on(options: PgConnectOptions) -> Self {
        let written = Arc::<Notify>::default();
        let task = tokio::spawn(listen(options, Arc::clone(&written)));
        Self { written, task }
    }

    pub(super) async fn heard(&self) {
        self.written.notified().await;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(options: PgConnectOptions, written: Arc<Notify>) {
    loop {
        // Whoever waits looks by itself every second, so what is wrong here is not told.
        let _ = listen_once(options.clone(), &written).await;
        tokio::time::sleep(PAUSE).await;
    }
}

async fn listen_once(options: PgConnectOptions, written: &Notify) -> sqlx::Result<()> {
    let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(options);
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.listen(CHANNEL).await?;
    written.notify_one();
    // `None`: the session broke, and what was written meanwhile was not heard.
    while listener.try_recv().await?.is_some() {
        written.notify_one();
    }
    Ok(())
}

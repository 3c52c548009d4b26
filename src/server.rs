//! REST as a way in: deletions of jobs, marks and holds, and lists of what is known.
//!
//! A request writes an event into the registry and wakes the loop; nothing here sees a store. Invariants: who has
//! no token with the right to delete writes nothing; whatever is wrong is answered as a problem document; no
//! work on the registry is dropped half way, whoever hangs up.

mod answer;
mod app;
mod datasets;
mod document;
mod guard;
mod health;
mod holds;
mod jobs;
mod listener;
mod marks;
mod pages;
mod routes;
mod runs;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;

use crate::wake::Wake;
use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use self::app::App;
use self::listener::Listener;
use crate::config::ServeSettings;
use crate::problem::Result;
use crate::registry::Registry;

pub use self::health::{Condition, Health};
pub use self::runs::RunView;

/// What the daemon shows of itself.
#[async_trait]
pub trait Insight: Send + Sync {
    /// Runs that began before this one (before now), newest first, at most `limit`.
    async fn runs(&self, before: Option<&str>, limit: usize) -> Result<Vec<RunView>>;

    fn health(&self) -> Health;
}

/// Listens until it is told to end, or fails at the start.
pub async fn serve(
    settings: &ServeSettings,
    registry: Arc<dyn Registry>,
    wake: Wake,
    insight: Arc<dyn Insight>,
    cancel: CancellationToken,
) -> Result<()> {
    Server::bind(settings, registry, wake, insight).await?.run(cancel).await;
    Ok(())
}

/// An address that is taken, and what is answered there.
pub struct Server {
    listener: Listener,
    app: App,
}

impl Server {
    pub async fn bind(
        settings: &ServeSettings,
        registry: Arc<dyn Registry>,
        wake: Wake,
        insight: Arc<dyn Insight>,
    ) -> Result<Self> {
        let listener = Listener::bind(settings.listen).await?;
        Ok(Self { listener, app: App::new(&settings.tokens, registry, wake, insight) })
    }

    /// Where it listens: the port is chosen by the system where the settings say 0.
    pub fn address(&self) -> SocketAddr {
        self.listener.address
    }

    pub async fn run(self, cancel: CancellationToken) {
        tracing::info!("serving on http://{}", self.address());
        self.listener.run(&routes::router(&self.app), &cancel).await;
        self.app.finish().await;
    }
}

//! Connections: accepted up to a limit, cut where they are slow, brought to an end when we end.
//!
//! Invariant: whatever clients do, a connection costs a bounded amount of memory and, idle, of time, and
//! the end comes within its deadline.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::problem::{Problem, Result};

/// A connection has one request at a time, so this is the limit of requests as well.
const CONNECTIONS: usize = 256;
const HEAD_BYTES: usize = 64 << 10;
/// After an error of the system, such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);

pub(super) struct Listener {
    pub address: SocketAddr,
    /// For the head of a request, and for a connection that is kept without one.
    pub head: Duration,
    /// How long requests may go on after we were told to end.
    pub ending: Duration,
    socket: TcpListener,
}

impl Listener {
    pub(super) async fn bind(wanted: SocketAddr) -> Result<Self> {
        let failed = |error| {
            Problem::unreachable(format!("cannot listen on {wanted}"))
                .because(&error)
                .hint("choose another address (`listen` of [serve], or TIMESWEEP_LISTEN beside `--omotes`), or end what listens there")
        };
        let socket = TcpListener::bind(wanted).await.map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        Ok(Self { address, head: Duration::from_secs(15), ending: Duration::from_secs(10), socket })
    }

    pub(super) async fn run(self, router: &Router, cancel: &CancellationToken) {
        let (connections, cut) = (TaskTracker::new(), CancellationToken::new());
        let free = Arc::new(Semaphore::new(CONNECTIONS));
        while let Some((stream, place)) = self.next(&free, cancel).await {
            let (router, cancel, cut, head) = (router.clone(), cancel.clone(), cut.clone(), self.head);
            connections.spawn(async move {
                tokio::select! {
                    () = cut.cancelled() => {}
                    () = talk(stream, router, head, cancel) => {}
                }
                drop(place);
            });
        }
        drop(self.socket);
        connections.close();
        if tokio::time::timeout(self.ending, connections.wait()).await.is_err() {
            tracing::warn!("{} connections are cut", connections.len());
            cut.cancel();
            connections.wait().await;
        }
    }

    /// `None` when it is time to end.
    async fn next(
        &self,
        free: &Arc<Semaphore>,
        cancel: &CancellationToken,
    ) -> Option<(TcpStream, OwnedSemaphorePermit)> {
        loop {
            let place = tokio::select! {
                biased;
                () = cancel.cancelled() => return None,
                place = Arc::clone(free).acquire_owned() => place.ok()?,
            };
            let accepted = tokio::select! {
                biased;
                () = cancel.cancelled() => return None,
                accepted = self.socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => return Some((stream, place)),
                Err(error) => {
                    tracing::warn!("a connection cannot be accepted: {error}");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

async fn talk(stream: TcpStream, router: Router, head: Duration, cancel: CancellationToken) {
    let service = TowerToHyperService::new(router);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(head).max_buf_size(HEAD_BYTES);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
    // How a client leaves is its own concern.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = cancel.cancelled() => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}

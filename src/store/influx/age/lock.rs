//! One runner per server and host: InfluxDB has no locks that it would lend, so the host lends one.
//!
//! A name in the kernel's own list of sockets belongs to one process until that process has ended, however it
//! ends, and leaves no file. Invariant: runs on other hosts are not held off; the page on safety says so.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use async_trait::async_trait;
use sha2::{Digest, Sha256};

use crate::problem::{Problem, Result};
use crate::store::RunnerLock;

pub struct HostLock {
    /// Held as long as it lives.
    _name: UnixListener,
}

pub fn take(server: &str) -> Result<HostLock> {
    let cannot =
        |error: &std::io::Error| Problem::unreachable("cannot take the runner's lock").because(error);
    // An address may be longer than such a name.
    let digest = Sha256::digest(server.as_bytes());
    let number = digest.iter().take(16).fold(0u128, |number, byte| number << 8 | u128::from(*byte));
    let name = SocketAddr::from_abstract_name(format!("timesweep-influxdb-{number:032x}"))
        .map_err(|e| cannot(&e))?;
    match UnixListener::bind_addr(&name) {
        Ok(name) => Ok(HostLock { _name: name }),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            Err(Problem::busy(format!("another run holds the lock on InfluxDB at {server}, on this host"))
                .hint("try again when it has ended"))
        }
        Err(error) => Err(cannot(&error)),
    }
}

#[async_trait]
impl RunnerLock for HostLock {
    /// A socket of ours cannot be taken away.
    async fn verify(&mut self) -> Result<()> {
        Ok(())
    }
}

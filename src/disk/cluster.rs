//! Whether a folder on this host is the data folder of the very server that we are connected to.
//!
//! A standby beside a client of the primary has the same path and the same system identifier, so the
//! time at which its server started has to be the same as well.

use std::fs;
use std::io::Read;
use std::path::Path;

use crate::retention::measured::DiskFacts;

/// Between the start of the process, which the lock file tells, and the start of the server, which SQL tells.
const STARTING_SECONDS: u64 = 60;

/// Says why it is not.
pub fn is_the_servers(folder: &Path, system: &str, facts: &DiskFacts) -> Result<(), String> {
    let found = system_of(folder)?;
    if found != system {
        return Err(format!("{} is of cluster {found}, the store of cluster {system}", folder.display()));
    }
    let of_another = format!("{} is of another server of the same cluster", folder.display());
    if !facts.in_recovery && folder.join("standby.signal").exists() {
        return Err(of_another);
    }
    let (Some(here), Some(there)) = (started(folder), facts.server_started) else {
        return Err(format!("nobody can tell whether {} is of this server", folder.display()));
    };
    if here.abs_diff(there) > STARTING_SECONDS { Err(of_another) } else { Ok(()) }
}

/// The system identifier: the first eight bytes of `global/pg_control`, in the machine's own order.
pub fn system_of(folder: &Path) -> Result<String, String> {
    let path = folder.join("global/pg_control");
    let mut number = [0; 8];
    let read = fs::File::open(&path).and_then(|mut file| file.read_exact(&mut number));
    match read {
        Ok(()) => Ok(u64::from_ne_bytes(number).to_string()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(format!("{} is no data folder on this host", folder.display()))
        }
        Err(error) => Err(format!("{} cannot be read: {error}", path.display())),
    }
}

/// The third line of the lock file: seconds since 1970 UTC.
fn started(folder: &Path) -> Option<i64> {
    fs::read_to_string(folder.join("postmaster.pid")).ok()?.lines().nth(2)?.trim().parse().ok()
}

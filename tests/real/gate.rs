//! The gate against real launchers (MariaDB and Oracle's MySQL), its ticket, and runs behind it.

mod done;
mod kills;
mod launcher;
mod launcher_server;
mod place;
mod runs;
mod scheduler;
mod tickets;

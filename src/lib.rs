//! timesweep removes time-series data nobody needs any more, and nothing else.
//!
//! One pipeline: gather → decide → guard → apply → measure → report. `ARCHITECTURE.md` says which
//! module may use which, and `tests/layering.rs` checks it.

pub mod amqp;
pub mod cli;
pub mod config;
pub mod crash_point;
pub mod daemon;
pub mod disk;
pub mod gate;
pub mod mail;
pub mod omotes;
pub mod problem;
pub mod registry;
pub mod report;
pub mod retention;
pub mod server;
pub mod session;
pub mod state;
pub mod store;
pub mod sweep;
pub mod wake;
pub mod whole_file;

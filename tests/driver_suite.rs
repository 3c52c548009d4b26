//! One suite for every driver: what the sweep relies on is true in memory and on a real TimescaleDB.
//!
//! The tests in `contract.rs` know no driver; each runs once per ground. A driver that is added gets a
//! ground of its own and nothing else.

#[path = "real/support.rs"]
#[allow(dead_code, reason = "the tests in real.rs use all of it")]
mod support;

mod driver_suite {
    mod contract;
    mod ground;
    mod memory;
    mod timescale;
}

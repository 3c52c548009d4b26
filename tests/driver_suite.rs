//! One suite for every driver: what the sweep relies on is true in memory, on a real TimescaleDB, and on a
//! real InfluxDB as far as that has locks and sessions.
//!
//! The tests in `contract.rs` know no driver; each runs once per ground. A driver that is added gets a
//! ground of its own and nothing else.

#[path = "real/own_influx.rs"]
#[allow(dead_code, reason = "the owned suite uses all of it")]
mod own_influx;
#[path = "real/support.rs"]
#[allow(dead_code, reason = "the tests in real.rs use all of it")]
mod support;

mod driver_suite {
    mod contract;
    mod ground;
    mod influx;
    mod memory;
    mod timescale;
}

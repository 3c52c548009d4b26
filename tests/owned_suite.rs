//! One suite for every store of owned data: what the pass relies on is true in memory, on a real InfluxDB
//! and on schemas of a real PostgreSQL. `dev/test` starts the servers; without them these tests fail.
//!
//! The tests in `contract.rs` know no store; each runs once per ground. What only one kind of store can meet
//! is in the file of that store.

#[path = "real/own_influx.rs"]
#[allow(dead_code, reason = "the driver suite uses the rest")]
mod own_influx;
#[path = "real/support.rs"]
#[allow(dead_code, reason = "the tests in real.rs use all of it")]
mod support;
#[path = "real/tcp_proxy.rs"]
#[allow(dead_code, reason = "every mode that a test may want")]
mod tcp_proxy;

mod owned_suite {
    mod contract;
    mod ground;
    mod influx;
    mod influx_login;
    mod influx_tls;
    mod memory;
    mod schema_dependents;
    mod schemas;
    mod stand_in;
}

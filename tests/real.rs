//! Tests against a real TimescaleDB. `dev/test` starts the server and sets `TIMESWEEP_TEST_POSTGRES_URL`;
//! without it these tests fail, they are never skipped. Every test has a database of its own.

mod real {
    mod support;

    mod activity;
    mod aggregates;
    mod amqp;
    mod at_work;
    mod catalog_layouts;
    mod cli;
    mod crowd;
    mod differential;
    mod direct;
    mod execution;
    mod execution_details;
    mod foreign_keys;
    mod gate;
    mod journal;
    mod ledger;
    mod mail;
    mod measure;
    mod omotes;
    mod orchestrator;
    mod own_broker;
    #[allow(dead_code, reason = "the driver suite uses the rest")]
    mod own_influx;
    mod own_server;
    mod own_testbed;
    mod owned;
    mod pooler;
    mod proxy;
    mod registry;
    mod restart;
    mod runner_lock;
    mod sessions;
    mod shared_state;
    mod signals;
    mod space_partitions;
    mod stalled;
    #[allow(dead_code, reason = "every mode that a test may want")]
    mod tcp_proxy;
}

//! Tests against a real TimescaleDB. `dev/test` starts the server and sets `TIMESWEEP_TEST_POSTGRES_URL`;
//! without it these tests fail, they are never skipped. Every test has a database of its own.

mod real {
    mod support;

    mod cli;
    mod differential;
    mod execution;
}

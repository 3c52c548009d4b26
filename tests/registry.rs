//! The registry in a SQLite file against the ledger in memory: same events, same checks, same answers.
//! `tests/real/registry.rs` runs the same suite on PostgreSQL.

mod registry {
    pub mod adoption;
    pub mod differential;
    pub mod meddled;
    pub mod pages;
    pub mod together;
    pub mod world;

    mod sqlite;
}

//! Owned data by the program itself: `serve` and the verbs against a real InfluxDB or PostgreSQL that holds
//! the data, a real PostgreSQL as registry, a real RabbitMQ, and the public Python client.

mod broker_restart;
mod crash;
mod crash_points;
mod crash_recovery;
mod empty_store;
pub mod ground;
mod messages;
pub mod place;
mod replicas;
mod rest;
pub mod serving;
mod stories;
mod trouble;
mod with_others;

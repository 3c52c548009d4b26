//! Messages as a way in, against a real RabbitMQ and the real Python client. Each test has a virtual host
//! of its own.

pub mod broker;
mod faults;
mod messages;
mod refusals;
mod registries;
pub mod wire;

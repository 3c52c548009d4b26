//! Messages as a way in, against a real RabbitMQ and the real Python client. Each test has a virtual host
//! of its own.

mod broker;
mod faults;
mod messages;
mod refusals;
mod registries;
mod wire;

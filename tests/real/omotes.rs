//! In the place of the orchestrator: real brokers, the real client, real Celery workers.

mod checked;
mod installation;
mod kills;
mod letters;
mod lines;
mod log;
mod odd;
mod refusals;
mod replicas;
mod unbound;
mod unheard;
mod variables;
mod whole;
mod workflows;

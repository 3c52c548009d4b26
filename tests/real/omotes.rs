//! In the place of the orchestrator: real brokers, the real client, real Celery workers.

mod installation;
mod letters;
mod lines;
mod replicas;
mod unheard;
mod whole;
mod workflows;

//! In the place of the orchestrator: real brokers, the real client, real Celery workers.

mod letters;
mod lines;
mod workflows;

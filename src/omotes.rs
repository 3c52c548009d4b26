//! The place of the orchestrator in an OMOTES installation: jobs are taken from clients, given to Celery
//! workers, and their results handed back; a deletion cancels the job and lets go of its data.
//!
//! What follows from a message is one transaction: rows of `job`, events of the registry, and letters to be
//! sent, which leave from the outbox afterwards. Invariant: no letter is sent for what is not committed, and
//! none that is committed is forgotten.

pub mod announcer;
pub mod celery;
pub mod letter;
pub mod outbox;
pub mod publisher;
pub mod workflows;

//! Names on the brokers that nobody sets, because every program of the platform knows them.
//!
//! Invariant: nothing else is called so, neither a queue that has a setting nor a workflow.

pub const SUBMISSIONS: &str = "job_submissions";
pub const DELETIONS: &str = "job_deletions";
/// What it was called when it did no more than cancel.
pub const OLD_DELETIONS: &str = "job_cancellations";
/// Ours: the platform's own orchestrator has one for itself alone, which replicas could not share.
pub const REQUESTS: &str = "timesweep_workflow_requests";
/// What clients ask for the workflows with: a key, and the platform's own orchestrator's queue.
pub const REQUEST_KEY: &str = "request_available_workflows";

pub const FIXED: [&str; 5] = [SUBMISSIONS, DELETIONS, OLD_DELETIONS, REQUESTS, REQUEST_KEY];

//! A message that is to leave once the transaction that wrote it is committed.
//!
//! Letters of one job leave in the order in which they were written. Invariant: a letter that a client waits
//! for may be sent twice after a crash, never not at all; a task that may have been sent before is sent
//! again under another Celery id only, so that one run of it counts.

use uuid::Uuid;

use crate::retention::ownership::JobId;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    pub job: JobId,
    pub content: Content,
}

/// Bodies are what goes over the wire: messages of `proto/omotes.proto`, or Celery's JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// To the workers' queue called like the workflow.
    Task {
        celery_id: Uuid,
        workflow: String,
        /// As Celery knows it: 2 low, 4 medium, 6 high.
        priority: u8,
        /// `[args, kwargs, embed]` of Celery's protocol 2; the Celery id is not in it.
        body: Vec<u8>,
    },
    /// To every worker: end this task, or never begin it.
    Revoke { celery_id: Uuid },
    /// A `JobStatusUpdate`, for the key `jobs.<uuid>.status`.
    Status(Vec<u8>),
    /// A `JobProgressUpdate`, for the key `jobs.<uuid>.progress`.
    Progress(Vec<u8>),
    /// A `JobResult`, for the key `jobs.<uuid>.result`.
    Result(Vec<u8>),
}

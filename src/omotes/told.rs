//! What the log says of jobs: a line for whatever became of one.
//!
//! It is gathered while a batch is decided, and said when the batch is committed. Invariant: of a message nothing
//! is said but the id of its job and the name of its workflow.

use crate::problem::printable;
use crate::retention::ownership::JobId;

/// Names of workflows come from clients.
const LONGEST_NAME: usize = 80;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Told {
    pub job: JobId,
    pub workflow: Option<String>,
    pub what: What,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum What {
    Submitted,
    /// Another program has stored it without a task.
    GetsItsTask,
    CameAgain,
    UnknownWorkflow,
    DeletedBefore,
    UnusableReference,
    Began,
    BeganAgain,
    BeganTooOften,
    IsAt(f64),
    OtherRun,
    ResultOfOtherRun,
    Succeeded,
    SucceededUnreadably,
    SucceededWithoutRow,
    Failed,
    FailedWithoutRow,
    Deleted,
    DeletedWithoutRow,
    OutOfTime,
    Stale,
    CannotBeRevoked,
}

impl Told {
    pub(super) fn tell(&self) {
        let job = self.job.0;
        let name = |name: &String| printable(name.chars().take(LONGEST_NAME).collect::<String>());
        let workflow = self.workflow.as_ref().map(name);
        let (workflow, said) = (workflow.as_deref(), self.what.sentence());
        match self.what {
            What::IsAt(done) => tracing::debug!(%job, workflow, done, "{said}"),
            What::OtherRun | What::FailedWithoutRow => tracing::debug!(%job, workflow, "{said}"),
            What::ResultOfOtherRun
            | What::SucceededUnreadably
            | What::SucceededWithoutRow
            | What::Stale
            | What::CannotBeRevoked => tracing::warn!(%job, workflow, "{said}"),
            _ => tracing::info!(%job, workflow, "{said}"),
        }
    }
}

impl What {
    fn sentence(self) -> &'static str {
        match self {
            Self::Submitted => "a job was submitted",
            Self::GetsItsTask => "a job that another program has stored gets its task",
            Self::CameAgain => "a submission came again, and changes nothing",
            Self::UnknownWorkflow => "a submission is answered with an error: nobody knows its workflow",
            Self::DeletedBefore => "a submission is cancelled: its job was deleted before",
            Self::UnusableReference => {
                "a submission is answered with an error: its reference cannot be stored"
            }
            Self::Began => "a task began",
            Self::BeganAgain => "a task began once more: its worker is gone, or gave it back",
            Self::BeganTooOften => "a job failed: its task began too often",
            Self::IsAt(_) => "a task goes on",
            Self::OtherRun => "a run that does not count goes on, and is told to end",
            Self::ResultOfOtherRun => "the result of a run that does not count is left aside",
            Self::Succeeded => "a job succeeded",
            Self::SucceededUnreadably => "a job succeeded, and nobody can read with which dataset",
            Self::SucceededWithoutRow => {
                "a job without a row succeeded: its data is registered, and no client gets the result"
            }
            Self::Failed => "a job failed",
            Self::FailedWithoutRow => "a job without a row failed, which changes nothing",
            Self::Deleted => "a job was deleted while it had a row, and is cancelled",
            Self::DeletedWithoutRow => "a job was deleted that has no row (any more)",
            Self::OutOfTime => "a job is out of time, and is cancelled",
            Self::Stale => {
                "nothing was heard of a job for so long that its row goes: its client gets no result"
            }
            Self::CannotBeRevoked => "the task of a job cannot be told to end: its Celery id is no UUID",
        }
    }
}

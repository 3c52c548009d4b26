//! Messages as values: what each queue's bytes say.
//!
//! Invariant: what is understood is decided, and anything else gets a reason without a word of the message.

use uuid::Uuid;

use super::Rules;
use super::deletion::Deletion;
use super::desk::Desk;
use super::outcome::Outcome;
use super::progress::Progress;
use super::submission::Submission;
use crate::retention::ownership::JobId;

/// A message, or what time itself says of a job.
#[derive(Debug, Clone)]
pub(super) enum Message {
    Submission(Box<Submission>),
    Deletion(Deletion),
    Progress(Progress),
    Outcome(Box<Outcome>),
    TimedOut(JobId),
    Stale(JobId),
}

impl Message {
    pub(super) fn job(&self) -> JobId {
        match self {
            Self::Submission(submission) => submission.job,
            Self::Deletion(deletion) => deletion.job,
            Self::Progress(progress) => progress.job,
            Self::Outcome(outcome) => outcome.job,
            Self::TimedOut(job) | Self::Stale(job) => *job,
        }
    }

    pub(super) fn decide(&self, desk: &mut Desk, rules: &Rules) {
        match self {
            Self::Submission(submission) => submission.decide(desk, rules, Uuid::now_v7),
            Self::Deletion(deletion) => deletion.decide(desk),
            Self::Progress(progress) => progress.decide(desk, rules.delivery_limit),
            Self::Outcome(outcome) => outcome.decide(desk),
            Self::TimedOut(job) => super::deletion::time_out(*job, desk),
            Self::Stale(job) => super::deletion::forget_stale(*job, desk),
        }
    }
}

/// In one way of writing it, as far as it is a UUID. `None`: there is none.
pub(super) fn celery_id(text: &str) -> Option<String> {
    let text = Uuid::parse_str(text).map_or_else(|_| text.to_owned(), |id| id.to_string());
    (!text.is_empty()).then_some(text)
}

pub(super) fn job(text: &str) -> Result<JobId, &'static str> {
    Uuid::parse_str(text).map(JobId).map_err(|_| "its job id is not a UUID")
}

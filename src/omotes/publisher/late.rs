//! Which letters leave a moment after the others.
//!
//! A client works at a status and at a result at the same time, and services keep whatever it wrote last. Invariant:
//! an error never leaves together with the news that its job was cancelled, which would take its place.

use std::collections::HashSet;
use std::time::Duration;

use prost::Message;

use crate::amqp::wire::job_result::ResultType;
use crate::amqp::wire::job_status_update::JobStatus;
use crate::amqp::wire::{JobResult, JobStatusUpdate};
use crate::omotes::letter::{Content, Letter};

/// Clients write a status into a database.
pub(super) const MOMENT: Duration = Duration::from_millis(250);

type Numbered = (i64, Letter);

/// Those that go at once, and those that wait: a result that contradicts a cancellation, and what follows of its job.
pub(super) fn part(letters: &[Numbered]) -> (Vec<&Numbered>, Vec<&Numbered>) {
    let (mut cancelled, mut waiting) = (HashSet::new(), HashSet::new());
    letters.iter().partition(|(_, letter)| {
        if is_cancellation(letter) {
            cancelled.insert(letter.job);
        } else if cancelled.contains(&letter.job) && is_another_result(letter) {
            waiting.insert(letter.job);
        }
        !waiting.contains(&letter.job)
    })
}

fn is_cancellation(letter: &Letter) -> bool {
    let Content::Status(body) = &letter.content else { return false };
    JobStatusUpdate::decode(body.as_slice()).is_ok_and(|update| update.status() == JobStatus::Cancelled)
}

fn is_another_result(letter: &Letter) -> bool {
    let Content::Result(body) = &letter.content else { return false };
    JobResult::decode(body.as_slice()).is_ok_and(|result| result.result_type() != ResultType::Cancelled)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::omotes::answer;
    use crate::retention::ownership::JobId;

    #[test]
    fn only_an_error_behind_a_cancellation_waits_and_what_follows_of_its_job() {
        let [failed, deleted, quick] = [1, 2, 3].map(|number| JobId(Uuid::from_u128(number)));
        let letters = [
            answer::status(failed, JobStatus::Cancelled),
            answer::status(deleted, JobStatus::Cancelled),
            answer::result(failed, ResultType::Error, "it was begun too often"),
            answer::result(deleted, ResultType::Cancelled, ""),
            answer::status(quick, JobStatus::Running),
            answer::result(quick, ResultType::Error, "it failed"),
            Letter { job: failed, content: Content::Revoke { celery_id: Uuid::nil() } },
            Letter { job: quick, content: Content::Result(vec![0xff]) },
        ];
        let letters: Vec<Numbered> = (0..).zip(letters).collect();
        let (first, later) = part(&letters);
        let ids = |letters: &[&Numbered]| letters.iter().map(|(id, _)| *id).collect::<Vec<_>>();
        assert_eq!((ids(&first), ids(&later)), (vec![0, 1, 3, 4, 5, 7], vec![2, 6]));
    }
}

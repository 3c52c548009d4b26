//! The queues of workflows, looked at before tasks are remembered as sent.
//!
//! Invariant: where a queue is closed to us for a while, tasks of its workflow wait and keep their ids; other
//! letters go on.

use std::collections::BTreeSet;
use std::time::Instant;

use super::course::Course;
use super::link::{Link, QueueIs};
use crate::omotes::letter::{Content, Letter};
use crate::problem::Result;

/// Holds jobs whose tasks wait for their queue; answers the workflows whose tasks fail.
pub(super) async fn look(
    letters: &[(i64, Letter)],
    tasks: &mut Link,
    course: &mut Course,
) -> Result<BTreeSet<String>> {
    let mut unusable = BTreeSet::new();
    let workflows: BTreeSet<&str> = letters.iter().filter_map(|(_, letter)| workflow_of(letter)).collect();
    for workflow in workflows {
        match tasks.declare_workflow(workflow).await? {
            QueueIs::There => course.is_open(workflow),
            QueueIs::Closed(why) if course.waits_for(workflow, Instant::now()) => {
                let why = format!("the queue of the workflow `{workflow}` cannot be used now: {why}");
                let of_it = |letter: &&(i64, Letter)| workflow_of(&letter.1) == Some(workflow);
                letters.iter().filter(of_it).for_each(|(_, letter)| course.hold(letter.job, &why));
                course.held.hold_workflow(workflow);
            }
            QueueIs::Otherwise | QueueIs::Closed(_) => _ = unusable.insert(workflow.to_owned()),
        }
    }
    Ok(unusable)
}

pub(super) fn workflow_of(letter: &Letter) -> Option<&str> {
    match &letter.content {
        Content::Task { workflow, .. } => Some(workflow),
        _ => None,
    }
}

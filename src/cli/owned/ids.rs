//! Ids that people and programs type: one clear sentence for those that are none, however long they are.

use uuid::Uuid;

use crate::problem::{Problem, Result};
use crate::retention::ownership::{JobId, OwnedName};
use crate::sweep::owned::explain::shortened;

/// No store has a name that is longer.
const LONGEST_NAME: usize = 1_024;

pub fn job(text: &str) -> Result<JobId> {
    // Longer texts are not even looked at.
    let id = (text.len() <= 64).then(|| Uuid::try_parse(text.trim()).ok()).flatten();
    id.map(JobId).ok_or_else(|| {
        Problem::usage(format!("{} is no id of a job", shortened(text)))
            .hint("a job's id is a UUID such as 1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed")
    })
}

pub fn dataset(text: &str) -> Result<OwnedName> {
    if text.trim().is_empty() || text.len() > LONGEST_NAME {
        return Err(Problem::usage(format!("{} is no name of a dataset", shortened(text)))
            .hint("`timesweep plan --all` lists every one"));
    }
    Ok(OwnedName(text.into()))
}

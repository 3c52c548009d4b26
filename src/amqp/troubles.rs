//! What keeps the lines of one process from working, as the log has told it.
//!
//! Five queues stop over one server. Invariant: a cause is told once as long as it lasts, whichever lines it stops.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A server that words each trouble anew must not fill the memory.
const MANY: usize = 1_000;

/// Copies remember the same.
#[derive(Debug, Clone, Default)]
pub struct Troubles(Arc<Mutex<BTreeMap<String, Vec<String>>>>);

impl Troubles {
    /// A line stands still over this. Says whether nobody was told of it yet.
    pub(crate) fn is_news(&self, line: &str, cause: &str) -> bool {
        let mut told = self.held();
        if told.len() >= MANY {
            told.clear();
        }
        let lines = told.entry(cause.to_owned()).or_default();
        let is_news = lines.is_empty();
        if !lines.iter().any(|known| known == line) {
            lines.push(line.to_owned());
        }
        is_news
    }

    /// A line works. Says whether it stood still before.
    pub(crate) fn works(&self, line: &str) -> bool {
        let mut told = self.held();
        let stood_still = told.values().flatten().any(|known| known == line);
        told.values_mut().for_each(|lines| lines.retain(|known| known != line));
        told.retain(|_, lines| !lines.is_empty());
        stood_still
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<String, Vec<String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::Troubles;

    #[test]
    fn a_cause_is_told_once_until_every_line_that_it_stopped_works_again() {
        let troubles = Troubles::default();
        assert!(troubles.is_news("results", "away"));
        assert!(!troubles.is_news("results", "away") && !troubles.is_news("progress", "away"));
        assert!(troubles.is_news("results", "another cause"));
        assert!(troubles.works("results") && !troubles.works("results"));
        assert!(!troubles.is_news("results", "away"), "the other line still stands still");
        assert!(troubles.works("results") && troubles.works("progress"));
        assert!(troubles.is_news("results", "away"));
    }
}

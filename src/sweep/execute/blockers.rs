//! Sessions that keep a run from its chunks: ended where the settings say so, and only then.
//!
//! A session counts from when it was first seen to hold a lock on the chunk, and again from the start when
//! it was away in between. Invariant: the runner's lock is verified before anybody is ended, and a chunk
//! is waited for no longer than twice the patience beside its tries.

use std::time::{Duration, Instant};

use crate::problem::Result;
use crate::retention::sessions::{Answer, How, Left, SessionFacts, SessionMode, may_be_ended};

use super::Execution;
use crate::sweep::queue::Item;

/// After a look that failed.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Whom a chunk was seen to wait for, and since when.
#[derive(Debug, Default)]
pub struct InTheWay {
    since: Option<Instant>,
    seen: Vec<(Identity, Instant)>,
}

/// A process id alone may be another session's by now.
type Identity = (i32, Option<i64>);

impl InTheWay {
    /// How long each of these sessions has been in the way without a break; whoever is not among them is
    /// forgotten.
    fn look(&mut self, there: &[SessionFacts], now: Instant) -> Vec<Duration> {
        self.since.get_or_insert(now);
        let seen: Vec<(Identity, Instant)> = there
            .iter()
            .map(|session| {
                let identity = (session.pid, session.started_at);
                let earlier = self.seen.iter().find(|(other, _)| *other == identity);
                (identity, earlier.map_or(now, |(_, since)| *since))
            })
            .collect();
        self.seen = seen;
        self.seen.iter().map(|(_, since)| now.saturating_duration_since(*since)).collect()
    }

    /// Somebody was in the way at the last look. At the next one they may have gone since the try failed.
    fn is_watched(&self) -> bool {
        !self.seen.is_empty()
    }

    /// Nobody could be seen this time. Until when the chunk is tried, for the sake of those who were seen before.
    fn unseen(&self, patience: Duration, now: Instant) -> Option<Instant> {
        let over = self.seen.iter().filter_map(|(_, since)| since.checked_add(patience)).min()?;
        Some(over.max(now + LOOK_AGAIN)).filter(|over| self.ends_by(patience).is_some_and(|end| *over <= end))
    }

    /// Whoever was told to end counts anew should it come back.
    fn forget(&mut self, session: &SessionFacts) {
        self.seen.retain(|(identity, _)| *identity != (session.pid, session.started_at));
    }

    /// Whoever comes later than this is not waited for any more.
    fn ends_by(&self, patience: Duration) -> Option<Instant> {
        self.since?.checked_add(patience * 2)
    }
}

impl Execution {
    /// `terminate_all`: once, before the first drop, and only if there is one.
    pub(super) async fn clear_the_way(&self) {
        let asked = self.sessions.rules().mode == SessionMode::TerminateAll;
        if !asked || self.queue().is_empty() || self.is_stopping() {
            return;
        }
        let ended = async {
            self.lock.lock().await.verify().await?;
            self.sessions.end_all().await
        };
        if let Err(problem) = ended.await {
            self.give_up(problem);
        }
    }

    /// A lock on this chunk was not to be had: whoever was in its way for too long is ended, if that is
    /// allowed, and the chunk has its tries again.
    pub(super) async fn deal_with_blockers(&self, lane: usize, item: &mut Item) -> Result<()> {
        if !self.sessions.rules().mode.ends_blockers() || self.is_stopping() {
            return Ok(());
        }
        let (dataset, _) = self.names(lane);
        let Some(there) = self.sessions.in_the_way(&dataset, &item.plan.chunk).await else {
            item.not_given_up_before = item.in_the_way.unseen(self.sessions.rules().patience, Instant::now());
            return Ok(());
        };
        let ending = self.choose(item, there, Instant::now());
        if ending.is_empty() {
            return Ok(());
        }
        self.lock.lock().await.verify().await?;
        if self.sessions.end(ending, Some((&dataset, &item.plan.chunk))).await? {
            self.start_over(item);
        }
        Ok(())
    }

    fn start_over(&self, item: &mut Item) {
        let ends_by = item.in_the_way.ends_by(self.sessions.rules().patience);
        if ends_by.is_some_and(|ends_by| Instant::now() < ends_by) {
            item.start_over();
        }
    }

    /// Who is to be ended now. While somebody's patience runs, the chunk is not given up.
    fn choose(&self, item: &mut Item, there: Vec<SessionFacts>, now: Instant) -> Vec<(SessionFacts, How)> {
        let rules = self.sessions.rules();
        if there.is_empty() && item.in_the_way.is_watched() {
            self.start_over(item);
        }
        let waited = item.in_the_way.look(&there, now);
        let mut ending = Vec::new();
        let mut soonest: Option<Instant> = None;
        for (session, waited) in there.into_iter().zip(waited) {
            match may_be_ended(&session, rules, Some(waited)) {
                Answer::End(how) => {
                    item.in_the_way.forget(&session);
                    ending.push((session, how));
                }
                Answer::Leave(Left::Patience(left)) => {
                    let over = now + left;
                    soonest = Some(soonest.map_or(over, |soonest| soonest.min(over)));
                }
                Answer::Leave(left) => self.sessions.note_left(&session, left, Some(&item.plan.chunk)),
            }
        }
        let ends_by = item.in_the_way.ends_by(rules.patience);
        item.not_given_up_before = soonest.filter(|over| ends_by.is_some_and(|ends_by| *over <= ends_by));
        ending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(pid: i32, started_at: i64) -> SessionFacts {
        SessionFacts {
            pid,
            started_at: Some(started_at),
            role: "app".into(),
            backend: Some("client backend".into()),
            in_our_database: true,
            ours: false,
            drops_chunks: false,
            application: String::new(),
            address: None,
            state: None,
            statement: String::new(),
            since_seconds: 3600,
        }
    }

    #[test]
    fn a_session_counts_from_when_it_was_first_seen_and_anew_after_a_break() {
        let start = Instant::now();
        let at = |second: u64| start + Duration::from_secs(second);
        let seconds = Duration::from_secs;
        let mut way = InTheWay::default();
        assert_eq!(way.look(&[session(1, 1)], at(0)), [seconds(0)]);
        assert_eq!(way.look(&[session(2, 1), session(1, 1)], at(7)), [seconds(0), seconds(7)]);
        assert_eq!(way.look(&[session(2, 1)], at(9)), [seconds(2)]);
        assert_eq!(
            way.look(&[session(1, 1), session(2, 9)], at(10)),
            [seconds(0), seconds(0)],
            "another session"
        );
        way.forget(&session(1, 1));
        assert_eq!(
            way.look(&[session(1, 1), session(2, 9)], at(12)),
            [seconds(0), seconds(2)],
            "told to end"
        );
        assert_eq!(way.ends_by(seconds(30)), Some(at(60)), "from the first look on");
    }
}

//! What time itself brings about: jobs that run for too long end, and rows of which nothing was heard go.
//!
//! Invariants: nothing is decided on what was seen before the rows were locked; and neither happens unless this
//! process has for a while taken all that came from the workers at once, has nothing of it in hand, and sees nothing
//! wait, also behind the locks: a result in hand or in a queue says that its job has ended in time.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Orchestrator;
use super::reading::Message;
use super::rows::Need;
use crate::problem::Result;
use crate::retention::ownership::JobId;

/// How often stale rows are looked for.
const STALE_PERIOD: Duration = Duration::from_secs(30);
/// How long it is remembered that a job had its last letter.
const REMEMBERED: i64 = 30 * 86_400;
const AT_ONCE: usize = 500;

const TIMED_OUT: &str = "SELECT job_id::text FROM job WHERE status = 'RUNNING' \
     AND running_at + (timeout_after_ms + $1::bigint) * interval '1 millisecond' < clock_timestamp()";

/// One whose task has not left yet waits for us alone.
const STALE: &str = "SELECT job_id::text FROM job WHERE coalesce(running_at, submitted_at, registered_at) \
       < clock_timestamp() - $1::bigint * interval '1 second' \
     AND NOT EXISTS (SELECT FROM timesweep_outbox o WHERE o.kind = 'task' AND o.job = job.job_id)";

const FORGET: &str = "DELETE FROM timesweep_job_over \
     WHERE at < clock_timestamp() - $1::bigint * interval '1 second' RETURNING job::text";

const FORGET_COUNTED: &str = "DELETE FROM timesweep_start \
     WHERE at < clock_timestamp() - $1::bigint * interval '1 second' RETURNING job::text";

/// Whether nothing of the workers is unheard.
type HasHeard<'a> = &'a (dyn Fn() -> bool + Sync);

impl Orchestrator {
    /// Until it is told to end. What fails is told and tried again at the next turn.
    /// `heard` says for how long all that came from the workers was taken at once.
    pub async fn tidy_for_ever(
        &self,
        heard: &(dyn Fn() -> Option<Duration> + Sync),
        cancel: &CancellationToken,
    ) {
        let began = Instant::now();
        let mut stale_at = began + STALE_PERIOD;
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                () = tokio::time::sleep(self.rules.rerun) => {}
            }
            let mut done = Ok(());
            let has_heard = || heard().is_some_and(|heard| heard > self.rules.start_buffer);
            if has_heard() {
                done = self.end_timed_out(&has_heard).await;
            }
            if Instant::now() >= stale_at {
                stale_at = Instant::now() + STALE_PERIOD;
                if has_heard() && began.elapsed() > self.rules.retention {
                    done = done.and(self.forget_stale(&has_heard).await);
                }
                done = done.and(self.forget_long_over().await);
            }
            if let Err(problem) = done {
                tracing::warn!("jobs are not tidied, again in {:.0?}: {problem}", self.rules.rerun);
            }
        }
    }

    /// Jobs that have run for longer than they may are deleted.
    pub async fn end_timed_out(&self, has_heard: HasHeard<'_>) -> Result<()> {
        let doing = "find jobs that are out of time";
        let ids = self.alone.ids(doing, TIMED_OUT, self.rules.patience_ms()).await?;
        self.each_of(&ids, has_heard, Message::TimedOut).await
    }

    /// Rows of which nothing was heard go; that ends no job.
    pub async fn forget_stale(&self, has_heard: HasHeard<'_>) -> Result<()> {
        let retention = i64::try_from(self.rules.retention.as_secs()).unwrap_or(i64::MAX);
        let ids = self.alone.ids("find stale jobs", STALE, retention).await?;
        self.each_of(&ids, has_heard, Message::Stale).await
    }

    async fn forget_long_over(&self) -> Result<()> {
        for query in [FORGET, FORGET_COUNTED] {
            self.alone.ids("forget jobs that were over long ago", query, REMEMBERED).await?;
        }
        Ok(())
    }

    async fn each_of(
        &self,
        ids: &[String],
        has_heard: HasHeard<'_>,
        message: fn(JobId) -> Message,
    ) -> Result<()> {
        let ids: Vec<Uuid> = ids.iter().filter_map(|id| id.parse().ok()).collect();
        for some in ids.chunks(AT_ONCE) {
            let messages: Vec<Message> = some.iter().map(|id| message(JobId(*id))).collect();
            self.carry_out_while(has_heard, Need::Deletions, &messages).await?;
        }
        Ok(())
    }
}

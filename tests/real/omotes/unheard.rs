//! Time ends no job while anything of the workers is in hand, or waits.

use std::sync::Arc;
use std::time::Duration;

use timesweep::amqp::LineCounters;
use timesweep::amqp::line::{Line, Queue, Taken};
use timesweep::omotes::Rules;
use timesweep::omotes::takers::TaskResults;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::real::amqp::broker::{TestBroker, settings};
use crate::real::orchestrator::place::{Place, all_said, dataset_of, outcome, rules, start};
use crate::real::support::eventually;

const RESULTS: &str = "omotes_task_result_events";

struct Listening {
    counters: Arc<LineCounters>,
    cancel: CancellationToken,
    line: JoinHandle<()>,
    tidy: JoinHandle<()>,
}

impl Listening {
    /// One replica: its line of results, and what time brings about.
    fn start(broker: &TestBroker, place: &Place) -> Self {
        let (counters, cancel) = (Arc::<LineCounters>::default(), CancellationToken::new());
        let (taker, url) = (TaskResults(Arc::clone(place.first())), broker.url());
        let (count, until) = (Arc::clone(&counters), cancel.clone());
        let line = tokio::spawn(async move {
            let broker = settings(&url).broker;
            let (dead_letters, bound_to, old_name) = ("timesweep_dead_letters", None, None);
            let queue = Queue {
                name: RESULTS,
                dead_letters,
                bound_to,
                old_name,
                taken: Taken::Together { clients: &broker },
            };
            let line = Line { taker: &taker, broker: &broker, queue, counters: &count };
            line.listen(&until).await.expect("quietly");
        });
        let (orchestrator, count, until) = (Arc::clone(place.first()), Arc::clone(&counters), cancel.clone());
        let tidy = tokio::spawn(async move {
            orchestrator.tidy_for_ever(&|| count.has_heard_all_for(), &until).await;
        });
        Self { counters, cancel, line, tidy }
    }

    async fn end(self) {
        self.cancel.cancel();
        self.line.await.expect("it ends");
        self.tidy.await.expect("it ends");
    }
}

/// Another job's row is locked by somebody, so their batch waits, fails and comes again.
#[tokio::test(flavor = "multi_thread")]
async fn time_ends_no_job_whose_result_is_in_hand() {
    let broker = TestBroker::new().await;
    let (start_buffer, rerun) = (Duration::from_millis(300), Duration::from_millis(100));
    let mut place = Place::with(Rules { start_buffer, rerun, ..rules() }).await;
    let listening = Listening::start(&broker, &place);
    let heard = || listening.counters.has_heard_all_for();
    eventually("time could end jobs", async || heard().is_some_and(|heard| heard > start_buffer)).await;
    let (other, job) = (Uuid::now_v7(), Uuid::now_v7());
    let tasks = [place.at_work(other).await, place.at_work(job).await];
    place.progress(start(other, tasks[0])).await;
    place.progress(start(job, tasks[1])).await;
    let mut somebody = place.database.connect().await;
    let lock = format!("BEGIN; SELECT 1 FROM job WHERE job_id = '{other}' FOR UPDATE");
    sqlx::raw_sql(sqlx::AssertSqlSafe(lock)).execute(&mut somebody).await.expect("locked");
    broker.publish(RESULTS, &[outcome(other, tasks[0], true), outcome(job, tasks[1], true)]).await;
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    eventually("the results wait", async || place.database.number(waits).await > 0).await;
    place.database.run(&format!("UPDATE job SET timeout_after_ms = 1 WHERE job_id = '{job}'")).await;
    // Long enough for many turns; then the batch fails, and whoever stood behind it is next.
    let late = "SELECT count(*) FROM job WHERE timeout_after_ms = 1 AND running_at < clock_timestamp() - interval '1 second'";
    eventually("it is out of time", async || place.database.number(late).await == 1).await;
    for _ in 0..2 {
        let before = listening.counters.interruptions();
        eventually("the results wait", async || place.database.number(waits).await > 0).await;
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND wait_event_type = 'Lock' AND application_name = 'timesweep registry'";
        place.database.run(end).await;
        eventually("the batch fails", async || listening.counters.interruptions() > before).await;
    }
    sqlx::raw_sql("ROLLBACK").execute(&mut somebody).await.expect("unlocked");
    eventually("both are over", async || place.is_empty().await).await;
    let said = all_said(&place.sent().await);
    assert_eq!(said[2..], ["result SUCCEEDED `what it said`", "result SUCCEEDED `what it said`"], "{said:?}");
    assert_eq!(place.registration(job).await, Some((Some(dataset_of(job)), false)));
    listening.end().await;
}

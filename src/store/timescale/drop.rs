//! Drops the chunks of one order in one transaction, or none of them.
//!
//! Chunks go by `drop_chunks` on their own typed ranges, never by an interval, never by `DROP TABLE`:
//! only `drop_chunks` logs the invalidations of continuous aggregates and takes the locks that protect
//! foreign keys. Invariant: the transaction is committed only if the server has dropped exactly the
//! relations of the order; it skips frozen chunks silently, and a new sibling would go along.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use sqlx::AssertSqlSafe;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgConnection, PgDatabaseError, PgSeverity};
use sqlx::{Executor, Row};

use crate::crash_point;
use crate::retention::name::quote_identifier;
use crate::retention::time_axis::TimeRange;
use crate::store::postgres::limits::no_answer;
use crate::store::postgres::{database_error, rollback};
use crate::store::{Change, DropFailure, DropOrder, Dropped, Dropper};

use super::aggregates;
use super::catalog::Catalog;

mod statements;

use statements::{READ_AGAIN, begin_statement, drop_statement, joined, lock_statement};

type Outcome<T> = std::result::Result<T, DropFailure>;

/// How many calls of `drop_chunks` a transaction makes.
#[derive(Clone, Copy)]
enum Calls {
    /// One for chunks that touch each other: a third less work for the server.
    Joined,
    /// One for each chunk, which tells what became of each.
    Single,
}

pub struct TimescaleDropper {
    connection: PgConnection,
    catalog: Catalog,
    lock_timeout: Duration,
    /// After this long without an answer nobody knows what became of an order.
    answer_within: Duration,
}

impl TimescaleDropper {
    pub fn new(
        connection: PgConnection,
        catalog: Catalog,
        lock_timeout: Duration,
        answer_within: Duration,
    ) -> Self {
        Self { connection, catalog, lock_timeout, answer_within }
    }

    /// Begins, locks, reads again, drops and compares; leaves the transaction open. Answers with how many
    /// chunks went and since when they are locked.
    async fn drop_in_transaction(&mut self, order: &DropOrder, calls: Calls) -> Outcome<(usize, Instant)> {
        let chunks = self.begin_and_lock(order).await?;
        let held_since = Instant::now();
        let order = DropOrder { chunks: order.chunks[..chunks].to_vec(), ..order.clone() };
        let expected = self.read_again(&order).await?;
        if order.protect_aggregates {
            self.ask_aggregates_again(&order).await?;
        }
        match calls {
            Calls::Joined => {
                let ranges = joined(order.chunks.iter().map(|chunk| chunk.range));
                let dropped = self.call_drop_chunks(&order, &ranges).await?;
                compare_all(&expected, &dropped)?;
            }
            Calls::Single => {
                let ranges: Vec<TimeRange> = order.chunks.iter().map(|chunk| chunk.range).collect();
                compare(&expected, &self.call_drop_chunks(&order, &ranges).await?)?;
            }
        }
        Ok((chunks, held_since))
    }

    /// Waits for the first chunk, then takes the others if nobody holds any of them: whoever waits for
    /// the first by now has no lock on a chunk that it would come to later.
    async fn begin_and_lock(&mut self, order: &DropOrder) -> Outcome<usize> {
        let begin = begin_statement(self.lock_timeout);
        let [first, others @ ..] = order.chunks.as_slice() else { return Ok(0) };
        // What an aggregate still has to read is asked under the lock, or a writer could add to it afterwards.
        if others.is_empty() && !order.protect_aggregates {
            self.execute(&begin).await?;
            return Ok(1);
        }
        self.execute(&format!("{begin}; {}", lock_statement(std::slice::from_ref(first), ""))).await?;
        if others.is_empty() {
            return Ok(1);
        }
        let others = format!("SAVEPOINT others; {}", lock_statement(others, " NOWAIT"));
        match self.execute(&others).await {
            Ok(()) => Ok(order.chunks.len()),
            Err(DropFailure::Waited(_)) => {
                self.execute("ROLLBACK TO SAVEPOINT others").await?;
                Ok(1)
            }
            Err(failure) => Err(failure),
        }
    }

    async fn drop_and_commit(&mut self, order: &DropOrder) -> Outcome<Dropped> {
        let mut answer = self.drop_in_transaction(order, Calls::Joined).await;
        // One call for many chunks does not say which of them was to blame.
        if let (Err(DropFailure::Changed(_)), 2..) = (&answer, order.chunks.len()) {
            rollback(&mut self.connection).await;
            answer = self.drop_in_transaction(order, Calls::Single).await;
        }
        let (chunks, held_since) = match answer {
            Ok(done) => done,
            Err(failure) => {
                rollback(&mut self.connection).await;
                return Err(self.explain_failure(order, failure).await);
            }
        };
        let (held, released) = (held_since.elapsed(), Instant::now());
        crash_point::reach("before-commit");
        self.execute("COMMIT").await?;
        crash_point::reach("committed");
        Ok(Dropped { chunks, held, released })
    }

    /// A lock cannot name what is gone: which chunks have changed is read, in a transaction of its own.
    async fn explain_failure(&mut self, order: &DropOrder, failure: DropFailure) -> DropFailure {
        if !matches!(failure, DropFailure::Permanent { .. }) {
            return failure;
        }
        let read = async {
            self.execute(&begin_statement(self.lock_timeout)).await?;
            self.read_again(order).await
        };
        let changed = read.await.err();
        rollback(&mut self.connection).await;
        match changed {
            Some(changed @ DropFailure::Changed(_)) => changed,
            _ => failure,
        }
    }

    async fn execute(&mut self, statement: &str) -> Outcome<()> {
        let done = self.connection.execute(AssertSqlSafe(statement.to_owned())).await;
        done.map(|_| ()).map_err(|error| failure(&error))
    }

    /// The names of each chunk's parts as the server writes them; fails where the plan is not true any more.
    async fn read_again(&mut self, order: &DropOrder) -> Outcome<Vec<BTreeSet<String>>> {
        let mut expected = vec![BTreeSet::new(); order.chunks.len()];
        for row in self.fetch_parts(order).await? {
            let index = index_of(&row, "chunk")?;
            if let Some(name) = row.try_get::<Option<String>, _>("name").map_err(|error| failure(&error))? {
                expected[index].insert(name);
            }
        }
        let changes: Vec<(usize, Change)> = order
            .chunks
            .iter()
            .enumerate()
            .filter_map(|(index, chunk)| match expected[index].len() {
                0 => Some((index, Change::Gone)),
                there if there == chunk.parts.len() => None,
                there => Some((
                    index,
                    Change::Differs(format!("{there} of its {} parts are left", chunk.parts.len())),
                )),
            })
            .collect();
        if changes.is_empty() { Ok(expected) } else { Err(DropFailure::Changed(changes)) }
    }

    async fn fetch_parts(&mut self, order: &DropOrder) -> Outcome<Vec<sqlx::postgres::PgRow>> {
        let parts = || {
            order
                .chunks
                .iter()
                .enumerate()
                .flat_map(|(index, chunk)| chunk.parts.iter().map(move |part| (index, part)))
        };
        sqlx::query(READ_AGAIN)
            .bind(parts().map(|(index, _)| i64::try_from(index).unwrap_or(i64::MAX)).collect::<Vec<i64>>())
            .bind(parts().map(|(_, part)| Oid(part.oid)).collect::<Vec<Oid>>())
            .bind(parts().map(|(_, part)| part.relation.schema.clone()).collect::<Vec<String>>())
            .bind(parts().map(|(_, part)| part.relation.name.clone()).collect::<Vec<String>>())
            .bind(&order.dataset.schema)
            .bind(&order.dataset.name)
            .fetch_all(&mut self.connection)
            .await
            .map_err(|error| failure(&error))
    }

    async fn ask_aggregates_again(&mut self, order: &DropOrder) -> Outcome<()> {
        let pending = aggregates::not_materialized(&mut self.connection, &self.catalog, Some(&order.dataset))
            .await
            .map_err(|error| failure(&error))?;
        let changes: Vec<(usize, Change)> = order
            .chunks
            .iter()
            .enumerate()
            .filter_map(|(index, chunk)| {
                let (_, view, _) = pending.iter().find(|(_, _, range)| range.overlaps(chunk.range))?;
                Some((index, Change::Differs(format!("it now holds rows that are not in {view} yet"))))
            })
            .collect();
        if changes.is_empty() { Ok(()) } else { Err(DropFailure::Changed(changes)) }
    }

    /// What went with each of these ranges.
    async fn call_drop_chunks(
        &mut self,
        order: &DropOrder,
        ranges: &[TimeRange],
    ) -> Outcome<Vec<BTreeSet<String>>> {
        let statement = drop_statement(&self.catalog.schema, &order.kind)?;
        let table =
            format!("{}.{}", quote_identifier(&order.dataset.schema), quote_identifier(&order.dataset.name));
        let rows = sqlx::query(AssertSqlSafe(statement))
            .bind(ranges.iter().map(|range| range.start).collect::<Vec<i64>>())
            .bind(ranges.iter().map(|range| range.end).collect::<Vec<i64>>())
            .bind(table)
            .fetch_all(&mut self.connection)
            .await
            .map_err(|error| failure(&error))?;
        let mut dropped = vec![BTreeSet::new(); ranges.len()];
        for row in &rows {
            let name: String = row.try_get("name").map_err(|error| failure(&error))?;
            dropped[index_of(row, "range")?].insert(name);
        }
        Ok(dropped)
    }
}

#[async_trait]
impl Dropper for TimescaleDropper {
    async fn drop_chunks(&mut self, order: &DropOrder) -> Outcome<Dropped> {
        let answer = tokio::time::timeout(self.answer_within, self.drop_and_commit(order)).await;
        // The session is not used again after this answer.
        answer.unwrap_or_else(|_| Err(DropFailure::Unknown(no_answer(self.answer_within))))
    }
}

fn index_of(row: &sqlx::postgres::PgRow, column: &str) -> Outcome<usize> {
    let index: i64 = row.try_get(column).map_err(|error| failure(&error))?;
    usize::try_from(index).map_err(|error| DropFailure::Unknown(error.to_string()))
}

/// As [`compare`], where nobody knows which range a name belongs to.
fn compare_all(expected: &[BTreeSet<String>], dropped: &[BTreeSet<String>]) -> Outcome<()> {
    let flat = |sets: &[BTreeSet<String>]| sets.iter().flatten().cloned().collect::<BTreeSet<_>>();
    compare(&[flat(expected)], &[flat(dropped)])
}

fn compare(expected: &[BTreeSet<String>], dropped: &[BTreeSet<String>]) -> Outcome<()> {
    let changes: Vec<(usize, Change)> = expected
        .iter()
        .zip(dropped)
        .enumerate()
        .filter(|(_, (planned, answered))| planned != answered)
        .map(|(index, (planned, answered))| (index, Change::Differs(difference(planned, answered))))
        .collect();
    if changes.is_empty() { Ok(()) } else { Err(DropFailure::Changed(changes)) }
}

fn difference(planned: &BTreeSet<String>, answered: &BTreeSet<String>) -> String {
    let list = |names: Vec<&String>| names.into_iter().cloned().collect::<Vec<_>>().join(", ");
    let more = list(answered.difference(planned).collect());
    if more.is_empty() {
        let fewer = list(planned.difference(answered).collect());
        return format!("the server would not drop {fewer}; it may be frozen");
    }
    format!("the server would drop {more} as well")
}

/// What an error of the server means for the order.
///
/// Only 55P03 (lock timeout), 40P01 (deadlock) and 40001 (serialization) can be tried again. An error
/// without a SQLSTATE is a broken connection, and after a fatal one the server has ended the session.
fn failure(error: &sqlx::Error) -> DropFailure {
    let Some(database) = database_error(error) else { return DropFailure::Unknown(error.to_string()) };
    if matches!(database.severity(), PgSeverity::Fatal | PgSeverity::Panic) {
        return DropFailure::Unknown(database.message().to_owned());
    }
    match database.code() {
        "55P03" => DropFailure::Waited(WAITED.into()),
        "40P01" => DropFailure::Waited("it waited for a session that waited for it (a deadlock)".into()),
        "40001" => DropFailure::Waited("another session changed the same rows of the catalog".into()),
        code => DropFailure::Permanent { message: described(database), hint: hint_for(code) },
    }
}

/// TimescaleDB calls the same thing `some chunks could not be read since they are being concurrently updated`.
const WAITED: &str = "it waited for a lock on the chunk or its table that another session holds";

fn described(error: &PgDatabaseError) -> String {
    let detail = error.detail().map(|text| format!(" ({})", text.lines().next().unwrap_or_default()));
    format!("{}{}", error.message(), detail.unwrap_or_default())
}

fn hint_for(code: &str) -> Option<String> {
    let hint = match code {
        "2BP01" => {
            "drop or change the object that depends on the chunk; it was made on the chunk itself, not on the hypertable"
        }
        "42501" => {
            "the hypertable's owner may drop its chunks: GRANT the owner's role to ours, and USAGE on the schema to the owner"
        }
        "23503" => {
            "a foreign key points at the hypertable; drop the constraint and add it again NOT VALID afterwards"
        }
        "53200" => "the server's lock table is full; raise max_locks_per_transaction",
        "57014" => "somebody cancelled our statement",
        "25006" => "the server is read-only",
        _ => return None,
    };
    Some(hint.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> BTreeSet<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn any_other_name_than_the_planned_ones_is_a_change() {
        let planned = [names(&["a", "b"]), names(&["c"])];
        assert_eq!(compare(&planned, &planned), Ok(()));
        let frozen = compare(&planned, &[names(&["a", "b"]), names(&[])]);
        let said = "the server would not drop c; it may be frozen".to_owned();
        assert_eq!(frozen, Err(DropFailure::Changed(vec![(1, Change::Differs(said))])));
        let more = compare(&planned, &[names(&["a", "b", "new"]), names(&["c"])]);
        let said = "the server would drop new as well".to_owned();
        assert_eq!(more, Err(DropFailure::Changed(vec![(0, Change::Differs(said))])));
    }
}

//! The statements of one dropping transaction.
//!
//! Invariant: what is pasted into them are quoted identifiers, numbers, and expressions made here; every
//! value is bound.

use std::time::Duration;

use super::Outcome;
use crate::retention::model::Chunk;
use crate::retention::name::{RelationName, quote_identifier};
use crate::retention::time_axis::{TimeKind, TimeRange};
use crate::store::DropFailure;

/// The isolation is written out: the role or the database may have another default, under which a drop
/// fails as soon as anybody else has changed the catalog.
pub(super) fn begin_statement(lock_timeout: Duration) -> String {
    format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL lock_timeout = '{}ms'; \
         SET LOCAL statement_timeout = '10min'; SET LOCAL idle_in_transaction_session_timeout = '60s'; \
         SET LOCAL application_name = 'timesweep dropper'; \
         SET LOCAL TimeZone = 'UTC'; SET LOCAL search_path = pg_catalog",
        lock_timeout.as_millis().max(1)
    )
}

/// Locks every part of the chunks in the mode in which they are dropped. What a name means by then is
/// read afterwards, so a name that means something else is never dropped.
pub(super) fn lock_statement(chunks: &[Chunk], wait: &str) -> String {
    let name = |relation: &RelationName| {
        format!("{}.{}", quote_identifier(&relation.schema), quote_identifier(&relation.name))
    };
    let parts = chunks.iter().flat_map(|chunk| &chunk.parts);
    let names: Vec<String> = parts.map(|part| name(&part.relation)).collect();
    format!("LOCK TABLE ONLY {} IN ACCESS EXCLUSIVE MODE{wait}", names.join(", ONLY "))
}

/// Finds every part by object id, name and parent at once; a name is null where that part is not there.
pub(super) const READ_AGAIN: &str = "SELECT w.chunk, pg_catalog.format('%I.%I', n.nspname, c.relname) AS name \
     FROM unnest($1::bigint[], $2::oid[], $3::text[], $4::text[]) w (chunk, oid, schema, name) \
     JOIN pg_catalog.pg_namespace n ON n.nspname = w.schema \
     JOIN pg_catalog.pg_class c ON c.oid = w.oid AND c.relname = w.name AND c.relnamespace = n.oid \
     WHERE EXISTS (SELECT 1 FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class p ON p.oid = i.inhparent \
       JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace \
       WHERE i.inhrelid = c.oid AND pn.nspname = $5 AND p.relname = $6)";

/// `drop_chunks` for each range of two arrays, in one statement. The only dynamic parts are the
/// extension's schema, quoted, and expressions from [`bound`].
pub(super) fn drop_statement(schema: &str, kind: &TimeKind) -> Outcome<String> {
    let (start, end) = (bound(kind, "r.lo")?, bound(kind, "r.hi")?);
    Ok(format!(
        "SELECT r.n - 1 AS range, d.name FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY r (lo, hi, n), \
         LATERAL {schema}.drop_chunks($3::text::regclass, \
           newer_than => CASE WHEN r.lo > {open} THEN {start} END, older_than => {end}) d (name)",
        schema = quote_identifier(schema),
        open = TimeRange::OPEN_START + 1
    ))
}

/// An expression of exactly the dimension's type for a position in `column`. Days and the rest are added
/// apart, because `microseconds * interval` is floating-point arithmetic in PostgreSQL.
fn bound(kind: &TimeKind, column: &str) -> Outcome<String> {
    const DAY: &str = "86400000000";
    let since_epoch = |epoch: &str| {
        format!(
            "({epoch} 'epoch' + pg_catalog.make_interval(days => ({column} / {DAY})::int4) \
             + ({column} % {DAY}) * interval '1 microsecond')"
        )
    };
    Ok(match kind {
        TimeKind::TimestampTz => since_epoch("timestamptz"),
        TimeKind::Timestamp => since_epoch("timestamp"),
        TimeKind::Date => format!("(date 'epoch' + ({column} / {DAY})::int4)"),
        TimeKind::SmallInt => format!("{column}::smallint"),
        TimeKind::Integer => format!("{column}::integer"),
        TimeKind::BigInt => column.to_owned(),
        TimeKind::Other(name) => {
            return Err(DropFailure::Permanent {
                message: format!("chunks of type {name} are not dropped"),
                hint: None,
            });
        }
    })
}

/// Ranges that touch each other become one, which holds nothing that none of them holds.
pub(super) fn joined(ranges: impl Iterator<Item = TimeRange>) -> Vec<TimeRange> {
    let mut sorted: Vec<TimeRange> = ranges.collect();
    sorted.sort_unstable_by_key(|range| (range.start, range.end));
    let mut joined: Vec<TimeRange> = Vec::new();
    for range in sorted {
        match joined.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => joined.push(range),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_takes_nothing_from_the_defaults_of_the_session() {
        let begin = begin_statement(Duration::from_millis(50));
        assert!(begin.starts_with("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL "), "{begin}");
        assert!(begin.contains("lock_timeout = '50ms'"), "{begin}");
    }

    #[test]
    fn bounds_are_typed_and_an_open_start_is_no_bound() {
        let statement = drop_statement("we\"ird", &TimeKind::SmallInt).expect("statement");
        assert!(statement.contains("\"we\"\"ird\".drop_chunks("));
        assert!(statement.contains("older_than => r.hi::smallint"));
        assert!(drop_statement("public", &TimeKind::Other("uuid".into())).is_err());
    }

    #[test]
    fn only_ranges_that_touch_are_joined() {
        let range = |(start, end)| TimeRange::new(start, end);
        let of = |list: &[(i64, i64)]| joined(list.iter().copied().map(range));
        assert_eq!(of(&[(20, 30), (0, 10), (10, 20)]), [range((0, 30))]);
        assert_eq!(of(&[(0, 10), (11, 20)]), [range((0, 10)), range((11, 20))]);
        assert_eq!(of(&[(0, 10), (5, 15)]), [range((0, 10)), range((5, 15))]);
    }
}

//! Who else is at work in this database: who holds locks on given relations (`blockers`), who is connected
//! under given roles (`list`), and the one place where a session is ended (`end`).

pub mod blockers;
pub mod end;
pub mod list;

/// True for a session of ours, of this run or another: every connection is named at its start, and the
/// runner's lock is known by its key, whatever its session calls itself.
const OURS: &str = "(a.pid = pg_catalog.pg_backend_pid() OR a.application_name LIKE 'timesweep%' \
     OR a.pid IN (SELECT k.pid FROM pg_catalog.pg_locks k WHERE k.locktype = 'advisory' AND k.objsubid = 2 \
       AND k.classid::bigint = 1953066341 AND k.objid::bigint = 1937204581 AND k.pid IS NOT NULL))";

/// What a session runs or ran last, on one line and cut, and without a password that it sets.
pub const STATEMENT: &str = "pg_catalog.left(pg_catalog.regexp_replace(pg_catalog.regexp_replace(a.query, '(password\\s+)e?''([^'']|'''')*''?', '\\1…', 'gi'), '\\s+', ' ', 'g'), 120)";

/// True for a session whose statement says that it drops chunks.
pub const DROPS: &str =
    "(a.state <> 'idle' AND a.query ~* '\\m(drop_chunks?|policy_retention|run_maintenance(_proc)?)\\M')";

/// When the session began, microseconds since 1970 UTC, exactly.
const STARTED_AT: &str = "(extract(epoch FROM a.backend_start) * 1000000)::bigint";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::postgres::lock::KEY;

    #[test]
    fn our_sessions_are_known_by_the_key_of_the_runners_lock() {
        let key = format!("k.classid::bigint = {} AND k.objid::bigint = {}", KEY.0, KEY.1);
        assert!(OURS.contains(&key), "{key}");
    }
}

//! The statements for SQLite. Ids are text, instants microseconds, in their table as in ours.

use super::Statements;

macro_rules! listed {
    ($given:literal) => {
        concat!("IN (SELECT value FROM json_each($", $given, "))")
    };
}

const THEIRS: &str = concat!(
    "SELECT row_id, esdl_id, job_id, deactivated_at, registered_at FROM esdl_time_series_info \
     WHERE esdl_id ",
    listed!("1"),
    " OR row_id ",
    listed!("2")
);

macro_rules! from_rows {
    ($columns:literal) => {
        concat!("SELECT ", $columns, " FROM json_each($1) WHERE true ")
    };
}

/// The plus keeps SQLite from looking for the dataset: all tombstones have none.
macro_rules! same_as_before {
    () => {
        "t.row_id = x.value ->> 'row_id' AND +t.esdl_id IS x.value ->> 'old_dataset' \
         AND t.job_id IS x.value ->> 'old_job' AND t.deactivated_at IS x.value ->> 'old_marked_at'"
    };
}

/// The next names of one table.
macro_rules! names_from {
    ($name:literal, $table:expr, $more:literal) => {
        concat!(
            "SELECT * FROM (SELECT DISTINCT ",
            $name,
            " AS dataset FROM ",
            $table,
            " WHERE ",
            $name,
            " >= $1",
            $more,
            " ORDER BY ",
            $name,
            " LIMIT CAST($2 AS INTEGER))"
        )
    };
}

/// Rows of others that are not as we left them.
macro_rules! changed_by_others {
    () => {
        "esdl_time_series_info t LEFT JOIN timesweep_row k ON k.row_id = t.row_id \
          AND k.dataset IS t.esdl_id AND k.job IS t.job_id AND k.marked_at IS t.deactivated_at"
    };
}

pub(in crate::registry::database) static SQLITE: Statements = Statements {
    all_kept: "SELECT row_id, dataset, job, marked_at, first_look, first_check FROM timesweep_row",
    kept_of_datasets: "SELECT row_id, dataset, job, marked_at, first_look, first_check \
        FROM timesweep_row WHERE dataset IS NOT NULL",
    kept_of: concat!(
        "SELECT row_id, dataset, job, marked_at, first_look, first_check FROM timesweep_row \
         WHERE dataset ",
        listed!("1"),
        " UNION ALL SELECT row_id, dataset, job, marked_at, first_look, first_check FROM timesweep_row \
         WHERE dataset IS NULL AND job ",
        listed!("2")
    ),
    differing: "SELECT t.row_id, t.esdl_id, t.job_id, t.deactivated_at, t.registered_at, \
          k.row_id, CASE WHEN k.dataset IS NULL THEN k.job END \
        FROM esdl_time_series_info t FULL JOIN timesweep_row k ON k.row_id = t.row_id \
        WHERE t.row_id IS NULL OR k.row_id IS NULL OR k.dataset IS NOT t.esdl_id \
          OR k.job IS NOT t.job_id OR k.marked_at IS NOT t.deactivated_at",
    theirs_locked: THEIRS,
    theirs_of: THEIRS,
    all_claims: "SELECT dataset, job, at FROM timesweep_claim",
    claims_with_rows: "SELECT dataset, job, at FROM timesweep_claim \
        WHERE dataset IN (SELECT dataset FROM timesweep_row)",
    claims_of: concat!("SELECT dataset, job, at FROM timesweep_claim WHERE dataset ", listed!("1")),
    claimed_by: concat!("SELECT dataset FROM timesweep_claim WHERE job ", listed!("1")),
    orphans: "SELECT dataset FROM timesweep_row \
        WHERE dataset IS NOT NULL AND job IS NULL AND marked_at IS NOT NULL",
    all_deleted: "SELECT job, at, adopted FROM timesweep_deleted_job",
    deleted_with_rows: "SELECT job, at, adopted FROM timesweep_deleted_job \
        WHERE job IN (SELECT job FROM timesweep_claim WHERE dataset IN (SELECT dataset FROM timesweep_row))",
    deleted_of: concat!("SELECT job, at, adopted FROM timesweep_deleted_job WHERE job ", listed!("1")),
    all_jobs: "SELECT job, first_seen, age_from, ended FROM timesweep_seen_job",
    jobs_of: concat!(
        "SELECT job, first_seen, age_from, ended FROM timesweep_seen_job WHERE job ",
        listed!("1")
    ),
    running_jobs: "SELECT job, first_seen, age_from, ended FROM timesweep_seen_job WHERE ended IS NULL",
    listed_job: "SELECT job, first_seen, age_from, ended FROM timesweep_seen_job \
        WHERE ended IS NULL OR ended <> first_seen LIMIT 1",
    all_datasets: "SELECT dataset, first_seen, last_change, change_token, absent_since FROM timesweep_seen_dataset",
    datasets_of: concat!(
        "SELECT dataset, first_seen, last_change, change_token, absent_since FROM timesweep_seen_dataset WHERE dataset ",
        listed!("1")
    ),
    all_holds: "SELECT dataset, until, reason FROM timesweep_hold",
    holds_of: concat!("SELECT dataset, until, reason FROM timesweep_hold WHERE dataset ", listed!("1")),
    all_unread: "SELECT job, since, at FROM timesweep_unread_result",
    known_from: concat!(
        names_from!("dataset", "timesweep_seen_dataset", ""),
        " UNION ",
        names_from!("esdl_id", "esdl_time_series_info", ""),
        " UNION ",
        names_from!("dataset", "timesweep_claim", ""),
        " UNION ",
        names_from!("dataset", "timesweep_hold", ""),
        " ORDER BY 1 LIMIT CAST($2 AS INTEGER)"
    ),
    // An active row of others may be marked once it is taken in, where its job was deleted.
    marked_from: names_from!(
        "esdl_id",
        "esdl_time_series_info",
        " AND (deactivated_at IS NOT NULL OR job_id IN (SELECT job FROM timesweep_deleted_job))"
    ),
    held_from: concat!(
        names_from!("dataset", "timesweep_hold", ""),
        " UNION ",
        names_from!("t.esdl_id", changed_by_others!(), " AND k.row_id IS NULL"),
        " ORDER BY 1 LIMIT CAST($2 AS INTEGER)"
    ),
    tombstones_from: "SELECT job_id, min(deactivated_at) FROM esdl_time_series_info \
        WHERE esdl_id IS NULL AND deactivated_at IS NOT NULL AND job_id >= $1 \
        GROUP BY job_id ORDER BY job_id LIMIT CAST($2 AS INTEGER)",
    tombstones_of: concat!(
        "SELECT job_id, min(deactivated_at) FROM esdl_time_series_info \
         WHERE esdl_id IS NULL AND deactivated_at IS NOT NULL AND job_id ",
        listed!("1"),
        " GROUP BY job_id"
    ),
    registered_by: concat!(
        "SELECT esdl_id FROM esdl_time_series_info WHERE esdl_id IS NOT NULL AND job_id ",
        listed!("1")
    ),
    last_check: "SELECT number, at, announced FROM timesweep_check",
    has_job_table: "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'job'",
    job_status: "SELECT status FROM job WHERE job_id = ?1",
    live_jobs: "SELECT job_id, registered_at FROM job",

    add_claims: concat!(
        "INSERT INTO timesweep_claim (dataset, job, at) ",
        from_rows!("value ->> 'dataset', value ->> 'job', value ->> 'at'"),
        "ON CONFLICT DO NOTHING"
    ),
    put_deleted: concat!(
        "INSERT INTO timesweep_deleted_job (job, at, adopted) ",
        from_rows!("value ->> 'job', value ->> 'at', value ->> 'adopted'"),
        "ON CONFLICT (job) DO UPDATE SET at = excluded.at, adopted = excluded.adopted"
    ),
    remove_deleted: concat!("DELETE FROM timesweep_deleted_job WHERE job ", listed!("1")),
    put_jobs: concat!(
        "INSERT INTO timesweep_seen_job (job, first_seen, age_from, ended) ",
        from_rows!("value ->> 'job', value ->> 'first_seen', value ->> 'age_from', value ->> 'ended'"),
        "ON CONFLICT (job) DO UPDATE SET first_seen = excluded.first_seen, \
           age_from = excluded.age_from, ended = excluded.ended"
    ),
    put_datasets: concat!(
        "INSERT INTO timesweep_seen_dataset (dataset, first_seen, last_change, change_token, absent_since) ",
        from_rows!(
            "value ->> 'dataset', value ->> 'first_seen', value ->> 'last_change', value ->> 'change_token', \
             value ->> 'absent_since'"
        ),
        "ON CONFLICT (dataset) DO UPDATE SET first_seen = excluded.first_seen, \
           last_change = excluded.last_change, change_token = excluded.change_token, \
           absent_since = excluded.absent_since"
    ),
    remove_datasets: concat!("DELETE FROM timesweep_seen_dataset WHERE dataset ", listed!("1")),
    put_holds: concat!(
        "INSERT INTO timesweep_hold (dataset, until, reason) ",
        from_rows!("value ->> 'dataset', value ->> 'until', value ->> 'reason'"),
        "ON CONFLICT (dataset) DO UPDATE SET until = excluded.until, reason = excluded.reason"
    ),
    remove_holds: concat!("DELETE FROM timesweep_hold WHERE dataset ", listed!("1")),
    put_unread: concat!(
        "INSERT INTO timesweep_unread_result (job, since, at) ",
        from_rows!("value ->> 'job', value ->> 'since', value ->> 'at'"),
        "ON CONFLICT (job) DO UPDATE SET since = excluded.since, at = excluded.at"
    ),
    remove_unread: concat!("DELETE FROM timesweep_unread_result WHERE job ", listed!("1")),
    put_kept: concat!(
        "INSERT INTO timesweep_row (row_id, dataset, job, marked_at, first_look, first_check) ",
        from_rows!(
            "value ->> 'row_id', value ->> 'dataset', value ->> 'job', value ->> 'marked_at', \
             value ->> 'first_look', value ->> 'first_check'"
        ),
        "ON CONFLICT (row_id) DO UPDATE SET dataset = excluded.dataset, job = excluded.job, \
           marked_at = excluded.marked_at, first_look = excluded.first_look, first_check = excluded.first_check"
    ),
    remove_kept: concat!("DELETE FROM timesweep_row WHERE row_id ", listed!("1")),
    insert_theirs: concat!(
        "INSERT INTO esdl_time_series_info (row_id, esdl_id, registered_at, deactivated_at, job_id) ",
        from_rows!(
            "value ->> 'row_id', value ->> 'dataset', value ->> 'now', value ->> 'marked_at', value ->> 'job'"
        ),
        "ON CONFLICT DO NOTHING"
    ),
    update_theirs: concat!(
        "UPDATE esdl_time_series_info AS t SET esdl_id = x.value ->> 'dataset', \
           deactivated_at = x.value ->> 'marked_at', job_id = x.value ->> 'job', \
           job_reference = CASE WHEN t.job_id IS x.value ->> 'job' THEN t.job_reference END \
         FROM json_each($1) AS x WHERE ",
        same_as_before!()
    ),
    delete_theirs: concat!(
        "DELETE FROM esdl_time_series_info WHERE row_id IN (SELECT t.row_id \
         FROM json_each($1) AS x JOIN esdl_time_series_info AS t ON ",
        same_as_before!(),
        ")"
    ),
    put_check: "UPDATE timesweep_check SET number = number + 1, at = CAST($1 AS INTEGER)",
    announce: "UPDATE timesweep_check SET announced = number",
};

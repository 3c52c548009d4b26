//! The statements for PostgreSQL. Their instants are `timestamptz`, ours are microseconds.

use super::Statements;

/// An instant of theirs in microseconds; `infinity` is the last one.
macro_rules! micros {
    ($column:literal) => {
        concat!(
            "CASE WHEN isfinite(",
            $column,
            ") THEN (extract(epoch FROM ",
            $column,
            ") * 1000000)::bigint \
             WHEN ",
            $column,
            " > now() THEN 9223372036854775807 \
             WHEN ",
            $column,
            " < now() THEN -9223372036854775808 END"
        )
    };
}

macro_rules! instant {
    ($number:literal) => {
        concat!("timestamptz 'epoch' + ", $number, " * interval '1 microsecond'")
    };
}

macro_rules! texts {
    ($given:literal) => {
        concat!("ANY (ARRAY(SELECT json_array_elements_text($", $given, "::json)))")
    };
}

macro_rules! ids {
    ($given:literal) => {
        concat!("ANY (ARRAY(SELECT json_array_elements_text($", $given, "::json)::uuid))")
    };
}

const KEPT: &str = "SELECT row_id, dataset, job, marked_at, first_look, first_check FROM timesweep_row";

macro_rules! theirs {
    ($rest:expr) => {
        concat!(
            "SELECT t.row_id, t.esdl_id::text, t.job_id, ",
            micros!("t.deactivated_at"),
            ", ",
            micros!("t.registered_at"),
            " FROM esdl_time_series_info t ",
            $rest
        )
    };
}

macro_rules! theirs_of {
    ($rest:literal) => {
        theirs!(concat!("WHERE t.esdl_id = ", texts!("1"), " OR t.row_id = ", ids!("2"), $rest))
    };
}

pub(in crate::registry::database) static POSTGRES: Statements = Statements {
    all_kept: KEPT,
    kept_of_datasets: "SELECT row_id, dataset, job, marked_at, first_look, first_check \
        FROM timesweep_row WHERE dataset IS NOT NULL",
    kept_of: concat!(
        "SELECT row_id, dataset, job, marked_at, first_look, first_check FROM timesweep_row \
         WHERE dataset = ",
        texts!("1"),
        " UNION ALL SELECT row_id, dataset, job, marked_at, first_look, first_check FROM timesweep_row \
         WHERE dataset IS NULL AND job = ",
        ids!("2")
    ),
    differing: concat!(
        "SELECT t.row_id, t.esdl_id::text, t.job_id, ",
        micros!("t.deactivated_at"),
        ", ",
        micros!("t.registered_at"),
        ", k.row_id, CASE WHEN k.dataset IS NULL THEN k.job END \
         FROM esdl_time_series_info t FULL JOIN timesweep_row k ON k.row_id = t.row_id \
         WHERE t.row_id IS NULL OR k.row_id IS NULL OR k.dataset IS DISTINCT FROM t.esdl_id \
           OR k.job IS DISTINCT FROM t.job_id OR k.marked_at IS DISTINCT FROM ",
        micros!("t.deactivated_at")
    ),
    theirs_locked: theirs_of!(" ORDER BY t.row_id FOR UPDATE"),
    theirs_of: theirs_of!(""),
    all_claims: "SELECT dataset, job, at FROM timesweep_claim",
    claims_with_rows: "SELECT dataset, job, at FROM timesweep_claim \
        WHERE dataset IN (SELECT dataset FROM timesweep_row)",
    claims_of: concat!("SELECT dataset, job, at FROM timesweep_claim WHERE dataset = ", texts!("1")),
    claimed_by: concat!("SELECT dataset FROM timesweep_claim WHERE job = ", ids!("1")),
    orphans: "SELECT dataset FROM timesweep_row \
        WHERE dataset IS NOT NULL AND job IS NULL AND marked_at IS NOT NULL",
    all_deleted: "SELECT job, at, adopted::int::bigint FROM timesweep_deleted_job",
    deleted_with_rows: "SELECT job, at, adopted::int::bigint FROM timesweep_deleted_job \
        WHERE job IN (SELECT job FROM timesweep_claim WHERE dataset IN (SELECT dataset FROM timesweep_row))",
    deleted_of: concat!(
        "SELECT job, at, adopted::int::bigint FROM timesweep_deleted_job WHERE job = ",
        ids!("1")
    ),
    all_jobs: "SELECT job, first_seen, age_from, ended FROM timesweep_seen_job",
    jobs_of: concat!(
        "SELECT job, first_seen, age_from, ended FROM timesweep_seen_job WHERE job = ",
        ids!("1")
    ),
    running_jobs: "SELECT job, first_seen, age_from, ended FROM timesweep_seen_job WHERE ended IS NULL",
    listed_job: "SELECT job, first_seen, age_from, ended FROM timesweep_seen_job \
        WHERE ended IS NULL OR ended <> first_seen LIMIT 1",
    all_datasets: "SELECT dataset, first_seen, last_change, change_token, absent_since FROM timesweep_seen_dataset",
    datasets_of: concat!(
        "SELECT dataset, first_seen, last_change, change_token, absent_since FROM timesweep_seen_dataset WHERE dataset = ",
        texts!("1")
    ),
    all_holds: "SELECT dataset, until, reason FROM timesweep_hold",
    holds_of: concat!("SELECT dataset, until, reason FROM timesweep_hold WHERE dataset = ", texts!("1")),
    all_unread: "SELECT job, since, at FROM timesweep_unread_result",
    last_check: "SELECT number, at, announced FROM timesweep_check",
    has_job_table: "SELECT 1::bigint WHERE to_regclass('job') IS NOT NULL",
    live_jobs: concat!("SELECT job_id::text, ", micros!("registered_at"), " FROM job"),

    add_claims: "INSERT INTO timesweep_claim (dataset, job, at) \
        SELECT dataset, job, at FROM json_to_recordset($1::json) AS x (dataset text, job uuid, at bigint) \
        ON CONFLICT DO NOTHING",
    put_deleted: "INSERT INTO timesweep_deleted_job (job, at, adopted) \
        SELECT job, at, adopted FROM json_to_recordset($1::json) AS x (job uuid, at bigint, adopted boolean) \
        ON CONFLICT (job) DO UPDATE SET at = excluded.at, adopted = excluded.adopted",
    remove_deleted: concat!("DELETE FROM timesweep_deleted_job WHERE job = ", ids!("1")),
    put_jobs: "INSERT INTO timesweep_seen_job (job, first_seen, age_from, ended) \
        SELECT job, first_seen, age_from, ended \
        FROM json_to_recordset($1::json) AS x (job uuid, first_seen bigint, age_from bigint, ended bigint) \
        ON CONFLICT (job) DO UPDATE SET first_seen = excluded.first_seen, \
           age_from = excluded.age_from, ended = excluded.ended",
    put_datasets: "INSERT INTO timesweep_seen_dataset (dataset, first_seen, last_change, change_token, absent_since) \
        SELECT dataset, first_seen, last_change, change_token, absent_since FROM json_to_recordset($1::json) \
          AS x (dataset text, first_seen bigint, last_change bigint, change_token text, absent_since bigint) \
        ON CONFLICT (dataset) DO UPDATE SET first_seen = excluded.first_seen, \
          last_change = excluded.last_change, change_token = excluded.change_token, \
           absent_since = excluded.absent_since",
    remove_datasets: concat!("DELETE FROM timesweep_seen_dataset WHERE dataset = ", texts!("1")),
    put_holds: "INSERT INTO timesweep_hold (dataset, until, reason) \
        SELECT dataset, until, reason \
        FROM json_to_recordset($1::json) AS x (dataset text, until bigint, reason text) \
        ON CONFLICT (dataset) DO UPDATE SET until = excluded.until, reason = excluded.reason",
    remove_holds: concat!("DELETE FROM timesweep_hold WHERE dataset = ", texts!("1")),
    put_unread: "INSERT INTO timesweep_unread_result (job, since, at) \
        SELECT job, since, at FROM json_to_recordset($1::json) AS x (job uuid, since bigint, at bigint) \
        ON CONFLICT (job) DO UPDATE SET since = excluded.since, at = excluded.at",
    remove_unread: concat!("DELETE FROM timesweep_unread_result WHERE job = ", ids!("1")),
    put_kept: "INSERT INTO timesweep_row (row_id, dataset, job, marked_at, first_look, first_check) \
        SELECT row_id, dataset, job, marked_at, first_look, first_check FROM json_to_recordset($1::json) \
          AS x (row_id uuid, dataset text, job uuid, marked_at bigint, first_look bigint, first_check bigint) \
        ON CONFLICT (row_id) DO UPDATE SET dataset = excluded.dataset, job = excluded.job, \
          marked_at = excluded.marked_at, first_look = excluded.first_look, first_check = excluded.first_check",
    remove_kept: concat!("DELETE FROM timesweep_row WHERE row_id = ", ids!("1")),
    insert_theirs: concat!(
        "INSERT INTO esdl_time_series_info (row_id, esdl_id, registered_at, deactivated_at, job_id) \
         SELECT row_id, dataset, ",
        instant!("now"),
        ", ",
        instant!("marked_at"),
        ", job \
         FROM json_to_recordset($1::json) \
           AS x (row_id uuid, dataset text, now bigint, marked_at bigint, job uuid) \
         ON CONFLICT DO NOTHING"
    ),
    // Another job's reference would say something wrong.
    update_theirs: concat!(
        "UPDATE esdl_time_series_info t SET esdl_id = x.dataset, deactivated_at = ",
        instant!("x.marked_at"),
        ", job_id = x.job, \
         job_reference = CASE WHEN t.job_id IS NOT DISTINCT FROM x.job THEN t.job_reference END \
         FROM json_to_recordset($1::json) AS x (row_id uuid, dataset text, marked_at bigint, job uuid, \
           old_dataset text, old_marked_at bigint, old_job uuid) \
         WHERE t.row_id = x.row_id AND t.esdl_id IS NOT DISTINCT FROM x.old_dataset \
           AND t.job_id IS NOT DISTINCT FROM x.old_job AND x.old_marked_at IS NOT DISTINCT FROM ",
        micros!("t.deactivated_at")
    ),
    delete_theirs: concat!(
        "DELETE FROM esdl_time_series_info t USING json_to_recordset($1::json) \
           AS x (row_id uuid, old_dataset text, old_marked_at bigint, old_job uuid) \
         WHERE t.row_id = x.row_id AND t.esdl_id IS NOT DISTINCT FROM x.old_dataset \
           AND t.job_id IS NOT DISTINCT FROM x.old_job AND x.old_marked_at IS NOT DISTINCT FROM ",
        micros!("t.deactivated_at")
    ),
    put_check: "UPDATE timesweep_check SET number = number + 1, at = $1::bigint",
    announce: "UPDATE timesweep_check SET announced = number",
};

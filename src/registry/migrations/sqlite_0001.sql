-- "tsrg" in ASCII: tells a timesweep registry from any other SQLite database.
PRAGMA application_id = 1953723975;

-- The same tables as on PostgreSQL, where they are explained. Instants are microseconds since 1970 UTC.

CREATE TABLE esdl_time_series_info (
    row_id         TEXT PRIMARY KEY NOT NULL,
    esdl_id        TEXT UNIQUE,
    registered_at  INTEGER NOT NULL,
    deactivated_at INTEGER,
    job_id         TEXT,
    job_reference  TEXT
) STRICT;

CREATE TABLE timesweep_claim (
    dataset TEXT NOT NULL,
    job     TEXT NOT NULL,
    at      INTEGER NOT NULL,
    PRIMARY KEY (dataset, job)
) STRICT, WITHOUT ROWID;
CREATE INDEX timesweep_claim_of_job ON timesweep_claim (job);

CREATE TABLE timesweep_deleted_job (
    job     TEXT PRIMARY KEY,
    at      INTEGER NOT NULL,
    adopted INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE timesweep_seen_job (
    job        TEXT PRIMARY KEY,
    first_seen INTEGER NOT NULL,
    age_from   INTEGER NOT NULL,
    ended      INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX timesweep_running_job ON timesweep_seen_job (job) WHERE ended IS NULL;

CREATE TABLE timesweep_seen_dataset (
    dataset      TEXT PRIMARY KEY,
    first_seen   INTEGER NOT NULL,
    last_change  INTEGER,
    change_token TEXT,
    absent_since INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE timesweep_row (
    row_id      TEXT PRIMARY KEY,
    dataset     TEXT,
    job         TEXT,
    marked_at   INTEGER,
    first_look  INTEGER,
    first_check INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX timesweep_row_of_dataset ON timesweep_row (dataset) WHERE dataset IS NOT NULL;
CREATE INDEX timesweep_tombstone ON timesweep_row (job) WHERE dataset IS NULL;

CREATE TABLE timesweep_hold (
    dataset TEXT PRIMARY KEY,
    until   INTEGER,
    reason  TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE timesweep_unread_result (
    job   TEXT PRIMARY KEY,
    since INTEGER NOT NULL,
    at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE timesweep_check (
    only_row  INTEGER PRIMARY KEY CHECK (only_row = 1),
    number    INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    announced INTEGER NOT NULL
) STRICT;
INSERT INTO timesweep_check (only_row, number, at, announced) VALUES (1, 0, 0, 0);

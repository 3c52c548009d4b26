-- Everything that esdl_time_series_info cannot hold. That table is OMOTES': made here only where it is
-- missing, and never altered. Instants of our own tables are microseconds since 1970 UTC.

CREATE TABLE IF NOT EXISTS esdl_time_series_info (
    row_id         uuid PRIMARY KEY,
    esdl_id        varchar UNIQUE,
    registered_at  timestamptz NOT NULL,
    deactivated_at timestamptz,
    job_id         uuid,
    job_reference  varchar
);

CREATE TABLE timesweep_claim (
    dataset text NOT NULL,
    job     uuid NOT NULL,
    at      bigint NOT NULL,
    PRIMARY KEY (dataset, job)
);
CREATE INDEX timesweep_claim_of_job ON timesweep_claim (job);

-- adopted: known from a row that another program wrote, and not because we were told.
CREATE TABLE timesweep_deleted_job (
    job     uuid PRIMARY KEY,
    at      bigint NOT NULL,
    adopted boolean NOT NULL
);

-- first_seen: it can have written since; age_from: it began no later.
CREATE TABLE timesweep_seen_job (
    job        uuid PRIMARY KEY,
    first_seen bigint NOT NULL,
    age_from   bigint NOT NULL,
    ended      bigint
);
CREATE INDEX timesweep_running_job ON timesweep_seen_job (job) WHERE ended IS NULL;

CREATE TABLE timesweep_seen_dataset (
    dataset      text PRIMARY KEY,
    first_seen   bigint NOT NULL,
    last_change  bigint,
    change_token text,
    absent_since bigint
);

-- The rows of esdl_time_series_info as we left them, so that changes of others are noticed; and which check
-- saw a mark first. Without a dataset: a tombstone.
CREATE TABLE timesweep_row (
    row_id      uuid PRIMARY KEY,
    dataset     text,
    job         uuid,
    marked_at   bigint,
    first_look  bigint,
    first_check bigint
);
CREATE INDEX timesweep_row_of_dataset ON timesweep_row (dataset) WHERE dataset IS NOT NULL;
CREATE INDEX timesweep_tombstone ON timesweep_row (job) WHERE dataset IS NULL;

CREATE TABLE timesweep_hold (
    dataset text PRIMARY KEY,
    until   bigint,
    reason  text
);

-- Successes whose dataset nobody can read, until a check has looked for it.
CREATE TABLE timesweep_unread_result (
    job   uuid PRIMARY KEY,
    since bigint NOT NULL,
    at    bigint NOT NULL
);

-- One row. Every check sees every mark, so its number and instant are kept once, and so is the number of the
-- last check whose report was published.
CREATE TABLE timesweep_check (
    only_row  boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    number    bigint NOT NULL,
    at        bigint NOT NULL,
    announced bigint NOT NULL
);
INSERT INTO timesweep_check (number, at, announced) VALUES (0, 0, 0);

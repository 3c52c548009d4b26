-- What the tables of OMOTES do not hold.

-- Letters that are committed and have not left. kind: task, revoke, status, progress, result.
CREATE TABLE timesweep_outbox (
    id           bigserial PRIMARY KEY,
    job          uuid NOT NULL,
    kind         text NOT NULL,
    celery_id    uuid,
    workflow     text,
    priority     smallint,
    body         bytea NOT NULL,
    attempted_at timestamptz,
    written_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX timesweep_outbox_task ON timesweep_outbox (job) WHERE kind = 'task';

-- Jobs whose last letter is written: a submission that comes again begins nothing.
CREATE TABLE timesweep_job_over (
    job uuid PRIMARY KEY,
    at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX timesweep_job_over_at ON timesweep_job_over (at);

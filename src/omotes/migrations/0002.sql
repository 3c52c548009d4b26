-- Which of the jobs that are over time itself has ended: a result that comes all the same goes before that.
ALTER TABLE timesweep_job_over ADD COLUMN by_time boolean NOT NULL DEFAULT false;

-- Messages that said that a task began, and were counted: brokers and replicas may bring one twice.
CREATE TABLE timesweep_start (
    job     uuid NOT NULL,
    message uuid NOT NULL,
    at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (job, message)
);
CREATE INDEX timesweep_start_at ON timesweep_start (at);

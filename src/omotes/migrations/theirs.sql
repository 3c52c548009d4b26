-- The tables of OMOTES, as its own migrations leave them at the head 543bc8f6ad87.

CREATE TABLE alembic_version (
    version_num varchar(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO alembic_version (version_num) VALUES ('543bc8f6ad87');

CREATE TYPE jobstatus AS ENUM ('REGISTERED', 'SUBMITTED', 'RUNNING');

CREATE TABLE job (
    job_id           uuid PRIMARY KEY,
    celery_id        varchar,
    workflow_type    varchar NOT NULL,
    status           jobstatus NOT NULL,
    registered_at    timestamptz NOT NULL,
    submitted_at     timestamptz,
    running_at       timestamptz,
    timeout_after_ms integer,
    job_reference    varchar
);

CREATE TABLE job_starts (
    job_id     uuid NOT NULL REFERENCES job (job_id),
    started_at timestamptz NOT NULL,
    PRIMARY KEY (job_id, started_at)
);

CREATE TABLE IF NOT EXISTS esdl_time_series_info (
    row_id         uuid PRIMARY KEY,
    esdl_id        varchar UNIQUE,
    registered_at  timestamptz NOT NULL,
    deactivated_at timestamptz,
    job_id         uuid,
    job_reference  varchar
);

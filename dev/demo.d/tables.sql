-- The tables of a small factory: four kinds of time, three schemas, and names that need quoting.
CREATE EXTENSION timescaledb;

-- timestamptz, a chunk a day.
CREATE TABLE public.conditions (
    time        timestamptz NOT NULL,
    sensor      text        NOT NULL,
    temperature double precision,
    humidity    double precision
);
SELECT create_hypertable('public.conditions', 'time', chunk_time_interval => interval '1 day');

-- date, in a schema and with a name that need quoting.
CREATE SCHEMA "Plant 7";
CREATE TABLE "Plant 7"."Größe; drop" (
    "Tag"   date NOT NULL,
    "Teil"  int  NOT NULL,
    "in mm" numeric(8, 3)
);
SELECT create_hypertable('"Plant 7"."Größe; drop"', 'Tag', chunk_time_interval => interval '1 day');

-- bigint: milliseconds since 1970. The function tells TimescaleDB what time it is in that unit.
CREATE SCHEMA line;
CREATE TABLE line.events (
    at_ms   bigint NOT NULL,
    machine int    NOT NULL,
    kind    text   NOT NULL,
    details jsonb
);
SELECT create_hypertable('line.events', 'at_ms', chunk_time_interval => 12 * 3600 * 1000);
CREATE FUNCTION line.now_ms() RETURNS bigint LANGUAGE sql STABLE AS
    $$ SELECT (extract(epoch FROM now()) * 1000)::bigint $$;
SELECT set_integer_now_func('line.events', 'line.now_ms');

-- A space dimension: every three days have four chunks, which go together.
CREATE TABLE public.meters (
    read_at timestamptz NOT NULL,
    meter   int         NOT NULL,
    kwh     double precision
);
SELECT create_hypertable('public.meters', 'read_at', chunk_time_interval => interval '3 days',
                         partitioning_column => 'meter', number_partitions => 4);

-- Nobody has said how long these are needed, so all of them stay.
CREATE TABLE public.calibrations (
    done_at timestamptz NOT NULL,
    sensor  text        NOT NULL,
    note    text
);
SELECT create_hypertable('public.calibrations', 'done_at', chunk_time_interval => interval '30 days');

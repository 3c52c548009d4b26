-- "tswe" in ASCII: tells a timesweep state from the SQLite database of another program.
PRAGMA application_id = 1953724261;

-- Instants are microseconds since 1970 UTC. Sizes are bytes. Names are kept as the store has them.

CREATE TABLE run (
    number        INTEGER PRIMARY KEY,  -- in the order of their beginning
    id            TEXT NOT NULL UNIQUE,
    store         TEXT NOT NULL,
    system        TEXT NOT NULL,
    database      TEXT NOT NULL,
    database_oid  INTEGER NOT NULL,
    place         TEXT NOT NULL,  -- host:port/database by the configuration: known also of a run that never began
    command       TEXT NOT NULL,
    plan_id       TEXT,
    started_at    INTEGER NOT NULL,
    policies_hash TEXT NOT NULL
) STRICT;

CREATE TABLE run_end (
    run         INTEGER PRIMARY KEY REFERENCES run (number) ON DELETE CASCADE,
    ended_at    INTEGER NOT NULL,
    exit_code   INTEGER NOT NULL CHECK (exit_code BETWEEN 0 AND 255),
    report_json TEXT NOT NULL
) STRICT;

-- The report as it was told: with what came after the run's end, such as the ticket's word and a mail that waits.
CREATE TABLE told_report (
    run         INTEGER PRIMARY KEY REFERENCES run (number),
    report_json TEXT NOT NULL
) STRICT;

CREATE TABLE intent (
    id             INTEGER PRIMARY KEY,
    run            INTEGER NOT NULL REFERENCES run (number),
    kind           TEXT NOT NULL DEFAULT 'chunk' CHECK (kind IN ('chunk', 'dataset')),
    dataset_schema TEXT NOT NULL,  -- empty for a whole dataset
    dataset_name   TEXT NOT NULL,
    range_start    INTEGER,
    range_end      INTEGER,
    parts          TEXT NOT NULL CHECK (json_valid(parts)),  -- [[oid, schema, name], ...]
    bytes          INTEGER CHECK (bytes >= 0),
    reason         TEXT NOT NULL,
    -- Of a whole dataset: the row that let it go, and its last write then.
    job            TEXT,
    marked_at      INTEGER,
    last_change    INTEGER,
    CHECK ((kind = 'chunk') = (range_start IS NOT NULL AND range_end IS NOT NULL)),
    CHECK ((kind = 'dataset') = (marked_at IS NOT NULL))
) STRICT;

CREATE INDEX intent_of_run ON intent (run);

CREATE TABLE outcome (
    intent     INTEGER PRIMARY KEY REFERENCES intent (id),
    kind       TEXT NOT NULL CHECK (kind IN ('dropped', 'gone', 'not_dropped')),
    bytes      INTEGER CHECK (bytes >= 0),
    why        TEXT,
    at         INTEGER NOT NULL,
    settled_by INTEGER REFERENCES run (number)  -- the later run that found out, for a run that was cut off
) STRICT;

CREATE INDEX outcome_settled_by ON outcome (settled_by) WHERE settled_by IS NOT NULL;

-- Sessions of others that a run was about to end; what became of each stands in its report.
CREATE TABLE session_ending (
    id            INTEGER PRIMARY KEY,
    run           INTEGER NOT NULL REFERENCES run (number),
    at            INTEGER NOT NULL,
    pid           INTEGER NOT NULL,
    role          TEXT NOT NULL,
    application   TEXT NOT NULL,
    address       TEXT,
    statement     TEXT NOT NULL,
    since_seconds INTEGER NOT NULL,
    how           TEXT NOT NULL CHECK (how IN ('cancel', 'terminate')),
    in_the_way_of TEXT  -- a chunk; null where all sessions of a role were ended
) STRICT;

CREATE INDEX session_ending_of_run ON session_ending (run);

-- The journal is append-only: not even our own statements can change what was written.
CREATE TRIGGER run_stays BEFORE UPDATE ON run
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
-- But for a pass of `serve` that ended well, wrote nothing and found nothing out, once a later one has ended; its end goes with it.
CREATE TRIGGER run_is_kept BEFORE DELETE ON run
WHEN OLD.command <> 'serve'
  OR NOT EXISTS (SELECT 1 FROM run_end WHERE run = OLD.number AND exit_code = 0)
  OR EXISTS (SELECT 1 FROM told_report WHERE run = OLD.number)
  OR EXISTS (SELECT 1 FROM intent WHERE run = OLD.number)
  OR EXISTS (SELECT 1 FROM outcome WHERE settled_by = OLD.number)
  OR EXISTS (SELECT 1 FROM session_ending WHERE run = OLD.number)
  OR NOT EXISTS (SELECT 1 FROM run AS later JOIN run_end ON run_end.run = later.number
                 WHERE later.number > OLD.number AND later.store = OLD.store
                   AND later.system = OLD.system AND later.database_oid = OLD.database_oid)
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER run_end_stays BEFORE UPDATE ON run_end
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER run_end_is_kept BEFORE DELETE ON run_end
WHEN EXISTS (SELECT 1 FROM run WHERE number = OLD.run)
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER told_report_stays BEFORE UPDATE ON told_report
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER told_report_is_kept BEFORE DELETE ON told_report
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER intent_stays BEFORE UPDATE ON intent
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER intent_is_kept BEFORE DELETE ON intent
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER outcome_stays BEFORE UPDATE ON outcome
BEGIN SELECT RAISE(ABORT, 'intent ' || OLD.intent || ' has the outcome "' || OLD.kind || '" already'); END;
CREATE TRIGGER outcome_is_kept BEFORE DELETE ON outcome
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;

CREATE TRIGGER session_ending_stays BEFORE UPDATE ON session_ending
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER session_ending_is_kept BEFORE DELETE ON session_ending
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;

CREATE TABLE hold (
    id             INTEGER PRIMARY KEY,
    store          TEXT NOT NULL,
    system         TEXT NOT NULL,
    database       TEXT NOT NULL,
    database_oid   INTEGER NOT NULL,
    dataset_schema TEXT NOT NULL,
    dataset_name   TEXT NOT NULL,
    chunk_schema   TEXT,
    chunk_name     TEXT,
    author         TEXT NOT NULL,
    reason         TEXT NOT NULL,
    created_at     INTEGER NOT NULL,
    expires_at     INTEGER,
    removed_at     INTEGER,
    CHECK ((chunk_schema IS NULL) = (chunk_name IS NULL))
) STRICT;

CREATE TABLE cap_override (
    plan_id TEXT PRIMARY KEY,
    used_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE size_sample (
    store          TEXT NOT NULL,
    system         TEXT NOT NULL,
    database       TEXT NOT NULL,
    database_oid   INTEGER NOT NULL,
    dataset_schema TEXT NOT NULL,
    dataset_name   TEXT NOT NULL,
    at             INTEGER NOT NULL,
    bytes          INTEGER NOT NULL CHECK (bytes >= 0),
    chunks         INTEGER NOT NULL CHECK (chunks >= 0),
    PRIMARY KEY (system, database_oid, dataset_schema, dataset_name, at)
) STRICT, WITHOUT ROWID;

CREATE TABLE disk_sample (
    system    TEXT NOT NULL,
    path      TEXT NOT NULL,  -- where the file system is mounted
    at        INTEGER NOT NULL,
    store     TEXT NOT NULL,
    size      INTEGER NOT NULL CHECK (size >= 0),
    used      INTEGER NOT NULL CHECK (used >= 0),
    freed     INTEGER NOT NULL CHECK (freed >= 0),  -- by all runs until then
    after_run INTEGER NOT NULL CHECK (after_run IN (0, 1)),
    PRIMARY KEY (system, path, at)
) STRICT, WITHOUT ROWID;

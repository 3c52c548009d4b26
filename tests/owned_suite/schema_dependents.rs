//! What a cascade would take from others refuses the drop, by name; what belongs to the schema does not.

use timesweep::store::owned::DropTrouble;

use super::ground::{Ground, named, our_names};
use super::schemas::OnSchemas;

/// Each statement makes something outside of `t_a` that depends on it; the text is a part of its name.
const FROM_OUTSIDE: [(&str, &str); 12] = [
    ("CREATE VIEW others.v AS SELECT value FROM t_a.plain", "others.v"),
    ("CREATE VIEW others.v AS SELECT value FROM t_a.series", "others.v"),
    ("CREATE MATERIALIZED VIEW others.m AS SELECT value FROM t_a.plain", "others.m"),
    (
        "CREATE VIEW t_a.inner_view AS SELECT value FROM t_a.plain; CREATE VIEW others.w AS SELECT * FROM t_a.inner_view",
        "others.w",
    ),
    ("CREATE TABLE others.f (id int REFERENCES t_a.plain)", "others.f"),
    ("CREATE TABLE others.child () INHERITS (t_a.plain)", "others.child"),
    (
        "CREATE TABLE t_a.parted (i int) PARTITION BY LIST (i); CREATE TABLE others.part PARTITION OF t_a.parted FOR VALUES IN (1)",
        "others.part",
    ),
    ("CREATE TYPE t_a.mood AS ENUM ('x'); CREATE TABLE others.typed (m t_a.mood)", "others.typed"),
    ("CREATE SEQUENCE t_a.s; CREATE TABLE others.counted (i int DEFAULT nextval('t_a.s'))", "others.counted"),
    (
        "CREATE FUNCTION t_a.f(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1'; CREATE TABLE others.x (i int); CREATE INDEX ON others.x (t_a.f(i))",
        "others.x_f_idx",
    ),
    (
        "CREATE FUNCTION t_a.trg() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; CREATE TABLE others.y (i int); CREATE TRIGGER tr AFTER INSERT ON others.y EXECUTE FUNCTION t_a.trg()",
        "others.y",
    ),
    ("CREATE FUNCTION others.g(t_a.plain) RETURNS int LANGUAGE sql AS 'SELECT 1'", "others.g"),
];

#[tokio::test]
async fn nothing_of_another_schema_goes_along() {
    let ground = OnSchemas::new().await;
    let name = named(&ground, "a");
    for (statement, shown) in FROM_OUTSIDE {
        ground.create(&name).await;
        ground.database.run("CREATE SCHEMA others").await;
        ground.database.run(statement).await;
        let answer = ground.store().drop_dataset(&name).await;
        let Err(DropTrouble::Refused { message, .. }) = answer else { panic!("{statement}: {answer:?}") };
        assert!(message.contains(shown), "{statement}: {message}");
        assert_eq!(ground.database.chunks("t_a.series").await, 2, "{statement}");
        ground.database.run("SET client_min_messages = warning; DROP SCHEMA others CASCADE").await;
        ground.store().drop_dataset(&name).await.expect(statement);
        assert!(our_names(&ground).await.is_empty());
    }
}

#[tokio::test]
async fn everything_of_its_own_goes_along_and_what_it_points_at_stays() {
    let ground = OnSchemas::new().await;
    let name = named(&ground, "a");
    ground.create(&name).await;
    ground
        .database
        .run(
            "CREATE SCHEMA others; CREATE TABLE others.target (id int PRIMARY KEY); INSERT INTO others.target VALUES (1); \
             CREATE TABLE t_a.points (id int REFERENCES others.target, t text DEFAULT 'x', long text); \
             CREATE VIEW t_a.v AS SELECT * FROM t_a.points JOIN others.target USING (id); \
             CREATE MATERIALIZED VIEW t_a.m AS SELECT value FROM t_a.series; \
             CREATE TABLE t_a.counted (i serial PRIMARY KEY); CREATE TYPE t_a.mood AS ENUM ('x'); \
             CREATE TABLE t_a.parted (i int) PARTITION BY LIST (i); \
             CREATE TABLE t_a.part PARTITION OF t_a.parted FOR VALUES IN (1); \
             CREATE FUNCTION t_a.f(t_a.mood) RETURNS int LANGUAGE sql AS 'SELECT 1'; \
             CREATE INDEX ON t_a.series (value); CREATE STATISTICS t_a.st ON id, t FROM t_a.points; \
             ALTER TABLE t_a.points ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t_a.points USING (true); \
             CREATE FUNCTION t_a.trg() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; \
             CREATE TRIGGER tr AFTER INSERT ON t_a.series FOR EACH ROW EXECUTE FUNCTION t_a.trg(); \
             ALTER DEFAULT PRIVILEGES IN SCHEMA t_a GRANT SELECT ON TABLES TO PUBLIC; \
             CREATE TABLE t_a.\"we\"\"ird ' name\" (i int)",
        )
        .await;
    ground.store().drop_dataset(&name).await.expect("dropped");
    assert!(our_names(&ground).await.is_empty());
    assert_eq!(ground.database.number("SELECT count(*) FROM others.target").await, 1);
    assert_eq!(ground.database.number("SELECT count(*) FROM _timescaledb_catalog.chunk").await, 0);
}

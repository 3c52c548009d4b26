//! What a cascade would take beyond the schema: whatever depends, over any number of steps, on something in it.
//!
//! An object counts as inside when it, or the table that it is a part of, lies in the schema, and so do
//! chunks of its hypertables, and the triggers by which the server itself keeps a foreign key. Invariant:
//! an object that is not known to be inside is outside, and its name refuses the drop.

use sqlx::postgres::PgConnection;
use sqlx::postgres::types::Oid;

/// Of every object that depends on the schema the table that it is a part of, or its own schema.
const OUTSIDE: &str = "WITH RECURSIVE gone (class, object) AS (\
       SELECT d.classid, d.objid FROM pg_depend d \
       WHERE d.refclassid = 'pg_namespace'::regclass AND d.refobjid = $1 \
       UNION SELECT d.classid, d.objid FROM gone g JOIN pg_depend d ON d.refclassid = g.class AND d.refobjid = g.object), \
     tree (relation) AS (\
       SELECT c.oid FROM pg_class c WHERE c.relnamespace = $1 \
       UNION SELECT i.inhrelid FROM tree t JOIN pg_inherits i ON i.inhparent = t.relation), \
     placed AS (SELECT g.class, g.object, CASE g.class \
         WHEN 'pg_class'::regclass THEN coalesce((SELECT indrelid FROM pg_index WHERE indexrelid = g.object), g.object) \
         WHEN 'pg_constraint'::regclass THEN (SELECT nullif(conrelid, 0) FROM pg_constraint WHERE oid = g.object) \
         WHEN 'pg_attrdef'::regclass THEN (SELECT adrelid FROM pg_attrdef WHERE oid = g.object) \
         WHEN 'pg_trigger'::regclass THEN (SELECT tgrelid FROM pg_trigger WHERE oid = g.object) \
         WHEN 'pg_rewrite'::regclass THEN (SELECT ev_class FROM pg_rewrite WHERE oid = g.object) \
         WHEN 'pg_policy'::regclass THEN (SELECT polrelid FROM pg_policy WHERE oid = g.object) \
         WHEN 'pg_statistic_ext'::regclass THEN (SELECT stxrelid FROM pg_statistic_ext WHERE oid = g.object) \
         WHEN 'pg_publication_rel'::regclass THEN (SELECT prrelid FROM pg_publication_rel WHERE oid = g.object) \
         WHEN 'pg_type'::regclass THEN (SELECT nullif(coalesce(nullif(y.typrelid, 0), e.typrelid), 0) \
           FROM pg_type y LEFT JOIN pg_type e ON e.oid = y.typelem WHERE y.oid = g.object) \
       END AS relation FROM gone g) \
     SELECT pg_describe_object(p.class, p.object, 0) AS what FROM placed p \
       LEFT JOIN pg_class c ON c.oid = p.relation LEFT JOIN pg_namespace cn ON cn.oid = c.relnamespace \
     WHERE NOT CASE WHEN p.relation IS NOT NULL THEN c.relnamespace = $1 OR cn.nspname = 'pg_toast' \
         OR cn.nspname = '_timescaledb_internal' AND EXISTS (SELECT 1 FROM tree t WHERE t.relation = p.relation) \
       ELSE coalesce((SELECT n.oid = $1 FROM pg_namespace n \
         WHERE n.nspname = (pg_identify_object(p.class, p.object, 0)).schema), false) END \
       AND NOT (p.class = 'pg_trigger'::regclass \
         AND EXISTS (SELECT 1 FROM pg_trigger t WHERE t.oid = p.object AND t.tgisinternal)) \
       AND p.class <> 'pg_default_acl'::regclass \
     ORDER BY 1 LIMIT 5";

/// Up to five of them, as the server describes them. Runs in a transaction whose search path is `pg_catalog`.
pub async fn outside(connection: &mut PgConnection, schema: Oid) -> Result<Vec<String>, sqlx::Error> {
    let described: Vec<Option<String>> =
        sqlx::query_scalar(OUTSIDE).bind(schema).fetch_all(connection).await?;
    Ok(described.into_iter().map(|what| what.unwrap_or_else(|| "an object without a name".into())).collect())
}

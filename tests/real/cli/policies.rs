//! Which policy is in force for which table, and what it does there.

use super::story::Story;
use crate::real::support::TestDatabase;

/// A retention policy job as the Community edition makes it; never scheduled.
fn native_job(table: &str, rule: &str) -> String {
    format!(
        "INSERT INTO _timescaledb_config.bgw_job (application_name, schedule_interval, max_runtime, max_retries, \
           retry_period, proc_schema, proc_name, owner, scheduled, hypertable_id, config, check_schema, check_name) \
         SELECT 'Retention Policy [test]', '1 day', '5 min', -1, '5 min', '_timescaledb_functions', 'policy_retention', \
           current_user::regrole, false, id, jsonb_build_object({rule}, 'hypertable_id', id), \
           '_timescaledb_functions', 'policy_retention_check' \
         FROM _timescaledb_catalog.hypertable WHERE table_name = '{table}'"
    )
}

#[tokio::test]
async fn an_exact_name_goes_before_a_pattern_and_a_pattern_before_the_default() {
    let database = TestDatabase::new().await;
    for table in ["exact_1", "pattern_1", "two_1", "left_over", "newest", "both_by_age", "both_by_count"] {
        database.daily_table(table, 10).await;
    }
    let mut story = Story::new(&database);
    story.configure(
        "[[policies]]\ntable = \"public.exact_1\"\ndrop_after = \"6 days\"\n\
         [[policies]]\ntable = \"*_1\"\ndrop_after = \"5 days\"\n\
         [[policies]]\ntable = \"two_*\"\ndrop_after = \"4 days\"\n\
         [[policies]]\ntable = \"newest\"\nkeep_newest = 7\n\
         [[policies]]\ntable = \"both_by_age\"\ndrop_after = \"8 days\"\nkeep_newest = 2\n\
         [[policies]]\ntable = \"both_by_count\"\ndrop_after = \"2 days\"\nkeep_newest = 8\n\
         [default_policy]\ndrop_after = \"7 days\"",
    );
    story.step(4, &["check"]);
    story.step(0, &["plan"]);
    story.note("the table with two policies is refused, all others are done");
    story.step(4, &["run", "--apply"]);
    insta::assert_snapshot!(story.text());
    for (table, left) in [
        ("exact_1", 7),
        ("pattern_1", 6),
        ("two_1", 10),
        ("left_over", 8),
        ("newest", 7),
        ("both_by_age", 9),
        ("both_by_count", 8),
    ] {
        assert_eq!(database.chunks(table).await, left, "{table}");
    }
}

#[tokio::test]
async fn a_table_with_a_native_policy_is_refused_until_it_is_taken_over() {
    let database = TestDatabase::new().await;
    for (table, rule) in [
        ("native", "'drop_after', '5 days'"),
        ("doubly", "'drop_after', '5 days'"),
        ("by_creation", "'drop_created_before', '5 days'"),
    ] {
        database.daily_table(table, 10).await;
        database.run(&native_job(table, rule)).await;
    }
    let policy = "[[policies]]\ntable = \"doubly\"\ndrop_after = \"6 days\"";
    let mut story = Story::new(&database);
    story.configure(policy);
    story.step(0, &["plan"]);
    story.step(4, &["run", "--apply"]);
    for table in ["native", "doubly", "by_creation"] {
        assert_eq!(database.chunks(table).await, 10, "{table}");
    }
    story.configure(&format!(
        "{policy}\ntake_over_native_policy = true\n\
         [[policies]]\ntable = \"native\"\ntake_over_native_policy = true"
    ));
    story.step(0, &["run", "--apply"]);
    insta::assert_snapshot!(story.text());
    for (table, left) in [("native", 6), ("doubly", 7), ("by_creation", 10)] {
        assert_eq!(database.chunks(table).await, left, "{table}");
    }
}

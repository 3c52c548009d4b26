//! Environment variables alone: tokens of REST, the rights that a role needs, and hints that name what was set.

use uuid::Uuid;

use super::installation::Installation;
use crate::real::owned::serving::{MAY_DELETE, MAY_READ};
use crate::real::support::eventually;

/// The tables of OMOTES' own migrations, made by somebody else.
const THEIRS: &str = include_str!("../../../src/omotes/migrations/theirs.sql");

#[tokio::test(flavor = "multi_thread")]
async fn tokens_by_variables_let_delete_by_rest_on_every_address() {
    let mut place = Installation::new().await;
    place.more = vec![
        ("TIMESWEEP_LISTEN", "0.0.0.0:0".into()),
        ("TIMESWEEP_READ_TOKEN", MAY_READ.into()),
        ("TIMESWEEP_DELETE_TOKEN", MAY_DELETE.into()),
    ];
    let serving = place.serve().await;
    let path = format!("/job/{}", Uuid::now_v7());
    for (code, request) in [
        (401, serving.request("DELETE", &path)),
        (403, serving.request("DELETE", &path).bearer_auth(MAY_READ)),
        (200, serving.request("DELETE", &path).bearer_auth(MAY_DELETE)),
        (401, serving.request("GET", "/api/v1/holds")),
        (200, serving.request("GET", "/api/v1/holds").bearer_auth(MAY_READ)),
        (200, serving.request("GET", "/api/v1/holds").bearer_auth(MAY_DELETE)),
    ] {
        let said = serving.said(request).await;
        assert_eq!(said.code, code, "{said:?}");
    }
    assert_eq!(serving.health().await.code, 200);
    let log = serving.log();
    assert!(!log.contains(MAY_READ) && !log.contains(MAY_DELETE), "{log}");
    serving.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_told_with_the_variables_that_mend_it() {
    let mut place = Installation::new().await;
    for (name, value, said) in [
        ("JOB_RETENTION_SEC", "60", "TIMESWEEP_ALLOW_SHORT_GRACE=1"),
        ("JOB_RETENTION_SEC", "0", "JOB_RETENTION_SEC is 0 and has to be at least 1"),
        ("SDK_RABBITMQ_VIRTUALHOST", "nowhere", "check SDK_RABBITMQ_VIRTUALHOST"),
        ("TASK_RABBITMQ_PASSWORD", "wrong", "TASK_RABBITMQ_USERNAME and TASK_RABBITMQ_PASSWORD"),
        ("POSTGRESQL_USERNAME", "nobody", "POSTGRESQL_USERNAME and POSTGRESQL_PASSWORD"),
        ("INFLUXDB_PORT", "1", "INFLUXDB_HOST and INFLUXDB_PORT"),
        ("TASK_RESULT_QUEUE_NAME", "echo", "(TASK_RESULT_QUEUE_NAME, or"),
        ("TIMESWEEP_LISTEN", "0.0.0.0:1", "set TIMESWEEP_READ_TOKEN or TIMESWEEP_DELETE_TOKEN"),
    ] {
        place.more = vec![(name, value.into())];
        let checked = place.ran(&["check"]);
        let told = format!("{}{}", checked.out, checked.err);
        assert!(checked.code != 0 && told.contains(said), "{name}: {checked:?}");
    }
}

/// Exactly the rights that the documentation lists, on tables of somebody else.
#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_owns_no_table_needs_these_rights_and_no_more() {
    let mut place = Installation::new().await;
    place.database.run(THEIRS).await;
    let role = place.database.role("narrow").await;
    let all = "job, job_starts, esdl_time_series_info";
    place.more = vec![
        ("POSTGRESQL_USERNAME", role.clone()),
        ("POSTGRESQL_PASSWORD", "secret".into()),
        ("TIMESWEEP_DELETE_TOKEN", MAY_DELETE.into()),
    ];
    let lacks = place.ran(&["check"]);
    let told = format!("{}{}", lacks.out, lacks.err);
    assert!(
        lacks.code != 0 && told.contains("grant our role") && told.contains("alembic_version"),
        "{lacks:?}"
    );
    let grant = format!(
        "GRANT SELECT, INSERT, UPDATE, DELETE ON {all} TO {role}; GRANT SELECT ON alembic_version TO {role}; \
         GRANT USAGE, CREATE ON SCHEMA public TO {role}"
    );
    place.database.run(&grant).await;
    place.ran(&["check"]).with_code(0);
    let serving = place.serve().await;
    let (job, dataset) = (Uuid::now_v7(), Uuid::now_v7().to_string());
    let row = format!(
        "INSERT INTO job (job_id, workflow_type, status, registered_at) VALUES ('{job}', 'w', 'RUNNING', now()); \
         INSERT INTO job_starts VALUES ('{job}', now()); \
         INSERT INTO esdl_time_series_info (row_id, esdl_id, registered_at, job_id) \
         VALUES (gen_random_uuid(), '{dataset}', now(), '{job}')"
    );
    place.database.run(&row).await;
    assert_eq!(serving.delete_job(job).await.code, 200);
    let left = format!("SELECT count(*) FROM job WHERE job_id = '{job}'");
    eventually("the row of the job goes", async || place.database.number(&left).await == 0).await;
    let marked = format!(
        "SELECT count(*) FROM esdl_time_series_info WHERE job_id = '{job}' AND deactivated_at IS NOT NULL"
    );
    eventually("its data is marked", async || place.database.number(&marked).await == 1).await;
    serving.stop().await;
}

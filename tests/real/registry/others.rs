//! Other programs at work on the same rows, and a connection that breaks.

use timesweep::registry;
use timesweep::retention::ownership::OwnedName;
use timesweep::retention::ownership::event::Event;

use super::super::support::{TestDatabase, eventually};
use super::place;
use super::world::{HOUR, SETTINGS, START, derived, id, listed, name};

/// Ends every session of the registry in this database.
async fn cut(database: &TestDatabase) {
    database
        .run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND application_name LIKE 'timesweep%'",
        )
        .await;
    let left = "SELECT count(*) FROM pg_stat_activity \
         WHERE datname = current_database() AND application_name LIKE 'timesweep%'";
    eventually("the sessions end", async || database.number(left).await == 0).await;
}

#[tokio::test]
async fn a_connection_that_was_cut_between_two_calls_is_made_anew() {
    let database = TestDatabase::without_extension().await;
    let registry = place(&database).open().await;
    cut(&database).await;
    registry.record(&[Event::Deleted(id(1))], START).await.expect("a new connection");
    cut(&database).await;
    assert!(registry.ledger().await.expect("a new connection").deleted_jobs.contains_key(&id(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_cut_in_the_middle_is_an_error_and_nothing_of_it_stays() {
    let database = TestDatabase::without_extension().await;
    let registry = place(&database).open().await;
    let event = Event::Succeeded { job: id(1), dataset: name("e") };
    registry.record(std::slice::from_ref(&event), START).await.expect("record");
    let before = place(&database).rows().await;
    let mut other = database.connect().await;
    sqlx::raw_sql("BEGIN; SELECT * FROM esdl_time_series_info FOR UPDATE")
        .execute(&mut other)
        .await
        .expect("a lock");
    let (waiting, deletion) = (registry.clone(), [Event::Deleted(id(1))]);
    let record = tokio::spawn(async move { waiting.record(&deletion, START + HOUR).await });
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    eventually("the event waits for the row", async || database.number(waits).await > 0).await;
    cut(&database).await;
    let problem = record.await.expect("the task").expect_err("the connection was cut");
    assert!(problem.sentence.contains("record what happened"), "{problem}");
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.expect("unlock");
    assert_eq!(place(&database).rows().await, before);
    registry.record(&[Event::Deleted(id(1))], START + HOUR).await.expect("the next attempt");
}

/// A caller that gives up leaves no open transaction behind.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_given_up_holds_nothing() {
    let database = TestDatabase::without_extension().await;
    let registry = place(&database).open().await;
    for number in 0..60_u64 {
        let event = [Event::Succeeded { job: id(number.into()), dataset: name(&format!("e{number}")) }];
        let limit = std::time::Duration::from_micros(number * 100);
        let _ = tokio::time::timeout(limit, registry.record(&event, START)).await;
    }
    registry.record(&[Event::Deleted(id(1_000))], START).await.expect("nobody is in the way");
    let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND xact_start IS NOT NULL \
         AND application_name LIKE 'timesweep%'";
    eventually("every transaction ends", async || database.number(open).await == 0).await;
    let ledger = registry.ledger().await.expect("the ledger");
    assert_eq!(place(&database).rows().await, derived(&ledger));
}

/// Another program registers and removes datasets without our lock while checks mark what is unknown.
#[tokio::test(flavor = "multi_thread")]
async fn registrations_of_others_are_never_lost_beside_checks() {
    let database = TestDatabase::without_extension().await;
    let place = place(&database);
    let registry = place.open().await;
    let names: Vec<String> = (1..=60).map(|number| format!("e{number}")).collect();
    let others = async {
        for (number, text) in (1..).zip(&names) {
            // As today's orchestrator does it: a mark that is there stays.
            database
                .run(&format!(
                    "INSERT INTO esdl_time_series_info (row_id, esdl_id, registered_at, job_id) \
                     VALUES (gen_random_uuid(), '{text}', now(), '{job}') \
                     ON CONFLICT (esdl_id) DO UPDATE SET job_id = excluded.job_id",
                    job = id(number).0
                ))
                .await;
        }
    };
    let checks = async {
        for number in 0..40 {
            let texts: Vec<&str> = names.iter().map(String::as_str).collect();
            let adopts = |_: &OwnedName| true;
            let checked = registry.check(&listed(&texts), &SETTINGS, &adopts, START + number).await;
            checked.expect("check").expect("plausible");
        }
    };
    tokio::join!(others, checks);
    let texts: Vec<&str> = names.iter().map(String::as_str).collect();
    for number in 50..52 {
        let checked = registry.check(&listed(&texts), &SETTINGS, &|_| true, START + number).await;
        checked.expect("check").expect("plausible");
    }
    let ledger = registry.ledger().await.expect("the ledger");
    for (number, text) in (1..).zip(&names) {
        assert_eq!(ledger.owners(&name(text)), [id(number)], "{text}");
        assert_eq!(ledger.rows[&name(text)].mark, None, "{text}");
    }
    assert_eq!(place.rows().await, derived(&ledger));
}

/// Registers a dataset and removes it again and again, until the table `stop` has a row.
const RESTLESS: &str = "DO $$ BEGIN LOOP \
       INSERT INTO esdl_time_series_info (row_id, esdl_id, registered_at) VALUES (gen_random_uuid(), 'e', now()) \
         ON CONFLICT (esdl_id) DO NOTHING; COMMIT; \
       EXIT WHEN EXISTS (SELECT FROM stop); \
       DELETE FROM esdl_time_series_info WHERE esdl_id = 'e'; COMMIT; \
     END LOOP; END $$";

#[tokio::test(flavor = "multi_thread")]
async fn a_check_ends_whatever_others_write_meanwhile() {
    let database = TestDatabase::without_extension().await;
    let registry = place(&database).open().await;
    database.run("CREATE TABLE stop (is_there boolean)").await;
    let others = database.run(RESTLESS);
    let checks = async {
        for number in 0..400 {
            let checked = registry.check(&listed(&["e"]), &SETTINGS, &|_| true, START + number).await;
            checked.expect("it ends").expect("plausible");
        }
        database.run("INSERT INTO stop VALUES (true)").await;
    };
    tokio::join!(others, checks);
}

/// A check is about to mark a row; another program has just written a success into it, and commits.
#[tokio::test(flavor = "multi_thread")]
async fn a_success_that_others_commit_under_a_check_is_not_written_over() {
    let database = TestDatabase::without_extension().await;
    let registry = place(&database).open().await;
    let claims = ["e", "x", "y"].map(|text| Event::Succeeded { job: id(1), dataset: name(text) });
    registry.record(&claims, START).await.expect("record");
    let all = listed(&["e", "x", "y"]);
    registry.check(&all, &SETTINGS, &|_| true, START).await.expect("check").expect("plausible");
    let mut other = database.connect().await;
    let update =
        format!("BEGIN; UPDATE esdl_time_series_info SET job_id = '{}' WHERE esdl_id = 'e'", id(2).0);
    sqlx::raw_sql(sqlx::AssertSqlSafe(update)).execute(&mut other).await.expect("update");
    let at_work = registry.clone();
    let check =
        tokio::spawn(
            async move { at_work.check(&listed(&["x", "y"]), &SETTINGS, &|_| true, START + HOUR).await },
        );
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    eventually("the check waits for the row", async || database.number(waits).await > 0).await;
    sqlx::raw_sql("COMMIT").execute(&mut other).await.expect("commit");
    check.await.expect("the task").expect("check").expect("plausible");
    let ledger = registry.ledger().await.expect("the ledger");
    assert_eq!(ledger.owners(&name("e")), [id(1), id(2)]);
    assert_eq!(place(&database).rows().await, derived(&ledger));
}

#[tokio::test]
async fn no_password_is_in_a_problem() {
    let database = TestDatabase::without_extension().await;
    let (_, server) = database.url.rsplit_once('@').expect("a role");
    let url = format!("postgres://nobody:geheim@{server}");
    let settings = timesweep::config::RegistrySettings {
        url: url.into(),
        password: None,
        set_in: timesweep::config::SetIn::default(),
    };
    let problem = registry::open(&settings).await.map(|_| ()).expect_err("no such role");
    assert!(!format!("{problem} {problem:?}").contains("geheim"), "{problem}");
}

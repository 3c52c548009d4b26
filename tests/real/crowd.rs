//! More than five hundred sessions at once, and processes of the server among them.

use std::process::{Child, Stdio};

use futures_util::future::join_all;
use sqlx::Connection;
use sqlx::postgres::PgConnection;

use super::own_server::OwnServer;
use super::support::{TestDatabase, eventually};

const CLIENTS: usize = 510;

/// A replication session of the superuser, which waits for commands.
fn replicate(server: &OwnServer, database: &TestDatabase) -> Child {
    let connection = format!("dbname={} replication=database", database.name);
    let mut psql = server.testbed(&["psql", &connection]);
    psql.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("psql starts")
}

async fn connect_all(url: &str) -> Vec<PgConnection> {
    let mut clients = Vec::new();
    while clients.len() < CLIENTS {
        let some = (0..30).map(|_| PgConnection::connect(url));
        clients.extend(join_all(some).await.into_iter().map(|client| client.expect("a session")));
    }
    clients
}

#[tokio::test]
async fn five_hundred_clients_are_ended_and_the_servers_own_processes_are_not() {
    let server = OwnServer::start();
    {
        let settings = TestDatabase::on(&server.url).await;
        settings.run("ALTER SYSTEM SET max_connections = 600").await;
        settings.run("ALTER SYSTEM SET scram_iterations = 1").await;
    }
    server.break_off();
    server.start_again();
    let database = TestDatabase::on(&server.url).await;
    let app = database.role("app").await;
    database.daily_table("t", 10).await;
    database.configuration(&format!(
        "[stores.main.sessions]\nroles = [\"{app}\", \"postgres\"]\nmode = \"terminate_all\"\n\
         [[policies]]\ntable = \"public.*\"\ndrop_after = \"3 days\"\n[caps]\nshare_of_bytes = \"100 %\""
    ));
    let clients = connect_all(&database.url_as(&app, "secret")).await;
    let mut psql = replicate(&server, &database);
    let here = "FROM pg_stat_activity WHERE datname = current_database() AND usename = 'postgres'";
    let servers_own =
        format!("SELECT coalesce(sum(pid), 0)::bigint {here} AND backend_type <> 'client backend'");
    for kind in ["walsender", "TimescaleDB Background Worker Scheduler"] {
        let count = format!("SELECT count(*) {here} AND backend_type = '{kind}'");
        eventually(kind, async || database.number(&count).await == 1).await;
    }
    let before = database.number(&servers_own).await;

    let ran = database.ran(&["run", "--apply", "--output", "json"]).with_code(0);
    let report = ran.json();
    let sessions = &report["sessions"];
    let ended = sessions["ended"].as_array().expect("sessions");
    let of_app =
        ended.iter().filter(|ended| ended["session"]["role"] == app.as_str() && ended["done"] == true);
    assert_eq!(of_app.count(), clients.len(), "{}", sessions["notes"]);
    assert_eq!(sessions["found"].as_array().map(Vec::len), Some(500));
    assert!(
        sessions["notes"][0].as_str().is_some_and(|note| note.contains("more sessions of the listed roles"))
    );
    assert_eq!(
        database.number(&servers_own).await,
        before,
        "the server's own processes are the same as before"
    );
    assert_eq!(
        database.number(&format!("SELECT count(*) FROM pg_stat_activity WHERE usename = '{app}'")).await,
        0
    );
    assert_eq!(database.chunks("t").await, 4);
    let _ = psql.kill();
    let _ = psql.wait();
}

//! The decision equals the server's own: random hypertables, compared with `show_chunks` in both directions.
//!
//! For time columns the server gets the interval and the same `now`, in a session whose zone is the policy's;
//! for integer columns the typed cutoff. Then every chunk that may go is dropped by its own typed range. A
//! failure prints its seed; `TIMESWEEP_DIFFERENTIAL_SEED` repeats it, `TIMESWEEP_DIFFERENTIAL_TABLES` sets
//! how many tables are drawn.

use std::collections::BTreeSet;

use fastrand::Rng;
use secrecy::SecretString;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Executor};
use timesweep::config::Config;
use timesweep::retention::facts::StoreFacts;
use timesweep::retention::model::StoreName;
use timesweep::retention::name::DatasetName;
use timesweep::retention::plan::{Drawing, Plan, draw};
use timesweep::retention::policy::{DropAfter, PolicySource};
use timesweep::retention::reason::{Decision, Reason};
use timesweep::retention::rules::{PolicyRule, Rules};
use timesweep::store::{self, Driver, DropOrder, Wanted};

use super::support::TestDatabase;

const ZONES: [&str; 6] =
    ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Auckland", "America/St_Johns"];

/// One random hypertable and its policy.
#[derive(Debug)]
struct Drawn {
    name: String,
    kind: &'static str,
    zone: &'static str,
    after: String,
    statements: Vec<String>,
}

impl Drawn {
    fn is_integer(&self) -> bool {
        ["smallint", "integer", "bigint"].contains(&self.kind)
    }

    fn drop_after(&self) -> DropAfter {
        timesweep::config::parse_drop_after(&self.after).expect("a drawn retention is valid")
    }
}

fn draw_table(rng: &mut Rng, number: usize) -> Drawn {
    let kind =
        rng.choice(["timestamptz", "timestamp", "date", "smallint", "integer", "bigint"]).expect("a kind");
    let name = format!("drawn_{number}");
    let mut statements = Vec::new();
    let space = rng.u8(0..4) == 0;
    statements.push(format!("CREATE TABLE {name} (ts {kind} NOT NULL, device int NOT NULL)"));
    statements.push(format!(
        "SELECT create_hypertable('{name}', 'ts', chunk_time_interval => {})",
        interval(rng, kind)
    ));
    if space {
        statements
            .push(format!("SELECT add_dimension('{name}', 'device', number_partitions => {})", rng.u8(2..5)));
    }
    if ["smallint", "integer", "bigint"].contains(&kind) {
        let now = integer(rng, kind);
        statements.push(format!(
            "CREATE FUNCTION {name}_now() RETURNS {kind} LANGUAGE sql STABLE AS 'SELECT ({now})::{kind}'; \
             SELECT set_integer_now_func('{name}', '{name}_now')"
        ));
    }
    for _ in 0..rng.u8(1..4) {
        for _ in 0..rng.u8(1..14) {
            let device = rng.i32(0..1000);
            statements.push(format!("INSERT INTO {name} VALUES ({}, {device})", moment(rng, kind)));
        }
        statements.push(format!("SELECT set_chunk_time_interval('{name}', {})", interval(rng, kind)));
        if space && rng.bool() {
            statements.push(format!("SELECT set_number_partitions('{name}', {}, 'device')", rng.u8(1..6)));
        }
    }
    Drawn { after: retention(rng, kind), zone: ZONES[rng.usize(..ZONES.len())], name, kind, statements }
}

fn interval(rng: &mut Rng, kind: &str) -> String {
    match kind {
        "smallint" => format!("{}::smallint", rng.i32(1..9000)),
        "integer" => format!("{}", rng.i32(1..900_000)),
        "bigint" => format!("{}::bigint", rng.i64(1..90_000_000_000)),
        "date" => format!("interval '{} days'", rng.u8(1..40)),
        _ => format!("interval '{} hours'", rng.u16(1..900)),
    }
}

fn integer(rng: &mut Rng, kind: &str) -> i64 {
    match kind {
        "smallint" => i64::from(rng.i16(..)),
        "integer" => i64::from(rng.i32(-5_000_000..5_000_000)),
        _ => rng.i64(-500_000_000_000..500_000_000_000),
    }
}

/// A row's time: around now, in the future, and sometimes at the end of what the type can hold.
fn moment(rng: &mut Rng, kind: &str) -> String {
    let edge = rng.u8(0..25);
    match (kind, edge) {
        ("smallint", 0) => "-32768".into(),
        ("smallint", 1) => "32767".into(),
        ("bigint", 0) => "-9223372036854775807".into(),
        ("timestamptz" | "timestamp", 0) => format!("'4714-11-24 00:00:00 BC'::{kind}"),
        ("timestamptz" | "timestamp", 1) => format!("'294246-01-01'::{kind}"),
        ("timestamptz" | "timestamp", 2) => format!("'-infinity'::{kind}"),
        ("smallint" | "integer" | "bigint", _) => integer(rng, kind).to_string(),
        _ => format!("(now() + interval '{} minutes')::{kind}", rng.i32(-300_000..60_000)),
    }
}

fn retention(rng: &mut Rng, kind: &str) -> String {
    match kind {
        "smallint" => rng.i64(1..20_000).to_string(),
        "integer" => rng.i64(1..3_000_000).to_string(),
        "bigint" => rng.i64(1..300_000_000_000).to_string(),
        _ => match rng.u8(0..5) {
            0 => format!("{} hours", rng.u16(1..3000)),
            1 => format!("{} months", rng.u8(1..7)),
            2 => format!("{} months {} days", rng.u8(1..4), rng.u8(1..40)),
            3 => format!("{} days {} minutes", rng.u8(1..100), rng.u16(1..3000)),
            _ => format!("{} days", rng.u8(1..150)),
        },
    }
}

/// The server's answer, and the `now` it was given at.
async fn servers_answer(session: &mut PgConnection, table: &Drawn) -> (i64, BTreeSet<String>) {
    let mut transaction = session.begin().await.expect("begin");
    transaction.execute(AssertSqlSafe(format!("SET LOCAL TimeZone = '{}'", table.zone))).await.expect("zone");
    let now: i64 = sqlx::query_scalar("SELECT (extract(epoch FROM now()) * 1000000)::bigint")
        .fetch_one(&mut *transaction)
        .await
        .expect("now");
    let bound = if table.is_integer() {
        // 32 bits and less would overflow at the edge of the type, where nothing can be older anyway.
        let (low, high) = match table.kind {
            "smallint" => (i64::from(i16::MIN), i64::from(i16::MAX)),
            "integer" => (i64::from(i32::MIN), i64::from(i32::MAX)),
            _ => (i64::MIN, i64::MAX),
        };
        format!(
            "greatest(least({0}_now()::bigint - {1}, {high}), ({low}))::{2}",
            table.name, table.after, table.kind
        )
    } else {
        format!("interval '{}'", table.after)
    };
    let query = format!("SELECT c::text FROM show_chunks('{}', older_than => {bound}) c", table.name);
    let names: Vec<String> =
        sqlx::query_scalar(AssertSqlSafe(query)).fetch_all(&mut *transaction).await.expect("show_chunks");
    transaction.rollback().await.expect("rollback");
    (now, names.into_iter().collect())
}

fn rules(table: &Drawn) -> Rules {
    let pattern = format!("public.{}", table.name);
    let rule = PolicyRule {
        table: Some(pattern.parse().expect("a name")),
        drop_after: Some(table.drop_after()),
        keep_newest: None,
        integer_unit: None,
        take_over_native: false,
        source: PolicySource::CommandLine,
    };
    let zone = jiff::tz::TimeZone::get(table.zone).expect("a zone");
    Rules { policies: vec![rule], zone, ..Rules::default() }
}

fn our_answer(table: &Drawn, facts: &StoreFacts) -> (Plan, BTreeSet<String>) {
    let drawing = Drawing { id: uuid::Uuid::nil(), made_by: "test".into(), store: StoreName("main".into()) };
    let plan = draw(drawing, facts, &rules(table), &[], None);
    let name: DatasetName = format!("public.{}", table.name).parse().expect("a name");
    let dataset = plan.datasets.iter().find(|dataset| dataset.name == name).expect("the table is planned");
    let expired = dataset.chunks.iter().filter(|chunk| {
        // What the server would drop, and we keep as the newest.
        chunk.decision == Decision::Drop || chunk.reason == Reason::NewestChunk
    });
    let names =
        expired.flat_map(|chunk| chunk.chunk.parts.iter().map(|part| part.relation.to_string())).collect();
    (plan, names)
}

/// Drops every chunk that may go by its own range, and looks that exactly those are gone.
async fn drop_each(driver: &dyn Driver, session: &mut PgConnection, table: &Drawn, plan: &Plan) {
    let before = all_chunks(session, table).await;
    let mut dropper = driver.open_dropper().await.expect("a dropper");
    let dataset = plan.datasets.iter().find(|dataset| dataset.name.name == table.name).expect("planned");
    let mut gone = BTreeSet::new();
    for chunk in dataset.going() {
        let order = DropOrder {
            dataset: dataset.name.clone(),
            kind: dataset.axis.kind.clone(),
            chunks: vec![chunk.chunk.clone()],
            protect_aggregates: false,
        };
        dropper.drop_chunks(&order).await.unwrap_or_else(|error| panic!("{error:?}: {order:?}"));
        gone.extend(chunk.chunk.parts.iter().map(|part| part.relation.to_string()));
    }
    let expected: BTreeSet<String> = before.difference(&gone).cloned().collect();
    assert_eq!(all_chunks(session, table).await, expected, "{table:#?}");
}

async fn all_chunks(session: &mut PgConnection, table: &Drawn) -> BTreeSet<String> {
    let query = format!("SELECT c::text FROM show_chunks('{}') c", table.name);
    let names: Vec<String> =
        sqlx::query_scalar(AssertSqlSafe(query)).fetch_all(session).await.expect("chunks");
    names.into_iter().collect()
}

fn setting<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}

#[tokio::test]
async fn the_decision_equals_the_servers_own() {
    let database = TestDatabase::new().await;
    let url = SecretString::from(database.url.clone());
    let config = Config::from_command_line(url, None, None, None).expect("a configuration");
    let driver = store::open(&config.stores[0]).expect("a driver");
    let mut session = database.connect().await;
    let tables = setting("TIMESWEEP_DIFFERENTIAL_TABLES").unwrap_or(60);
    let seed = setting("TIMESWEEP_DIFFERENTIAL_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("TIMESWEEP_DIFFERENTIAL_SEED={seed} TIMESWEEP_DIFFERENTIAL_TABLES={tables}");
    let mut rng = Rng::with_seed(seed);
    let (mut compared, mut expired) = (0, 0);
    for number in 0..tables {
        let table = draw_table(&mut rng, number);
        for statement in &table.statements {
            let done = sqlx::raw_sql(AssertSqlSafe(statement.clone())).execute(&mut session).await;
            // Some edges are beyond what the type or the server takes; such a row is left out.
            assert!(done.is_ok() || statement.starts_with("INSERT"), "{statement}: {done:?}");
        }
        let (now, servers) = servers_answer(&mut session, &table).await;
        let name: DatasetName = format!("public.{}", table.name).parse().expect("a name");
        let wanted = Wanted { only: Some(vec![name]), expected: Vec::new() };
        let mut facts = driver.facts(&wanted).await.expect("facts");
        facts.now = now;
        let (plan, ours) = our_answer(&table, &facts);
        assert_eq!(ours, servers, "{table:#?}");
        compared += facts.datasets[0].relations_listed();
        expired += ours.len();
        drop_each(driver.as_ref(), &mut session, &table, &plan).await;
        session.execute(AssertSqlSafe(format!("DROP TABLE {}", table.name))).await.expect("drop table");
    }
    println!("{tables} tables, {compared} chunks, {expired} of them expired: no difference");
    assert!(expired > 0 && (expired as u64) < compared, "the draw has to have both kinds");
}

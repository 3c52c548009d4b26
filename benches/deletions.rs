//! How fast deletions of jobs come from the broker's queue into committed rows, beside a client that takes
//! one message and one transaction at a time.
//!
//! `dev/bench deletions` starts it on servers of its own. The messages wait in the queue before anybody
//! listens, and nobody gets to the broker before the pass is over with which `serve` begins: it would hold the
//! registry for a part of the time. Counted is from the first rows that are seen to the last. Invariant: both sides get the same
//! messages and find the same rows; with few rows and with many the work for each message is the same.

#[path = "deletions/broker.rs"]
mod broker;
#[path = "deletions/late.rs"]
mod late;
#[path = "deletions/one_by_one.rs"]
mod one_by_one;
#[path = "shared/place.rs"]
mod place;
#[path = "shared/stand_in.rs"]
mod stand_in;
#[path = "shared/table.rs"]
mod table;

use std::fs::File;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use clap::Parser;
use sqlx::Connection;
use uuid::Uuid;

use self::broker::Broker;
use self::late::Late;
use self::place::{Place, job};
use self::stand_in::StandIn;
use self::table::{Table, Target, grouped};

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const GIVE_UP: Duration = Duration::from_mins(3);
/// Each look counts all rows, on the cores that the others work on.
const LOOK_EVERY: Duration = Duration::from_millis(200);
const COLUMNS: [&str; 5] = ["deleted are", "rows before", "who", "messages", "per second"];

#[derive(Debug, Parser)]
#[command(name = "dev/bench deletions", about = "Deletions from the queue into rows, per second")]
struct Options {
    /// How many rows are many.
    #[arg(long, default_value_t = 100_000)]
    rows: usize,

    /// How many messages.
    #[arg(long, default_value_t = 20_000)]
    messages: usize,

    /// When the client that works message by message is stopped, in seconds.
    #[arg(long, default_value_t = 10)]
    limit: u64,

    /// Given by `cargo bench` to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Options::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: error: {error}");
            ExitCode::from(2)
        }
    }
}

/// Whose jobs are deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// Of jobs that nobody has heard of: each leaves a tombstone.
    Unknown,
    /// Of jobs that own a dataset: its row gets a mark.
    Owners,
}

impl Whose {
    fn name(self) -> &'static str {
        match self {
            Self::Unknown => "jobs without a row",
            Self::Owners => "owners of a dataset",
        }
    }

    fn fewest_rows(self, options: &Options) -> usize {
        match self {
            Self::Unknown => 0,
            Self::Owners => options.messages,
        }
    }

    fn jobs(self, rows: usize, messages: usize) -> impl Iterator<Item = Uuid> {
        let first = if self == Self::Unknown { rows } else { 0 };
        (first..first + messages).map(job)
    }
}

async fn run(options: &Options) -> Outcome<bool> {
    let mut table = Table::new(&COLUMNS);
    for whose in [Whose::Unknown, Whose::Owners] {
        let mut first = None;
        for rows in [whose.fewest_rows(options), options.rows.max(options.messages)] {
            let store = StandIn::start(rows).await?;
            let ours = timesweep(&store, whose, rows, options.messages).await?;
            let mut targets = vec![Target::at_least("rate", ours, 3_000.0, "per second")];
            if let Some(first) = first {
                // Two measurements of the same differ by so much on a small machine.
                targets.push(Target::at_least(
                    "share of the rate with few rows",
                    100.0 * ours / first,
                    90.0,
                    "%",
                ));
            }
            first = first.or(Some(ours));
            let line = |who: &str, done: usize, rate: f64| {
                [whose.name().into(), grouped(rows), who.into(), grouped(done), format!("{rate:.0}")]
            };
            table.add(&line("timesweep", options.messages, ours), &targets);
            let (done, took) = one_by_one(&store, whose, rows, options).await?;
            table.add(&line("one by one", done, done as f64 / took.as_secs_f64()), &[]);
        }
    }
    println!("{}\n\n{table}", table::machine());
    Ok(table.all_ok())
}

async fn prepare(store: &StandIn, whose: Whose, rows: usize, messages: usize) -> Outcome<(Broker, Place)> {
    let broker = Broker::new().await?;
    let sections = "[serve]\nlisten = \"127.0.0.1:0\"\n[amqp]\nurl = { env = \"BENCH_BROKER\" }\n";
    let place = Place::new(&store.url, sections).await?;
    place.register(rows).await?;
    broker.publish(whose.jobs(rows, messages)).await?;
    Ok((broker, place))
}

/// Messages per second.
async fn timesweep(store: &StandIn, whose: Whose, rows: usize, messages: usize) -> Outcome<f64> {
    let (broker, place) = prepare(store, whose, rows, messages).await?;
    if rows > 0 {
        take_in(&place)?;
    }
    let output = place.path("serve");
    let file = File::create(&output)?;
    let late = Late::new().await?;
    let (url, to) = broker.url_by(late.port)?;
    let before = passes(&place).await;
    let mut serve = command(&place, &["serve"])
        .env("BENCH_BROKER", url)
        .stdout(file.try_clone()?)
        .stderr(file)
        .spawn()?;
    let begin = Instant::now();
    while passes(&place).await == before && begin.elapsed() < GIVE_UP {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    late.open(to);
    let rate = wait(&place, messages, &mut serve).await;
    stop(&mut serve)?;
    broker.remove().await?;
    rate.map_err(|error| format!("{error}\n{}", place::last_words(&output)).into())
}

/// How many have told what they found; none before there is a registry.
async fn passes(place: &Place) -> i64 {
    let Ok(mut connection) = place.connect().await else { return 0 };
    let told = sqlx::query_scalar("SELECT announced FROM timesweep_check").fetch_one(&mut connection).await;
    told.unwrap_or_default()
}

/// What others registered is in the ledger before the clock starts.
fn take_in(place: &Place) -> Outcome<()> {
    let mut run = command(place, &["run", "--apply"]);
    let ended = run.env("BENCH_BROKER", "amqp://nobody@127.0.0.1/none").stdout(Stdio::null()).status()?;
    if ended.success() { Ok(()) } else { Err(format!("taking the rows in ended with {ended}").into()) }
}

fn command(place: &Place, verb: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_timesweep"));
    command.args(verb).arg("--config").arg(place.config()).env("BENCH_REGISTRY", place.url(None));
    command.stdin(Stdio::null());
    command
}

async fn wait(place: &Place, messages: usize, serve: &mut Child) -> Outcome<f64> {
    let mut connection = place.connect().await?;
    let (begin, mut first) = (Instant::now(), None);
    loop {
        let marked: i64 =
            sqlx::query_scalar("SELECT count(*) FROM esdl_time_series_info WHERE deactivated_at IS NOT NULL")
                .fetch_one(&mut connection)
                .await
                .unwrap_or_default();
        let marked = usize::try_from(marked)?;
        let (since, before) = match first {
            None if marked == 0 => (Instant::now(), 0),
            None => *first.insert((Instant::now(), marked)),
            Some(first) => first,
        };
        if marked >= messages {
            eprintln!(
                "bench: {messages} rows {:.2} s after the broker could be reached",
                begin.elapsed().as_secs_f64()
            );
            connection.close().await?;
            return Ok((marked - before) as f64 / since.elapsed().as_secs_f64());
        }
        if begin.elapsed() > GIVE_UP || serve.try_wait()?.is_some() {
            return Err(format!("{marked} of {messages} rows are there").into());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn stop(serve: &mut Child) -> Outcome<()> {
    serve.kill()?;
    serve.wait()?;
    Ok(())
}

async fn one_by_one(
    store: &StandIn,
    whose: Whose,
    rows: usize,
    options: &Options,
) -> Outcome<(usize, Duration)> {
    let (broker, place) = prepare(store, whose, rows, options.messages).await?;
    if rows == 0 {
        place.register(0).await?;
    }
    let limit = Duration::from_secs(options.limit);
    let done = one_by_one::consume(&broker, &place, options.messages, limit).await?;
    broker.remove().await?;
    Ok(done)
}

//! One check of a store whose data belongs to jobs, beside a client that asks for every dataset alone.
//!
//! `dev/bench reconcile` starts it on servers of its own. PostgreSQL is real; InfluxDB is a stand-in whose
//! answers lie ready in memory (its own time is none), and the real one at 1,000 datasets. Each case runs
//! the program once for time and memory, and once more through a proxy that counts statements. Invariant:
//! what is compared did the same on the same servers within minutes.

#[path = "shared/child.rs"]
mod child;
#[path = "reconcile/counting.rs"]
mod counting;
#[path = "shared/place.rs"]
mod place;
#[path = "reconcile/real_server.rs"]
mod real_server;
#[path = "reconcile/row_by_row.rs"]
mod row_by_row;
#[path = "shared/stand_in.rs"]
mod stand_in;
#[path = "shared/table.rs"]
mod table;

use std::process::{Command, ExitCode};
use std::time::Duration;

use clap::Parser;

use self::child::Ended;
use self::counting::Counting;
use self::place::Place;
use self::real_server::RealServer;
use self::stand_in::StandIn;
use self::table::{Table, Target, grouped, seconds};

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const GIVE_UP: Duration = Duration::from_mins(10);
const COLUMNS: [&str; 6] = ["datasets", "check", "who", "time", "statements", "peak memory"];

#[derive(Debug, Parser)]
#[command(
    name = "dev/bench reconcile",
    about = "One check of owned data, beside a client that works row by row"
)]
struct Options {
    /// How many datasets.
    #[arg(value_name = "DATASETS", default_values_t = [1_000, 10_000, 100_000])]
    sizes: Vec<usize>,

    /// When the client that works row by row is stopped, in seconds; how far it came is told.
    #[arg(long, default_value_t = 20)]
    limit: u64,

    /// The store, the database: be the client that works row by row.
    #[arg(long, hide = true, num_args = 2)]
    row_by_row: Option<Vec<String>>,

    /// Given by `cargo bench` to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    NothingDue,
    FirstSight,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let ended = match &options.row_by_row {
        Some(places) => {
            let limit = Duration::from_secs(options.limit);
            row_by_row::check(&places[0], &places[1], limit).await.map(|()| true)
        }
        None => run(&options).await,
    };
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: error: {error}");
            ExitCode::from(2)
        }
    }
}

async fn run(options: &Options) -> Outcome<bool> {
    let mut table = Table::new(&COLUMNS);
    for size in &options.sizes {
        let store = StandIn::start(*size).await?;
        for case in [Case::NothingDue, Case::FirstSight] {
            both(*size, &grouped(*size), case, &store.url, Duration::ZERO, options, &mut table).await?;
        }
    }
    if let Some(real) = RealServer::from_environment()?
        && options.sizes.contains(&1_000)
    {
        real.fill(1_000).await?;
        let own = real.answer_time().await?;
        let label = format!("1,000 in a real InfluxDB, which takes {} itself", seconds(own));
        both(1_000, &label, Case::NothingDue, &real.url, own, options, &mut table).await?;
        real.empty(1_000).await?;
    }
    println!("{}\n\n{table}", table::machine());
    Ok(table.all_ok())
}

async fn both(
    size: usize,
    label: &str,
    case: Case,
    influx: &str,
    own: Duration,
    options: &Options,
    table: &mut Table,
) -> Outcome<()> {
    let (ours, statements) = timesweep(size, case, influx).await?;
    let targets = targets(size, case, &ours, statements, own);
    let case_name = match case {
        Case::NothingDue => "nothing due, all owned",
        Case::FirstSight => "all orphans, at first sight",
    };
    let memory = |ended: &Ended| format!("{} MiB", ended.peak_memory >> 20);
    let statements = statements.to_string();
    table.add(
        &[label.into(), case_name.into(), "timesweep".into(), seconds(ours.took), statements, memory(&ours)],
        &targets,
    );
    let (theirs, said) = row_by_row(size, case, influx, options.limit).await?;
    let [done, statements, took] = said.split_whitespace().collect::<Vec<_>>()[..] else {
        return Err("the client that works row by row said nothing".into());
    };
    let (done, took): (usize, f64) = (done.parse()?, took.parse()?);
    let time = if done < size {
        format!("about {:.0} s ({} done in {took:.0} s)", took * size as f64 / done as f64, grouped(done))
    } else {
        format!("{took:.2} s")
    };
    let nothing = String::new();
    table
        .add(&[nothing.clone(), nothing, "row by row".into(), time, statements.into(), memory(&theirs)], &[]);
    Ok(())
}

fn targets(size: usize, case: Case, ours: &Ended, statements: u64, own: Duration) -> Vec<Target> {
    if size < 100_000 {
        return Vec::new();
    }
    let beyond = ours.took.saturating_sub(own).as_secs_f64();
    match case {
        Case::FirstSight => vec![Target::at_most("time", beyond, 5.0, "s")],
        Case::NothingDue => vec![
            Target::at_most("statements", statements as f64, 100.0, ""),
            Target::at_most("time", beyond, 2.0, "s"),
            Target::at_most("memory", (ours.peak_memory >> 20) as f64, 150.0, "MiB"),
        ],
    }
}

/// Time and memory of one pass, and the statements of another one that finds the same.
async fn timesweep(size: usize, case: Case, influx: &str) -> Outcome<(Ended, u64)> {
    match case {
        Case::NothingDue => {
            let place = Place::new(influx, "").await?;
            place.register(size).await?;
            // Takes in what others have registered, as at the first contact.
            pass(&place, None).await?;
            let ended = pass(&place, None).await?;
            let counting = Counting::start(place.server_port()).await?;
            pass(&place, Some(counting.port)).await?;
            Ok((ended, counting.statements()))
        }
        Case::FirstSight => {
            let ended = pass(&Place::new(influx, "").await?, None).await?;
            let place = Place::new(influx, "").await?;
            let counting = Counting::start(place.server_port()).await?;
            pass(&place, Some(counting.port)).await?;
            Ok((ended, counting.statements()))
        }
    }
}

async fn pass(place: &Place, port: Option<u16>) -> Outcome<Ended> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_timesweep"));
    command.args(["run", "--apply", "--config"]).arg(place.config()).env("BENCH_REGISTRY", place.url(port));
    child(command, place, "timesweep").await
}

async fn row_by_row(size: usize, case: Case, influx: &str, limit: u64) -> Outcome<(Ended, String)> {
    let place = Place::new(influx, "").await?;
    place.register(if case == Case::NothingDue { size } else { 0 }).await?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--limit", &limit.to_string(), "--row-by-row", influx, &place.url(None)]);
    let ended = child(command, &place, "row-by-row").await?;
    Ok((ended, std::fs::read_to_string(place.path("row-by-row"))?))
}

async fn child(mut command: Command, place: &Place, name: &str) -> Outcome<Ended> {
    let output = place.path(name);
    let said = output.clone();
    let ended = tokio::task::spawn_blocking(move || child::run(&mut command, &output, GIVE_UP)).await??;
    if !ended.status.success() {
        return Err(format!("{name} ended with {}:\n{}", ended.status, place::last_words(&said)).into());
    }
    Ok(ended)
}

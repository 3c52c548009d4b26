//! Compares timesweep with what it replaces: one `drop_chunks` per hypertable, retried on deadlock.
//!
//! `dev/bench drop` starts it on a server of its own. For each scenario both sides drop the same chunks
//! from fresh copies of one database, in turns, while users read and write; the result is a Markdown
//! table of medians with a verdict. The exit status is 1 if a target is missed.
//!
//! Invariant: one run of one scenario measures both sides on the same machine within minutes, and what
//! is compared is only what was measured there.

#[path = "drop/check.rs"]
mod check;
#[path = "shared/child.rs"]
mod child;
#[path = "drop/contender.rs"]
mod contender;
#[path = "drop/crowd.rs"]
mod crowd;
#[path = "drop/fixture.rs"]
mod fixture;
#[path = "drop/long_reader.rs"]
mod long_reader;
#[path = "drop/measure.rs"]
mod measure;
#[path = "drop/options.rs"]
mod options;
#[path = "drop/report.rs"]
mod report;
#[path = "drop/scenario.rs"]
mod scenario;
#[path = "drop/server.rs"]
mod server;
#[path = "drop/waits.rs"]
mod waits;

use std::process::ExitCode;

use clap::Parser;

use self::options::Options;
use self::report::Table;
use self::scenario::Scenario;
use self::server::Server;

/// A failed measurement ends everything, so nobody has to tell the causes apart.
type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: error: {error}");
            ExitCode::from(2)
        }
    }
}

/// Prints the table; whether every target was met.
async fn run(options: Options) -> Outcome<bool> {
    let server = Server::from_environment()?;
    let scenarios = scenario::choose(&options.scenarios, options.quick)?;
    let mut table = Table::default();
    for scenario in &scenarios {
        run_scenario(&server, scenario, &options, &mut table).await?;
    }
    println!("{}\n{table}", report::header(&server, &options).await?);
    Ok(table.all_ok())
}

async fn run_scenario(
    server: &Server,
    scenario: &Scenario,
    options: &Options,
    table: &mut Table,
) -> Outcome<()> {
    let sides = measure::both_sides(server, scenario, options.runs()).await?;
    let verdicts = check::judge(scenario.checks, &sides);
    for verdict in &verdicts {
        eprintln!("bench: {}: {verdict}", scenario.name);
    }
    table.add(scenario, &sides, &verdicts);
    Ok(())
}

//! The command line: one file per verb; `exit.rs` says which outcome is which code.
//!
//! Preview is the default: nothing is deleted without `apply FILE` or `run --apply`. Text for people
//! goes to standard output, problems to standard error; with `--output json` the last line of standard
//! output is one JSON object.

use std::fmt;
use std::ops::Deref;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::problem::{Problem, Result};

mod apply;
mod check;
mod disk;
mod exit;
mod explain;
mod gate;
mod hold;
mod mark;
mod open;
mod output;
mod owned;
mod plan;
mod progress;
mod publish;
mod report;
mod run;
mod schedule;
mod serve;
mod signals;
mod target;
mod ticket;

const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("TIMESWEEP_COMMIT"), ")");

/// Removes time-series data nobody needs any more, and nothing else.
#[derive(Debug, Parser)]
#[command(name = "timesweep", version = VERSION, arg_required_else_help = true, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Clone, Args)]
pub struct Common {
    /// The configuration file [default: ./timesweep.toml, then /etc/timesweep/timesweep.toml]
    #[arg(long, global = true, value_name = "FILE", env = "TIMESWEEP_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,
    /// The store to work on, where the configuration has several
    #[arg(long, global = true, value_name = "NAME")]
    store: Option<String>,
    /// Work without a configuration: the database, as postgres://user@host:port/database
    #[arg(long, global = true, value_name = "URL", env = "TIMESWEEP_URL", hide_env_values = true)]
    url: Option<SecretUrl>,
    /// Without a configuration: the table, as schema.table
    #[arg(long, global = true, value_name = "TABLE", conflicts_with_all = ["config", "store"])]
    table: Option<String>,
    /// Without a configuration: how old data may get, as `30 days`, `3 months`, `P1M`
    #[arg(long, global = true, value_name = "SPAN", allow_hyphen_values = true, conflicts_with_all = ["config", "store"])]
    drop_after: Option<String>,
    /// Without a configuration: keep this many of the newest chunks
    #[arg(long, global = true, value_name = "COUNT", conflicts_with_all = ["config", "store"])]
    keep_newest: Option<u32>,
    /// Take everything from OMOTES' own environment variables, instead of a configuration
    #[arg(long, global = true, conflicts_with_all = ["config", "url", "table", "drop_after", "keep_newest"])]
    omotes: bool,
    /// Where the journal and the holds are kept
    #[arg(long, global = true, value_name = "FILE")]
    state: Option<PathBuf>,
    /// What to print; `rundeck` is for `gate` only
    #[arg(long, global = true, value_enum, default_value_t = Output::Text)]
    output: Output,
    #[arg(skip)]
    url_was_typed: bool,
}

impl Common {
    /// The policy is on the command line, not in a file.
    fn has_own_policy(&self) -> bool {
        self.table.is_some() || self.drop_after.is_some() || self.keep_newest.is_some()
    }
}

/// A URL that may hold a password: it is read as text, and no formatting shows it.
#[derive(Clone)]
struct SecretUrl(String);

impl From<String> for SecretUrl {
    fn from(url: String) -> Self {
        Self(url)
    }
}

impl Deref for SecretUrl {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[REDACTED]")
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    Text,
    Json,
    // `RUNDECK:DATA:` lines. No help text of its own: that would give every option a paragraph.
    Rundeck,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Connect, list privileges and policies as they resolve, and what would be refused
    Check,
    /// Show what would go and what stays, with reasons, bytes and dates
    Plan(plan::PlanArgs),
    /// Do exactly what a saved plan says, as far as it is still true
    Apply(apply::ApplyArgs),
    /// The whole run a scheduler calls; a preview without --apply
    Run(run::RunArgs),
    /// Only ask whether a run may work now, and write the day's ticket if so
    Gate(gate::GateArgs),
    /// Show the day's ticket, or write what became of the day
    #[command(subcommand)]
    Ticket(ticket::TicketVerb),
    /// Why a chunk or table goes or stays, and when it would go
    Explain(explain::ExplainArgs),
    /// Pin a table or chunk, list the pins, or remove one
    #[command(subcommand)]
    Hold(hold::HoldVerb),
    /// Delete a job's data, list what is marked, or take a mark back
    #[command(subcommand)]
    Mark(mark::MarkVerb),
    /// The loop over data that jobs own: a pass on a schedule and when woken
    Serve(serve::ServeArgs),
    /// Show what the folders of the server weigh and what its file systems have left
    Disk(disk::DiskArgs),
    /// Show the last run, or a given one
    Report(report::ReportArgs),
}

/// Parses, runs and answers with the exit code.
pub fn main() -> u8 {
    let error_code = schedule::error_code(std::env::args_os());
    let matches = match Cli::command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { error_code(exit::USAGE) } else { exit::DONE };
        }
    };
    let mut cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    cli.common.url_was_typed = was_typed(&matches, "url");
    let output = cli.common.output;
    match std::panic::catch_unwind(AssertUnwindSafe(|| start(cli))) {
        Ok(Ok(code)) => code,
        // What Rust itself ends with after a panic, which was printed already.
        Err(_) => error_code(101),
        Ok(Err(problem)) => {
            let code = error_code(exit::of_problem(&problem));
            output::complain(output, &problem, code);
            code
        }
    }
}

/// Global arguments may stand before or after the verb.
fn was_typed(matches: &clap::ArgMatches, id: &str) -> bool {
    let here = matches.value_source(id) == Some(ValueSource::CommandLine);
    here || matches
        .subcommand()
        .is_some_and(|(_, inner)| inner.try_contains_id(id).is_ok() && was_typed(inner, id))
}

fn start(cli: Cli) -> Result<u8> {
    // One TLS stack for everything. A second installation is no harm.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Problem::unreachable("the program cannot start").because(&error))?;
    runtime.block_on(dispatch(cli))
}

async fn dispatch(cli: Cli) -> Result<u8> {
    let common = &cli.common;
    if common.output == Output::Rundeck && !matches!(cli.verb, Verb::Gate(_)) {
        return Err(Problem::usage("`--output rundeck` is for `timesweep gate` only")
            .hint("use `--output json`, or leave it out"));
    }
    match cli.verb {
        Verb::Check => check::check(common).await,
        Verb::Plan(args) => plan::plan(common, &args).await,
        Verb::Apply(args) => apply::apply(common, &args).await,
        Verb::Run(args) => run::run(common, &args).await,
        Verb::Gate(args) => gate::gate(common, &args).await,
        Verb::Ticket(verb) => ticket::ticket(common, verb).await,
        Verb::Explain(args) => explain::explain(common, &args).await,
        Verb::Hold(verb) => hold::hold(common, verb).await,
        Verb::Mark(verb) => mark::mark(common, verb).await,
        Verb::Serve(args) => serve::serve(common, &args).await,
        Verb::Disk(args) => disk::disk(common, &args).await,
        Verb::Report(args) => report::report(common, &args).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_shown_without_the_url() {
        let url = "postgres://me:geheim@127.0.0.1:1/db";
        let cli = Cli::try_parse_from(["timesweep", "--url", url, "check"]).expect("arguments");
        assert_eq!(cli.common.url.as_deref(), Some(url));
        let shown = format!("{cli:?}");
        assert!(shown.contains("[REDACTED]") && !shown.contains("geheim"), "{shown}");
    }
}

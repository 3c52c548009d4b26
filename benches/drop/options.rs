//! The command line of the benchmark.

use clap::Parser;

#[derive(Debug, Parser)]
#[command(name = "dev/bench drop", about = "Compares timesweep with one drop_chunks per hypertable")]
pub struct Options {
    /// Which scenarios to run; all of them without this.
    #[arg(value_name = "SCENARIO")]
    pub scenarios: Vec<String>,

    /// How often each side runs; the table shows medians.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,

    /// One run with fewer chunks, to try the benchmark itself. The targets are made for the full size.
    #[arg(long)]
    pub quick: bool,

    /// The date that the table carries; today without this.
    #[arg(long)]
    pub date: Option<String>,

    /// Given by `cargo bench` to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    pub fn runs(&self) -> u32 {
        if self.quick { 1 } else { self.runs }
    }
}

//! The program: everything is in the library; this turns its answer into the exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(timesweep::cli::main())
}

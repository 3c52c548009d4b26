//! What reaches the terminal. A closed pipe is no error: `timesweep plan | head` ends well.

use std::io::Write;

use serde::Serialize;
use serde_json::json;

use super::Output;
use crate::problem::{Problem, Result};

/// Prints text for people, or the same as one line of JSON.
pub fn print(output: Output, text: impl FnOnce() -> String, value: &impl Serialize) -> Result<()> {
    match output {
        // `cli.rs` lets only the gate be asked in Rundeck's form, and it prints that itself.
        Output::Text | Output::Rundeck => print_text(&text()),
        Output::Json => print_text(&(line_of(value)? + "\n")),
    }
    Ok(())
}

pub fn print_text(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn line_of(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|error| Problem::unreachable("the answer cannot be written as JSON").because(&error))
}

/// A sentence, its causes and the hint, on standard error; for programs on standard output as well.
pub fn complain(output: Output, problem: &Problem, exit_code: u8) {
    let _ = writeln!(std::io::stderr().lock(), "error: {problem}");
    if output == Output::Json {
        let error = json!({
            "error": { "sentence": problem.sentence, "causes": problem.causes, "hint": problem.hint },
            "exit_code": exit_code,
        });
        print_text(&format!("{error}\n"));
    }
}

/// One line on standard error.
pub fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

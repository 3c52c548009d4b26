//! The line for cron is one that cron understands.

use std::fs;

use super::job::folder;

/// The fields of the only line that is neither a comment nor a variable.
fn fields() -> Vec<String> {
    let text = fs::read_to_string(folder("cron").join("timesweep")).expect("the file");
    assert!(text.ends_with('\n'), "cron ignores a file whose last line has no end");
    let is_line = |line: &&str| !line.starts_with('#') && line.contains(' ');
    let lines: Vec<&str> = text.lines().filter(is_line).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines[0].split_whitespace().map(String::from).collect()
}

/// The command, as cron hands it to the shell.
pub fn command() -> String {
    fields()[6..].join(" ")
}

#[test]
fn the_line_runs_on_sundays_as_a_user_of_its_own() {
    let fields = fields();
    assert_eq!(fields[..6], ["30", "2", "*", "*", "0", "timesweep"]);
    // cron turns an unescaped `%` into a newline.
    assert!(command().starts_with("timesweep run --apply ") && !command().contains('%'), "{}", command());
}

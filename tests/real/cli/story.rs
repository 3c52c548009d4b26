//! What a person sees who types one command after the other, as one text for a snapshot.
//!
//! What differs from run to run is replaced: digits of dates, ids and processes, names of databases and
//! places. The replacement has the same width where it may stand in a table.

use std::fmt::Write as _;

use crate::real::support::{Ran, TestDatabase, server_url};

pub struct Story<'a> {
    database: &'a TestDatabase,
    variables: Vec<(String, String)>,
    text: String,
}

impl<'a> Story<'a> {
    pub fn new(database: &'a TestDatabase) -> Self {
        Self { database, variables: Vec::new(), text: String::new() }
    }

    /// Sets an environment variable for the steps to come; it is not shown.
    pub fn with(&mut self, variable: &str, value: &str) -> &mut Self {
        self.variables.retain(|(name, _)| name != variable);
        self.variables.push((variable.into(), value.into()));
        self
    }

    /// A remark between the steps.
    pub fn note(&mut self, remark: &str) -> &mut Self {
        let _ = writeln!(self.text, "# {remark}");
        self
    }

    /// Writes the configuration of the next steps; `more` is shown.
    pub fn configure(&mut self, more: &str) -> &mut Self {
        self.database.configuration(more);
        for line in more.lines() {
            let _ = writeln!(self.text, "| {line}");
        }
        self
    }

    /// Runs one command, which has to end with this code.
    #[track_caller]
    pub fn step(&mut self, code: i32, arguments: &[&str]) -> Ran {
        let mut command = self.database.timesweep(arguments);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        let ran = Ran::from(command.output().expect("timesweep starts"));
        let shown: Vec<String> = arguments.iter().map(|argument| in_a_shell(argument)).collect();
        let _ = write!(self.text, "$ timesweep {}\n{}{}", shown.join(" "), ran.out, ran.err);
        let _ = writeln!(self.text, "[exit code {}]\n", ran.code);
        ran.with_code(code)
    }

    pub fn text(&self) -> String {
        self.database.without_accidents(&self.text)
    }
}

impl TestDatabase {
    /// The text without what differs from run to run.
    pub fn without_accidents(&self, text: &str) -> String {
        let folder = self.file("").display().to_string();
        let mut text = text.replace(folder.trim_end_matches('/'), "FOLDER");
        let server = server_url();
        let place = server.rsplit_once('@').and_then(|(_, place)| place.split_once('/'));
        if let Some((host_and_port, _)) = place {
            text = text.replace(host_and_port, "SERVER");
        }
        for (shape, shown) in [
            ("test_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "test"),
            ("xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx", "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"),
            ("cluster 9999999999999999999", "cluster 999"),
            ("9999-99-99 99:99:99", "YYYY-MM-DD hh:mm:ss"),
            ("9999-99-99 99:99", "YYYY-MM-DD hh:mm"),
            ("9999-99-99", "YYYY-MM-DD"),
            ("  9 s\n", "  0 s\n"),
        ] {
            text = masked(&text, shape, shown);
        }
        for (before, after) in [
            ("PostgreSQL ", ","),
            ("TimescaleDB ", ")"),
            ("process ", " "),
            ("UTC, ", " s\n"),
            ("the database is ", "\n"),
            ("timesweep 0.1.0 (", ")"),
        ] {
            text = blanked(&text, before, after);
        }
        text = without_disk(&text);
        // Only old versions of TimescaleDB get this one; it may be all that its paragraph says.
        let lines = text.split_inclusive('\n');
        let text: String =
            lines.filter(|line| !line.starts_with("warning: in this version any role")).collect();
        text.replace("\n\n[exit code", "\n[exit code")
    }
}

/// What the server's whole disk is like depends on everybody else who uses it.
fn without_disk(text: &str) -> String {
    let (mut result, mut inside) = (String::new(), false);
    for line in text.split_inclusive('\n') {
        if line.starts_with("disk, read by ") {
            inside = true;
            result.push_str("disk …\n");
        }
        inside = inside && line != "\n" && !line.starts_with('[');
        if !inside {
            result.push_str(line);
        }
    }
    result
}

fn in_a_shell(argument: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=:@".contains(c);
    if argument.chars().all(plain) { argument.to_owned() } else { format!("'{argument}'") }
}

/// Replaces what has this shape: `9` stands for a digit, `x` for a hexadecimal one, all others for themselves.
fn masked(text: &str, shape: &str, shown: &str) -> String {
    let fits = |place: &[u8]| {
        place.len() >= shape.len()
            && shape.bytes().zip(place).all(|(wanted, found)| match wanted {
                b'9' => found.is_ascii_digit(),
                b'x' => found.is_ascii_digit() || (b'a'..=b'f').contains(found),
                other => other == *found,
            })
    };
    let (mut result, mut rest) = (String::new(), text);
    while let Some(letter) = rest.chars().next() {
        if fits(rest.as_bytes()) {
            result.push_str(shown);
            rest = &rest[shape.len()..];
        } else {
            result.push(letter);
            rest = &rest[letter.len_utf8()..];
        }
    }
    result
}

/// Replaces what stands between the two by three dots, up to 60 letters on one line, where a digit begins it.
fn blanked(text: &str, before: &str, after: &str) -> String {
    let (mut result, mut rest) = (String::new(), text);
    while let Some((head, tail)) = rest.split_once(before) {
        result.push_str(head);
        result.push_str(before);
        rest = tail;
        let end = tail.find(after).filter(|end| *end <= 60 && !tail[..*end].contains('\n'));
        if let Some(end) = end.filter(|_| tail.starts_with(|c: char| c.is_ascii_hexdigit())) {
            result.push('…');
            rest = &tail[end..];
        }
    }
    result + rest
}

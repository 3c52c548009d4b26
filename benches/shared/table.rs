//! Rows of measurements with their verdicts, printed as Markdown below a line about machine and servers.

#![allow(dead_code, reason = "every benchmark uses a part of it")]

use std::fmt;
use std::time::Duration;

/// A measured value and the most (or least) that it should be.
pub struct Target {
    pub met: bool,
    pub text: String,
}

impl Target {
    pub fn at_most(what: &str, value: f64, most: f64, unit: &str) -> Self {
        Self::new(value <= most, format!("{what} {value:.1} {unit}, at most {most} {unit}"))
    }

    pub fn at_least(what: &str, value: f64, least: f64, unit: &str) -> Self {
        Self::new(value >= least, format!("{what} {value:.0} {unit}, at least {least} {unit}"))
    }

    fn new(met: bool, text: String) -> Self {
        Self { met, text: if met { text } else { format!("{text}: **missed**") } }
    }
}

pub struct Table {
    lines: Vec<String>,
    missed: bool,
}

impl Table {
    pub fn new(columns: &[&str]) -> Self {
        let head = format!("| {} | target |", columns.join(" | "));
        Self { lines: vec![head, "|---".repeat(columns.len() + 1) + "|"], missed: false }
    }

    pub fn add(&mut self, cells: &[String], targets: &[Target]) {
        self.missed |= targets.iter().any(|target| !target.met);
        let verdict: Vec<&str> = targets.iter().map(|target| target.text.as_str()).collect();
        let line = format!("| {} | {} |", cells.join(" | "), verdict.join("; "));
        eprintln!("bench: {line}");
        self.lines.push(line);
    }

    pub fn all_ok(&self) -> bool {
        !self.missed
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// Date, cores and processor.
pub fn machine() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, name)| name);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{}: {cores} cores ({model})", jiff::Zoned::now().date())
}

pub fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

/// `100,000`.
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy);
    groups.collect::<Vec<_>>().join(",")
}

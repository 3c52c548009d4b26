//! What must come out of a scenario, and whether it did.

use std::fmt;
use std::time::Duration;

use crate::crowd::{Experience, User};
use crate::measure::{Run, Runs, Sides};
use crate::report::{shown, shown_bytes};

#[derive(Debug, Clone, Copy)]
pub enum Check {
    /// No expired chunk is left.
    Done,
    /// Total time as a share of the other side's.
    TotalAtMost(f64),
    /// The writer's longest wait as a share of the other side's.
    WriterAtMost(f64),
    LatestReaderBeyondIdle(Duration),
    NoUserError,
    NobodySees(&'static str),
    OthersGoneBeforeLongReader,
    PeakMemoryBelow(u64),
}

#[derive(Debug)]
pub struct Verdict {
    pub ok: bool,
    said: String,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", if self.ok { "ok" } else { "MISSED" }, self.said)
    }
}

pub fn judge(checks: &[Check], sides: &Sides) -> Vec<Verdict> {
    checks.iter().map(|check| check.judge(sides)).collect()
}

impl Check {
    fn judge(self, sides: &Sides) -> Verdict {
        let ours = &sides.timesweep;
        match self {
            Self::Done => count_to_zero("chunks left", worst(ours, |run| run.left)),
            Self::TotalAtMost(share) => ratio("total", ours.total(), sides.one_call.total(), share),
            Self::WriterAtMost(share) => {
                ratio("writer's longest", writer(ours), writer(&sides.one_call), share)
            }
            Self::LatestReaderBeyondIdle(limit) => {
                let beyond = ours.of_user(User::LatestReader, beyond_idle).unwrap_or_default();
                let said = format!("latest reader {} beyond idle (≤ {})", shown(beyond), shown(limit));
                Verdict { ok: beyond <= limit, said }
            }
            Self::NoUserError => count_to_zero("user errors", worst(ours, |run| run.errors().values().sum())),
            Self::NobodySees(code) => {
                let seen = worst(ours, |run| run.errors().get(code).copied().unwrap_or_default());
                count_to_zero(&format!("users' {code}"), seen)
            }
            Self::OthersGoneBeforeLongReader => {
                let left = worst(ours, |run| run.left_at_long_readers_end.unwrap_or(u32::MAX));
                Verdict { ok: left <= 1, said: format!("{left} left at the long reader's end (≤ 1)") }
            }
            Self::PeakMemoryBelow(limit) => {
                let peak = ours.peak_memory().unwrap_or(u64::MAX);
                Verdict {
                    ok: peak < limit,
                    said: format!("peak {} (< {})", shown_bytes(peak), shown_bytes(limit)),
                }
            }
        }
    }
}

fn beyond_idle(experience: &Experience) -> Duration {
    experience.dropping.longest().saturating_sub(experience.idle.longest())
}

fn writer(runs: &Runs) -> Duration {
    runs.of_user(User::Writer, |met| met.dropping.longest()).unwrap_or_default()
}

fn worst(runs: &Runs, of: impl Fn(&Run) -> u32) -> u32 {
    runs.0.iter().map(of).max().unwrap_or(u32::MAX)
}

fn count_to_zero(what: &str, count: u32) -> Verdict {
    Verdict { ok: count == 0, said: format!("{count} {what}") }
}

fn ratio(what: &str, ours: Duration, theirs: Duration, limit: f64) -> Verdict {
    let share = ours.as_secs_f64() / theirs.as_secs_f64();
    Verdict { ok: share <= limit, said: format!("{what} {share:.3} × (≤ {limit} ×)") }
}

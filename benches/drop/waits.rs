//! How long the statements of one user took.

use std::time::Duration;

#[derive(Debug, Clone, Default)]
pub struct Waits {
    samples: Vec<Duration>,
}

impl Waits {
    pub fn add(&mut self, wait: Duration) {
        self.samples.push(wait);
    }

    pub fn longest(&self) -> Duration {
        self.samples.iter().max().copied().unwrap_or_default()
    }

    /// The wait that 99 of 100 statements do not exceed.
    pub fn percentile_99(&self) -> Duration {
        let mut sorted = self.samples.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * 99).div_ceil(100);
        rank.checked_sub(1).map(|index| sorted[index]).unwrap_or_default()
    }
}

/// The middle value; the mean of the two in the middle where their number is even.
pub fn median(mut values: Vec<Duration>) -> Duration {
    values.sort_unstable();
    let half = values.len() / 2;
    match values.len() {
        0 => Duration::ZERO,
        count if count % 2 == 1 => values[half],
        _ => (values[half - 1] + values[half]) / 2,
    }
}

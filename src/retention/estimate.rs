//! What follows from measured sizes: how a table grows, when a file system is full.
//!
//! Pure arithmetic on samples and chunks. Invariant: no figure without a basis: too few samples, a poor
//! fit or an unknown unit give no number but the reason.

pub mod forecast;
pub mod table;
pub mod trend;

#[cfg(test)]
mod tests;

/// Microseconds of a day; figures of growth are per day.
pub const DAY: f64 = 86_400_000_000.0;

/// The mean month of the Gregorian calendar, in days.
pub const MONTH: f64 = 30.44;

/// Bytes as a whole number, for what was computed; what is negative or no number is `None`.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub fn whole_bytes(bytes: f64) -> Option<super::model::ByteCount> {
    (bytes.is_finite() && bytes >= 0.0).then(|| super::model::ByteCount(bytes.round() as u64))
}

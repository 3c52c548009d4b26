//! What the configuration asks for, checked: policies, caps and guards for one store.
//!
//! These are the inputs of deciding beside the facts. Illegal values cannot be built here, so
//! deciding never has to handle them.

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::model::ByteCount;
use super::name::TablePattern;
use super::policy::{DropAfter, PolicySource};
use super::time_axis::IntegerUnit;

/// One `[[policies]]` entry, the command line's policy, or `[default_policy]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyRule {
    /// `None` only for the default, which is for every table nobody else has a policy for.
    pub table: Option<TablePattern>,
    pub drop_after: Option<DropAfter>,
    pub keep_newest: Option<u32>,
    pub integer_unit: Option<IntegerUnit>,
    pub take_over_native: bool,
    pub source: PolicySource,
}

/// A share between 0 and 1, kept in basis points so that it compares exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Share {
    basis_points: u32,
}

impl Share {
    /// `percent` in 0 < p ≤ 100, with at most two decimals of meaning.
    pub fn from_percent(percent: f64) -> Result<Self, String> {
        if !(percent > 0.0 && percent <= 100.0) {
            return Err("a share has to be more than 0 % and at most 100 %".into());
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let basis_points = (percent * 100.0).round() as u32;
        Ok(Self { basis_points })
    }

    pub fn of(self, whole: u64) -> u64 {
        let part = u128::from(whole) * u128::from(self.basis_points) / 10_000;
        u64::try_from(part).unwrap_or(u64::MAX)
    }
}

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.basis_points.is_multiple_of(100) {
            write!(f, "{} %", self.basis_points / 100)
        } else {
            write!(f, "{:.2} %", f64::from(self.basis_points) / 100.0)
        }
    }
}

/// How much one run may drop of one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    pub share_of_bytes: Share,
    pub chunks: u64,
    /// Nothing by default: a share and a count protect every table, an amount only where somebody knows it.
    pub bytes: Option<ByteCount>,
}

impl Default for Caps {
    fn default() -> Self {
        Self { share_of_bytes: Share { basis_points: 5_000 }, chunks: 500, bytes: None }
    }
}

/// What to do where dropping raw chunks would lose data of a continuous aggregate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnDependants {
    #[default]
    Refuse,
    Allow,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuardSettings {
    /// Microseconds that the store's clock and ours may be apart.
    pub max_clock_skew: i64,
    pub continuous_aggregates: OnDependants,
}

impl Default for GuardSettings {
    fn default() -> Self {
        Self { max_clock_skew: 300_000_000, continuous_aggregates: OnDependants::Refuse }
    }
}

/// All rules for one store.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Entries of the configuration and of the command line, without the default.
    pub policies: Vec<PolicyRule>,
    pub default_policy: Option<PolicyRule>,
    /// Every native policy of this store may be taken over.
    pub take_over_native_policies: bool,
    pub caps: Caps,
    pub guards: GuardSettings,
    /// In which days and months are counted, and in which `timestamp` columns are read.
    pub zone: TimeZone,
    /// How long a saved plan may be applied, microseconds.
    pub plan_lifetime: i64,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            policies: Vec::new(),
            default_policy: None,
            take_over_native_policies: false,
            caps: Caps::default(),
            guards: GuardSettings::default(),
            zone: TimeZone::UTC,
            plan_lifetime: 24 * 3_600_000_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_exact_and_never_empty() {
        assert_eq!(Share::from_percent(50.0).expect("share").of(1_000), 500);
        assert_eq!(Share::from_percent(12.5).expect("share").to_string(), "12.50 %");
        assert!(Share::from_percent(0.0).is_err());
        assert!(Share::from_percent(100.1).is_err());
        assert!(Share::from_percent(f64::NAN).is_err());
    }
}

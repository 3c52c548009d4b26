//! `[caps]`, `[guards]` and `[plan]`: what holds a run back.
//!
//! Invariant: what is left out has the default of `retention::rules`, which is written there only.

use super::document::Section;
use super::schema;
use super::values::{self, CLOCK_SKEW, PLAN_LIFETIME};
use crate::problem::Result;
use crate::retention::rules::{Caps, GuardSettings, OnDependants, Rules};

/// What all stores share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub caps: Caps,
    pub guards: GuardSettings,
    /// Microseconds.
    pub plan_lifetime: i64,
}

pub(super) fn read(top: &Section<'_>) -> Result<Limits> {
    Ok(Limits { caps: read_caps(top)?, guards: read_guards(top)?, plan_lifetime: read_plan_lifetime(top)? })
}

fn read_caps(top: &Section<'_>) -> Result<Caps> {
    let default = Caps::default();
    let Some(section) = top.section("caps", &schema::CAPS)? else { return Ok(default) };
    let share = section.read("share_of_bytes", |setting| setting.parsed(values::share))?;
    let chunks = section.read("chunks", |setting| setting.number(1..=i64::MAX))?;
    let bytes = section.read("bytes", |setting| setting.parsed(values::bytes))?;
    Ok(Caps {
        share_of_bytes: share.unwrap_or(default.share_of_bytes),
        chunks: chunks.unwrap_or(default.chunks),
        bytes: bytes.or(default.bytes),
    })
}

fn read_guards(top: &Section<'_>) -> Result<GuardSettings> {
    let default = GuardSettings::default();
    let Some(section) = top.section("guards", &schema::GUARDS)? else { return Ok(default) };
    let skew = |text: &str| values::microseconds(text, CLOCK_SKEW);
    let skew = section.read("max_clock_skew", |setting| setting.parsed(skew))?;
    let choices = [("refuse", OnDependants::Refuse), ("allow", OnDependants::Allow)];
    let dependants = section.read("continuous_aggregates", |setting| setting.choice(&choices))?;
    Ok(GuardSettings {
        max_clock_skew: skew.unwrap_or(default.max_clock_skew),
        continuous_aggregates: dependants.unwrap_or(default.continuous_aggregates),
    })
}

fn read_plan_lifetime(top: &Section<'_>) -> Result<i64> {
    let lifetime = |text: &str| values::microseconds(text, PLAN_LIFETIME);
    let given = match top.section("plan", &schema::PLAN)? {
        Some(section) => section.read("lifetime", |setting| setting.parsed(lifetime))?,
        None => None,
    };
    Ok(given.unwrap_or_else(|| Rules::default().plan_lifetime))
}

//! Rules that can stop a run, a dataset or one chunk; one pure file each.
//!
//! A guard's answer is a [`Refusal`] with the exact setting or command that changes it. Guards never
//! make anything go: they only turn a drop into something that stays.

use serde::{Deserialize, Serialize};

pub mod activity;
pub mod cap;
pub mod clock;
pub mod dependants;
pub mod hold;
pub mod inventory;
pub mod policy_owner;
pub mod privilege;

/// The guards, as `docs/safety.md` lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GuardName {
    Activity,
    AmbiguousPolicy,
    CapBytes,
    CapCount,
    CapAll,
    Clock,
    Dependants,
    ForeignKey,
    Inventory,
    PolicyOwner,
    Privilege,
    ReadOnly,
}

/// A guard's no, with the way out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    pub guard: GuardName,
    pub sentence: String,
    /// The exact setting or command that changes the answer.
    pub way_out: String,
}

impl Refusal {
    pub fn new(guard: GuardName, sentence: impl Into<String>, way_out: impl Into<String>) -> Self {
        Self { guard, sentence: sentence.into(), way_out: way_out.into() }
    }

    /// Somebody else is at work: trying later is enough, no person is needed.
    pub fn is_busy(&self) -> bool {
        self.guard == GuardName::Activity
    }

    /// A cap: a person who has read the plan may override it once.
    pub fn is_cap(&self) -> bool {
        matches!(self.guard, GuardName::CapBytes | GuardName::CapCount)
    }
}

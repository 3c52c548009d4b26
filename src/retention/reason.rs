//! Why a chunk goes or stays. Every decision carries exactly one reason, made where the decision is made.
//!
//! Reasons hold values, not texts, so that they survive in a plan file and read the same in every
//! rendering. Invariant: a kept chunk has a reason, too.

use serde::{Deserialize, Serialize};

use super::model::StoreIdentity;
use super::name::RelationName;
use super::policy::NoCutoff;
use super::time_axis::{Position, TimeAxis, show_minute};

/// What shall happen to a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    Drop,
    Keep,
    /// The policy would let it go, a guard does not.
    Refuse,
}

impl Decision {
    pub fn word(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Keep => "keep",
            Self::Refuse => "refuse",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "why")]
pub enum Reason {
    // drop
    Expired {
        cutoff: Position,
    },
    BeyondNewest {
        keep: u32,
        rank: u32,
    },
    // keep
    NoPolicy,
    NoCutoff {
        problem: NoCutoff,
    },
    NotExpired {
        cutoff: Position,
    },
    AmongNewest {
        keep: u32,
        rank: u32,
    },
    InTheFuture,
    NewestChunk,
    NoEnd,
    MalformedRange,
    Frozen,
    Tiered,
    Held {
        hold: i64,
        author: String,
        because: String,
        expires_at: Option<i64>,
        /// Another database of the same name, where the names alone say that it is meant.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        set_on: Option<StoreIdentity>,
    },
    SurroundsKept {
        kept: RelationName,
    },
    /// It may go by now, but the plan that is applied did not say so.
    NotInPlan,
    // refuse
    NotMaterialized {
        view: RelationName,
    },
    InRefreshWindow {
        view: RelationName,
    },
}

impl Reason {
    /// The reason as a phrase for people.
    pub fn sentence(&self, axis: &TimeAxis) -> String {
        match self {
            Self::Expired { cutoff } => format!("all of it is older than {}", axis.show_cutoff(*cutoff)),
            Self::BeyondNewest { keep, .. } => format!("not among the newest {keep}"),
            Self::NoPolicy => "no policy".into(),
            Self::NoCutoff { problem } => problem.to_string(),
            Self::NotExpired { cutoff } => format!("has data newer than {}", axis.show_cutoff(*cutoff)),
            Self::AmongNewest { keep, .. } => format!("among the newest {keep}"),
            Self::InTheFuture => "starts in the future".into(),
            Self::NewestChunk => "the newest chunk always stays".into(),
            Self::NoEnd => "its range has no end".into(),
            Self::MalformedRange => "its range cannot be read".into(),
            Self::Frozen => "frozen; the server does not drop it".into(),
            Self::Tiered => "tiered to object storage".into(),
            Self::SurroundsKept { kept } => format!("its range includes {kept}, which stays"),
            Self::NotInPlan => "not in the plan that is applied".into(),
            Self::Held { .. } => self.held_sentence(),
            Self::NotMaterialized { view } => format!("holds rows that are not in {view} yet"),
            Self::InRefreshWindow { view } => {
                format!("the next refresh of {view} reaches it and would empty that part of {view}")
            }
        }
    }

    fn held_sentence(&self) -> String {
        let Self::Held { hold, author, because, expires_at, set_on } = self else { return String::new() };
        let until = expires_at
            .and_then(|at| jiff::Timestamp::from_microsecond(at).ok())
            .map_or_else(String::new, |at| format!(" until {} UTC", show_minute(at)));
        let set_on = set_on.as_ref().map_or_else(String::new, |other| format!(", set on another {other}"));
        format!("hold {hold} by {author}{until}{set_on}: {because}")
    }
}

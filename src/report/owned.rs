//! What a pass over owned data found and did: how every dataset stands, and what became of those that went.
//!
//! Invariant: every dataset is counted once. Lists are cut, counts never; what is newly marked and what a
//! pass went for is listed in full, because people have to be able to see it.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::retention::model::ByteCount;

/// How many of a kind a report lists that is kept.
pub const LISTED: usize = 200;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnedReport {
    /// Nothing is left out of any list.
    #[serde(skip)]
    pub in_full: bool,
    /// Everything that the store lists.
    pub listed: usize,
    pub groups: Vec<Group>,
    /// What the pass went for, with what became of it.
    pub items: Vec<DatasetItem>,
    /// How many might go in this pass.
    pub cap: usize,
    /// Jobs that may still claim something that waits.
    pub live_jobs: Vec<JobInTheWay>,
    /// Jobs that were seen at work for longer than any job takes: they count as ended.
    pub jobs_too_old: Vec<Uuid>,
    pub settled: Vec<SettledDataset>,
}

/// How a dataset stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// A preview: the next pass drops it.
    Due,
    /// It may go, and too many go before it.
    LeftByCap,
    /// Marked, and no report has said so before this one.
    Marked,
    Waiting,
    Held,
    Recovered,
    Owned,
    Forgotten,
    Absent,
    Foreign,
}

impl Standing {
    pub const ALL: [Self; 10] = [
        Self::Due,
        Self::LeftByCap,
        Self::Marked,
        Self::Waiting,
        Self::Held,
        Self::Recovered,
        Self::Owned,
        Self::Forgotten,
        Self::Absent,
        Self::Foreign,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Self::Due => "would go",
            Self::LeftByCap => "left by the cap",
            Self::Marked => "newly marked",
            Self::Waiting => "waiting",
            Self::Held => "held",
            Self::Recovered => "registered again",
            Self::Owned => "owned",
            Self::Forgotten => "forgotten",
            Self::Absent => "absent",
            Self::Foreign => "foreign",
        }
    }

    /// Whether a report lists each one, however many there are.
    pub fn is_listed_in_full(self) -> bool {
        matches!(self, Self::Due | Self::Marked)
    }
}

/// All datasets that stand the same way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    pub standing: Standing,
    pub count: usize,
    /// What the store says they weigh, where it says so.
    pub bytes: ByteCount,
    /// The first of them.
    pub datasets: Vec<DatasetLine>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetLine {
    pub dataset: String,
    pub why: String,
    /// Microseconds since 1970 UTC, where there is such an instant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
}

/// A dataset that a pass went for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetItem {
    pub dataset: String,
    pub bytes: Option<ByteCount>,
    pub why: String,
    pub outcome: DatasetOutcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum DatasetOutcome {
    Dropped,
    /// Somebody else dropped it before us.
    Gone,
    /// The second look found something new.
    Kept {
        why: String,
    },
    Failed {
        message: String,
        hint: Option<String>,
    },
    /// Nobody knows whether it is gone; the next pass finds out.
    Unknown {
        why: String,
    },
    /// The pass ended before it came to this one.
    NotTried {
        why: String,
    },
}

impl DatasetOutcome {
    /// It should have gone, and it is not known to be gone.
    pub fn is_trouble(&self) -> bool {
        matches!(self, Self::Failed { .. } | Self::Unknown { .. } | Self::NotTried { .. })
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobInTheWay {
    pub job: Uuid,
    /// How many datasets wait for it.
    pub datasets: usize,
}

/// An intent of an earlier pass that had no outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettledDataset {
    pub run: Uuid,
    pub dataset: String,
    pub dropped: bool,
    pub what: String,
}

impl OwnedReport {
    pub fn count(&self, standing: Standing) -> usize {
        self.group(standing).map_or(0, |group| group.count)
    }

    pub fn group(&self, standing: Standing) -> Option<&Group> {
        self.groups.iter().find(|group| group.standing == standing)
    }

    pub fn dropped(&self) -> impl Iterator<Item = &DatasetItem> {
        self.items.iter().filter(|item| item.outcome == DatasetOutcome::Dropped)
    }

    pub fn bytes_dropped(&self) -> ByteCount {
        self.dropped().filter_map(|item| item.bytes).sum()
    }

    /// How many stand in which way: another pass with the same numbers found nothing that changed.
    pub fn counts(&self) -> Vec<(Standing, usize)> {
        self.groups.iter().map(|group| (group.standing, group.count)).collect()
    }

    /// Nothing was gone for, settled, marked, registered again or forgotten.
    pub fn did_nothing(&self) -> bool {
        let changes = [Standing::Marked, Standing::Recovered, Standing::Forgotten, Standing::LeftByCap];
        let is_untouched = self.items.is_empty() && self.settled.is_empty() && self.jobs_too_old.is_empty();
        is_untouched && changes.into_iter().all(|standing| self.count(standing) == 0)
    }

    pub fn has_trouble(&self) -> bool {
        self.items.iter().any(|item| item.outcome.is_trouble())
    }

    /// Adds one to its group; lists it while there is room.
    pub fn add(&mut self, standing: Standing, bytes: Option<ByteCount>, line: impl FnOnce() -> DatasetLine) {
        let known = self.groups.iter().position(|group| group.standing == standing);
        let place = known.unwrap_or_else(|| {
            let empty = Group { standing, count: 0, bytes: ByteCount(0), datasets: Vec::new() };
            self.groups.push(empty);
            self.groups.len() - 1
        });
        let group = &mut self.groups[place];
        group.count += 1;
        group.bytes = group.bytes.saturating_add(bytes.unwrap_or_default());
        if self.in_full || standing.is_listed_in_full() || group.datasets.len() < LISTED {
            group.datasets.push(line());
        }
    }

    /// In the order in which people read them.
    pub fn sort(&mut self) {
        self.groups.sort_by_key(|group| group.standing);
        self.live_jobs.sort_by(|a, b| b.datasets.cmp(&a.datasets).then(a.job.cmp(&b.job)));
    }
}

//! Databases as owned data.
//!
//! A drop is one statement, and its answer is not trusted in either direction: the server is asked for its
//! names afterwards. Invariant: "gone" is said only of a name that a complete list does not hold.

use async_trait::async_trait;

use super::change_token::change_token;
use super::client::Trouble;
use super::snapshot::{self, Snapshot};
use super::{InfluxDb, name};
use crate::problem::{Problem, Result};
use crate::retention::ownership::OwnedName;
use crate::store::owned::{DropTrouble, ListedDataset, OwnedStore};

#[async_trait]
impl OwnedStore for InfluxDb {
    /// The server has no id of its own that it would tell, and a host name that changes with its container.
    async fn identity(&self) -> Result<String> {
        Ok(format!("InfluxDB at {}", self.client.address()))
    }

    async fn list(&self) -> Result<Vec<ListedDataset>> {
        let snapshot = snapshot::read(&self.client).await?;
        Ok(self.listed(&snapshot))
    }

    async fn look(&self, name: &OwnedName) -> Result<Option<ListedDataset>> {
        Ok(self.list().await?.into_iter().find(|dataset| dataset.name == *name))
    }

    /// Write counters come for every shard of the server or not at all.
    fn looks_at_all(&self) -> bool {
        true
    }

    async fn drop_dataset(&self, name: &OwnedName) -> std::result::Result<(), DropTrouble> {
        if !self.may_touch(name) {
            return Err(refused("it is one of the databases that nobody may touch"));
        }
        let Some(quoted) = name::quoted(&name.0) else {
            return Err(refused("its name holds a letter that InfluxQL cannot write"));
        };
        let turn = self.turn.take().await;
        let answer = self.client.change(&format!("DROP DATABASE {quoted}")).await;
        let left = snapshot::names(&self.client).await;
        drop(turn);
        judge(answer, left.map(|names| names.contains(name)))
    }

    async fn advice(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}

impl InfluxDb {
    fn listed(&self, snapshot: &Snapshot) -> Vec<ListedDataset> {
        let ours = snapshot.databases.iter().filter(|name| self.may_touch(name));
        let listed = ours.map(|name| ListedDataset {
            name: name.clone(),
            last_change: None,
            change_token: Some(change_token(snapshot, name).into()),
            bytes: Some(bytes(snapshot, name)),
        });
        listed.collect()
    }
}

/// A database without a shard weighs nothing.
fn bytes(snapshot: &Snapshot, name: &OwnedName) -> u64 {
    snapshot.shards.get(name).into_iter().flatten().map(|shard| shard.bytes).sum()
}

/// What the answer to a drop and the list after it say together.
fn judge(answer: Result<(), Trouble>, still_listed: Result<bool>) -> std::result::Result<(), DropTrouble> {
    match (answer, still_listed) {
        (_, Ok(false)) => Ok(()),
        (Ok(()), Ok(true)) => Err(refused("the server says that it is dropped, and still lists it")),
        (Err(Trouble::NotDone(problem)), _) => Err(refused_by(problem)),
        // It may still be at work: a database is listed until its last file is gone.
        (Err(Trouble::Lost(problem)), _) => Err(DropTrouble::Unknown(problem.in_one_line())),
        (Ok(()), Err(problem)) => {
            Err(DropTrouble::Unknown(format!("it was dropped, but then: {}", problem.in_one_line())))
        }
    }
}

fn refused(message: &str) -> DropTrouble {
    DropTrouble::Refused { message: message.into(), hint: None }
}

fn refused_by(problem: Problem) -> DropTrouble {
    DropTrouble::Refused { message: problem.in_one_line(), hint: problem.hint }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem() -> Problem {
        Problem::unreachable("no").cause("why").hint("do")
    }

    #[test]
    fn gone_is_only_what_a_list_does_not_hold() {
        let lost = || Err(Trouble::Lost(problem()));
        let not_done = || Err(Trouble::NotDone(problem()));
        for answer in [Ok(()), lost(), not_done()] {
            assert_eq!(judge(answer, Ok(false)), Ok(()));
        }
        for left in [Ok(true), Err(problem())] {
            let hint = Some("do".to_owned());
            let refused = Err(DropTrouble::Refused { message: "no: why".into(), hint });
            assert_eq!(judge(not_done(), left.clone()), refused);
            assert_eq!(judge(lost(), left), Err(DropTrouble::Unknown("no: why".into())));
        }
        assert!(matches!(judge(Ok(()), Ok(true)), Err(DropTrouble::Refused { .. })));
        assert!(matches!(judge(Ok(()), Err(problem())), Err(DropTrouble::Unknown(_))));
    }
}

//! Drops shard groups, one after the other, each exactly or not at all.
//!
//! There is no transaction: what was dropped before a trouble is told as dropped, and the rest of the order
//! stays. Invariant: nothing is dropped before a fresh list has shown the whole order as it was planned, and
//! a group counts as dropped only when a later list does not show it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;

use super::groups::{self, ListedShard};
use crate::problem::Problem;
use crate::retention::model::Chunk;
use crate::retention::name::DatasetName;
use crate::store::influx::client::{Client, Trouble};
use crate::store::influx::turn::Turn;
use crate::store::{Change, DropFailure, DropOrder, Dropped, Dropper};

type Outcome<T> = std::result::Result<T, DropFailure>;

pub struct ShardDropper {
    client: Arc<Client>,
    turn: Arc<Turn>,
}

impl ShardDropper {
    pub fn new(client: Arc<Client>, turn: Arc<Turn>) -> Self {
        Self { client, turn }
    }

    async fn shards(&self) -> Outcome<Vec<ListedShard>> {
        groups::read(&self.client).await.map_err(|problem| DropFailure::Unknown(said(&problem)))
    }

    async fn drop_group(&self, chunk: &Chunk) -> Outcome<()> {
        let turn = self.turn.take().await;
        let mut answer = Ok(());
        for part in &chunk.parts {
            answer = self.client.change(&format!("DROP SHARD {}", part.oid)).await;
            if answer.is_err() {
                break;
            }
        }
        let left = self.shards().await?;
        std::mem::drop(turn);
        judge(answer, chunk.parts.iter().filter(|part| left.iter().any(|shard| shard.id == part.oid)).count())
    }
}

#[async_trait]
impl Dropper for ShardDropper {
    async fn drop_chunks(&mut self, order: &DropOrder) -> Outcome<Dropped> {
        let listed = groups::read(&self.client).await.map_err(|problem| permanent(&problem))?;
        let changes: Vec<(usize, Change)> = order
            .chunks
            .iter()
            .enumerate()
            .filter_map(|(index, chunk)| Some((index, change(&order.dataset, chunk, &listed)?)))
            .collect();
        if !changes.is_empty() {
            return Err(DropFailure::Changed(changes));
        }
        let started = Instant::now();
        for (done, chunk) in order.chunks.iter().enumerate() {
            match self.drop_group(chunk).await {
                Ok(()) => {}
                Err(_) if done > 0 => {
                    return Ok(Dropped { chunks: done, held: started.elapsed(), released: Instant::now() });
                }
                Err(failure) => return Err(failure),
            }
        }
        // Nobody waits for a lock here.
        Ok(Dropped { chunks: order.chunks.len(), held: Duration::ZERO, released: Instant::now() })
    }
}

/// Both the numbers and the range: a group that got another shard, or another length, is not the planned one.
fn change(dataset: &DatasetName, chunk: &Chunk, listed: &[ListedShard]) -> Option<Change> {
    let planned = |shard: &&ListedShard| chunk.parts.iter().any(|part| part.oid == shard.id);
    let there: Vec<&ListedShard> = listed.iter().filter(planned).collect();
    let Some(first) = there.first() else { return Some(Change::Gone) };
    let group = listed.iter().filter(|shard| shard.group == first.group && shard.dataset() == *dataset);
    let same = |shard: &&ListedShard| {
        let named = chunk.parts.iter().any(|part| part.oid == shard.id && part.relation == shard.relation());
        named && shard.range == chunk.range && shard.dataset() == *dataset && shard.group == first.group
    };
    let whole = there.len() == chunk.parts.len() && there.iter().all(same) && group.count() == there.len();
    (!whole).then(|| Change::Differs("its shard group has other shards or another range now".into()))
}

fn judge(answer: Result<(), Trouble>, left: usize) -> Outcome<()> {
    match (answer, left) {
        (_, 0) => Ok(()),
        (Ok(()), _) => Err(DropFailure::Permanent {
            message: "the server says that the shard group is dropped, and still lists it".into(),
            hint: None,
        }),
        (Err(Trouble::NotDone(problem)), _) => Err(permanent(&problem)),
        (Err(Trouble::Lost(problem)), _) => Err(DropFailure::Unknown(said(&problem))),
    }
}

fn permanent(problem: &Problem) -> DropFailure {
    DropFailure::Permanent { message: said(problem), hint: problem.hint.clone() }
}

fn said(problem: &Problem) -> String {
    problem.in_one_line()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retention::model::{ChunkPart, PartState};
    use crate::retention::time_axis::TimeRange;

    fn shard(id: u32, group: u64, end: i64) -> ListedShard {
        let range = TimeRange::new(0, end);
        ListedShard { id, database: "d".into(), policy: "p".into(), group, range }
    }

    fn chunk(shards: &[ListedShard]) -> Chunk {
        let part = |shard: &ListedShard| ChunkPart {
            oid: shard.id,
            relation: shard.relation(),
            bytes: None,
            rows: None,
            state: PartState::default(),
        };
        Chunk { range: shards[0].range, parts: shards.iter().map(part).collect() }
    }

    #[test]
    fn only_the_planned_group_is_the_planned_group() {
        let dataset = DatasetName::new("d", "p");
        let planned = [shard(1, 9, 10), shard(2, 9, 10)];
        let change = |listed: &[ListedShard]| change(&dataset, &chunk(&planned), listed);
        assert_eq!(change(&planned), None);
        assert_eq!(change(&[shard(3, 10, 20)]), Some(Change::Gone));
        let other = |shard: ListedShard| vec![planned[0].clone(), shard];
        for listed in [
            vec![planned[0].clone()],
            vec![planned[0].clone(), planned[1].clone(), shard(3, 9, 10)],
            other(shard(2, 9, 11)),
            other(shard(2, 8, 10)),
            other(ListedShard { policy: "q".into(), ..shard(2, 9, 10) }),
            other(ListedShard { database: "e".into(), ..shard(2, 9, 10) }),
        ] {
            assert!(matches!(change(&listed), Some(Change::Differs(_))), "{listed:?}");
        }
    }

    #[test]
    fn a_group_is_dropped_when_it_is_listed_no_more() {
        let problem = || Problem::unreachable("no");
        assert_eq!(judge(Err(Trouble::Lost(problem())), 0), Ok(()));
        assert_eq!(judge(Err(Trouble::Lost(problem())), 1), Err(DropFailure::Unknown("no".into())));
        assert!(matches!(judge(Err(Trouble::NotDone(problem())), 1), Err(DropFailure::Permanent { .. })));
        assert!(matches!(judge(Ok(()), 1), Err(DropFailure::Permanent { .. })));
    }
}

//! Shards, each with its group and the group's exact range, for all databases in one request.
//!
//! Invariant: shards of one group have one range, or nothing is known of any.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::problem::Result;
use crate::retention::model::{Chunk, ChunkPart, PartState};
use crate::retention::name::{DatasetName, RelationName};
use crate::retention::time_axis::TimeRange;
use crate::store::influx::answer::{self, Series, Unusable};
use crate::store::influx::client::Client;
use crate::store::influx::snapshot::{Snapshot, instant};

/// A row of `SHOW SHARDS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedShard {
    pub id: u32,
    pub database: String,
    pub policy: String,
    pub group: u64,
    pub range: TimeRange,
}

impl ListedShard {
    pub fn dataset(&self) -> DatasetName {
        DatasetName::new(&self.database, &self.policy)
    }

    /// As its folder is called.
    pub fn relation(&self) -> RelationName {
        RelationName::new(&self.database, format!("{}/{}", self.policy, self.id))
    }
}

pub async fn read(client: &Client) -> Result<Vec<ListedShard>> {
    let answer = client.read(&["SHOW SHARDS"]).await?;
    shards(&answer[0]).map_err(|unusable| client.unusable(unusable))
}

pub fn shards(tables: &[Series]) -> Result<Vec<ListedShard>, Unusable> {
    let mut shards = Vec::new();
    for table in tables {
        let columns = ["id", "database", "retention_policy", "shard_group", "start_time", "end_time"];
        let columns: Result<Vec<usize>, _> = columns.iter().map(|name| table.column(name)).collect();
        let columns = columns?;
        for row in &table.values {
            shards.push(shard(row, &columns)?);
        }
    }
    Ok(shards)
}

fn shard(row: &[Value], columns: &[usize]) -> Result<ListedShard, Unusable> {
    let id = answer::number(row, columns[0])?;
    Ok(ListedShard {
        id: id
            .try_into()
            .map_err(|_| Unusable::Broken(format!("shard {id} has a number that is too large")))?,
        database: answer::text(row, columns[1])?.to_owned(),
        policy: answer::text(row, columns[2])?.to_owned(),
        group: answer::number(row, columns[3])?,
        range: TimeRange::new(instant(row, columns[4])?, instant(row, columns[5])?),
    })
}

/// The chunks of every dataset that has any.
pub fn chunks(
    shards: &[ListedShard],
    sizes: &Snapshot,
) -> Result<BTreeMap<DatasetName, Vec<Chunk>>, Unusable> {
    let bytes = sizes.bytes_by_shard();
    let mut groups: BTreeMap<(DatasetName, u64), Chunk> = BTreeMap::new();
    for shard in shards {
        let empty = Chunk { range: shard.range, parts: Vec::new() };
        let chunk = groups.entry((shard.dataset(), shard.group)).or_insert(empty);
        if chunk.range != shard.range {
            return Err(Unusable::Broken(format!("shard group {} has two ranges", shard.group)));
        }
        chunk.parts.push(ChunkPart {
            oid: shard.id,
            relation: shard.relation(),
            bytes: bytes.get(&u64::from(shard.id)).copied(),
            rows: None,
            state: PartState::default(),
        });
    }
    let mut chunks: BTreeMap<DatasetName, Vec<Chunk>> = BTreeMap::new();
    for ((dataset, _), chunk) in groups {
        chunks.entry(dataset).or_default().push(chunk);
    }
    Ok(chunks)
}

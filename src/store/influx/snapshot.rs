//! Every database with its shards' counters, the server's clock and when it was started: one request,
//! however many databases there are.
//!
//! Names are read first and the clock last, so that whatever is counted was written before `now`.
//! Invariant: reading needs the right to see everything; the server refuses the whole request to anybody
//! who may see only some databases, whose list would look complete.

use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::Value;

use super::answer::{self, Series, Unusable};
use super::client::Client;
use crate::problem::Result;
use crate::retention::model::ByteCount;
use crate::retention::ownership::OwnedName;

/// Instants are microseconds since 1970 UTC.
#[derive(Debug, Default)]
pub struct Snapshot {
    pub now: i64,
    /// Counters begin at zero with it.
    pub started: i64,
    pub databases: Vec<OwnedName>,
    pub shards: HashMap<OwnedName, Vec<Shard>>,
}

/// A shard as the server's statistics show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    pub id: u64,
    /// Requests to write into it since the server was started, those that failed among them.
    pub writes: u64,
    pub bytes: u64,
}

impl Snapshot {
    /// Of everything, the server's own database among it.
    pub fn bytes(&self) -> ByteCount {
        self.shards.values().flatten().map(|shard| ByteCount(shard.bytes)).sum()
    }

    /// Of each shard by its number, where the server tells.
    pub fn bytes_by_shard(&self) -> HashMap<u64, ByteCount> {
        self.shards.values().flatten().map(|shard| (shard.id, ByteCount(shard.bytes))).collect()
    }
}

const STATEMENTS: [&str; 3] = ["SHOW DATABASES", "SHOW STATS FOR 'shard'", "SHOW DIAGNOSTICS FOR 'system'"];

pub async fn read(client: &Client) -> Result<Snapshot> {
    let (mut snapshot, mut system) = (Snapshot::default(), Vec::new());
    let mut take = |statement: usize, table: Series| match statement {
        0 => add_names(&table, &mut snapshot.databases),
        1 => add_shards(&table, &mut snapshot.shards),
        _ => {
            system.push(table);
            Ok(())
        }
    };
    client.read_each(&STATEMENTS, &mut take).await?;
    (snapshot.now, snapshot.started) = clock(&system).map_err(|unusable| client.unusable(unusable))?;
    Ok(snapshot)
}

/// The names alone.
pub async fn names(client: &Client) -> Result<Vec<OwnedName>> {
    let mut names = Vec::new();
    client.read_each(&STATEMENTS[..1], &mut |_, table| add_names(&table, &mut names)).await?;
    Ok(names)
}

/// The server always has databases, its own at least, but may answer without a row.
fn add_names(table: &Series, names: &mut Vec<OwnedName>) -> Result<(), Unusable> {
    let name = table.column("name")?;
    for row in &table.values {
        names.push(OwnedName(answer::text(row, name)?.into()));
    }
    Ok(())
}

fn add_shards(table: &Series, shards: &mut HashMap<OwnedName, Vec<Shard>>) -> Result<(), Unusable> {
    let id = shard_id(table)?;
    let (writes, bytes) = (table.column("writeReq")?, table.column("diskBytes")?);
    for row in &table.values {
        let shard = Shard { id, writes: answer::number(row, writes)?, bytes: answer::number(row, bytes)? };
        shards.entry(OwnedName(table.tags.database.as_str().into())).or_default().push(shard);
    }
    Ok(())
}

pub fn shard_id(table: &Series) -> Result<u64, Unusable> {
    let id = &table.tags.id;
    id.parse().map_err(|_| Unusable::Broken(format!("a shard is numbered `{id}`")))
}

fn clock(tables: &[Series]) -> Result<(i64, i64), Unusable> {
    let table = tables.first().filter(|table| table.values.len() == 1);
    let table = table.ok_or_else(|| Unusable::Broken("the server does not tell its clock".into()))?;
    let instant = |name| instant(&table.values[0], table.column(name)?);
    Ok((instant("currentTime")?, instant("started")?))
}

pub fn instant(row: &[Value], column: usize) -> Result<i64, Unusable> {
    let text = answer::text(row, column)?;
    let read: std::result::Result<Timestamp, _> = text.parse();
    read.map(Timestamp::as_microsecond).map_err(|_| Unusable::Broken(format!("`{text}` is no instant")))
}

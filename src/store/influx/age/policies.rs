//! Every retention policy of every database with its shard groups, in one request for all.
//!
//! A duration of a policy is the server's own rule, which it runs by itself. Invariant: groups are
//! counted apart from the list of shards, so that a list that is short is found out.

use std::collections::HashMap;

use jiff::SignedDuration;
use serde_json::Value;

use super::groups;
use crate::problem::{Problem, Result};
use crate::retention::facts::{DatasetFacts, NativePolicy, NativeRule, SERVER_ITSELF};
use crate::retention::name::DatasetName;
use crate::retention::ownership::OwnedName;
use crate::retention::policy::DropAfter;
use crate::retention::span::RetentionSpan;
use crate::retention::time_axis::TimeKind;
use crate::store::influx::answer::{self, Series, Unusable};
use crate::store::influx::client::Client;
use crate::store::influx::name::quoted;
use crate::store::influx::snapshot::Snapshot;

/// The datasets of these databases, sorted by name.
pub async fn read(client: &Client, databases: &[&OwnedName], sizes: &Snapshot) -> Result<Vec<DatasetFacts>> {
    let mut statements = vec!["SHOW SHARDS".to_owned(), "SHOW SHARD GROUPS".to_owned()];
    for database in databases {
        let quoted = quoted(&database.0).ok_or_else(|| {
            Problem::unreachable("a database has a name that InfluxQL cannot write")
                .hint("list it as `never`")
        })?;
        statements.push(format!("SHOW RETENTION POLICIES ON {quoted}"));
    }
    let statements: Vec<&str> = statements.iter().map(String::as_str).collect();
    let answer = client.read(&statements).await?;
    datasets(databases, &answer, sizes).map_err(|unusable| client.unusable(unusable))
}

/// `InfluxDB 1.6.7`.
pub async fn server(client: &Client) -> Result<String> {
    let answer = client.read(&["SHOW DIAGNOSTICS FOR 'build'"]).await?;
    let version = answer.iter().flatten().find_map(|table| {
        let column = table.column("Version").ok()?;
        Some(answer::text(table.values.first()?, column).ok()?.to_owned())
    });
    Ok(format!("InfluxDB {}", version.unwrap_or_else(|| "of an unknown version".into())))
}

fn datasets(
    databases: &[&OwnedName],
    answer: &[Vec<Series>],
    sizes: &Snapshot,
) -> Result<Vec<DatasetFacts>, Unusable> {
    let [shards, counted, policies @ ..] = answer else {
        return Err(Unusable::Broken("results are missing".into()));
    };
    let mut chunks = groups::chunks(&groups::shards(shards)?, sizes)?;
    let counted = count_groups(counted)?;
    let mut datasets = Vec::new();
    for (database, tables) in databases.iter().zip(policies) {
        for table in tables {
            for row in &table.values {
                let mut dataset = dataset(database, table, row)?;
                dataset.chunks = chunks.remove(&dataset.name).unwrap_or_default();
                super::sort(&mut dataset.chunks);
                dataset.relations_in_catalog = counted.get(&dataset.name).copied().unwrap_or_default();
                datasets.push(dataset);
            }
        }
    }
    datasets.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(datasets)
}

fn count_groups(tables: &[Series]) -> Result<HashMap<DatasetName, u64>, Unusable> {
    let mut counted = HashMap::new();
    for table in tables {
        let (database, policy) = (table.column("database")?, table.column("retention_policy")?);
        for row in &table.values {
            let name = DatasetName::new(answer::text(row, database)?, answer::text(row, policy)?);
            *counted.entry(name).or_default() += 1;
        }
    }
    Ok(counted)
}

fn dataset(database: &OwnedName, table: &Series, row: &[Value]) -> Result<DatasetFacts, Unusable> {
    let duration = |column| duration(answer::text(row, table.column(column)?)?);
    let native = native(duration("duration")?);
    Ok(DatasetFacts {
        name: DatasetName::new(&*database.0, answer::text(row, table.column("name")?)?),
        owner: String::new(),
        droppable_by_us: true,
        kind: TimeKind::TimestampTz,
        integer_now: None,
        integer_now_error: None,
        chunk_interval: Some(duration("shardGroupDuration")?),
        space_dimensions: 0,
        chunks: Vec::new(),
        relations_in_catalog: 0,
        native_policies: native.into_iter().collect(),
        inbound_foreign_keys: Vec::new(),
        referenced_tables: Vec::new(),
        aggregates: Vec::new(),
    })
}

/// `168h0m0s`, in microseconds.
fn duration(text: &str) -> Result<i64, Unusable> {
    let read: std::result::Result<SignedDuration, _> = text.parse();
    let microseconds = read.ok().and_then(|length| i64::try_from(length.as_micros()).ok());
    microseconds.ok_or_else(|| Unusable::Broken(format!("`{text}` is no duration")))
}

/// A duration of zero keeps everything.
fn native(duration: i64) -> Option<NativePolicy> {
    let span = RetentionSpan::from_parts(0, 0, duration).ok()?;
    let rule = NativeRule::DropAfter(DropAfter::Span(span));
    Some(NativePolicy { job: SERVER_ITSELF, scheduled: true, rule, last_run_failed: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_the_server_writes_them() {
        for (text, hours) in [("0s", 0), ("168h0m0s", 168), ("2400h0m0s", 2400), ("1h0m0s", 1)] {
            assert_eq!(duration(text), Ok(hours * 3_600_000_000), "{text}");
        }
        assert_eq!(duration("1h30m0s"), Ok(5_400_000_000));
        assert!(duration("INF").is_err() && duration("").is_err());
        assert_eq!(native(0), None);
        let rule = native(86_400_000_000).expect("a policy").rule;
        assert!(matches!(rule, NativeRule::DropAfter(DropAfter::Span(_))));
    }
}

//! The tables of a registry and their version.
//!
//! `esdl_time_series_info` is made where it is missing and adopted untouched where it is there; it has to have
//! the columns that OMOTES gives it. Invariant: all steps to the newest version are one transaction under
//! the registry's lock, so that replicas that start at once, or one that is killed, leave no half of them.

use super::Place;
use super::connection::{Columns, Connection};
use crate::crash_point;
use crate::problem::{Problem, Result};

/// The newest version this program knows.
const NEWEST: i64 = 1;

/// What the kinds of database say differently.
#[derive(Debug)]
pub(super) struct Schema {
    pub has_versions: &'static str,
    pub version: &'static str,
    pub create_versions: &'static str,
    pub add_version: &'static str,
    /// Step by step, the first for an empty database.
    pub steps: &'static [&'static str],
    /// column, type
    pub their_columns: &'static str,
    /// Every column that has to be there, with the types that it may have.
    pub needed_columns: &'static [(&'static str, &'static [&'static str])],
}

/// Says whether the registry was made just now.
pub(super) async fn migrate(place: &dyn Place, connection: &mut Connection) -> Result<bool> {
    let doing = "make the registry's tables";
    let failed = |error: sqlx::Error| place.problem(doing, &error);
    if version(place, connection).await.map_err(failed)? == Some(NEWEST) {
        refuse_other_columns(place, connection).await?;
        return Ok(false);
    }
    place.begin_exclusive(connection).await.map_err(failed)?;
    // Another replica may have been faster.
    let found = version(place, connection).await.map_err(failed)?;
    if found.is_some_and(|found| found > NEWEST) {
        return Err(newer(found.unwrap_or_default()));
    }
    refuse_other_columns(place, connection).await?;
    apply_steps(place, connection, found.unwrap_or(0)).await.map_err(failed)?;
    crash_point::reach("registry-before-migrated");
    connection.run("COMMIT").await.map_err(failed)?;
    Ok(found.is_none())
}

async fn version(place: &dyn Place, connection: &mut Connection) -> sqlx::Result<Option<i64>> {
    let schema = place.schema();
    if connection.read(schema.has_versions, &[], super::load::some).await?.is_empty() {
        return Ok(None);
    }
    let versions = connection.read(schema.version, &[], |row| row.number(0)).await?;
    Ok(versions.into_iter().flatten().next())
}

async fn apply_steps(place: &dyn Place, connection: &mut Connection, from: i64) -> sqlx::Result<()> {
    let schema = place.schema();
    if from == 0 {
        connection.run(schema.create_versions).await?;
    }
    for (number, step) in (1_i64..).zip(schema.steps).filter(|(number, _)| *number > from) {
        connection.run(step).await?;
        connection.execute(schema.add_version, number.to_string()).await?;
    }
    Ok(())
}

/// Where the table is there already.
async fn refuse_other_columns(place: &dyn Place, connection: &mut Connection) -> Result<()> {
    let schema = place.schema();
    let found = connection.read(schema.their_columns, &[], column).await;
    let found = found.map_err(|error| place.problem("look at esdl_time_series_info", &error))?;
    let fits = |(name, types): &&(&str, &[&str])| {
        found.iter().any(|(column, kind)| column == name && types.contains(&kind.as_str()))
    };
    match schema.needed_columns.iter().find(|needed| !fits(needed)) {
        Some((name, types)) if !found.is_empty() => {
            Err(Problem::refused("the table esdl_time_series_info is not the one that OMOTES has")
                .cause(format!("it needs a column {name} of type {}", types.join(" or ")))
                .hint("bring the OMOTES database up to date, or name another database (`registry` of [ownership], or POSTGRESQL_DATABASE beside `--omotes`)"))
        }
        _ => Ok(()),
    }
}

fn column(row: &dyn Columns) -> sqlx::Result<(String, String)> {
    let text = |column| Ok::<_, sqlx::Error>(row.text(column)?.unwrap_or_default().to_owned());
    Ok((text(0)?, text(1)?))
}

fn newer(found: i64) -> Problem {
    Problem::unreachable("the registry was written by a newer timesweep")
        .cause(format!("it has version {found}, this program knows versions up to {NEWEST}"))
        .hint("use the newer timesweep, or name another database (`registry` of [ownership], or POSTGRESQL_DATABASE beside `--omotes`)")
}

//! `timesweep disk`: one look at the disk below the store, as a run takes it before and after.
//!
//! With `--data-folder` no server is asked: this is what another host calls through `[disk] command`.

use std::path::PathBuf;

use clap::Args;

use super::{Common, exit, open, output};
use crate::config::DiskSettings;
use crate::disk::{self, Answer};
use crate::problem::{Problem, Result};
use crate::report::measure::DiskReport;
use crate::report::measure_text;
use crate::store::Wanted;
use crate::sweep::gather::our_now;

#[derive(Debug, Args)]
pub struct DiskArgs {
    /// Read this data folder of PostgreSQL on this host, and ask no server
    #[arg(long, value_name = "FOLDER")]
    data_folder: Option<PathBuf>,
}

pub async fn disk(common: &Common, args: &DiskArgs) -> Result<u8> {
    let (source, answer) = match &args.data_folder {
        Some(folder) => {
            let answer = disk::read_folder(folder, &DiskSettings::default(), our_now()).await?;
            (disk::THIS_HOST.to_owned(), answer)
        }
        None => of_store(common).await?,
    };
    let shown = DiskReport {
        source,
        after: Some(answer.reading.clone()),
        unknown: answer.unknown.clone(),
        ..DiskReport::default()
    };
    output::print(common.output, || measure_text::disk(&shown, None), &answer)?;
    Ok(exit::DONE)
}

async fn of_store(common: &Common) -> Result<(String, Answer)> {
    let opened = open::open(common)?;
    let nothing = Wanted { only: Some(Vec::new()), ..Wanted::default() };
    let system = opened.driver.facts(&nothing).await?.identity.system;
    let facts = opened.driver.disk().await?;
    let known = disk::Known { facts: facts.as_ref(), system: &system, now: our_now() };
    let measured = disk::measure(&opened.store.disk, known).await;
    let none = || Problem::unreachable("the store has no disk that could be read");
    let disk::Measurement { source, reading, unknown } = measured.ok_or_else(none)?;
    let Some(reading) = reading else {
        let problem = Problem::unreachable(format!("the disk cannot be read by {source}"));
        return Err(unknown.into_iter().fold(problem, Problem::cause));
    };
    Ok((source, Answer { reading, system: Some(system), unknown }))
}

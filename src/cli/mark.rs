//! `timesweep mark`: deletion marks of owned datasets. Nothing is dropped here: the loop and `run --apply`
//! look at the marks.

use std::fmt::Write as _;

use clap::Subcommand;
use serde_json::{Value, json};

use super::owned::{self, OpenedOwned, ids};
use super::{Common, exit, output};
use crate::problem::{Problem, Result, printable};
use crate::report::table::{counted, indented, minute, plain};
use crate::retention::ownership::event::{Event, Met};
use crate::retention::ownership::{JobId, Ledger, OwnedName};
use crate::sweep::owned::explain::shortened;

#[derive(Debug, Subcommand)]
pub enum MarkVerb {
    /// Delete a job: what it alone owns is let go, also what it reports later
    Add {
        /// The job's id, a UUID
        #[arg(long, value_name = "ID")]
        job: String,
    },
    /// List what is marked, and the deleted jobs whose data has not come
    List,
    /// Take a mark back: the dataset is owned again, and held for a while
    Cancel {
        /// The dataset
        #[arg(required_unless_present = "job", conflicts_with = "job")]
        dataset: Option<String>,
        /// Every mark that stems from this job, and its deletion
        #[arg(long, value_name = "ID")]
        job: Option<String>,
    },
}

pub async fn mark(common: &Common, verb: MarkVerb) -> Result<u8> {
    let opened = owned::open(common).await?;
    let (text, json) = answer(&opened, verb).await?;
    output::print(common.output, || text, &json)?;
    Ok(exit::DONE)
}

/// The same for people and for programs.
pub async fn answer(opened: &OpenedOwned, verb: MarkVerb) -> Result<(String, Value)> {
    match verb {
        MarkVerb::Add { job } => add(opened, ids::job(&job)?).await,
        MarkVerb::List => list(opened).await,
        MarkVerb::Cancel { job: Some(job), .. } => cancel_job(opened, ids::job(&job)?).await,
        MarkVerb::Cancel { dataset, job: None } => {
            cancel_dataset(opened, ids::dataset(&dataset.unwrap_or_default())?).await
        }
    }
}

async fn add(opened: &OpenedOwned, job: JobId) -> Result<(String, Value)> {
    let now = opened.registry.now().await?;
    let met = opened.registry.record(&[Event::Deleted(job)], now).await?;
    let met = met.into_iter().next().unwrap_or_default();
    let let_go: Vec<&str> = met.let_go.iter().map(|name| &*name.0).collect();
    let json = json!({ "job": job.0, "known": met.known, "let_go": let_go });
    Ok((deleted(job, &met), json))
}

fn deleted(job: JobId, met: &Met) -> String {
    let names: Vec<String> = met.let_go.iter().map(|name| printable(&name.0)).collect();
    match (met.known, names.len()) {
        (_, 1..) => format!("job {} is deleted; nobody owns {} now\n", job.0, names.join(", ")),
        (true, 0) => format!("job {} is deleted; it alone owns nothing now\n", job.0),
        (false, 0) => format!("job {} is not known; if its result comes, it counts as deleted\n", job.0),
    }
}

async fn list(opened: &OpenedOwned) -> Result<(String, Value)> {
    let ledger = opened.registry.ledger().await?;
    let grace = opened.settings.check.grace;
    let marks: Vec<Marked> = marked(&ledger, grace).collect();
    let tombstones: Vec<Value> =
        ledger.tombstones.iter().map(|(job, at)| json!({ "job": job.0, "deleted_at": at })).collect();
    let json = json!({ "marks": marks.iter().map(Marked::as_json).collect::<Vec<_>>(), "deleted_jobs_without_data": tombstones });
    Ok((list_text(&marks, &ledger), json))
}

struct Marked<'a> {
    dataset: &'a OwnedName,
    job: Option<JobId>,
    at: i64,
    grace_ends: i64,
    hold: Hold,
}

#[derive(PartialEq)]
enum Hold {
    None,
    UntilRemoved,
    Until(i64),
}

fn marked(ledger: &Ledger, grace: i64) -> impl Iterator<Item = Marked<'_>> {
    ledger.rows.iter().filter_map(move |(dataset, row)| {
        let at = row.mark.as_ref()?.at;
        let grace_ends = at.saturating_add(grace);
        let hold = match ledger.holds.get(dataset) {
            None => Hold::None,
            Some(None) => Hold::UntilRemoved,
            Some(Some(until)) => Hold::Until(*until),
        };
        Some(Marked { dataset, job: row.job, at, grace_ends, hold })
    })
}

impl Marked<'_> {
    fn as_json(&self) -> Value {
        json!({
            "dataset": self.dataset.0,
            "job": self.job.map(|job| job.0),
            "marked_at": self.at,
            "grace_ends": self.grace_ends,
            "is_held": self.hold != Hold::None,
            "held_until": if let Hold::Until(until) = self.hold { Some(until) } else { None },
        })
    }
}

fn list_text(marks: &[Marked<'_>], ledger: &Ledger) -> String {
    let mut text = String::from("nothing is marked\n");
    if !marks.is_empty() {
        let mut table = plain(&["dataset", "last job", "marked", "grace ends", "held"]);
        for mark in marks {
            let job = mark.job.map_or_else(|| "none".into(), |job| job.0.to_string());
            let held = match mark.hold {
                Hold::None => String::new(),
                Hold::UntilRemoved => "yes".into(),
                Hold::Until(until) => format!("until {}", minute(until)),
            };
            table.add_row(vec![
                printable(&mark.dataset.0),
                job,
                minute(mark.at),
                minute(mark.grace_ends),
                held,
            ]);
        }
        text = indented(&table);
    }
    for (job, at) in &ledger.tombstones {
        let _ = writeln!(text, "job {} was deleted {} UTC, and has no data so far", job.0, minute(*at));
    }
    text
}

async fn cancel_dataset(opened: &OpenedOwned, dataset: OwnedName) -> Result<(String, Value)> {
    let ledger = opened.registry.ledger().await?;
    if !marked(&ledger, 0).any(|mark| *mark.dataset == dataset) {
        return Err(Problem::usage(format!("dataset {} has no mark", shortened(&dataset.0)))
            .hint("`timesweep mark list` shows what is marked"));
    }
    let hold_until = cancel(opened, std::slice::from_ref(&dataset), None).await?;
    let text = format!(
        "the mark of {} is cancelled; a hold keeps it until {} UTC\n",
        printable(&dataset.0),
        minute(hold_until)
    );
    Ok((text, json!({ "cancelled": [dataset.0], "hold_until": hold_until })))
}

async fn cancel_job(opened: &OpenedOwned, job: JobId) -> Result<(String, Value)> {
    let ledger = opened.registry.ledger().await?;
    if !ledger.deleted_jobs.contains_key(&job) && !ledger.tombstones.contains_key(&job) {
        return Err(Problem::usage(format!("job {} is not deleted", job.0))
            .hint("`timesweep mark list` shows what is marked, and by which job"));
    }
    let claimed = |dataset: &OwnedName| ledger.claims.of(dataset).iter().any(|claim| claim.job == job);
    let datasets: Vec<OwnedName> =
        marked(&ledger, 0).map(|mark| mark.dataset).filter(|dataset| claimed(dataset)).cloned().collect();
    let hold_until = cancel(opened, &datasets, Some(job)).await?;
    let names: Vec<&str> = datasets.iter().map(|dataset| &*dataset.0).collect();
    let has_claims = ledger.claims.by(job).next().is_some();
    let text = match datasets.len() {
        0 if has_claims => {
            format!("the deletion of job {} is cancelled: it owns what it claimed again\n", job.0)
        }
        0 => format!("the deletion of job {} is cancelled: its result counts when it comes\n", job.0),
        count => format!(
            "the deletion of job {} is cancelled; a hold keeps {} until {} UTC\n",
            job.0,
            counted(count, "dataset"),
            minute(hold_until)
        ),
    };
    Ok((text, json!({ "job": job.0, "cancelled": names, "hold_until": hold_until })))
}

async fn cancel(opened: &OpenedOwned, datasets: &[OwnedName], job: Option<JobId>) -> Result<i64> {
    let now = opened.registry.now().await?;
    let hold_until = now.saturating_add(opened.settings.hold_after_cancel);
    let of_dataset = |dataset: &OwnedName| Event::CancelMark { dataset: dataset.clone(), hold_until };
    let mut events: Vec<Event> = datasets.iter().map(of_dataset).collect();
    events.extend(job.map(Event::CancelTombstone));
    opened.registry.record(&events, now).await?;
    Ok(hold_until)
}

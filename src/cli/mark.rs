//! `timesweep mark`: deletion marks of owned datasets. Nothing is dropped here: the loop and `run --apply`
//! look at the marks.

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::hold::ourselves;
use super::owned::{self, OpenedOwned, hold, ids};
use super::{Common, exit, output};
use crate::problem::{Problem, Result, printable};
use crate::registry::pages::Listed;
use crate::report::table::{counted, indented, minute, plain};
use crate::retention::ownership::event::{Event, Met};
use crate::retention::ownership::{JobId, Ledger, OwnedName};
use crate::sweep::owned::explain::shortened;

/// As many are asked for at once.
const PAGE: usize = 1000;

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
        #[command(flatten)]
        said: Said,
    },
}

/// For `hold list`, beside the hold that comes of it.
#[derive(Debug, Default, Args)]
pub struct Said {
    /// Why it has to stay
    #[arg(long)]
    pub reason: Option<String>,
    /// Who asks for it
    #[arg(long, env = "USER", default_value_t = ourselves(), hide_default_value = true)]
    pub author: String,
}

/// The same for people and for programs.
#[derive(Debug)]
pub struct Answer {
    pub text: String,
    pub json: Value,
    /// What came to be held by it, and until when.
    pub held: Option<(Vec<OwnedName>, i64)>,
}

pub async fn mark(common: &Common, verb: MarkVerb) -> Result<u8> {
    let opened = owned::open(common).await?;
    let note = note_of(&verb);
    let Answer { text, json, held } = answer(&opened, verb).await?;
    output::print(common.output, || text, &json)?;
    if let (Some((author, reason)), Some((names, until))) = (note, held) {
        hold::note(&opened, &names, Some(until), (&author, &reason)).await?;
    }
    Ok(exit::DONE)
}

fn note_of(verb: &MarkVerb) -> Option<(String, String)> {
    let MarkVerb::Cancel { job, said, .. } = verb else { return None };
    let what = job
        .as_ref()
        .map_or("its mark was cancelled".into(), |job| format!("the deletion of job {job} was cancelled"));
    Some((said.author.clone(), said.reason.clone().unwrap_or(what)))
}

pub async fn answer(opened: &OpenedOwned, verb: MarkVerb) -> Result<Answer> {
    let (text, json) = match verb {
        MarkVerb::Add { job } => add(opened, ids::job(&job)?).await?,
        MarkVerb::List => list(opened).await?,
        MarkVerb::Cancel { job: Some(job), .. } => return cancel_job(opened, ids::job(&job)?).await,
        MarkVerb::Cancel { dataset, job: None, .. } => {
            return cancel_dataset(opened, ids::dataset(&dataset.unwrap_or_default())?).await;
        }
    };
    Ok(Answer { text, json, held: None })
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
    let (marks, tombstones) = (all_marks(opened).await?, all_tombstones(opened).await?);
    let text = list_text(&marks, &tombstones);
    let tombstones: Vec<Value> =
        tombstones.iter().map(|(job, at)| json!({ "job": job.0, "deleted_at": at })).collect();
    let json = json!({ "marks": marks.iter().map(Marked::as_json).collect::<Vec<_>>(), "deleted_jobs_without_data": tombstones });
    Ok((text, json))
}

async fn all_marks(opened: &OpenedOwned) -> Result<Vec<Marked>> {
    let (now, grace) = (opened.registry.now().await?, opened.settings.check.grace);
    let mut marks: Vec<Marked> = Vec::new();
    loop {
        let after = marks.last().map(|mark| mark.dataset.0.clone());
        let page = opened.registry.page(Listed::Marked, after.as_deref(), PAGE, now).await?;
        marks.extend(page.names.iter().filter_map(|name| marked(&page.ledger, name, grace)));
        if page.names.len() < PAGE {
            return Ok(marks);
        }
    }
}

async fn all_tombstones(opened: &OpenedOwned) -> Result<Vec<(JobId, i64)>> {
    let mut all: Vec<(JobId, i64)> = Vec::new();
    loop {
        let after = all.last().map(|(job, _)| job.0.to_string());
        let page = opened.registry.tombstones(after.as_deref(), PAGE).await?;
        all.extend(&page);
        if page.len() < PAGE {
            return Ok(all);
        }
    }
}

struct Marked {
    dataset: OwnedName,
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

fn marked(ledger: &Ledger, dataset: &OwnedName, grace: i64) -> Option<Marked> {
    let row = ledger.rows.get(dataset)?;
    let at = row.mark.as_ref()?.at;
    let hold = match ledger.holds.get(dataset) {
        None => Hold::None,
        Some(None) => Hold::UntilRemoved,
        Some(Some(until)) => Hold::Until(*until),
    };
    let grace_ends = at.saturating_add(grace);
    Some(Marked { dataset: dataset.clone(), job: row.job, at, grace_ends, hold })
}

impl Marked {
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

fn list_text(marks: &[Marked], tombstones: &[(JobId, i64)]) -> String {
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
    for (job, at) in tombstones {
        let _ = writeln!(text, "job {} was deleted {} UTC, and has no data so far", job.0, minute(*at));
    }
    text
}

async fn cancel_dataset(opened: &OpenedOwned, dataset: OwnedName) -> Result<Answer> {
    let ledger = opened.registry.about(std::slice::from_ref(&dataset), &[]).await?;
    if marked(&ledger, &dataset, 0).is_none() {
        return Err(Problem::usage(format!("dataset {} has no mark", shortened(&dataset.0)))
            .hint("`timesweep mark list` shows what is marked"));
    }
    let hold_until = cancel(opened, std::slice::from_ref(&dataset), None).await?;
    let text = format!(
        "the mark of {} is cancelled; a hold keeps it until {} UTC\n",
        printable(&dataset.0),
        minute(hold_until)
    );
    let json = json!({ "cancelled": [dataset.0], "hold_until": hold_until });
    Ok(Answer { text, json, held: Some((vec![dataset], hold_until)) })
}

async fn cancel_job(opened: &OpenedOwned, job: JobId) -> Result<Answer> {
    let ledger = opened.registry.about(&[], &[job]).await?;
    if !ledger.deleted_jobs.contains_key(&job) && !ledger.tombstones.contains_key(&job) {
        return Err(Problem::usage(format!("job {} is not deleted", job.0))
            .hint("`timesweep mark list` shows what is marked, and by which job"));
    }
    let is_marked = |dataset: &&OwnedName| marked(&ledger, dataset, 0).is_some();
    let datasets: Vec<OwnedName> = ledger.claims.by(job).filter(is_marked).cloned().collect();
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
    let json = json!({ "job": job.0, "cancelled": names, "hold_until": hold_until });
    Ok(Answer { text, json, held: Some((datasets, hold_until)) })
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

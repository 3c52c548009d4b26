//! `timesweep hold`: pins on tables and chunks, with author, reason and expiry.

use clap::{Args, Subcommand};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::json;

use super::owned::OpenedOwned;
use super::target::{self, Target};
use super::{Common, exit, open, output, owned};
use crate::problem::{Problem, Result, printable};
use crate::report::table::{indented, minute, number, plain};
use crate::retention::model::StoreIdentity;
use crate::retention::span::RetentionSpan;
use crate::state::{HoldRecord, NewHold, State};
use crate::store::Wanted;
use crate::sweep::gather::{self, our_now};
use crate::sweep::owned::explain::shortened;

#[derive(Debug, Subcommand)]
pub enum HoldVerb {
    /// Pin a table or a chunk: nothing drops it while the pin is there
    Add(AddArgs),
    /// List the pins
    List {
        /// Also those that were removed or have expired
        #[arg(long)]
        all: bool,
    },
    /// Remove a pin by its number
    Remove {
        /// Its number; where jobs own the data, the dataset
        target: String,
    },
}

#[derive(Debug, Args)]
pub struct AddArgs {
    /// A table, a chunk as `_timescaledb_internal._hyper_1_1_chunk`, or a dataset of jobs
    pub target: String,
    /// Why it has to stay
    #[arg(long)]
    pub reason: String,
    /// Until when: a date, or a span such as `2 weeks` [default: until it is removed]
    #[arg(long, value_name = "DATE|SPAN")]
    pub until: Option<String>,
    /// Who asks for it
    #[arg(long, env = "USER", default_value_t = ourselves(), hide_default_value = true)]
    pub author: String,
}

/// The name of the user that runs this, where nobody says it; a user that the machine has no file entry for is a number.
pub fn ourselves() -> String {
    let uid = std::fs::metadata("/proc/self").map(|us| std::os::unix::fs::MetadataExt::uid(&us));
    let Ok(uid) = uid else { return "somebody".into() };
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    name_of(uid, &users).unwrap_or_else(|| format!("uid {uid}"))
}

/// By a list like `/etc/passwd`.
fn name_of(uid: u32, users: &str) -> Option<String> {
    let mut lines = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let user = lines.find(|fields| fields.get(2).is_some_and(|id| id.parse() == Ok(uid)))?;
    user.first().filter(|name| !name.is_empty()).map(|name| (*name).to_owned())
}

pub async fn hold(common: &Common, verb: HoldVerb) -> Result<u8> {
    if let Some(opened) = owned_store(common).await? {
        return owned::hold::hold(common, &opened, verb).await;
    }
    match verb {
        HoldVerb::Add(args) => add(common, &args).await,
        HoldVerb::List { all } => list(common, all).await,
        HoldVerb::Remove { target } => remove(common, &target).await,
    }
}

/// Lists need no configuration where the state is named.
async fn owned_store(common: &Common) -> Result<Option<OpenedOwned>> {
    match open::configuration(common) {
        Ok(config) if config.ownership.is_some() => owned::open_if_meant(common).await,
        _ => Ok(None),
    }
}

async fn add(common: &Common, args: &AddArgs) -> Result<u8> {
    let name = target::parse(&args.target)?;
    if args.reason.trim().is_empty() {
        return Err(Problem::usage("--reason is empty").hint("say why it has to stay; others will read it"));
    }
    let expires_at = args.until.as_deref().map(until).transpose()?;
    let opened = open::open(common)?;
    // A pin is urgent: a policy for a table that is missing elsewhere does not keep it out.
    let facts = opened.driver.facts(&Wanted::default()).await?;
    let plan = gather::plan(&facts, &opened.store, None, None).await?;
    let (dataset, chunk) = match target::find(&plan, &name) {
        Some(Target::Dataset(dataset)) => (dataset.name.clone(), None),
        Some(Target::Chunk(dataset, _)) => (dataset.name.clone(), Some(name)),
        None => return Err(target::unknown(&name)),
    };
    let hold = NewHold {
        store: opened.store.name.clone(),
        identity: facts.identity.clone(),
        dataset,
        chunk,
        author: if args.author.trim().is_empty() { ourselves() } else { args.author.clone() },
        reason: args.reason.clone(),
        created_at: our_now(),
        expires_at,
    };
    let state = State::open(&opened.state_path).await?;
    let id = state.add_hold(&hold).await?;
    state.close().await?;
    let target = hold.chunk.as_ref().unwrap_or(&hold.dataset);
    output::print(
        common.output,
        || {
            let (database, path) = (printable(&hold.identity), opened.state_path.display());
            format!("hold {id} on {target} in {database}, kept in {path}\n")
        },
        &json!({ "hold": id }),
    )?;
    Ok(exit::DONE)
}

/// A date means its midnight UTC; a span counts from now.
pub fn until(text: &str) -> Result<i64> {
    let now = our_now();
    let instant = match text.parse::<Date>() {
        Ok(date) => date.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp().as_microsecond()),
        Err(_) => match text.parse::<Timestamp>() {
            Ok(instant) => Some(instant.as_microsecond()),
            Err(_) => {
                text.parse::<RetentionSpan>().ok().and_then(|span| span.after_instant(now, &TimeZone::UTC))
            }
        },
    };
    match instant {
        Some(at) if at > now => Ok(at),
        Some(_) => Err(Problem::usage(format!("--until {text} lies in the past"))
            .hint("give a date to come, or a span such as `2 weeks`")),
        None => Err(Problem::usage(format!("--until {text} is neither a date nor a span"))
            .hint("write for example 2027-01-31 or `2 weeks`")),
    }
}

async fn list(common: &Common, all: bool) -> Result<u8> {
    let state = open::existing_state(&open::state_path(common)?).await?;
    let mut holds = match state {
        Some(state) => {
            let holds = state.all_holds().await?;
            state.close().await?;
            holds
        }
        None => Vec::new(),
    };
    holds.retain(|hold| all || hold.is_active(our_now()));
    let json = json!({ "holds": holds.iter().map(as_json).collect::<Vec<_>>() });
    output::print(common.output, || table_of(&holds), &json)?;
    Ok(exit::DONE)
}

fn table_of(holds: &[HoldRecord]) -> String {
    if holds.is_empty() {
        return "no holds\n".into();
    }
    let mut table = plain(&["number", "store", "database", "target", "by", "until", "reason"]);
    for record in holds {
        let hold = &record.hold;
        table.add_row(vec![
            number(hold.id),
            comfy_table::Cell::new(printable(&record.store)),
            comfy_table::Cell::new(printable(database_of(&record.identity))),
            comfy_table::Cell::new(target_of(record)),
            comfy_table::Cell::new(printable(&hold.author)),
            comfy_table::Cell::new(end_of(record)),
            comfy_table::Cell::new(printable(&hold.reason)),
        ]);
    }
    indented(&table)
}

/// A server that is held as a whole has no databases of its own.
fn database_of(identity: &StoreIdentity) -> String {
    match identity.database_oid {
        0 => identity.system.clone(),
        _ => format!("{} of cluster {}", identity.database, identity.system),
    }
}

fn target_of(record: &HoldRecord) -> String {
    record.hold.chunk.as_ref().unwrap_or(&record.hold.dataset).to_string()
}

fn end_of(record: &HoldRecord) -> String {
    match (record.removed_at, record.hold.expires_at) {
        (Some(removed), _) => format!("removed {}", minute(removed)),
        (None, Some(expires)) => minute(expires),
        (None, None) => "it is removed".into(),
    }
}

fn as_json(record: &HoldRecord) -> serde_json::Value {
    json!({
        "number": record.hold.id,
        "store": record.store,
        "database": (record.identity.database_oid != 0).then_some(&record.identity.database),
        "system": record.identity.system,
        "dataset": record.hold.dataset.to_string(),
        "chunk": record.hold.chunk.as_ref().map(ToString::to_string),
        "author": record.hold.author,
        "reason": record.hold.reason,
        "created_at": record.created_at,
        "expires_at": record.hold.expires_at,
        "removed_at": record.removed_at,
    })
}

async fn remove(common: &Common, target: &str) -> Result<u8> {
    let number: i64 = target.parse().map_err(|_| {
        Problem::usage(format!("{} is no number of a hold", shortened(target)))
            .hint("`timesweep hold list` shows the numbers")
    })?;
    let path = open::state_path(common)?;
    let state = State::open(&path).await?;
    let removed = state.remove_hold(number, our_now()).await?;
    state.close().await?;
    if !removed {
        return Err(Problem::usage(format!("there is no hold {number} to remove"))
            .hint("`timesweep hold list` shows the numbers"));
    }
    output::print(common.output, || format!("hold {number} removed\n"), &json!({ "removed": number }))?;
    Ok(exit::DONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_sets_a_hold_has_a_name_or_a_number() {
        let users = "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n";
        assert_eq!(name_of(1000, users).as_deref(), Some("ann"));
        assert_eq!(name_of(0, users).as_deref(), Some("root"));
        assert_eq!(name_of(7, users), None);
        assert!(!ourselves().is_empty());
    }
}

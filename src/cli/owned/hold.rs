//! `hold` on owned data: the pin is in the registry, where every replica sees it; who set it and why is
//! noted in the state beside the journal.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{OpenedOwned, ids};
use crate::cli::hold::{AddArgs, HoldVerb, until};
use crate::cli::{Common, exit, open, output};
use crate::problem::{Problem, Result, printable};
use crate::registry::Reasons;
use crate::registry::pages::Listed;
use crate::report::table::{indented, minute, plain};
use crate::retention::name::RelationName;
use crate::retention::ownership::event::Event;
use crate::retention::ownership::{Ledger, OwnedName};
use crate::state::{HoldRecord, NewHold, State};
use crate::sweep::gather::our_now;
use crate::sweep::owned::explain::shortened;
use crate::sweep::owned::journal::identity;

/// As many are asked for at once.
const PAGE: usize = 1000;
/// The author of holds that nobody asked for.
const OURSELVES: &str = "timesweep";

pub async fn hold(common: &Common, opened: &OpenedOwned, verb: HoldVerb) -> Result<u8> {
    match verb {
        HoldVerb::Add(args) => add(common, opened, &args).await,
        HoldVerb::List { .. } => list(common, opened).await,
        HoldVerb::Remove { target } => remove(common, opened, &target).await,
    }
}

async fn add(common: &Common, opened: &OpenedOwned, args: &AddArgs) -> Result<u8> {
    let name = ids::dataset(&args.target)?;
    let expires_at = args.until.as_deref().map(until).transpose()?;
    let ledger = opened.registry.about(std::slice::from_ref(&name), &[]).await?;
    if !is_known(&ledger, &name) && opened.store.look(&name).await?.is_none() {
        return Err(Problem::usage(format!("there is no dataset {}", shortened(&name.0)))
            .hint("`timesweep plan --all` lists every one"));
    }
    let now = opened.registry.now().await?;
    opened.registry.record(&[Event::Hold { dataset: name.clone(), until: expires_at }], now).await?;
    note(opened, std::slice::from_ref(&name), expires_at, (&args.author, &args.reason)).await?;
    let until = end(expires_at);
    output::print(
        common.output,
        || format!("{} is held until {until}\n", printable(&name.0)),
        &json!({ "dataset": *name.0, "until": expires_at }),
    )?;
    Ok(exit::DONE)
}

fn is_known(ledger: &Ledger, name: &OwnedName) -> bool {
    ledger.datasets.contains_key(name) || ledger.rows.contains_key(name) || ledger.claims.contains(name)
}

/// Who and why, for `hold list`.
pub async fn note(
    opened: &OpenedOwned,
    names: &[OwnedName],
    expires_at: Option<i64>,
    (author, reason): (&str, &str),
) -> Result<()> {
    let here = identity(&opened.store.identity().await?);
    let state = State::open(&opened.state_path).await?;
    for name in names {
        let hold = NewHold {
            store: opened.settings.store.clone(),
            identity: here.clone(),
            dataset: RelationName::new("", name.0.to_string()),
            chunk: None,
            author: author.to_owned(),
            reason: reason.to_owned(),
            created_at: our_now(),
            expires_at,
        };
        state.add_hold(&hold).await?;
    }
    state.close().await
}

async fn list(common: &Common, opened: &OpenedOwned) -> Result<u8> {
    let holds = in_force(opened).await?;
    let said = Said::about(opened, &holds).await?;
    let json: Vec<Value> = holds.iter().map(|(name, until)| as_json(name, *until, said.of(name))).collect();
    let text = || {
        if holds.is_empty() {
            return "no holds\n".to_owned();
        }
        let mut table = plain(&["dataset", "by", "until", "reason"]);
        for (name, until) in &holds {
            let (author, reason) = said.of(name);
            table.add_row(vec![printable(&name.0), printable(author), end(*until), printable(reason)]);
        }
        indented(&table)
    };
    output::print(common.output, text, &json!({ "holds": json }))?;
    Ok(exit::DONE)
}

async fn in_force(opened: &OpenedOwned) -> Result<Vec<(OwnedName, Option<i64>)>> {
    let now = opened.registry.now().await?;
    let mut all: Vec<(OwnedName, Option<i64>)> = Vec::new();
    loop {
        let after = all.last().map(|(name, _)| name.0.clone());
        let page = opened.registry.page(Listed::Held, after.as_deref(), PAGE, now).await?;
        let until = |name: &OwnedName| page.ledger.holds.get(name).copied().flatten();
        all.extend(page.names.iter().map(|name| (name.clone(), until(name))));
        if page.names.len() < PAGE {
            return Ok(all);
        }
    }
}

async fn notes(opened: &OpenedOwned) -> Result<BTreeMap<OwnedName, HoldRecord>> {
    let Some(state) = open::existing_state(&opened.state_path).await? else { return Ok(BTreeMap::new()) };
    let mut holds = state.all_holds().await?;
    state.close().await?;
    // Of this store alone: a note is removed together with its pin.
    let here = identity(&opened.store.identity().await?);
    let is_here = |hold: &HoldRecord| hold.store == opened.settings.store && hold.identity == here;
    holds.retain(|hold| is_here(hold) && hold.removed_at.is_none());
    // The newest word counts.
    Ok(holds.into_iter().map(|hold| (OwnedName(hold.hold.dataset.name.as_str().into()), hold)).collect())
}

/// Who holds what, and why.
struct Said {
    notes: BTreeMap<OwnedName, HoldRecord>,
    /// Of the holds that we set of our own accord.
    reasons: Reasons,
}

impl Said {
    async fn about(opened: &OpenedOwned, holds: &[(OwnedName, Option<i64>)]) -> Result<Self> {
        let names: Vec<OwnedName> = holds.iter().map(|(name, _)| name.clone()).collect();
        Ok(Self { notes: notes(opened).await?, reasons: opened.registry.reasons(&names).await? })
    }

    /// Author and reason; what a person said goes before what we did.
    fn of(&self, name: &OwnedName) -> (&str, &str) {
        if let Some(note) = self.notes.get(name) {
            return (&note.hold.author, &note.hold.reason);
        }
        self.reasons.get(name).map_or(("", ""), |reason| (OURSELVES, reason))
    }
}

fn end(until: Option<i64>) -> String {
    until.map_or_else(|| "it is removed".into(), |until| format!("{} UTC", minute(until)))
}

fn as_json(name: &OwnedName, until: Option<i64>, (author, reason): (&str, &str)) -> Value {
    json!({ "dataset": *name.0, "until": until, "author": author, "reason": reason })
}

async fn remove(common: &Common, opened: &OpenedOwned, target: &str) -> Result<u8> {
    let name = ids::dataset(target)?;
    let now = opened.registry.now().await?;
    let met = opened.registry.record(&[Event::Unhold(name.clone())], now).await?;
    if !met.first().is_some_and(|met| met.known) {
        return Err(Problem::usage(format!("nothing holds {}", shortened(&name.0)))
            .hint("`timesweep hold list` shows what is held"));
    }
    if let Some(note) = notes(opened).await?.get(&name) {
        let state = State::open(&opened.state_path).await?;
        state.remove_hold(note.hold.id, our_now()).await?;
        state.close().await?;
    }
    let text = || format!("{} is not held any more\n", printable(&name.0));
    output::print(common.output, text, &json!({ "removed": *name.0 }))?;
    Ok(exit::DONE)
}

//! Drops what is due, one dataset after the other.
//!
//! For each: verify the lock, journal the intent, look at everything once more, drop, forget the row, journal
//! the outcome. Invariants: the second look can only keep something; what nobody knows stays an open intent,
//! and the next pass finds out.

use crate::crash_point;
use crate::problem::{Kind, Problem, Result};
use crate::registry::{RunnerLock, SeenRow};
use crate::report::Report;
use crate::report::owned::{DatasetItem, DatasetLine, DatasetOutcome, OwnedReport, Standing};
use crate::retention::model::ByteCount;
use crate::retention::ownership::OwnedName;
use crate::retention::ownership::check::Decision;
use crate::retention::ownership::sighting::Sighting;
use crate::state::{DatasetIntent, IntentId, Outcome, RunId};
use crate::store::owned::DropTrouble;

use super::second_look::SecondLook;
use super::{Journal, OwnedPass, found};

/// A dataset that the check lets go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    pub name: OwnedName,
    pub marked_at: i64,
    /// As far as anybody knows.
    pub last_change: Option<i64>,
    /// As the list had it.
    pub sighting: Option<Sighting>,
    pub bytes: Option<ByteCount>,
    /// Why it goes, for people.
    pub why: String,
}

impl Due {
    fn line(&self) -> DatasetLine {
        DatasetLine { dataset: self.name.0.to_string(), why: self.why.clone(), until: None }
    }

    fn item(&self, outcome: DatasetOutcome) -> DatasetItem {
        DatasetItem { dataset: self.name.0.to_string(), bytes: self.bytes, why: self.why.clone(), outcome }
    }
}

impl OwnedReport {
    pub(super) fn add_due(&mut self, due: &Due) {
        self.add(Standing::Due, due.bytes, || due.line());
    }

    pub(super) fn add_left(&mut self, due: &Due) {
        self.add(Standing::LeftByCap, due.bytes, || due.line());
    }
}

/// A pass on its way through what is due.
pub(super) struct Going<'a> {
    pub pass: &'a OwnedPass,
    pub journal: &'a dyn Journal,
    pub run: RunId,
}

impl Going<'_> {
    /// An error ends the pass; every dataset has its item all the same.
    pub(super) async fn drop_all(
        self,
        lock: &mut dyn RunnerLock,
        due: &[Due],
        report: &mut Report,
        owned: &mut OwnedReport,
    ) -> Result<()> {
        let mut trouble: Option<Problem> = None;
        let mut looks = SecondLook::default();
        for one in due {
            if let Some(why) = why_not_tried(self.pass, trouble.as_ref()) {
                owned.items.push(one.item(DatasetOutcome::NotTried { why: why.into() }));
                continue;
            }
            let (outcome, problem) = match lock.verify().await {
                Ok(()) => self.go(one, &mut looks, &mut report.warnings).await,
                Err(problem) => {
                    let why = "the runner's lock is lost".into();
                    (DatasetOutcome::NotTried { why }, Some(problem))
                }
            };
            owned.items.push(one.item(outcome));
            trouble = problem;
        }
        trouble.map_or(Ok(()), Err)
    }

    async fn go(
        &self,
        due: &Due,
        looks: &mut SecondLook,
        warnings: &mut Vec<String>,
    ) -> (DatasetOutcome, Option<Problem>) {
        let attempt = Attempt { pass: self.pass, journal: self.journal, run: self.run, due };
        attempt.go(looks, warnings).await
    }
}

fn why_not_tried(pass: &OwnedPass, trouble: Option<&Problem>) -> Option<&'static str> {
    if trouble.is_some() {
        return Some("the pass stopped before");
    }
    pass.stop.is_cancelled().then_some("the pass was interrupted")
}

/// One dataset on its way.
struct Attempt<'a> {
    pass: &'a OwnedPass,
    journal: &'a dyn Journal,
    run: RunId,
    due: &'a Due,
}

/// What the second look says.
enum Second {
    StillDue,
    Gone,
    Kept(String),
}

impl Attempt<'_> {
    /// What became of it, and what stops the pass.
    async fn go(
        &self,
        looks: &mut SecondLook,
        warnings: &mut Vec<String>,
    ) -> (DatasetOutcome, Option<Problem>) {
        let not_tried = |why: &str| DatasetOutcome::NotTried { why: why.into() };
        let row = match self.pass.registry.marked_row(&self.due.name).await {
            Ok(Some(row)) => row,
            Ok(None) => return (DatasetOutcome::Kept { why: "its mark is gone".into() }, None),
            Err(problem) => return (not_tried("its row cannot be read"), Some(problem)),
        };
        let intent = match self.journal.write_intent(self.run, &self.intent(&row)).await {
            Ok(intent) => intent,
            Err(problem) => return (not_tried("its intent is not in the journal"), Some(problem)),
        };
        match self.look_again(looks, &row).await {
            Ok(Second::StillDue) => self.drop_it(intent, &row, warnings).await,
            Ok(Second::Gone) => self.close(intent, Outcome::Gone, DatasetOutcome::Gone).await,
            Ok(Second::Kept(why)) => {
                let outcome = Outcome::NotDropped { why: why.clone() };
                self.close(intent, outcome, DatasetOutcome::Kept { why }).await
            }
            Err(problem) => {
                let why = "it could not be looked at once more";
                let outcome = Outcome::NotDropped { why: why.into() };
                let (outcome, _) = self.close(intent, outcome, not_tried(why)).await;
                (outcome, Some(problem))
            }
        }
    }

    fn intent(&self, row: &SeenRow) -> DatasetIntent {
        DatasetIntent {
            dataset: self.due.name.clone(),
            job: row.job,
            marked_at: row.marked_at,
            last_change: self.due.last_change,
            bytes: self.due.bytes,
            reason: self.due.why.clone(),
        }
    }

    /// In the order of the check: the store, who is at work, the ledger, and last of all the row.
    async fn look_again(&self, looks: &mut SecondLook, row: &SeenRow) -> Result<Second> {
        let (pass, name) = (self.pass, &self.due.name);
        let Some(seen) = looks.at(&*pass.store, name).await? else { return Ok(Second::Gone) };
        let live = pass.registry.live_jobs().await?;
        let now = pass.registry.now().await?;
        let (sighting, settings) = (seen.sighting(), &pass.settings.check);
        let decision = pass.registry.decide_again(&sighting, &live, settings, &*pass.adopts(), now).await?;
        if decision != Decision::Drop {
            return Ok(Second::Kept(found::sentence(&decision)));
        }
        if Some(sighting) != self.due.sighting {
            return Ok(Second::Kept("it was written to since it was listed".into()));
        }
        match pass.registry.marked_row(name).await? {
            Some(now) if now == *row => Ok(Second::StillDue),
            _ => Ok(Second::Kept("its row has changed".into())),
        }
    }

    async fn drop_it(
        &self,
        intent: IntentId,
        row: &SeenRow,
        warnings: &mut Vec<String>,
    ) -> (DatasetOutcome, Option<Problem>) {
        crash_point::reach("before-dataset-drop");
        let answer = self.pass.store.drop_dataset(&self.due.name).await;
        crash_point::reach("dataset-dropped");
        match answer {
            Ok(()) => self.forget(intent, row, warnings).await,
            Err(DropTrouble::Refused { message, hint }) => {
                let outcome = Outcome::NotDropped { why: message.clone() };
                self.close(intent, outcome, DatasetOutcome::Failed { message, hint }).await
            }
            // A drop whose answer was lost may still be at work, so a dataset that is there proves nothing.
            Err(DropTrouble::Unknown(why)) => match self.pass.store.look(&self.due.name).await {
                Ok(None) => self.forget(intent, row, warnings).await,
                Ok(Some(_)) => (DatasetOutcome::Unknown { why }, None),
                Err(problem) => (DatasetOutcome::Unknown { why }, Some(problem)),
            },
        }
    }

    /// It is gone, and so goes its row.
    async fn forget(
        &self,
        intent: IntentId,
        row: &SeenRow,
        warnings: &mut Vec<String>,
    ) -> (DatasetOutcome, Option<Problem>) {
        match self.pass.registry.dropped(&self.due.name, row).await {
            Ok(true) => {}
            Ok(false) => warnings.push(format!(
                "the row of {} changed while the dataset was dropped: somebody may have claimed it too late",
                self.due.name.0
            )),
            // The intent stays open, and the next pass forgets the row.
            Err(problem) => return (DatasetOutcome::Dropped, Some(problem)),
        }
        crash_point::reach("dataset-row-forgotten");
        self.close(intent, Outcome::Dropped { bytes: self.due.bytes }, DatasetOutcome::Dropped).await
    }

    async fn close(
        &self,
        intent: IntentId,
        outcome: Outcome,
        said: DatasetOutcome,
    ) -> (DatasetOutcome, Option<Problem>) {
        let at = (self.pass.our_now)();
        let written = self.journal.write_outcome(intent, &outcome, at, None).await;
        let partial = |problem: Problem| Problem { kind: Kind::Partial, ..problem };
        (said, written.err().map(partial))
    }
}

//! One pass over what the store lists: register again, mark, wait, drop, forget; each with its reason.
//!
//! `observe` takes the inventory in or refuses it, `decide` answers for one dataset, and nothing here
//! drops. Invariant: a dataset is due only if nobody owns it, nobody who may still claim it lives, nothing
//! holds it, and people could have seen that it goes.

use std::collections::HashSet;

use super::live::LiveJob;
use super::sighting::Sighting;
use super::{JobId, Ledger, Mark, OwnedName, Row};

/// So many graces behind its mark a dataset that still changes is worth a warning.
const GRACES_IN_VAIN: i64 = 3;

/// How long to wait for what. Microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    pub check_interval: i64,
    pub grace: i64,
    pub registration_lifetime: i64,
    /// A job that was at work for longer has ended.
    pub longest_job: i64,
    /// In hundredths of a percent of the registered datasets …
    pub cap_share: u64,
    /// … or so many, whichever is more.
    pub cap_count: usize,
    /// A person has looked: an empty list is true.
    pub accept_empty: bool,
}

/// What the store lists, and who is at work.
#[derive(Debug, Clone)]
pub struct Inventory {
    /// False where anything could not be read.
    pub complete: bool,
    pub datasets: Vec<Sighting>,
    pub live_jobs: Vec<LiveJob>,
    /// All of it was read by then; a check whose `now` is later counts from that.
    pub read_by: i64,
}

impl Inventory {
    /// There may be a hundred thousand, so nobody searches the list for each.
    fn names(&self) -> HashSet<&OwnedName> {
        self.datasets.iter().map(|sighting| &sighting.name).collect()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Not ours: listed, never touched.
    Foreign,
    Owned(JobId),
    /// Claimed by a job that was not deleted, and the row did not say so.
    Recover(JobId),
    /// Nobody owns it: marked on sight, never dropped on sight.
    Mark,
    Wait(Wait),
    Drop,
    /// Its row says it is there, and it was absent for long enough.
    Forget,
    /// Absent, and not for long enough to forget it.
    Absent,
}

/// Why a marked dataset is not due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    Held,
    /// Until this instant.
    Grace(i64),
    /// Checks have to see the mark twice, at least half an interval apart.
    SecondLook,
    NotAnnounced,
    /// These were live when it was last written, and may still claim it.
    LiveJobs(Vec<JobId>),
}

/// Why a whole pass is refused. Nothing was learned from the inventory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Implausible {
    Incomplete,
    /// The store lists nothing, and there are registrations.
    Empty {
        registered: usize,
    },
    /// More registered datasets are missing at once than the cap allows.
    SuddenLoss {
        missing: usize,
        allowed: usize,
    },
}

impl Ledger {
    /// Takes the inventory in; answers with the jobs that have ended by their age. Who is listed as live
    /// lives; who is not listed has not ended by that.
    pub fn observe(
        &mut self,
        inventory: &Inventory,
        settings: &Settings,
        now: i64,
    ) -> Result<Vec<JobId>, Implausible> {
        self.refuse_implausible(inventory, settings)?;
        for live in &inventory.live_jobs {
            self.job_is_live(*live, now);
        }
        let ended = self.end_old_jobs(settings.longest_job, now);
        let read_by = inventory.read_by.max(now);
        inventory.datasets.iter().for_each(|sighting| self.see(sighting, read_by));
        self.miss_unlisted(inventory, settings, now);
        self.look_at_marks(now);
        self.hold_what_nobody_could_read();
        self.checked_at = now;
        Ok(ended)
    }

    /// A job may register and write nothing, so a row that no check has found is no sign of a wrong server;
    /// but a server that lists nothing at all proves nothing about it either.
    fn miss_unlisted(&mut self, inventory: &Inventory, settings: &Settings, now: i64) {
        let proves = settings.accept_empty || !inventory.datasets.is_empty();
        let listed = inventory.names();
        let missing = self.rows.keys().filter(|name| !listed.contains(name));
        for name in missing.cloned().collect::<Vec<_>>() {
            self.miss(&name, proves, now);
        }
    }

    /// What changed since such a job began may be its result, and this check is the first one to see it.
    fn hold_what_nobody_could_read(&mut self) {
        if let Some(since) = self.unread.values().map(|result| result.since).min() {
            self.hold_orphans(|epoch| since <= epoch);
        }
    }

    /// The inventory was read after `now`: all that came before has been looked for. To be called when
    /// every decision is settled.
    pub fn conclude(&mut self, now: i64) {
        self.hold_what_nobody_could_read();
        self.unread.retain(|_, result| result.at >= now);
    }

    fn refuse_implausible(&self, inventory: &Inventory, settings: &Settings) -> Result<(), Implausible> {
        if !inventory.complete {
            return Err(Implausible::Incomplete);
        }
        let expected = self
            .rows
            .keys()
            .filter(|name| self.datasets.get(*name).is_some_and(|seen| seen.absent_since.is_none()));
        let expected: Vec<&OwnedName> = expected.collect();
        if settings.accept_empty {
            // A person has looked. What is missing loses its registration with time, its jobs keep their claims.
            return Ok(());
        }
        if inventory.datasets.is_empty() && !expected.is_empty() {
            return Err(Implausible::Empty { registered: expected.len() });
        }
        let listed = inventory.names();
        let missing = expected.iter().filter(|name| !listed.contains(*name)).count();
        let allowed = settings.cap(expected.len());
        if missing > allowed { Err(Implausible::SuddenLoss { missing, allowed }) } else { Ok(()) }
    }

    fn look_at_marks(&mut self, now: i64) {
        for mark in self.rows.values_mut().filter_map(|row| row.mark.as_mut()) {
            let (first, _) = mark.seen.unwrap_or((now, now));
            mark.seen = Some((first, now));
        }
    }

    /// The report of this pass was written: from now on people could have seen what goes.
    pub fn announce(&mut self) {
        for mark in self.rows.values_mut().filter_map(|row| row.mark.as_mut()) {
            mark.announced = mark.seen.is_some();
        }
    }

    /// What shall happen to this dataset. `adopted`: its name fits the pattern of names that are ours.
    pub fn decide(&self, name: &OwnedName, adopted: bool, settings: &Settings, now: i64) -> Decision {
        let absent = self.datasets.get(name).is_none_or(|seen| seen.absent_since.is_some());
        let row = self.rows.get(name);
        if absent {
            return self.decide_absent(name, row, settings, now);
        }
        let owner = self.owner(name);
        match (owner, row) {
            (Some(owner), Some(row)) if row.mark.is_none() && row.job == Some(owner) => {
                Decision::Owned(owner)
            }
            (Some(owner), _) => Decision::Recover(owner),
            (None, Some(Row { mark: Some(mark), .. })) => {
                self.what_it_waits_for(name, mark, settings, now).map_or(Decision::Drop, Decision::Wait)
            }
            (None, Some(Row { job: Some(job), mark: None })) => Decision::Owned(*job),
            // Only others leave such a row: registered, and nobody says by whom.
            (None, Some(Row { job: None, mark: None })) if self.is_held(name, now) => {
                Decision::Wait(Wait::Held)
            }
            (None, None) if !adopted && !self.claims.contains(name) => Decision::Foreign,
            (None, _) => Decision::Mark,
        }
    }

    /// Decides right before a drop, with what was read after the check.
    pub fn decide_again(
        &mut self,
        sighting: &Sighting,
        live_jobs: &[LiveJob],
        adopted: bool,
        settings: &Settings,
        now: i64,
    ) -> Decision {
        for live in live_jobs {
            self.job_is_live(*live, now);
        }
        self.see_again(sighting, now);
        self.decide(&sighting.name, adopted, settings, now)
    }

    fn decide_absent(&self, name: &OwnedName, row: Option<&Row>, settings: &Settings, now: i64) -> Decision {
        let Some(since) = self.datasets.get(name).and_then(|seen| seen.absent_since) else {
            // Registered, and no list has proved anything about it yet.
            return if row.is_some() { Decision::Absent } else { Decision::Foreign };
        };
        let long = now.saturating_sub(since) > settings.registration_lifetime;
        if row.is_some() && long { Decision::Forget } else { Decision::Absent }
    }

    fn what_it_waits_for(
        &self,
        name: &OwnedName,
        mark: &Mark,
        settings: &Settings,
        now: i64,
    ) -> Option<Wait> {
        if self.is_held(name, now) {
            return Some(Wait::Held);
        }
        let since = self.epoch(name).unwrap_or(now).max(mark.at);
        if now.saturating_sub(since) <= settings.grace {
            return Some(Wait::Grace(since.saturating_add(settings.grace)));
        }
        if mark.seen.is_none_or(|(first, last)| last - first < settings.check_interval / 2) {
            return Some(Wait::SecondLook);
        }
        if !mark.announced {
            return Some(Wait::NotAnnounced);
        }
        let live: Vec<JobId> = self.not_ended_since(name).collect();
        (!live.is_empty()).then_some(Wait::LiveJobs(live))
    }

    /// What waits for a grace that begins anew again and again, though no job was at work for so long: a store
    /// that is started, or whose counters are reset, more often than once a grace keeps its orphans for ever.
    pub fn waiting_in_vain(
        &self,
        settings: &Settings,
        now: i64,
    ) -> impl Iterator<Item = (&OwnedName, &Mark)> {
        let marked = self.rows.iter().filter_map(|(name, row)| Some((name, row.mark.as_ref()?)));
        let is_there = |name| self.datasets.get(name).is_some_and(|seen| seen.absent_since.is_none());
        let waits = marked.filter(move |(name, _)| is_there(name) && !self.is_held(name, now));
        waits.filter(move |(name, mark)| {
            self.epoch(name).is_some_and(|epoch| {
                now.saturating_sub(epoch) <= settings.grace
                    && epoch.saturating_sub(mark.at) > settings.grace.saturating_mul(GRACES_IN_VAIN)
                    && !self.had_a_job_at_work(mark.at, epoch.saturating_sub(settings.grace))
            })
        })
    }

    fn had_a_job_at_work(&self, from: i64, until: i64) -> bool {
        self.jobs.values().any(|job| job.first_seen <= from && job.ended.is_none_or(|ended| ended >= until))
    }

    fn is_held(&self, name: &OwnedName, now: i64) -> bool {
        self.holds.get(name).is_some_and(|until| until.is_none_or(|until| now < until))
    }

    /// The epoch rule: whoever wrote it was live at its last change. Once all of those have ended without
    /// a claim, no claim can come.
    fn not_ended_since(&self, name: &OwnedName) -> impl Iterator<Item = JobId> {
        let epoch = self.epoch(name).unwrap_or(i64::MAX);
        let running = self.jobs.iter().filter(move |(_, job)| job.ended.is_none() && job.first_seen <= epoch);
        running.map(|(job, _)| *job)
    }

    /// Does what a decision says to the rows; a drop is somebody else's work.
    pub fn settle(&mut self, name: &OwnedName, decision: &Decision, now: i64) {
        match decision {
            Decision::Recover(_) | Decision::Mark => self.derive_row(name, now),
            Decision::Absent => {
                let is_proved = self.datasets.contains_key(name);
                if let Some(row) = self.rows.get_mut(name).filter(|_| is_proved) {
                    row.mark.get_or_insert_with(|| Mark::new(now));
                }
            }
            // Its claims stay, so a dataset that comes back is recovered.
            Decision::Forget => self.dropped(name),
            Decision::Foreign | Decision::Owned(_) | Decision::Wait(_) | Decision::Drop => {}
        }
    }
}

impl Settings {
    /// How many of so many may go, or may be missing, in one pass.
    pub fn cap(&self, of: usize) -> usize {
        let share = (of as u64).saturating_mul(self.cap_share) / 10_000;
        usize::try_from(share).unwrap_or(usize::MAX).max(self.cap_count)
    }
}

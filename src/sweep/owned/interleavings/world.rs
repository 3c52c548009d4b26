//! Two jobs, one dataset, two replicas with a journal each; plain values that can be copied anywhere.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::event::{Event, Fault};
use super::meeting::Meeting;
use crate::config::OwnershipSettings;
use crate::registry::memory::Memory as MemoryRegistry;
use crate::retention::model::StoreName;
use crate::retention::ownership::check::Settings;
use crate::retention::ownership::event::Event as Happened;
use crate::retention::ownership::live::LiveJob;
use crate::retention::ownership::{JobId, Ledger, OwnedName};
use crate::store::owned::memory::{DropOutcome, ListTrouble, Memory as MemoryStore};
use crate::sweep::owned::OwnedPass;
use crate::sweep::owned::testing::bent::{Bent, Rule};
use crate::sweep::owned::testing::stepped::{SteppedJournal, SteppedRegistry, SteppedStore, Steps};
use crate::sweep::owned::testing::{MemoryJournal, Pages};

pub const MINUTE: i64 = 60_000_000;
pub const CHECK: Settings = Settings {
    check_interval: 60 * MINUTE,
    grace: 240 * MINUTE,
    registration_lifetime: 300 * MINUTE,
    longest_job: 20_000 * MINUTE,
    cap_share: 2_500,
    cap_count: 5,
    accept_empty: false,
};

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum End {
    #[default]
    Running,
    Succeeded,
    Failed,
}

#[expect(clippy::struct_excessive_bools, reason = "what happened and what did not")]
#[derive(Debug, Clone, Default)]
pub struct Job {
    pub started: bool,
    pub wrote: bool,
    pub end: End,
    pub heard: bool,
    pub deleted: bool,
}

#[expect(clippy::struct_excessive_bools, reason = "what kind of world it is, and what happened")]
#[derive(Debug, Clone, Default)]
pub struct World {
    /// Who is at work is known from a list alone, not from what is said when a job starts.
    pub by_list_only: bool,
    pub without: Option<Rule>,
    pub ledger: Ledger,
    pub jobs: [Job; 2],
    pub now: i64,
    /// The store's only dataset, with its last write.
    pub written: Option<i64>,
    /// The store keeps no times: it counts, since its last start.
    pub counts: bool,
    /// The store lists a dataset of somebody else as well, so that a list without ours can be true.
    pub beside: bool,
    starts: u64,
    writes: u64,
    /// Whose data was dropped although they had not been deleted by then.
    lost: BTreeSet<usize>,
    /// A pass took the row of an owned dataset away.
    taken: bool,
    /// The last list that could be true lacked the dataset, and nobody has claimed it since.
    lacked: bool,
    journals: [Pages; 2],
    replica: usize,
    /// How many steps the last pass took.
    pub steps: usize,
}

fn id(job: usize) -> JobId {
    JobId(Uuid::from_u128(job as u128 + 1))
}

pub fn dataset() -> OwnedName {
    OwnedName("e".into())
}

impl World {
    pub fn new(by_list_only: bool, without: Option<Rule>) -> Self {
        Self { by_list_only, without, ..Self::default() }
    }

    /// How such a world is made.
    pub fn kind(&self) -> String {
        let Self { by_list_only, counts, beside, .. } = self;
        format!("new({by_list_only}, None).counting({counts}).beside_others({beside})")
    }

    /// The same with a dataset of somebody else in the store.
    pub fn beside_others(self, beside: bool) -> Self {
        Self { beside, ..self }
    }

    /// The same with a store that keeps no times.
    pub fn counting(self, counts: bool) -> Self {
        Self { counts, ..self }
    }

    pub fn lacking(self, without: Option<Rule>) -> Self {
        Self { without, ..self }
    }

    pub fn after(mut self, events: &[Event]) -> Self {
        for event in events {
            self.happen(*event);
        }
        self
    }

    pub fn is_possible(&self, event: Event) -> bool {
        let job = |index: usize| &self.jobs[index];
        let running = |index: usize| job(index).started && job(index).end == End::Running;
        match event {
            // The two are alike, so the first one starts first.
            Event::Start(index) => !job(index).started && (index == 0 || job(0).started),
            Event::Write(index) | Event::Fail(index) => running(index),
            Event::Succeed(index) => running(index) && job(index).wrote,
            Event::Result(index) => job(index).end != End::Running,
            Event::LoseRow => self.ledger.rows.contains_key(&dataset()),
            Event::Restart => self.counts && self.writes > 0,
            Event::Delete(_) | Event::Pause | Event::Check(_) => true,
        }
    }

    pub fn happen(&mut self, event: Event) {
        self.now += MINUTE;
        match event {
            Event::Pause => self.now += CHECK.grace,
            Event::Check(fault) => self.check(fault),
            Event::Restart => (self.starts, self.writes) = (self.starts + 1, 0),
            Event::Write(index) => self.wrote(index),
            Event::LoseRow => _ = self.ledger.rows.remove(&dataset()),
            other => {
                let now = self.now;
                for happened in self.jobs_do(other) {
                    Bent::apply(self.without, &mut self.ledger, &happened, now);
                }
            }
        }
    }

    fn wrote(&mut self, index: usize) {
        self.jobs[index].wrote = true;
        self.written = Some(self.now);
        self.writes += 1;
    }

    /// What it does to the jobs, and what the registry hears of it.
    fn jobs_do(&mut self, event: Event) -> Vec<Happened> {
        match event {
            Event::Start(index) => {
                self.jobs[index].started = true;
                if self.by_list_only { vec![] } else { vec![Happened::JobIsLive(id(index))] }
            }
            Event::Succeed(index) => {
                self.jobs[index].end = End::Succeeded;
                vec![]
            }
            Event::Fail(index) => {
                self.jobs[index].end = End::Failed;
                vec![]
            }
            Event::Result(index) => {
                let succeeded = self.jobs[index].end == End::Succeeded;
                self.lacked &= self.jobs[index].heard || !succeeded;
                self.jobs[index].heard = true;
                let (job, dataset) = (id(index), dataset());
                vec![if succeeded { Happened::Succeeded { job, dataset } } else { Happened::Failed(job) }]
            }
            Event::Delete(index) => {
                self.jobs[index].deleted = true;
                vec![Happened::Deleted(id(index))]
            }
            Event::Write(_) | Event::LoseRow | Event::Pause | Event::Restart | Event::Check(_) => vec![],
        }
    }

    fn live(&self) -> Vec<LiveJob> {
        let live = |job: &Job| job.started && !job.heard && !job.deleted;
        (0..2).filter(|index| live(&self.jobs[*index])).map(|index| id(index).into()).collect()
    }

    /// A pass by this turn's replica. What cannot come in the middle of it any more comes behind it.
    fn check(&mut self, fault: Fault) {
        let Fault::Meets(step, event) = fault else { return self.pass_by(fault, None) };
        let before = self.clone();
        let meeting = Meeting::new(step, *event);
        self.pass_by(Fault::None, Some(&meeting));
        if !meeting.has_come() {
            *self = before;
            self.pass_by(Fault::None, None);
            self.happen(*event);
        }
    }

    fn pass_by(&mut self, fault: Fault, meeting: Option<&Meeting>) {
        self.now += CHECK.check_interval;
        self.lacked |= fault == Fault::Omits;
        let was_active = self.is_active() && self.written.is_some() && !self.lacked;
        let (registry, store) = self.parts(fault);
        let journal = MemoryJournal::with(self.journals[self.replica].clone());
        let steps = match (fault, meeting) {
            (Fault::StopsAt(step), _) => Steps::stopping_at(step),
            (_, Some(meeting)) => self.meeting(meeting, &registry, &store),
            _ => Steps::default(),
        };
        let pass = self.pass(&registry, &store, &steps);
        let finished = pass.run(&SteppedJournal(journal.clone(), steps.clone())).now_or_never();
        assert!(finished.is_some() || matches!(fault, Fault::StopsAt(_)), "a pass that never ends");
        self.steps = steps.taken();
        self.read_back(&registry, &store, &journal, meeting);
        self.lacked &= !matches!(fault, Fault::None | Fault::Refused | Fault::Lost | Fault::DoneButLost);
        self.taken |= was_active && self.written.is_some() && self.is_owned() && !self.is_active();
        self.replica = 1 - self.replica;
    }

    fn parts(&self, fault: Fault) -> (Bent, MemoryStore) {
        let memory = MemoryRegistry::default();
        memory.change(|ledger| ledger.clone_from(&self.ledger));
        memory.set_now(self.now);
        memory.set_live_jobs(self.live());
        let store = MemoryStore::default();
        match self.written {
            Some(_) if self.counts => store.go_on_from(self.starts, [(dataset(), self.writes)]),
            Some(at) => store.write(&dataset(), at),
            None => {}
        }
        if self.beside {
            store.write(&OwnedName("telegraf".into()), self.now);
        }
        match fault {
            Fault::None | Fault::StopsAt(_) | Fault::Meets(..) => {}
            Fault::Unreachable => store.next_lists([ListTrouble::Unreachable]),
            Fault::ListsNothing => store.next_lists([ListTrouble::Nothing]),
            Fault::Omits => store.next_lists([ListTrouble::Omits(dataset())]),
            Fault::Refused => store.next_drops([DropOutcome::Refused]),
            Fault::Lost => store.next_drops([DropOutcome::Lost]),
            Fault::DoneButLost => store.next_drops([DropOutcome::DoneButLost]),
        }
        (Bent { memory, without: self.without }, store)
    }

    fn pass(&self, registry: &Bent, store: &MemoryStore, steps: &Steps) -> OwnedPass {
        let now = self.now;
        let settings =
            OwnershipSettings { check: CHECK, ..OwnershipSettings::of_store(StoreName("e".into())) };
        OwnedPass {
            store: Arc::new(SteppedStore(store.clone(), steps.clone())),
            registry: Arc::new(SteppedRegistry(registry.clone(), steps.clone())),
            settings: OwnershipSettings { adopt: crate::config::Adopt::Pattern("e".into()), ..settings },
            max_clock_skew: MINUTE,
            command: "run --apply".into(),
            stop: CancellationToken::new(),
            place: "db1:8086".into(),
            exit_code: |_| 0,
            our_now: Arc::new(move || now),
            gate: None,
        }
    }

    fn meeting(&mut self, meeting: &Meeting, registry: &Bent, store: &MemoryStore) -> Steps {
        let happening = if let Event::Write(_) = meeting.event {
            let counted = self.counts.then_some((self.starts, self.writes + 1));
            meeting.write(store.clone(), counted, self.now)
        } else {
            let happened = self.jobs_do(meeting.event);
            meeting.hear(registry.clone(), happened, self.live(), self.now)
        };
        Steps::with_happening_at(meeting.step, happening)
    }

    fn read_back(
        &mut self,
        registry: &Bent,
        store: &MemoryStore,
        journal: &MemoryJournal,
        meeting: Option<&Meeting>,
    ) {
        self.ledger = registry.memory.change(|ledger| ledger.clone());
        self.journals[self.replica] = journal.pages().clone();
        let (before_the_drop, behind_it) = meeting.map_or((None, None), Meeting::writer);
        if let Some(index) = before_the_drop {
            self.wrote(index);
        }
        if store.dropped().contains(&dataset()) {
            let lost = (0..2).filter(|index| self.jobs[*index].wrote && !self.jobs[*index].deleted);
            self.lost.extend(lost);
        }
        if let Some(index) = behind_it {
            self.wrote(index);
        }
        if !store.holds_data_of(&dataset()) {
            self.written = None;
        }
    }

    fn is_active(&self) -> bool {
        self.ledger.rows.get(&dataset()).is_some_and(|row| row.mark.is_none())
    }

    fn is_owned(&self) -> bool {
        (0..2).any(|index| {
            let job = &self.jobs[index];
            job.end == End::Succeeded && job.heard && !job.deleted
        })
    }

    /// What must hold at every moment.
    pub fn fault(&self) -> Option<&'static str> {
        if self.lost.iter().any(|index| self.jobs[*index].end == End::Succeeded) {
            return Some("data of a job that succeeded was dropped");
        }
        self.taken.then_some("a pass took the row of an owned dataset that is there")
    }

    /// Everything ends and is heard of, nothing else happens: within the bound only owned data is left.
    pub fn settle_down(mut self) -> Result<usize, String> {
        for index in 0..2 {
            if self.jobs[index].started && self.jobs[index].end == End::Running {
                self.happen(Event::Fail(index));
            }
            if self.jobs[index].started && !self.jobs[index].heard {
                self.happen(Event::Result(index));
            }
        }
        let owned = (0..2).any(|index| self.jobs[index].end == End::Succeeded && !self.jobs[index].deleted);
        let had_data = self.written.is_some();
        // Each replica settles what it left open, and what nobody has seen is marked; from there on the bound counts.
        self.happen(Event::Check(Fault::None));
        self.happen(Event::Check(Fault::None));
        let until = self.now + CHECK.grace + 3 * CHECK.check_interval;
        let mut passes = 2;
        while self.now + CHECK.check_interval + MINUTE <= until {
            self.happen(Event::Check(Fault::None));
            passes += 1;
        }
        if let Some(fault) = self.fault() {
            return Err(fault.into());
        }
        match (owned && had_data, self.written.is_some()) {
            (false, true) => Err("data that nobody owns is kept for ever".into()),
            (true, false) => Err("owned data is gone".into()),
            _ => Ok(passes),
        }
    }
}

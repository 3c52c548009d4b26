//! The go/no-go question of a run: the day's ticket, the window, the launcher.
//!
//! The ticket of the day is looked at first; it names its day by our clock, since nobody else was asked yet.
//! Without a ticket the launcher is asked, and from then on its day counts: it names the ticket that is
//! written. Both are days of the same window in the same zone, and clocks that are apart are refused.
//! Invariant: what cannot be asked or read is a problem, never a closed gate and never an open one.

use std::path::Path;

use jiff::civil::{Date, DateTime};
use jiff::{SignedDuration, Timestamp};

use crate::config::{GateSettings, LauncherSettings};
use crate::crash_point;
use crate::problem::{Problem, Result};

pub mod decide;
mod folder_lock;
mod launcher;
mod note;
pub mod ticket;
pub mod ticket_file;
pub mod window;

use decide::{Decision, Row, Wanted, asked_span, decide, second_of, why_none_counts};
use launcher::{Clock, Launcher, Values, refuse_foreign_clock};
use note::Note;
use ticket::{ChunkStatus, Ticket};
use ticket_file::{Creation, TicketFolder, may_become};
use window::{Place, place, span};

/// Who gave the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    Ticket,
    Window,
    Launcher,
    /// An earlier step of the same job, by `--go`.
    EarlierStep,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub open: bool,
    /// One sentence.
    pub reason: String,
    pub asked: Asked,
    pub day: Date,
    pub row: Option<Row>,
    /// The chunk status of the ticket that was there.
    pub before: Option<ChunkStatus>,
}

#[derive(Debug, Clone)]
pub struct Gate {
    settings: GateSettings,
    /// Microseconds.
    max_clock_skew: i64,
    tickets: TicketFolder,
    /// Whose work the ticket stands for, as `host:port/database`.
    database: String,
}

impl Gate {
    pub fn new(settings: GateSettings, max_clock_skew: i64, state_folder: &Path, database: String) -> Self {
        let tickets = TicketFolder::new(&settings, state_folder);
        Self { settings, max_clock_skew, tickets, database }
    }

    pub fn vm_name(&self) -> &str {
        &self.settings.vm_name
    }

    pub fn tickets(&self) -> &TicketFolder {
        &self.tickets
    }

    /// The day by our clock.
    pub fn today(&self, now: Timestamp) -> Date {
        place(&self.settings.window, now).day
    }

    /// Asks, and writes the ticket where the gate is open. With `passed` an earlier step has asked the launcher.
    pub async fn ask(&self, now: Timestamp, passed: bool) -> Result<Answer> {
        let answer = self.look(now, passed).await?;
        if answer.open && answer.before.is_none() { self.write_ticket(answer, now) } else { Ok(answer) }
    }

    /// Asks, and writes nothing.
    pub async fn look(&self, now: Timestamp, passed: bool) -> Result<Answer> {
        let here = place(&self.settings.window, now);
        if let Some(ticket) = self.ticket(here.day)? {
            return self.by_ticket(&ticket, here);
        }
        match &self.settings.launcher {
            Some(launcher) if !passed => self.by_launcher(launcher, now).await,
            _ => Ok(by_window(here, passed)),
        }
    }

    /// The ticket of a day, unless it was checked on another one: a copy under today's name would let today's work be
    /// forgotten. What is no RFC 3339 in it is of other programs, and says nothing about its day.
    fn ticket(&self, day: Date) -> Result<Option<Ticket>> {
        let Some(ticket) = self.tickets.read(day)? else { return Ok(None) };
        let Ok(checked_at) = ticket.checked_at.parse::<Timestamp>() else { return Ok(Some(ticket)) };
        let (start, end) = span(&self.settings.window, day);
        // The day is the launcher's, the moment is ours; its clock is read in whole seconds.
        let skew = SignedDuration::from_micros(self.max_clock_skew) + SignedDuration::from_secs(1);
        if start - skew <= checked_at && checked_at < end + skew {
            return Ok(Some(ticket));
        }
        Err(self.tickets.of_another_day(day, checked_at, (start, end)))
    }

    /// A ticket remembers that the launcher said yes; the window still says when.
    fn by_ticket(&self, ticket: &Ticket, place: Place) -> Result<Answer> {
        self.refuse_anothers(ticket, place.day)?;
        let path = self.tickets.path(place.day);
        let (open, asked, reason) = match (ticket.chunk_status, place.closed) {
            (ChunkStatus::Dropped, _) => (
                false,
                Asked::Ticket,
                format!("the ticket {} says `dropped`: today's work is done", path.display()),
            ),
            (_, Some(closed)) => (false, Asked::Window, closed),
            (status, None) => (
                true,
                Asked::Ticket,
                format!("the ticket {} says `{status}`: today's work is not done", path.display()),
            ),
        };
        let row = Some(ticket.row.clone()).filter(|row| !row.id.is_empty());
        Ok(Answer { open, reason, asked, day: place.day, row, before: Some(ticket.chunk_status) })
    }

    /// Whether the launcher answers and may be told, for `check`; nothing is written.
    pub async fn try_launcher(&self, now: Timestamp) -> Result<Option<String>> {
        let Some(settings) = &self.settings.launcher else { return Ok(None) };
        let launcher = Launcher::new(&settings.connection)?;
        let mut session = launcher.connect().await?;
        let clock = session.clock().await?;
        refuse_foreign_clock(&clock, now, self.max_clock_skew)?;
        let day = place(&self.settings.window, clock.now).day;
        let values = self.values(settings, asked_span(day, self.span(&clock, day)), None);
        session.rows(&settings.statement, &values).await?;
        let update = match &settings.update {
            None => "",
            Some(update) if session.try_out(update, &values).await? => ", and may be told",
            Some(_) => "; its `update` cannot be tried without being run",
        };
        Ok(Some(format!("{} answers{update}", launcher.address())))
    }

    /// A `dropped` that stands for another database of ours says nothing about this one.
    fn refuse_anothers(&self, ticket: &Ticket, day: Date) -> Result<()> {
        match self.tickets.note(day)?.filter(|_| ticket.chunk_status == ChunkStatus::Dropped) {
            Some(note) => note.refuse_another(&self.database, &self.tickets.path(day).display().to_string()),
            None => Ok(()),
        }
    }

    async fn by_launcher(&self, settings: &LauncherSettings, now: Timestamp) -> Result<Answer> {
        let launcher = Launcher::new(&settings.connection)?;
        let mut session = launcher.connect().await?;
        let clock = session.clock().await?;
        refuse_foreign_clock(&clock, now, self.max_clock_skew)?;
        let there = place(&self.settings.window, clock.now);
        if let Some(closed) = there.closed {
            return Ok(Answer::of(
                Decision { open: false, reason: closed, row: None },
                Asked::Launcher,
                there.day,
            ));
        }
        let span = self.span(&clock, there.day);
        let values = self.values(settings, asked_span(there.day, span), None);
        let rows = session.rows(&settings.statement, &values).await?;
        let wanted = Wanted {
            vm_name: &self.settings.vm_name,
            status: &settings.status,
            who: settings.who.as_deref(),
            day: there.day,
            span,
        };
        let mut decision = decide(&rows, &wanted);
        if let (true, Some(others)) = (rows.is_empty(), &settings.others) {
            // For the reason only: where this fails, the gate is closed no less.
            let others = session.rows(others, &values).await.unwrap_or_default();
            decision.reason.push_str(&why_none_counts(&others, &wanted));
        }
        Ok(Answer::of(decision, Asked::Launcher, there.day))
    }

    /// The moments of a day, as the launcher's clock shows them.
    fn span(&self, clock: &Clock, day: Date) -> (DateTime, DateTime) {
        let window = &self.settings.window;
        let (start, end) = span(window, day);
        (clock.shown(start, &window.zone), clock.shown(end, &window.zone))
    }

    fn values(
        &self,
        settings: &LauncherSettings,
        window: (DateTime, DateTime),
        id: Option<String>,
    ) -> Values {
        Values {
            vm_name: self.settings.vm_name.clone(),
            status: settings.status.clone(),
            who: settings.who.clone(),
            window,
            id,
        }
    }

    /// Of two at once one writes; the other finds what is there, as if it had come later.
    fn write_ticket(&self, answer: Answer, now: Timestamp) -> Result<Answer> {
        let ticket = self.new_ticket(&answer, now);
        if self.tickets.create(answer.day, &ticket)? == Creation::Ours {
            return Ok(answer);
        }
        match self.ticket(answer.day)? {
            Some(theirs) => self.by_ticket(&theirs, Place { day: answer.day, closed: None }),
            None => Err(Problem::busy("the ticket of today was written and removed at this very moment")
                .hint("another program works with the same ticket; try again")),
        }
    }

    fn new_ticket(&self, answer: &Answer, now: Timestamp) -> Ticket {
        let nobody = || Row { vm_name: self.settings.vm_name.clone(), ..Row::default() };
        let mut row = answer.row.clone().unwrap_or_else(nobody);
        // As the file is called; the launcher may spell it in capitals.
        row.vm_name.clone_from(&self.settings.vm_name);
        // One that is made again after a run over midnight is of its day as well.
        let last = span(&self.settings.window, answer.day).1 - SignedDuration::from_secs(1);
        let checked_at = now.min(last).strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        Ticket { row, checked_at, chunk_status: ChunkStatus::Pending }
    }

    /// Writes what became of the day. Whoever comes second never takes `dropped` back.
    pub fn close(&self, answer: &Answer, status: ChunkStatus, now: Timestamp) -> Result<ChunkStatus> {
        crash_point::reach("before-ticket-close");
        let _alone = self.tickets.lock(answer.day)?;
        // Somebody may have removed it meanwhile; the day is not forgotten.
        let ticket = self.ticket(answer.day)?.unwrap_or_else(|| self.new_ticket(answer, now));
        self.refuse_anothers(&ticket, answer.day)?;
        if !may_become(ticket.chunk_status, status) {
            return Ok(ticket.chunk_status);
        }
        self.write_word(answer.day, &ticket, status)?;
        Ok(status)
    }

    /// The same by hand, for a ticket that is there; `take_back` lets `dropped` become another word. The ticket as it was.
    pub fn close_by_hand(&self, day: Date, status: ChunkStatus, take_back: bool) -> Result<Ticket> {
        self.existing(day)?;
        let _alone = self.tickets.lock(day)?;
        let ticket = self.existing(day)?;
        self.refuse_anothers(&ticket, day)?;
        if !take_back && !may_become(ticket.chunk_status, status) {
            let path = self.tickets.path(day);
            return Err(Problem::refused(format!(
                "the ticket {} says `dropped`, and `{status}` would take that back",
                path.display()
            ))
            .hint("`dropped` stays where a later step fails; --take-back writes the word all the same"));
        }
        self.write_word(day, &ticket, status)?;
        Ok(ticket)
    }

    /// The ticket of a day, which has to be there.
    pub fn existing(&self, day: Date) -> Result<Ticket> {
        self.ticket(day)?.ok_or_else(|| {
            Problem::usage(format!("there is no ticket {}", self.tickets.path(day).display()))
                .hint("`timesweep gate` writes one where the gate is open; --day names another day")
        })
    }

    /// Whose `dropped` it is, and that the launcher does not know, is on disk before the word is.
    fn write_word(&self, day: Date, ticket: &Ticket, status: ChunkStatus) -> Result<()> {
        if status == ChunkStatus::Dropped {
            // Of two runs at once the second one has nothing new to tell.
            let is_told = ticket.chunk_status == ChunkStatus::Dropped
                && self.tickets.note(day)?.is_some_and(|note| !note.to_be_told);
            self.remember(day, self.update().is_some() && !is_told)?;
        }
        self.tickets.replace(day, &Ticket { chunk_status: status, ..ticket.clone() })
    }

    fn remember(&self, day: Date, to_be_told: bool) -> Result<()> {
        self.tickets.write_note(day, &Note { database: self.database.clone(), to_be_told })
    }

    /// Whether the launcher does not know of a ticket that says `dropped`.
    pub fn owes_the_launcher(&self, day: Date) -> Result<bool> {
        let owes = |note: Note| note.to_be_told && note.database == self.database;
        Ok(self.update().is_some() && self.tickets.note(day)?.is_some_and(owes))
    }

    /// Tells the launcher that the day's work is done, where the configuration says how. Until that has succeeded, every
    /// later run of the day and `ticket close` try again.
    pub async fn tell(&self, day: Date, row: Option<&Row>) -> Result<()> {
        let Some((settings, update)) = self.update() else { return Ok(()) };
        let launcher = Launcher::new(&settings.connection)?;
        let mut session = launcher.connect().await?;
        let clock = session.clock().await?;
        let window = row.and_then(second_of).unwrap_or_else(|| self.span(&clock, day));
        let values = self.values(settings, window, row.map(|row| row.id.clone()));
        if session.tell(update, &values).await? == 0 {
            return Err(Problem::partial("the launcher was told, and its `update` found no row")
                .hint("check `update` of [gate.launcher]"));
        }
        crash_point::reach("launcher-told");
        let _alone = self.tickets.lock(day)?;
        self.remember(day, false)
    }

    fn update(&self) -> Option<(&LauncherSettings, &crate::config::Statement)> {
        let settings = self.settings.launcher.as_ref()?;
        Some((settings, settings.update.as_ref()?))
    }
}

impl Answer {
    fn of(decision: Decision, asked: Asked, day: Date) -> Self {
        Self { open: decision.open, reason: decision.reason, asked, day, row: decision.row, before: None }
    }
}

fn by_window(place: Place, passed: bool) -> Answer {
    let asked = if passed { Asked::EarlierStep } else { Asked::Window };
    let open = if passed { "an earlier step says so (`--go`)" } else { "the window is open" };
    let (open, reason) = match place.closed {
        Some(closed) => (false, closed),
        None => (true, format!("{open}; it is {}", window::shown(place.day))),
    };
    Answer::of(Decision { open, reason, row: None }, asked, place.day)
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use jiff::tz::TimeZone;

    use super::*;
    use crate::config::{TicketSettings, WindowSettings};

    fn gate(folder: &Path, database: &str) -> Gate {
        let window =
            WindowSettings { days: None, from: None, to: None, zone: TimeZone::UTC, not_on: Vec::new() };
        let ticket = TicketSettings { folder: None, prefix: "timesweep".into() };
        let settings = GateSettings { vm_name: "pg1".into(), window, launcher: None, ticket };
        Gate::new(settings, 0, folder, database.into())
    }

    /// Both have read the ticket before either writes, unless they take turns.
    #[tokio::test]
    async fn dropped_stays_whoever_closes_at_the_same_moment() {
        let place = tempfile::tempdir().expect("a folder");
        let gate = gate(place.path(), "db:5432/metrics");
        let now = Timestamp::now();
        let answer = gate.ask(now, false).await.expect("an answer");
        for round in 0..40 {
            gate.close_by_hand(answer.day, ChunkStatus::Failed, true).expect("taken back");
            let start = Barrier::new(4);
            thread::scope(|scope| {
                let words =
                    [ChunkStatus::Partial, ChunkStatus::Dropped, ChunkStatus::Failed, ChunkStatus::Partial];
                for word in words {
                    let (gate, answer, start) = (&gate, &answer, &start);
                    scope.spawn(move || {
                        start.wait();
                        gate.close(answer, word, now).expect("closed");
                    });
                }
            });
            let word = gate.existing(answer.day).expect("a ticket").chunk_status;
            assert_eq!(word, ChunkStatus::Dropped, "round {round}");
        }
    }

    #[tokio::test]
    async fn a_run_of_another_database_neither_takes_over_a_dropped_nor_is_told_that_it_is_done() {
        let place = tempfile::tempdir().expect("a folder");
        let (one, two) = (gate(place.path(), "db:5432/one"), gate(place.path(), "db:5432/two"));
        let now = Timestamp::now();
        // Both found the gate open.
        let (first, second) =
            (one.ask(now, false).await.expect("open"), two.ask(now, false).await.expect("open"));
        assert_eq!(one.close(&first, ChunkStatus::Dropped, now), Ok(ChunkStatus::Dropped));
        for word in [ChunkStatus::Partial, ChunkStatus::Dropped] {
            let problem = two.close(&second, word, now).expect_err("another's");
            assert!(problem.to_string().contains("says `dropped` for db:5432/one"), "{problem}");
        }
        assert!(two.ask(now, false).await.is_err() && !one.ask(now, false).await.expect("an answer").open);
    }
}

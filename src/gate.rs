//! The go/no-go question of a run: the day's ticket, the window, the launcher.
//!
//! The ticket of the day is looked at first; it names its day by our clock, since nobody else was asked yet.
//! Without a ticket the launcher is asked, and from then on its day counts: it names the ticket that is
//! written. Both are days of the same window in the same zone, and clocks that are apart are refused.
//! Invariant: what cannot be asked or read is a problem, never a closed gate and never an open one.

use std::path::Path;

use jiff::Timestamp;
use jiff::civil::Date;

use crate::config::{GateSettings, LauncherSettings};
use crate::problem::{Problem, Result};

pub mod decide;
mod launcher;
pub mod ticket;
pub mod ticket_file;
pub mod window;

use decide::{Decision, Row, Wanted, decide};
use launcher::{Clock, Launcher, Values, refuse_foreign_clock};
use ticket::{ChunkStatus, Ticket};
use ticket_file::{Creation, TicketFolder, may_become};
use window::{Place, bounds, place};

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
}

impl Gate {
    pub fn new(settings: GateSettings, max_clock_skew: i64, state_folder: &Path) -> Self {
        let tickets = TicketFolder::new(&settings, state_folder);
        Self { settings, max_clock_skew, tickets }
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
        if let Some(ticket) = self.tickets.read(here.day)? {
            return Ok(self.by_ticket(&ticket, here));
        }
        match &self.settings.launcher {
            Some(launcher) if !passed => self.by_launcher(launcher, now).await,
            _ => Ok(by_window(here, passed)),
        }
    }

    /// A ticket remembers that the launcher said yes; the window still says when.
    fn by_ticket(&self, ticket: &Ticket, place: Place) -> Answer {
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
        Answer { open, reason, asked, day: place.day, row, before: Some(ticket.chunk_status) }
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
        let values = self.values(settings, &clock, there.day, None);
        let rows = session.rows(&settings.statement, &values).await?;
        let wanted = Wanted {
            vm_name: &self.settings.vm_name,
            status: &settings.status,
            who: settings.who.as_deref(),
            day: there.day,
            window: values.window,
        };
        Ok(Answer::of(decide(&rows, &wanted), Asked::Launcher, there.day))
    }

    fn values(&self, settings: &LauncherSettings, clock: &Clock, day: Date, id: Option<String>) -> Values {
        let window = &self.settings.window;
        let (start, end) = bounds(window, day);
        Values {
            vm_name: self.settings.vm_name.clone(),
            status: settings.status.clone(),
            who: settings.who.clone(),
            window: (clock.shown(start, &window.zone), clock.shown(end, &window.zone)),
            id,
        }
    }

    /// Of two at once one writes; the other finds what is there, as if it had come later.
    fn write_ticket(&self, answer: Answer, now: Timestamp) -> Result<Answer> {
        let ticket = self.new_ticket(&answer, now);
        if self.tickets.create(answer.day, &ticket)? == Creation::Ours {
            return Ok(answer);
        }
        match self.tickets.read(answer.day)? {
            Some(theirs) => Ok(self.by_ticket(&theirs, Place { day: answer.day, closed: None })),
            None => Err(Problem::busy("the ticket of today was written and removed at this very moment")
                .hint("another program works with the same ticket; try again")),
        }
    }

    fn new_ticket(&self, answer: &Answer, now: Timestamp) -> Ticket {
        let nobody = || Row { vm_name: self.settings.vm_name.clone(), ..Row::default() };
        let mut row = answer.row.clone().unwrap_or_else(nobody);
        // As the file is called; the launcher may spell it in capitals.
        row.vm_name.clone_from(&self.settings.vm_name);
        let checked_at = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        Ticket { row, checked_at, chunk_status: ChunkStatus::Pending }
    }

    /// Writes what became of the day. Whoever comes second never takes `dropped` back.
    pub fn close(&self, answer: &Answer, status: ChunkStatus, now: Timestamp) -> Result<ChunkStatus> {
        crate::crash_point::reach("before-ticket-close");
        let ticket = match self.tickets.read(answer.day)? {
            Some(ticket) if !may_become(ticket.chunk_status, status) => return Ok(ticket.chunk_status),
            Some(ticket) => ticket,
            // Somebody removed it meanwhile; the day is not forgotten.
            None => self.new_ticket(answer, now),
        };
        self.tickets.replace(answer.day, &Ticket { chunk_status: status, ..ticket })?;
        Ok(status)
    }

    /// Tells the launcher that the day's work is done, where the configuration says how.
    pub async fn tell(&self, day: Date, row: Option<&Row>) -> Result<()> {
        let Some((settings, update)) = self.update() else { return Ok(()) };
        let launcher = Launcher::new(&settings.connection)?;
        let mut session = launcher.connect().await?;
        let clock = session.clock().await?;
        let values = self.values(settings, &clock, day, row.map(|row| row.id.clone()));
        if session.tell(update, &values).await? > 0 {
            return Ok(());
        }
        Err(Problem::partial("the launcher was told, and its `update` found no row")
            .hint("check `update` of [gate.launcher]"))
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

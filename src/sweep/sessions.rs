//! The sessions of others around a run: who is connected, whom the settings let us end, and the record of it.
//!
//! Invariant: nobody is ended before the journal and standard error say so. What cannot be looked at or
//! ended becomes a note in the report, never a failure of the run.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::config::StoreConfig;
use crate::crash_point;
use crate::problem::{Problem, Result};
use crate::report::sessions::{EndedSession, Ending, SessionReport, SessionsReport};
use crate::report::table::counted;
use crate::retention::model::Chunk;
use crate::retention::name::DatasetName;
use crate::retention::sessions::{Answer, How, Left, SessionFacts, SessionMode, SessionRules, may_be_ended};
use crate::state::{RunId, SessionEnding, State};
use crate::store::{Driver, EndAnswer, EndOrder};

use super::execute::Progress;
use super::gather::our_now;

/// A report lists no more sessions that were connected.
const MOST_LISTED: usize = 500;

pub struct Sessions {
    driver: Arc<dyn Driver>,
    state: Arc<State>,
    run: RunId,
    rules: SessionRules,
    progress: Arc<dyn Progress>,
    report: Mutex<SessionsReport>,
    /// Told to end without effect: each is told once.
    in_vain: Mutex<HashSet<Identity>>,
}

/// A process id alone may be another session's by now.
type Identity = (i32, Option<i64>);

impl Sessions {
    pub fn new(
        driver: Arc<dyn Driver>,
        state: Arc<State>,
        run: RunId,
        config: &StoreConfig,
        progress: Arc<dyn Progress>,
    ) -> Self {
        let rules = config.sessions.clone();
        let report = SessionsReport { mode: rules.mode.word().into(), ..SessionsReport::default() };
        Self { driver, state, run, rules, progress, report: Mutex::new(report), in_vain: Mutex::default() }
    }

    pub fn rules(&self) -> &SessionRules {
        &self.rules
    }

    /// What the report says; nothing where no roles are listed.
    pub fn report(&self) -> Option<SessionsReport> {
        (!self.rules.roles.is_empty()).then(|| self.own_report().clone())
    }

    fn own_report(&self) -> MutexGuard<'_, SessionsReport> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Said once, however often it happens.
    fn note(&self, text: String) {
        let mut report = self.own_report();
        if !report.notes.contains(&text) {
            report.notes.push(text);
        }
    }

    /// Who is connected under the listed roles now, for the report.
    pub async fn look(&self) {
        let others = self.of_listed_roles().await.unwrap_or_default();
        let more = others.len().saturating_sub(MOST_LISTED);
        if more > 0 {
            self.note(format!("{} of the listed roles were connected", counted(more, "more session")));
        }
        self.own_report().found = others.iter().take(MOST_LISTED).map(session_report).collect();
    }

    /// Without ours; `None` where it could not be read, which is not the same as nobody.
    async fn of_listed_roles(&self) -> Option<Vec<SessionFacts>> {
        if self.rules.roles.is_empty() {
            return Some(Vec::new());
        }
        match self.driver.sessions(&self.rules.roles).await {
            Ok(sessions) => Some(sessions.into_iter().filter(|session| !session.ours).collect()),
            Err(problem) => {
                self.note(format!("who is connected could not be read: {}", one_line(&problem)));
                None
            }
        }
    }

    /// Sessions of the listed roles that hold a lock which a drop of this chunk waits for. `None` where that
    /// could not be read: it is looked for again at the next try.
    pub async fn in_the_way(&self, dataset: &DatasetName, chunk: &Chunk) -> Option<Vec<SessionFacts>> {
        let blockers = self.driver.blockers(dataset, &chunk.parts).await.ok()?;
        if blockers.is_empty() {
            return Some(Vec::new());
        }
        let mut sessions = self.of_listed_roles().await?;
        let in_vain = self.in_vain.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|session| {
            blockers.iter().any(|blocker| blocker.pid == session.pid)
                && !in_vain.contains(&(session.pid, session.started_at))
        });
        Some(sessions)
    }

    /// Ends all sessions of the listed roles, in the mode that asks for it.
    pub async fn end_all(&self) -> Result<()> {
        if self.rules.mode != SessionMode::TerminateAll {
            return Ok(());
        }
        let mut ending = Vec::new();
        for session in self.of_listed_roles().await.unwrap_or_default() {
            match may_be_ended(&session, &self.rules, None) {
                Answer::End(how) => ending.push((session, how)),
                Answer::Leave(left) => self.note_left(&session, left, None),
            }
        }
        self.end(ending, None).await.map(|_| ())
    }

    /// One note for each role where all are meant: there may be hundreds. That a process of the server stays
    /// is no news.
    pub fn note_left(&self, session: &SessionFacts, left: Left, in_the_way_of: Option<&Chunk>) {
        let role = &session.role;
        match in_the_way_of {
            _ if left == Left::NotAClient => {}
            None => self.note(format!("a session of role {role} was left: {left}")),
            Some(chunk) => {
                let (pid, chunk) = (session.pid, chunk.label());
                self.note(format!("process {pid} of role {role} was left in the way of {chunk}: {left}"));
            }
        }
    }

    /// Ends these sessions; true if at least one of them has ended. Fails only where the journal cannot be
    /// written, and then nobody was ended.
    pub async fn end(
        &self,
        sessions: Vec<(SessionFacts, How)>,
        in_the_way_of: Option<(&DatasetName, &Chunk)>,
    ) -> Result<bool> {
        if sessions.is_empty() {
            return Ok(false);
        }
        let chunk = in_the_way_of.map(|(_, chunk)| chunk.label());
        self.announce(&sessions, chunk.as_ref()).await?;
        crash_point::reach("session-endings-written");
        let parts = |(dataset, chunk): (&DatasetName, &Chunk)| (dataset.clone(), chunk.parts.clone());
        let roles = self.rules.roles.clone();
        let order = EndOrder { sessions, roles, in_the_way_of: in_the_way_of.map(parts) };
        let answers: Vec<Option<EndAnswer>> = match self.driver.end_sessions(&order).await {
            Ok(answers) => answers.into_iter().map(Some).collect(),
            Err(problem) => {
                self.note(format!("it is not known whether all sessions have ended: {}", one_line(&problem)));
                vec![None; order.sessions.len()]
            }
        };
        for ((session, how), answer) in order.sessions.iter().zip(&answers) {
            self.record(session, *how, answer.as_ref(), chunk.as_ref());
        }
        Ok(answers.contains(&Some(EndAnswer::Ended)))
    }

    /// Into the journal, then to standard error.
    async fn announce(&self, sessions: &[(SessionFacts, How)], chunk: Option<&String>) -> Result<()> {
        let endings: Vec<SessionEnding> =
            sessions.iter().map(|(session, how)| journal_entry(session, *how, chunk)).collect();
        self.state.write_session_endings(self.run, &endings, our_now()).await?;
        for (session, how) in sessions {
            self.progress.session_ends(&ended_session(session, *how, chunk, false));
        }
        Ok(())
    }

    /// Without an answer nobody knows whether the session was told at all, so that it may be told again.
    fn record(&self, session: &SessionFacts, how: How, answer: Option<&EndAnswer>, chunk: Option<&String>) {
        if answer == Some(&EndAnswer::Passed) {
            return;
        }
        if let Some(EndAnswer::NotAllowed(why)) = answer {
            self.note(format!("sessions of role {} could not be ended: {why}", session.role));
        }
        let done = answer == Some(&EndAnswer::Ended);
        if !done && answer.is_some() {
            let identity = (session.pid, session.started_at);
            self.in_vain.lock().unwrap_or_else(PoisonError::into_inner).insert(identity);
        }
        let ended = ended_session(session, how, chunk, done);
        if !done {
            self.progress.session_stays(&ended);
        }
        let mut report = self.own_report();
        report.ended.retain(|earlier| earlier.done || earlier.session.pid != session.pid);
        report.ended.push(ended);
    }
}

fn one_line(problem: &Problem) -> String {
    [&problem.sentence].into_iter().chain(&problem.causes).cloned().collect::<Vec<_>>().join(": ")
}

fn session_report(session: &SessionFacts) -> SessionReport {
    SessionReport {
        pid: session.pid,
        role: session.role.clone(),
        application: session.application.clone(),
        address: session.address.clone(),
        state: session.state.clone().unwrap_or_else(|| "unknown".into()),
        statement: session.statement.clone(),
        since_seconds: session.since_seconds,
    }
}

fn ended_session(session: &SessionFacts, how: How, chunk: Option<&String>, done: bool) -> EndedSession {
    let how = match how {
        How::Cancel => Ending::Cancelled,
        How::Terminate => Ending::Terminated,
    };
    let in_the_way_of = chunk.cloned();
    EndedSession { session: session_report(session), how, in_the_way_of, at: our_now(), done }
}

fn journal_entry(session: &SessionFacts, how: How, chunk: Option<&String>) -> SessionEnding {
    SessionEnding {
        pid: session.pid,
        role: session.role.clone(),
        application: session.application.clone(),
        address: session.address.clone(),
        statement: session.statement.clone(),
        since_seconds: session.since_seconds,
        how,
        in_the_way_of: chunk.cloned(),
    }
}

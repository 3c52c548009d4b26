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
        let others = self.of_listed_roles().await;
        let more = others.len().saturating_sub(MOST_LISTED);
        if more > 0 {
            self.note(format!("{more} more sessions of the listed roles were connected"));
        }
        self.own_report().found = others.iter().take(MOST_LISTED).map(session_report).collect();
    }

    /// Without ours.
    async fn of_listed_roles(&self) -> Vec<SessionFacts> {
        if self.rules.roles.is_empty() {
            return Vec::new();
        }
        match self.driver.sessions(&self.rules.roles).await {
            Ok(sessions) => sessions.into_iter().filter(|session| !session.ours).collect(),
            Err(problem) => {
                self.note(format!("who is connected could not be read: {}", one_line(&problem)));
                Vec::new()
            }
        }
    }

    /// Sessions of the listed roles that hold a lock which a drop of this chunk waits for.
    pub async fn in_the_way(&self, dataset: &DatasetName, chunk: &Chunk) -> Vec<SessionFacts> {
        // Who is in the way is looked for again at the next try; without an answer the run goes on.
        let blockers = self.driver.blockers(dataset, &chunk.parts).await.unwrap_or_default();
        if blockers.is_empty() {
            return Vec::new();
        }
        let mut sessions = self.of_listed_roles().await;
        let in_vain = self.in_vain.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|session| {
            blockers.iter().any(|blocker| blocker.pid == session.pid)
                && !in_vain.contains(&(session.pid, session.started_at))
        });
        sessions
    }

    /// Ends all sessions of the listed roles, in the mode that asks for it.
    pub async fn end_all(&self) -> Result<()> {
        if self.rules.mode != SessionMode::TerminateAll {
            return Ok(());
        }
        let mut ending = Vec::new();
        for session in self.of_listed_roles().await {
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
        let answers = self.driver.end_sessions(&order).await.unwrap_or_else(|problem| {
            self.note(format!("it is not known whether all sessions have ended: {}", one_line(&problem)));
            vec![EndAnswer::StillThere; order.sessions.len()]
        });
        for ((session, how), answer) in order.sessions.iter().zip(&answers) {
            self.record(session, *how, answer, chunk.as_ref());
        }
        Ok(answers.contains(&EndAnswer::Ended))
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

    fn record(&self, session: &SessionFacts, how: How, answer: &EndAnswer, chunk: Option<&String>) {
        let done = match answer {
            EndAnswer::Ended => true,
            EndAnswer::Passed => return,
            EndAnswer::StillThere => false,
            EndAnswer::NotAllowed(why) => {
                self.note(format!("sessions of role {} could not be ended: {why}", session.role));
                false
            }
        };
        if !done {
            let identity = (session.pid, session.started_at);
            self.in_vain.lock().unwrap_or_else(PoisonError::into_inner).insert(identity);
        }
        self.own_report().ended.push(ended_session(session, how, chunk, done));
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

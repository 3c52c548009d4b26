//! A finished report goes to the folder and into the mail, where the configuration names them, and into the journal.
//!
//! Invariant: nothing here fails a run or changes its exit code; what goes wrong is a warning in the report that is printed.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::{exit, open, output};
use crate::config::{DEFAULT_TITLE, MailOn, MailSettings, ReportSettings};
use crate::mail::{Outbox, Posted, post, post_what_waits};
use crate::problem::{Kind, Problem, Result};
use crate::report::chart::charts;
use crate::report::early::About;
use crate::report::html::{self, Pictures};
use crate::report::mail::{Heading, compose};
use crate::report::{Report, Verdict, text};
use crate::retention::model::StoreName;
use crate::state::{NewRun, RunId, State};
use crate::store;
use crate::sweep::gated::Ran;
use crate::sweep::gather::our_now;
use crate::sweep::past;
use crate::whole_file;

/// Reports may name tables and statements: not everybody's business, but the group's.
const MODE: u32 = 0o640;

pub struct Publisher {
    pub mail: Option<MailSettings>,
    pub report: ReportSettings,
    pub store: StoreName,
    /// Which database it is, as far as the configuration tells.
    pub place: String,
    pub state_path: PathBuf,
}

impl Publisher {
    pub fn new(opened: &open::Opened) -> Result<Self> {
        Ok(Self {
            mail: opened.mail.clone(),
            report: opened.report.clone(),
            store: opened.store.name.clone(),
            place: store::place(&opened.store)?,
            state_path: opened.state_path.clone(),
        })
    }

    /// Files first, so that the mail tells when there is no folder for them; last the journal, which has it as it was told.
    pub async fn publish(&self, report: &mut Report, exit_code: u8) {
        if !report.knows_database() {
            report.place = Some(self.place.clone());
        }
        let entered = if report.has_begun() { Ok(()) } else { self.enter(report, exit_code).await };
        if let Err(problem) = &entered {
            report.warnings.extend(not_in_the_journal(report, problem));
        }
        let title = self.mail.as_ref().map_or(DEFAULT_TITLE, |mail| mail.title.as_str());
        if let Some(warning) = self.write_files(report, title) {
            report.warnings.push(warning);
        }
        let warnings = self.mail(report).await;
        if !warnings.is_empty() {
            report.warnings.extend(warnings);
            let _ = self.write_files(report, title);
        }
        if entered.is_ok()
            && let Err(problem) = self.keep(report).await
        {
            output::note(&format!("warning: the journal has the report without what came last: {problem}"));
        }
    }

    /// Passes on what came of a run; where that is no report, one is made and published.
    pub async fn or_tell(&self, command: &str, ran: Ran) -> Result<Report> {
        if let Err(problem) = &ran.outcome {
            let about = About { command, store: &self.store, now: our_now() };
            let mut report = Report::stopped_early(about, ran.gate, problem);
            self.publish(&mut report, exit::of_problem(problem)).await;
            for warning in &report.warnings {
                output::note(&format!("warning: {warning}"));
            }
        }
        ran.outcome
    }

    /// A run that never began has its place in the journal as well: `report` shows what was last. Before there is a
    /// journal there is nothing to show, and a closed gate makes none.
    async fn enter(&self, report: &mut Report, exit_code: u8) -> Result<()> {
        if !self.state_path.exists() {
            return Ok(());
        }
        let state = State::open(&self.state_path).await?;
        report.past_runs = past::runs_before(&state, report, &self.place).await;
        let id = RunId(report.run);
        let run = NewRun {
            id,
            store: report.store.clone(),
            identity: report.identity.clone(),
            place: self.place.clone(),
            command: report.command.clone(),
            plan_id: None,
            started_at: report.started_at,
            policies_hash: String::new(),
        };
        state.begin_run(&run).await?;
        state.finish_run(id, report.ended_at, exit_code, &as_json(report)?).await?;
        state.close().await
    }

    /// With what the report of the run's end could not say: the ticket's word, the launcher, the mail.
    async fn keep(&self, report: &Report) -> Result<()> {
        if !self.state_path.exists() {
            return Ok(());
        }
        let state = State::open(&self.state_path).await?;
        state.keep_told_report(RunId(report.run), &as_json(report)?).await?;
        state.close().await
    }

    /// A warning where they could not be written.
    fn write_files(&self, report: &Report, title: &str) -> Option<String> {
        let folder = self.report.folder.as_ref()?;
        let problem = write_all(folder, report, title).err()?;
        Some(format!("the report is not in {}: {problem}", folder.display()))
    }

    async fn mail(&self, report: &Report) -> Vec<String> {
        let Some(settings) = &self.mail else { return Vec::new() };
        let is_wanted = match settings.on {
            MailOn::Always => true,
            MailOn::Runs => report.verdict != Verdict::Skipped,
            MailOn::Trouble => report.verdict.is_trouble(),
        };
        if !is_wanted {
            // What waits is sent by the next run, whatever came of that.
            return post_what_waits(settings, &Outbox::beside(&self.state_path), our_now()).await.warnings;
        }
        match send(settings, &self.state_path, report, false).await {
            Ok(posted) => {
                tell_what_is_late(&posted);
                posted.warnings
            }
            Err(why) => vec![format!("no mail was sent: {why}")],
        }
    }
}

/// Nothing where that very trouble is what the report is about.
fn not_in_the_journal(report: &Report, problem: &Problem) -> Option<String> {
    let is_known = report.stopped.as_ref().is_some_and(|why| why.contains(&problem.sentence));
    (!is_known).then(|| format!("this run is not in the journal: {problem}"))
}

fn as_json(report: &Report) -> Result<String> {
    serde_json::to_string(report)
        .map_err(|error| Problem::unreachable("the report cannot be written").because(&error))
}

fn tell_what_is_late(posted: &Posted) {
    if posted.sent_late > 0 {
        output::note(&format!("mails of earlier runs that were sent now: {}", posted.sent_late));
    }
}

fn write_all(folder: &Path, report: &Report, title: &str) -> std::result::Result<(), String> {
    let page = html::render(report, title, &charts(report), Pictures::Inline)?;
    let json = serde_json::to_string_pretty(report).map_err(|error| error.to_string())?;
    for (ending, content) in [("html", page), ("json", json), ("txt", text::render(report))] {
        let path = folder.join(format!("{}.{ending}", report.run));
        whole_file::write(&path, content.as_bytes(), MODE).map_err(|error| error.to_string())?;
    }
    Ok(())
}

async fn send(
    settings: &MailSettings,
    state_path: &Path,
    report: &Report,
    again: bool,
) -> std::result::Result<Posted, String> {
    let now = our_now();
    let heading =
        Heading { title: &settings.title, from: &settings.from, to: &settings.to, date: now, again };
    let letter = compose(report, &heading)?;
    Ok(post(settings, &Outbox::beside(state_path), &letter.id, &letter.message, now).await)
}

/// `report --mail`: here a mail that does not get through is a failure, since somebody waits for it.
pub async fn mail_again(settings: &MailSettings, state_path: &Path, report: &Report) -> Result<()> {
    let posted = send(settings, state_path, report, true).await.map_err(Problem::unreachable)?;
    if posted.sent < settings.to.len() {
        let kind = if posted.sent == 0 { Kind::Unreachable } else { Kind::Partial };
        let sentence = format!("the mail reached {} of {} recipients", posted.sent, settings.to.len());
        let problem = Problem::new(kind, sentence);
        return Err(posted.warnings.into_iter().fold(problem, Problem::cause));
    }
    tell_what_is_late(&posted);
    for warning in &posted.warnings {
        output::note(&format!("warning: {warning}"));
    }
    let to: Vec<String> = settings.to.iter().map(|to| to.email.to_string()).collect();
    output::note(&format!("sent to {}", to.join(", ")));
    Ok(())
}

/// `report --html FILE`.
pub fn write_page(path: &Path, report: &Report, title: &str) -> Result<()> {
    let page =
        html::render(report, title, &charts(report), Pictures::Inline).map_err(Problem::unreachable)?;
    whole_file::write(path, page.as_bytes(), MODE).map_err(|error| {
        // Where the page cannot be at all, the command line is wrong.
        let is_no_place = matches!(
            error.kind(),
            ErrorKind::NotFound
                | ErrorKind::NotADirectory
                | ErrorKind::IsADirectory
                | ErrorKind::PermissionDenied
        );
        let kind = if is_no_place { Kind::Usage } else { Kind::Unreachable };
        Problem::new(kind, format!("the page {} cannot be written", path.display()))
            .because(&error)
            .hint("name a file in a folder that this user may write to")
    })
}

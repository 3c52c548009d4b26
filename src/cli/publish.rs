//! A finished report goes to the folder and into the mail, where the configuration names them.
//!
//! Invariant: nothing here fails a run or changes its exit code; what goes wrong is a warning in the report that is printed.

use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::{open, output};
use crate::config::{DEFAULT_TITLE, MailOn, MailSettings, ReportSettings};
use crate::mail::{Outbox, Posted, post};
use crate::problem::{Problem, Result};
use crate::report::chart::charts;
use crate::report::html::{self, Pictures};
use crate::report::mail::{Heading, compose};
use crate::report::{Report, text};
use crate::retention::model::StoreName;
use crate::state::State;
use crate::sweep::gather::our_now;
use crate::sweep::past;
use crate::whole_file;

/// Reports may name tables and statements: not everybody's business, but the group's.
const MODE: u32 = 0o640;

pub struct Publisher {
    mail: Option<MailSettings>,
    report: ReportSettings,
    store: StoreName,
    state_path: PathBuf,
}

impl Publisher {
    pub fn new(opened: &open::Opened) -> Self {
        Self {
            mail: opened.mail.clone(),
            report: opened.report.clone(),
            store: opened.store.name.clone(),
            state_path: opened.state_path.clone(),
        }
    }

    pub fn of(
        mail: Option<MailSettings>,
        report: ReportSettings,
        store: StoreName,
        state_path: PathBuf,
    ) -> Self {
        Self { mail, report, store, state_path }
    }

    /// Files first, so that the mail tells when there is no folder for them.
    pub async fn publish(&self, report: &mut Report) {
        let title = self.mail.as_ref().map_or(DEFAULT_TITLE, |mail| mail.title.as_str());
        if let Some(warning) = self.write_files(report, title) {
            report.warnings.push(warning);
        }
        let warnings = self.mail(report).await;
        if !warnings.is_empty() {
            report.warnings.extend(warnings);
            let _ = self.write_files(report, title);
        }
    }

    /// Passes on what came of a run; where that is no report, one is made and published.
    pub async fn or_tell(&self, command: &str, outcome: Result<Report>) -> Result<Report> {
        if let Err(problem) = &outcome {
            self.publish_early_end(command, problem).await;
        }
        outcome
    }

    /// The report of a run that ended before it had begun. It is in no journal, so the mail and the files are all there is.
    async fn publish_early_end(&self, command: &str, problem: &Problem) {
        if self.mail.is_none() && self.report.folder.is_none() {
            return;
        }
        let mut report =
            Report::stopped_early(Uuid::now_v7(), self.store.clone(), command, our_now(), problem);
        if let Ok(Some(state)) = State::open_existing(&self.state_path).await {
            report.past_runs = past::runs_before(&state, &self.store, None).await;
            let _ = state.close().await;
        }
        self.publish(&mut report).await;
        for warning in &report.warnings {
            output::note(&format!("warning: {warning}"));
        }
    }

    /// A warning where they could not be written.
    fn write_files(&self, report: &Report, title: &str) -> Option<String> {
        let folder = self.report.folder.as_ref()?;
        let problem = write_all(folder, report, title).err()?;
        Some(format!("the report is not in {}: {problem}", folder.display()))
    }

    async fn mail(&self, report: &Report) -> Vec<String> {
        let Some(settings) = &self.mail else { return Vec::new() };
        if settings.on == MailOn::Trouble && !report.verdict.is_trouble() {
            return Vec::new();
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
        let problem = Problem::unreachable(format!(
            "the mail reached {} of {} recipients",
            posted.sent,
            settings.to.len()
        ));
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
        Problem::unreachable(format!("the page {} cannot be written", path.display()))
            .because(&error)
            .hint("name a file in a folder that this user may write to")
    })
}

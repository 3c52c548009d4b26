//! What `check` tries beside the store: the gate with its launcher and ticket, the mail server, the folder of reports,
//! and message brokers.
//!
//! Each is tried whatever became of the others, and nothing is written, sent or told.
//! Invariant: what a run could not use is a trouble with its exit code, never a warning.

use std::fmt::Write as _;

use serde::Serialize;

use super::brokers;
use crate::amqp::look::{BrokerLook, Looked};
use crate::cli::exit;
use crate::config::{MailSettings, ReportSettings};
use crate::gate::Gate;
use crate::mail;
use crate::problem::{Problem, printable, told};
use crate::report::gate::GateReport;
use crate::report::gate_text;
use crate::sweep::gated;
use crate::whole_file;

#[derive(Debug, Default, Serialize)]
pub struct Outside {
    #[serde(skip_serializing_if = "Option::is_none")]
    gate: Option<GateReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    launcher: Option<String>,
    /// What the mail server said, where there is one and it lets us in.
    #[serde(skip_serializing_if = "Option::is_none")]
    mail: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    brokers: Vec<BrokerLook>,
    pub troubles: Vec<Trouble>,
}

/// Something that cannot be used.
#[derive(Debug, Serialize)]
pub struct Trouble {
    sentence: String,
    causes: Vec<String>,
    hint: Option<String>,
    /// What this alone would end with.
    exit_code: u8,
    #[serde(skip)]
    shown: String,
}

impl From<&Problem> for Trouble {
    fn from(problem: &Problem) -> Self {
        let Problem { sentence, causes, hint, .. } = problem.clone();
        Self { sentence, causes, hint, exit_code: exit::of_problem(problem), shown: problem.to_string() }
    }
}

impl Outside {
    pub async fn of(gate: Option<&Gate>, mail: Option<&MailSettings>, report: &ReportSettings) -> Self {
        let mut outside = Self::default();
        if let Some(gate) = gate {
            let (said, launcher, troubles) = gated::try_out(gate).await;
            (outside.gate, outside.launcher) = (said, launcher);
            for why in troubles {
                outside.add(&why.while_doing("ask the gate"));
            }
        }
        if let Some(settings) = mail {
            match mail::try_out(settings).await {
                Ok(said) => outside.mail = Some(said),
                Err(why) => outside.add(&Problem::unreachable(format!("no mail can be sent: {why}"))),
            }
        }
        if let Some(folder) = &report.folder
            && let Err(error) = whole_file::try_out(folder)
        {
            let sentence = format!("reports cannot be kept in {}: {error}", folder.display());
            outside.add(&Problem::unreachable(sentence).hint("make the folder, or give it to this user"));
        }
        outside
    }

    /// Answers with what is no trouble and may be of interest.
    pub fn add_brokers(&mut self, looked: Looked) -> Vec<String> {
        looked.troubles.iter().for_each(|problem| self.add(problem));
        self.brokers = looked.brokers;
        looked.advice
    }

    fn add(&mut self, problem: &Problem) {
        self.troubles.push(Trouble::from(problem));
    }

    pub fn exit_codes(&self) -> impl Iterator<Item = u8> {
        self.troubles.iter().map(|trouble| trouble.exit_code)
    }

    pub fn render(&self) -> String {
        let mut text = String::new();
        if let Some(mail) = &self.mail {
            let _ = writeln!(text, "  mail: {}", printable(mail));
        }
        if let Some(launcher) = &self.launcher {
            let _ = writeln!(text, "  launcher: {}", printable(launcher));
        }
        text.push_str(&brokers::render(&self.brokers));
        text + &self.gate.as_ref().map(gate_text::render).unwrap_or_default()
    }

    pub fn render_troubles(&self) -> String {
        self.troubles.iter().map(|trouble| told("error: ", &trouble.shown)).collect()
    }
}

//! Sending mail, with patience: what does not get through waits in the outbox for the next run.
//!
//! A mail is on disk before it is sent, and removed after the server took it: a crash between the two sends it twice, never not at all.
//! Invariant: `post` ends within its time, whatever the server does, and never fails: it answers with warnings.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::config::MailSettings;
use crate::crash_point;
use crate::problem::printable;

mod outbox;
mod smtp;

pub use outbox::Outbox;

use outbox::Waiting;
use smtp::{Failure, Server};

/// All mails of one run together, those that waited included.
const PATIENCE: Duration = Duration::from_secs(40);

/// What became of the mails.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Posted {
    pub sent: usize,
    /// Of earlier runs.
    pub sent_late: usize,
    pub warnings: Vec<String>,
}

/// Sends a message to every recipient, and what waited before; `now` is in microseconds since 1970 UTC.
pub async fn post(settings: &MailSettings, outbox: &Outbox, id: &str, message: &[u8], now: i64) -> Posted {
    let mut posted = Posted::default();
    let recipients = recipients(settings);
    let new = outbox.keep(id, message, &recipients, now, &mut posted.warnings);
    outbox.replace_older(id, &new);
    crash_point::reach("mail-kept");
    let old = outbox.waiting(&recipients, &new, now, &mut posted.warnings);
    let mut round = Round::new(outbox);
    for waiting in new {
        posted.sent += round.send(settings, waiting, &mut posted.warnings).await;
    }
    round.send_old(settings, old, &mut posted).await;
    posted
}

/// Sends what earlier runs left. Where nothing waits, nobody is connected to.
pub async fn post_what_waits(settings: &MailSettings, outbox: &Outbox, now: i64) -> Posted {
    let mut posted = Posted::default();
    let old = outbox.waiting(&recipients(settings), &[], now, &mut posted.warnings);
    Round::new(outbox).send_old(settings, old, &mut posted).await;
    posted
}

fn recipients(settings: &MailSettings) -> Vec<String> {
    settings.to.iter().map(|to| to.email.to_string()).collect()
}

/// Whether the server lets us in, for `check`: nothing is sent. Both answers are sentences.
pub async fn try_out(settings: &MailSettings) -> Result<String, String> {
    Server::new(settings)?.try_out().await?;
    let login = settings.login.as_ref().map_or_else(String::new, |login| format!(", as {}", login.user));
    let (host, port, security) = (&settings.host, settings.port, settings.security.word());
    Ok(format!("{host}:{port} lets us in ({security}{login})"))
}

/// One look at the server, for as many mails as it takes.
struct Round<'a> {
    outbox: &'a Outbox,
    deadline: Instant,
    server: Option<Server>,
    /// Why nothing more is tried.
    away: Option<String>,
}

impl<'a> Round<'a> {
    fn new(outbox: &'a Outbox) -> Self {
        Self { outbox, deadline: Instant::now() + PATIENCE, server: None, away: None }
    }

    /// One warning for all that wait on, with the reason of the first where nothing new has told it.
    async fn send_old(&mut self, settings: &MailSettings, old: Vec<PathBuf>, posted: &mut Posted) {
        let (mut left, mut reasons) = (0, Vec::new());
        for name in old {
            // Another run may be sending this very mail.
            let Some(waiting) = self.outbox.claim(&name) else { continue };
            let sent = if self.is_over() { 0 } else { self.send(settings, waiting, &mut reasons).await };
            posted.sent_late += sent;
            left += 1 - sent;
        }
        if left > 0 {
            let mails = if left == 1 {
                "1 mail of an earlier run waits".into()
            } else {
                format!("{left} mails of earlier runs wait")
            };
            let why = reasons.into_iter().next().map(|why| format!(": {why}")).unwrap_or_default();
            posted.warnings.push(format!("{mails} in {} still{why}", self.outbox.folder().display()));
        }
    }

    fn is_over(&self) -> bool {
        self.away.is_some() || Instant::now() >= self.deadline
    }

    /// 1 where it was sent; a warning otherwise.
    async fn send(&mut self, settings: &MailSettings, waiting: Waiting, warnings: &mut Vec<String>) -> usize {
        let answer = self.try_to_send(settings, &waiting).await;
        let Err(failure) = answer else {
            crash_point::reach("mail-sent");
            self.outbox.remove(&waiting);
            return 1;
        };
        let why = printable(failure.why());
        if let Failure::Away(_) = failure {
            self.away = Some(why.clone());
        }
        let kept = if waiting.is_kept() {
            format!("it is kept in {} for the next run", self.outbox.folder().display())
        } else {
            "it is lost, because it could not be kept either".into()
        };
        let hint =
            if matches!(failure, Failure::Refused(_)) { "; look at `to` and `from` of [mail]" } else { "" };
        warnings.push(format!("the mail to {} was not sent: {why}; {kept}{hint}", waiting.to));
        0
    }

    async fn try_to_send(&mut self, settings: &MailSettings, waiting: &Waiting) -> Result<(), Failure> {
        if let Some(why) = &self.away {
            return Err(Failure::Away(why.clone()));
        }
        if self.server.is_none() {
            self.server = Some(Server::new(settings).map_err(Failure::Away)?);
        }
        match &self.server {
            Some(server) => server.send(&settings.from, &waiting.to, &waiting.message, self.deadline).await,
            None => Err(Failure::Away("there is no server".into())),
        }
    }
}

//! A progress bar on a terminal, nothing elsewhere; whom the run ends is said on standard error in any case.

use std::io::IsTerminal;
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressStyle};

use super::{Output, output};
use crate::report::ItemReport;
use crate::report::sessions::EndedSession;
use crate::report::sessions_text::{announcement, outcome};
use crate::sweep::execute::Progress;

struct Bar(ProgressBar);

impl Progress for Bar {
    fn chunk_ended(&self, item: &ItemReport) {
        self.0.set_message(item.chunk.clone());
        self.0.inc(1);
    }

    fn session_ends(&self, session: &EndedSession) {
        self.0.suspend(|| output::note(&announcement(session)));
    }

    fn session_stays(&self, session: &EndedSession) {
        self.0.suspend(|| output::note(&outcome(session)));
    }
}

/// Where nobody looks on: a log, a scheduler.
struct NoBar;

impl Progress for NoBar {
    fn chunk_ended(&self, _item: &ItemReport) {}

    fn session_ends(&self, session: &EndedSession) {
        output::note(&announcement(session));
    }

    fn session_stays(&self, session: &EndedSession) {
        output::note(&outcome(session));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

pub fn bar(output: Output) -> Arc<dyn Progress> {
    if output == Output::Json || !std::io::stderr().is_terminal() {
        return Arc::new(NoBar);
    }
    let style = ProgressStyle::with_template("{spinner} {pos} chunks, {elapsed}  {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    Arc::new(Bar(ProgressBar::new_spinner().with_style(style)))
}

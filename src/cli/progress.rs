//! A progress bar on a terminal, nothing elsewhere.

use std::io::IsTerminal;
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressStyle};

use super::Output;
use crate::report::ItemReport;
use crate::sweep::execute::{Progress, Silent};

struct Bar(ProgressBar);

impl Progress for Bar {
    fn chunk_ended(&self, item: &ItemReport) {
        self.0.set_message(item.chunk.clone());
        self.0.inc(1);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

pub fn bar(output: Output) -> Arc<dyn Progress> {
    if output == Output::Json || !std::io::stderr().is_terminal() {
        return Arc::new(Silent);
    }
    let style = ProgressStyle::with_template("{spinner} {pos} chunks, {elapsed}  {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    Arc::new(Bar(ProgressBar::new_spinner().with_style(style)))
}

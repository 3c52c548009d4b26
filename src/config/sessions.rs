//! `[stores.NAME.sessions]`: whose sessions a run may end, how, and after how long.
//!
//! It belongs to a store, not to all of them: roles are those of one server, and nobody shall be ended on
//! a second store because of what was written for the first. Invariant: a mode that ends sessions has roles.

use super::document::Section;
use super::schema;
use super::values::{self, PATIENCE};
use crate::problem::Result;
use crate::retention::sessions::{SessionMode, SessionRules};

pub(super) fn read(store: &Section<'_>) -> Result<SessionRules> {
    let label = format!("{}.sessions]", store.label.trim_end_matches(']'));
    let section = store.read("sessions", |setting| setting.section(&schema::SESSIONS, &label))?;
    match section {
        Some(section) => read_section(&section),
        None => Ok(SessionRules::default()),
    }
}

fn read_section(section: &Section<'_>) -> Result<SessionRules> {
    let default = SessionRules::default();
    let patience = |text: &str| values::duration(text, PATIENCE);
    let roles = section.read("roles", |setting| setting.list_of(role))?.unwrap_or_default();
    let mode = section.read("mode", |setting| setting.choice(&SessionMode::ALL))?.unwrap_or_default();
    let patience = section.read("patience", |setting| setting.parsed(patience))?;
    if mode != SessionMode::Leave && roles.is_empty() {
        return Err(section
            .fault(format!("has `mode` `{}` and no `roles`: nobody may be ended", mode.word()))
            .hint(
                "name the roles whose sessions may be ended, such as roles = [\"app\"], or leave `mode` out",
            ));
    }
    Ok(SessionRules { roles, mode, patience: patience.unwrap_or(default.patience) })
}

fn role(text: &str) -> std::result::Result<String, String> {
    if text.trim().is_empty() { Err("a role has a name".into()) } else { Ok(text.to_owned()) }
}

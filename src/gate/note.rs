//! What is remembered beside a ticket: whose `dropped` it is, and whether the launcher has still to be told.
//!
//! The ticket's line and name are a promise to other programs, so this is a hidden file of its own. Invariant: it is on
//! disk before the ticket says `dropped`. A ticket without a note was closed by another program and counts for everybody.

use serde::{Deserialize, Serialize};

use crate::problem::{Problem, Result, printable};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The database whose work is done, as `host:port/database`.
    pub database: String,
    /// The launcher's `update` has not succeeded.
    pub to_be_told: bool,
}

impl Note {
    /// On one line.
    pub fn line(&self) -> String {
        serde_json::json!(self).to_string() + "\n"
    }

    /// `place` is where it lies.
    pub fn parse(text: &[u8], place: &str) -> Result<Self> {
        serde_json::from_slice(text).map_err(|error| {
            Problem::refused(format!("the note {} is damaged", printable(place)))
                .because(&error)
                .hint("it says which database the ticket beside it stands for: remove it if that is this one")
        })
    }

    /// One ticket cannot stand for two databases: the second one would never be swept.
    pub fn refuse_another(&self, database: &str, ticket: &str) -> Result<()> {
        if self.database == database {
            return Ok(());
        }
        let sentence = format!(
            "the ticket {} says `dropped` for {}, and this is {}",
            printable(ticket),
            printable(&self.database),
            printable(database)
        );
        Err(Problem::refused(sentence).hint(
            "give each configuration a `prefix` of its own in [gate.ticket]; until then the work of this one is not done",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Kind;

    #[test]
    fn a_note_is_for_one_database_and_never_guessed() {
        let note = Note { database: "db:5432/metrics".into(), to_be_told: true };
        assert_eq!(Note::parse(note.line().as_bytes(), "/t"), Ok(note.clone()));
        assert_eq!(note.refuse_another("db:5432/metrics", "/t"), Ok(()));
        let problem = note.refuse_another("db:5432/plant", "/t").expect_err("another");
        assert!(problem.kind == Kind::Refused && problem.to_string().contains("`prefix`"), "{problem}");
        for text in ["", "{}", "{\"database\":1,\"to_be_told\":true}", "dropped"] {
            assert_eq!(Note::parse(text.as_bytes(), "/t").expect_err(text).kind, Kind::Refused, "{text}");
        }
    }
}

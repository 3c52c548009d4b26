//! Reads the SQL that we send: settings are made for one transaction only, never for a session that a
//! pooler may hand to somebody else, nothing is ever dropped but by `drop_chunks` or as the schema of an
//! owned dataset (in one file), and one file ends sessions.

use std::fs;
use std::path::{Path, PathBuf};

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder can be read");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

/// A file's code lines, without comments.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("a source file");
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    lines.join("\n")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn sql_of_the_drivers() -> String {
    let codes: Vec<String> = sources(&root().join("src/store")).iter().map(|path| code(path)).collect();
    codes.join("\n")
}

#[test]
fn every_setting_is_made_with_set_local() {
    let sql = sql_of_the_drivers();
    let settings: Vec<&str> =
        sql.match_indices("SET ").map(|(at, _)| &sql[at..sql.len().min(at + 40)]).collect();
    assert!(settings.len() > 5, "the search finds our settings");
    for setting in settings {
        assert!(setting.starts_with("SET LOCAL "), "{setting}");
    }
    for call in ["set_config(", "SET SESSION", ".options([", "\"options\""] {
        assert!(!sql.contains(call), "{call} makes a setting for the whole session");
    }
}

#[test]
fn nothing_is_dropped_or_truncated_but_by_drop_chunks_or_as_a_schema() {
    let sql = sql_of_the_drivers().to_uppercase();
    for statement in ["DROP TABLE", "TRUNCATE", "DELETE FROM", "ALTER TABLE"] {
        assert!(!sql.contains(statement), "{statement}");
    }
    assert!(sql.contains("DROP_CHUNKS("));
    let files_with = |word: &str| -> Vec<PathBuf> {
        let files = sources(&root().join("src/store"));
        files.into_iter().filter(|path| code(path).to_uppercase().contains(word)).collect()
    };
    for word in ["CASCADE", "DROP SCHEMA"] {
        assert_eq!(files_with(word), [root().join("src/store/schema/drop.rs")], "{word}");
    }
}

#[test]
fn sessions_are_ended_in_one_file_only() {
    let ends = |path: &PathBuf| {
        let code = code(path).to_lowercase();
        code.contains("pg_terminate_backend") || code.contains("pg_cancel_backend")
    };
    let found: Vec<PathBuf> = sources(&root().join("src")).into_iter().filter(ends).collect();
    assert_eq!(found, [root().join("src/store/postgres/sessions/end.rs")]);
}

//! Reads the SQL that we send: settings are made for one transaction only, never for a session that a
//! pooler may hand to somebody else, and nothing is ever dropped but by `drop_chunks`.

use std::fs;
use std::path::{Path, PathBuf};

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder can be read");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

/// The driver's code lines, without comments.
fn sql_of_the_drivers() -> String {
    let store = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store");
    let texts = sources(&store).into_iter().map(|path| fs::read_to_string(path).expect("a source file"));
    let lines: Vec<String> = texts
        .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect();
    lines.join("\n")
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
fn nothing_is_dropped_truncated_or_ended_but_by_drop_chunks() {
    let sql = sql_of_the_drivers().to_uppercase();
    for statement in [
        "DROP TABLE",
        "TRUNCATE",
        "DELETE FROM",
        "CASCADE",
        "PG_TERMINATE_BACKEND",
        "PG_CANCEL_BACKEND",
        "ALTER TABLE",
    ] {
        assert!(!sql.contains(statement), "{statement}");
    }
    assert!(sql.contains("DROP_CHUNKS("));
}

//! The arrows of ARCHITECTURE.md, checked: which module may use which, and that deciding stays pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What each top-level module may use of this crate. None points up.
const ALLOWED: [(&str, &[&str]); 20] = [
    ("problem", &[]),
    ("crash_point", &[]),
    ("whole_file", &[]),
    ("wake", &[]),
    ("retention", &[]),
    ("session", &["problem"]),
    ("config", &["problem", "retention"]),
    ("state", &["crash_point", "problem", "retention"]),
    ("store", &["config", "crash_point", "problem", "retention", "session"]),
    ("mail", &["config", "crash_point", "problem", "whole_file"]),
    ("disk", &["config", "problem", "retention"]),
    ("report", &["problem", "retention"]),
    ("gate", &["config", "crash_point", "problem", "whole_file"]),
    ("registry", &["config", "crash_point", "problem", "retention", "session"]),
    // Ways in: they write marks and wake the loop, and never see a store.
    ("server", &["config", "problem", "registry", "retention", "wake"]),
    ("amqp", &["config", "crash_point", "problem", "registry", "retention", "wake"]),
    ("omotes", &["amqp", "config", "crash_point", "problem", "registry", "retention", "session", "wake"]),
    (
        "sweep",
        &[
            "config",
            "crash_point",
            "disk",
            "gate",
            "problem",
            "registry",
            "report",
            "retention",
            "state",
            "store",
        ],
    ),
    ("daemon", &["problem", "registry", "report", "retention", "wake"]),
    (
        "cli",
        &[
            "amqp",
            "config",
            "daemon",
            "disk",
            "gate",
            "mail",
            "omotes",
            "problem",
            "registry",
            "report",
            "retention",
            "server",
            "state",
            "store",
            "sweep",
            "wake",
            "whole_file",
        ],
    ),
];

/// What may not be written in `retention/`: the outside world, in any form.
const IMPURE: [&str; 11] = [
    "sqlx",
    "tokio",
    "async ",
    "std::fs",
    "std::io",
    "std::net",
    "std::env",
    "std::process",
    "SystemTime",
    "Timestamp::now",
    "Zoned::now",
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn source_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// `src/store/postgres/lock.rs` belongs to `store`.
fn module_of(path: &Path) -> String {
    let inside = path.strip_prefix(source_folder()).expect("inside src");
    let first = inside.components().next().expect("a name").as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

/// Every module of this crate that a file names after `crate::`.
fn used_modules(text: &str) -> Vec<String> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let mut used = Vec::new();
    for line in code {
        for (_, rest) in line.match_indices("crate::").map(|(at, name)| (at, &line[at + name.len()..])) {
            let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            used.push(name);
        }
    }
    used
}

#[test]
fn modules_use_only_what_lies_below_them() {
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.into_iter().collect();
    let mut wrong = Vec::new();
    for path in sources(&source_folder()) {
        let module = module_of(&path);
        if ["main", "lib"].contains(&module.as_str()) {
            continue;
        }
        let may_use = allowed.get(module.as_str()).unwrap_or_else(|| panic!("no rule for module {module}"));
        for used in used_modules(&fs::read_to_string(&path).expect("a source")) {
            if used != module && !may_use.contains(&used.as_str()) {
                wrong.push(format!("{} uses {used}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that point up or sideways:\n{}", wrong.join("\n"));
}

/// A rule that nobody needs would hide the next arrow that is drawn by mistake.
#[test]
fn every_arrow_of_the_rules_is_used() {
    let mut unused: BTreeSet<(&str, &str)> =
        ALLOWED.iter().flat_map(|(module, uses)| uses.iter().map(|used| (*module, *used))).collect();
    for path in sources(&source_folder()) {
        let module = module_of(&path);
        for used in used_modules(&fs::read_to_string(&path).expect("a source")) {
            unused.retain(|arrow| *arrow != (module.as_str(), used.as_str()));
        }
    }
    assert!(unused.is_empty(), "arrows that are allowed and that nobody uses: {unused:?}");
}

#[test]
fn no_arrow_of_the_rules_points_up() {
    for (index, (module, uses)) in ALLOWED.iter().enumerate() {
        for used in *uses {
            let below = ALLOWED[..index].iter().any(|(name, _)| name == used);
            assert!(below, "{module} may use {used}, which does not lie below it");
        }
    }
}

#[test]
fn deciding_knows_nothing_of_the_outside_world() {
    let mut wrong = Vec::new();
    for path in sources(&source_folder().join("retention")) {
        let text = fs::read_to_string(&path).expect("a source");
        for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim_start().starts_with("//"))
        {
            if let Some(found) = IMPURE.iter().find(|impure| line.contains(**impure)) {
                wrong.push(format!("{}:{number}: {found}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "retention/ is not pure:\n{}", wrong.join("\n"));
}

/// Session settings leak through a pooler, so the drivers make none.
#[test]
fn settings_are_made_for_one_transaction_only() {
    let mut wrong = Vec::new();
    for path in sources(&source_folder().join("store")) {
        let text = fs::read_to_string(&path).expect("a source");
        for (at, _) in text.match_indices("SET ") {
            let rest = &text[at..];
            let is_statement = !text[..at].ends_with(|c: char| c.is_alphanumeric());
            if is_statement && !rest.starts_with("SET LOCAL ") && !rest.starts_with("SET LOCAL`") {
                wrong.push(format!("{}: {}", path.display(), rest.lines().next().unwrap_or_default()));
            }
        }
    }
    assert!(wrong.is_empty(), "settings that outlive their transaction:\n{}", wrong.join("\n"));
}

//! Documents that name tests, files or settings name those that exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &Path, found: &mut String) {
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push_str(&fs::read_to_string(&path).expect("a source"));
        }
    }
}

/// Names between back quotes that look like test functions: words joined by at least two underscores.
fn named_tests(text: &str) -> BTreeSet<&str> {
    let is_test_name = |name: &&str| {
        name.matches('_').count() >= 3
            && name.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit())
    };
    text.split('`').skip(1).step_by(2).filter(is_test_name).collect()
}

#[test]
fn every_test_that_the_page_on_safety_names_exists() {
    let page = fs::read_to_string(root().join("docs/safety.md")).expect("the page");
    let mut code = String::new();
    sources(&root().join("src"), &mut code);
    sources(&root().join("tests"), &mut code);
    let settings = ["take_over_native_policy"];
    let missing: Vec<&str> = named_tests(&page)
        .into_iter()
        .filter(|name| !settings.contains(name) && !code.contains(&format!("fn {name}(")))
        // The driver suite writes its tests by a macro.
        .filter(|name| !code.contains(&format!("{name},")) && !code.contains(&format!("{name};")))
        .collect();
    assert!(missing.is_empty(), "docs/safety.md names tests that do not exist: {missing:?}");
    assert!(named_tests(&page).len() > 30, "the page names its tests");
}

const PAGES: [&str; 9] = [
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "docs/benchmarks.md",
    "docs/glossary.md",
    "docs/operating.md",
    "docs/safety.md",
    "packaging/rundeck/README.md",
    "docs/decisions/0001-caps-refuse-whole-tables.md",
];

/// What a page links to, as it is written.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("](").filter_map(|(at, _)| text[at + 2..].split(')').next())
}

/// A heading as the part of an address behind `#`.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let letter = |c: char| c.is_alphanumeric() || "-_ ".contains(c);
    let anchor = |line: &str| line.trim_start_matches('#').trim().to_lowercase().replace(|c| !letter(c), "");
    headings.map(|line| anchor(line).replace(' ', "-")).collect()
}

#[test]
fn every_place_that_a_page_links_to_exists() {
    let mut broken = Vec::new();
    for page in PAGES {
        let page_path = root().join(page);
        let text = fs::read_to_string(&page_path).expect(page);
        for link in links(&text).filter(|link| !link.starts_with("http")) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let path = if file.is_empty() { page_path.clone() } else { page_path.with_file_name(file) };
            let is_there = match fs::read_to_string(&path) {
                Ok(target) => anchor.is_empty() || anchors(&target).contains(anchor),
                Err(_) => path.is_dir() && anchor.is_empty(),
            };
            if !is_there {
                broken.push(format!("{page} -> {link}"));
            }
        }
    }
    assert!(broken.is_empty(), "broken links: {broken:?}");
}

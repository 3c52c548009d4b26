//! The workflow file, as the platform's own library reads it.

use std::path::Path;
use std::process::Command;

use timesweep::omotes::workflows::Workflows;
use timesweep::problem::Kind;

use crate::real::amqp::wire::python;

pub fn file(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real/omotes").join(name)
}

#[test]
fn a_workflow_file_is_announced_byte_for_byte_as_the_other_side_does_it() {
    let config = file("workflows.json");
    let theirs =
        Command::new(python()).arg(file("workflows.py")).arg(&config).output().expect("Python starts");
    assert!(theirs.status.success(), "{}", String::from_utf8_lossy(&theirs.stderr));
    let theirs = String::from_utf8(theirs.stdout).expect("hex");
    let ours: String = Workflows::read(&config)
        .expect("workflows")
        .encoded()
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from_digit(digit.into(), 16).expect("a digit"))
        .collect();
    // The library greets on the lines before.
    assert_eq!(ours, theirs.lines().last().expect("a line"));
}

#[test]
fn a_workflow_file_that_cannot_be_read_is_one_sentence_with_its_place_and_a_way_out() {
    let missing = Workflows::read(Path::new("/nonexistent/workflows.json")).expect_err("no file");
    assert_eq!(missing.kind, Kind::Usage);
    assert_eq!(missing.sentence, "the workflow file /nonexistent/workflows.json cannot be read");
    assert!(missing.hint.is_some_and(|hint| hint.contains("WORKFLOW_CONFIG_PATH")));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("w.json");
    std::fs::write(&path, "[{\"workflow_type_name\": \"w\"},\n]").expect("written");
    let broken = Workflows::read(&path).expect_err("no JSON");
    let said =
        format!("the workflow file {}: this is no JSON: trailing comma at line 2 column 1", path.display());
    assert_eq!(broken.sentence, said);
}

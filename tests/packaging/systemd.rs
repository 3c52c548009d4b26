//! The units are ones that systemd takes, and the service is shut in.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use super::job::folder;

const UNITS: [&str; 3] = ["timesweep.service", "timesweep.timer", "timesweep-failed@.service"];

/// The units in a folder of their own, with this build where the installed program is named.
fn units() -> TempDir {
    let place = tempfile::tempdir().expect("a folder");
    for unit in UNITS {
        let text = fs::read_to_string(folder("systemd").join(unit)).expect(unit);
        let program = concat!("=", env!("CARGO_BIN_EXE_timesweep"), " ");
        fs::write(place.path().join(unit), text.replace("=timesweep ", program)).expect("the unit");
    }
    place
}

fn analyze(arguments: &[&str], folder: &Path) -> (bool, String) {
    let run = || Command::new("systemd-analyze").args(arguments).current_dir(folder).output();
    let output: Output = run().expect("systemd-analyze is there: apt-get install systemd");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn systemd_takes_the_units_as_they_are() {
    let place = units();
    let all = ["verify", "--man=no", "./timesweep.service", "./timesweep.timer"];
    assert_eq!(analyze(&all, place.path()), (true, String::new()));
    // A template is looked at as one of its instances.
    fs::copy(place.path().join(UNITS[2]), place.path().join("timesweep-failed@x.service")).expect("a copy");
    assert_eq!(
        analyze(&["verify", "--man=no", "./timesweep-failed@x.service"], place.path()),
        (true, String::new())
    );
}

#[test]
fn the_service_is_shut_in() {
    let place = units();
    // 15 of 100; an ordinary service has 90 and more.
    let (is_below, table) = analyze(
        &["security", "--offline=yes", "--no-pager", "--threshold=15", "./timesweep.service"],
        place.path(),
    );
    assert!(is_below, "{table}");
}

/// All values of a setting, in order.
fn settings(unit: &str, name: &str) -> Vec<String> {
    let text = fs::read_to_string(folder("systemd").join(unit)).expect(unit);
    let value = |line: &str| line.strip_prefix(name)?.strip_prefix('=').map(String::from);
    text.lines().filter_map(value).collect()
}

/// A command of the service, as systemd starts it.
pub fn command(setting: &str) -> String {
    settings("timesweep.service", setting).concat()
}

/// For `ExecCondition=`, 1 to 254 mean *skip*: with any other preset an error would look like a closed gate.
#[test]
fn the_gate_is_asked_by_the_preset_that_tells_closed_from_broken() {
    assert_eq!(settings("timesweep.service", "ExecCondition"), ["timesweep gate --scheduler systemd"]);
    assert_eq!(settings("timesweep.service", "ExecStart"), ["timesweep run --apply"]);
}

#[test]
fn only_what_may_be_over_soon_is_tried_again() {
    assert_eq!(settings("timesweep.service", "Restart"), ["on-failure"]);
    let final_codes = settings("timesweep.service", "RestartPreventExitStatus").join(" ");
    let again = [5, 75, 255];
    for code in [2, 3, 4, 130, 143] {
        assert!(final_codes.split(' ').any(|one| one == code.to_string()), "{code}");
    }
    assert!(again.iter().all(|code| !final_codes.split(' ').any(|one| one == code.to_string())));
    assert_eq!(settings("timesweep.service", "StartLimitBurst").len(), 1, "not for ever");
}

#[test]
fn a_failure_is_mailed_and_secrets_are_credentials() {
    assert_eq!(settings("timesweep.service", "OnFailure"), ["timesweep-failed@%n.service"]);
    let environment = ["Environment", "EnvironmentFile"];
    assert!(environment.iter().all(|name| settings("timesweep.service", name).is_empty()));
    assert!(!settings("timesweep.service", "LoadCredential").is_empty());
}

/// The command of the failure mail as systemd would start it, with `cat` for the mail program.
#[test]
fn the_failure_mail_names_unit_and_host() {
    let line = settings("timesweep-failed@.service", "ExecStart").join("");
    let script = line.strip_prefix("/bin/sh -c '").and_then(|rest| rest.split_once("' mail %i %H"));
    let (script, rest) = script.expect("a script with the unit and the host as its arguments");
    assert_eq!(rest, "");
    let script = script.replace("$$", "$").replace("%%", "%").replace("/usr/sbin/sendmail -t", "cat");
    let output = Command::new("/bin/sh").args(["-c", &script, "mail", "timesweep.service", "db1"]).output();
    let mail = String::from_utf8_lossy(&output.expect("a shell").stdout).into_owned();
    assert!(mail.starts_with("To: root\nSubject: [FAILED] timesweep.service on db1\n\n"), "{mail}");
}

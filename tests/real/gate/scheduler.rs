//! What schedulers read: lines, codes, silence.

use super::launcher_server::{open_today, today};
use super::place::Place;

#[test]
fn systemd_takes_a_closed_gate_for_a_skip_and_every_error_for_an_error() {
    let place = Place::new(&open_today());
    place.ran(&["gate", "--scheduler", "systemd"]).with_code(0);
    place.ran(&["ticket", "close"]).with_code(0);
    place.ran(&["gate", "--scheduler", "systemd"]).with_code(1);
    for arguments in [
        &["gate", "--scheduler", "systemd", "--bogus"] as &[&str],
        &["gate", "--scheduler=systemd", "--config", "missing.toml"],
        &["--output", "xml", "gate", "--scheduler", "systemd"],
        &["gate", "--scheduler", "systemd", "--skip-exit-code", "7"],
    ] {
        place.ran(arguments).with_code(255);
    }
    place.configure("days = [\"someday\"]");
    place.ran(&["gate", "--scheduler", "systemd"]).with_code(255);
    place.ran(&["gate"]).with_code(2);
}

#[test]
fn a_closed_gate_ends_with_the_code_that_was_asked_for() {
    let place = Place::new(&format!("not_on = [\"{}\"]", today()));
    for (arguments, code) in [
        (&["gate"] as &[&str], 0),
        (&["gate", "--skip-exit-code", "42"], 42),
        (&["gate", "--scheduler", "cron"], 0),
        (&["gate", "--scheduler", "rundeck"], 0),
        (&["gate", "--scheduler", "k8s"], 0),
        (&["gate", "--scheduler", "airflow"], 99),
        (&["gate", "--scheduler", "systemd"], 1),
        (&["run", "--apply", "--scheduler", "systemd"], 0),
        (&["gate", "--skip-exit-code", "5"], 2),
        (&["gate", "--skip-exit-code", "256"], 2),
        (&["run", "--apply", "--skip-exit-code", "75"], 2),
    ] {
        let ran = place.ran(arguments).with_code(code);
        let is_silent = arguments.contains(&"cron");
        assert_eq!(ran.out.is_empty(), is_silent || code == 2, "{arguments:?}: {ran:?}");
    }
}

#[test]
fn rundecks_lines_are_for_the_gate_only() {
    let place = Place::new(&open_today());
    let out = place.ran(&["gate", "--output", "rundeck"]).with_code(0).out;
    let keys: Vec<&str> =
        out.lines().filter_map(|line| line.strip_prefix("RUNDECK:DATA:")?.split(' ').next()).collect();
    assert_eq!(keys, ["go", "reason", "asked", "day", "vm", "ticket", "ticket_status", "launcher_id"]);
    assert!(
        out.lines().all(|line| line.split_once(" = ").is_some_and(|(_, value)| !value.is_empty())),
        "{out}"
    );
    assert!(out.contains(&format!("RUNDECK:DATA:ticket = {}\n", place.ticket().display())), "{out}");
    for verb in [&["check"] as &[&str], &["plan"], &["run", "--apply"], &["report"], &["ticket", "show"]] {
        let ran = place.ran(&[verb, &["--output", "rundeck"]].concat()).with_code(2);
        assert!(ran.err.contains("is for `timesweep gate` only"), "{verb:?}: {}", ran.err);
    }
}

#[test]
fn a_gate_that_cannot_be_built_is_named_with_its_line_and_a_way_out() {
    let place = Place::new("");
    for (gate, said) in [
        ("days = []", "line 7: `days` of [gate] is an empty list"),
        ("days = \"sun\"", "has to be a list of texts"),
        ("days = [\"sunny\"]", "`sunny` is not a day of the week"),
        ("from = \"25:00\"", "`25:00` is not a time of day"),
        ("from = \"02:00\"\nto = \"02:00\"", "has a window without length"),
        ("zone = \"Europe/Amsterdm\"", "did you mean `Europe/Amsterdam`?"),
        ("not_on = [\"25.12.2026\"]", "is not a date"),
        ("tiket = 1", "did you mean `ticket`?"),
        ("[gate.launcher]", "[gate.launcher] has no `url`"),
        ("[gate.launcher]\nurl = \"postgres://me@db/x\"", "is not a mysql:// URL"),
        ("[gate.launcher]\nurl = \"mysql://me:geheim@db/x\"", "holds a password"),
        ("[gate.launcher]\nurl = \"mysql://me@db/x\"\npassword = \"geheim\"", "is written in plain text"),
        ("[gate.launcher]\nurl = \"mysql://me@db/x\"\ntable = \"a.b.c\"", "is not a table"),
        ("[gate.launcher]\nurl = \"mysql://me@db/x\"\nstatement = \"SELECT :who\"", "there is no `who`"),
        ("[gate.ticket]\nfolder = \"tickets\"", "is not an absolute path"),
        ("[gate.ticket]\nprefix = \"../x\"", "cannot be a part of the ticket's name"),
        ("[stores.other]\nurl = \"postgres://me@db/x\"", "their tickets would be one and the same"),
    ] {
        place.configure(gate);
        let ran = place.ran(&["gate"]).with_code(2);
        assert!(ran.err.contains(said) && !ran.err.contains("geheim"), "{gate}: {}", ran.err);
    }
}

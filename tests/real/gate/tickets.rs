//! The ticket as a file: one winner, whole or not there, never guessed, never of another day.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use super::launcher_server::{open_today, today};
use super::place::Place;
use crate::real::support::Ran;

fn line(status: &str) -> String {
    format!("17,pg1,due,dba,{} 02:00:00,{}T02:00:05Z,{status}\n", today(), today())
}

#[test]
fn of_many_processes_at_once_one_writes_the_ticket() {
    let place = Place::new(&open_today());
    let start = || {
        let mut command = place.command(&["gate", "--output", "json"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("timesweep starts")
    };
    let running: Vec<_> = (0..8).map(|_| start()).collect();
    let mut writers = 0;
    for process in running {
        let said = Ran::from(process.wait_with_output().expect("an end")).with_code(0).json();
        assert_eq!(said["go"], "yes", "{said}");
        writers += u32::from(said["ticket"]["before"].is_null());
    }
    assert_eq!(writers, 1);
    let folder = place.ticket();
    let files: Vec<_> = std::fs::read_dir(folder.parent().expect("a folder")).expect("the folder").collect();
    assert_eq!(files.len(), 1, "nothing else is left: {files:?}");
}

#[test]
fn a_ticket_can_be_read_by_other_programs_whatever_our_mask() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new(&open_today());
    let mode = || std::fs::metadata(place.ticket()).expect("a ticket").permissions().mode() & 0o777;
    for (arguments, word) in [("gate", "pending"), ("ticket close", "dropped")] {
        let script = format!("umask 077; exec \"$0\" {arguments}");
        let mut command = Command::new("bash");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_timesweep")]);
        command.env_clear().env("HOME", place.folder.path()).current_dir(place.folder.path());
        Ran::from(command.output().expect("bash starts")).with_code(0);
        assert_eq!(mode(), 0o644, "{word}");
    }
    // Whoever gave it another mode meant it.
    std::fs::set_permissions(place.ticket(), std::fs::Permissions::from_mode(0o640)).expect("changed");
    place.ran(&["ticket", "close"]).with_code(0);
    assert_eq!(mode(), 0o640);
}

#[test]
fn a_gate_that_is_killed_leaves_no_ticket_or_a_whole_one() {
    for (point, is_there) in [("ticket-prepared", false), ("ticket-written", true)] {
        let place = Place::new(&open_today());
        let output =
            place.command(&["gate"]).env("TIMESWEEP_KILL_AT", point).output().expect("timesweep starts");
        assert_eq!(output.status.signal(), Some(9), "{point}: {output:?}");
        assert_eq!(place.ticket().exists(), is_there, "{point}");
        let said = place.ran(&["gate"]).with_code(0).out;
        assert_eq!(said.contains("says `pending`"), is_there, "{said}");
        assert!(std::fs::read_to_string(place.ticket()).expect("a ticket").ends_with(",pending\n"));
    }
}

#[test]
fn a_dropped_ticket_needs_no_launcher_and_any_other_word_goes_on() {
    let place = Place::with_launcher("mysql://me@127.0.0.1:1/ops", &open_today(), "");
    for (word, go) in [("dropped", "no"), ("pending", "yes"), ("partial", "yes"), ("failed", "yes")] {
        place.write_ticket(&line(word));
        let said = place.ran(&["gate", "--output", "json"]).with_code(0).json();
        assert_eq!((said["go"].as_str(), said["asked"].as_str()), (Some(go), Some("ticket")), "{said}");
        assert_eq!(said["launcher"]["id"], "17", "what the launcher said is remembered");
        assert_eq!(
            std::fs::read_to_string(place.ticket()).expect("a ticket"),
            line(word),
            "nothing was written"
        );
    }
    place.write_ticket(&line("dropped"));
    let ran = place.ran(&["run", "--apply", "--skip-exit-code", "42"]).with_code(42);
    assert!(ran.out.contains("says `dropped`"), "{ran:?}");
    place.forget();
    place.ran(&["gate"]).with_code(5);
}

#[test]
fn a_ticket_of_another_day_never_counts() {
    let place = Place::new(&open_today());
    for days in [-7, -1, 1] {
        let other = today() + jiff::Span::new().days(days);
        place.write_ticket("");
        std::fs::rename(place.ticket(), place.ticket().with_file_name(format!("timesweep_pg1_{other}")))
            .expect("moved");
        let path = place.ticket().with_file_name(format!("timesweep_pg1_{other}"));
        std::fs::write(path, line("dropped")).expect("written");
    }
    let said = place.ran(&["gate", "--output", "json"]).with_code(0).json();
    assert_eq!((said["go"].as_str(), said["asked"].as_str()), (Some("yes"), Some("window")), "{said}");
}

#[test]
fn a_damaged_ticket_is_refused_with_what_was_expected() {
    let place = Place::new(&open_today());
    for text in
        ["", "\n", "dropped\n", "17,pg1,due,dba,x,y,dropp", "17,pg2,due,dba,x,y,dropped\n", "\u{0}\u{0}\u{0}"]
    {
        place.write_ticket(text);
        for arguments in [
            &["gate"] as &[&str],
            &["run", "--apply"],
            &["run", "--apply", "--go", "yes"],
            &["ticket", "show"],
        ] {
            let ran = place.ran(arguments).with_code(4);
            assert!(
                ran.err.contains("launcher_id,vm_name,status,who,start_time,checked_at,chunk_status"),
                "{}",
                ran.err
            );
        }
        place.ran(&["gate", "--scheduler", "systemd"]).with_code(255);
        assert_eq!(std::fs::read_to_string(place.ticket()).expect("a ticket"), text, "it is left as it is");
    }
}

#[test]
fn a_ticket_with_the_contents_of_another_day_is_refused_and_a_foreign_way_to_write_it_counts() {
    let place = Place::new(&open_today());
    for days in [-7, -2, 2] {
        let other = today() + jiff::Span::new().days(days);
        place.write_ticket(&format!("17,pg1,due,dba,{other} 02:00:00,{other}T02:00:05Z,dropped\n"));
        for arguments in [&["gate"] as &[&str], &["run", "--apply"], &["ticket", "close"]] {
            let ran = place.ran(arguments).with_code(4);
            let said =
                format!("is damaged: it was checked at {other}T02:00:05Z, which is not on {}", today());
            assert!(
                ran.err.contains(&said) && ran.err.contains("expected its checked_at from "),
                "{}",
                ran.err
            );
        }
    }
    let last_week = today() - jiff::Span::new().days(7);
    for checked_at in [format!("{last_week} 02:00:05"), "Sun Nov 15 02:00".into(), String::new()] {
        place.write_ticket(&format!("17,pg1,due,dba,x,{checked_at},dropped\n"));
        assert!(place.asked().1.contains("says `dropped`"), "{checked_at}");
    }
}

#[test]
fn a_disk_without_space_leaves_no_ticket_and_keeps_the_one_that_is_there() {
    let place = Place::new(&open_today());
    // Every write of a file fails, as on a full disk; pipes are no files.
    let without_space = |arguments: &str| {
        let script = format!("trap '' XFSZ; ulimit -f 0; exec \"$0\" {arguments}");
        let mut command = Command::new("bash");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_timesweep")]);
        command.env_clear().env("HOME", place.folder.path()).current_dir(place.folder.path());
        Ran::from(command.output().expect("bash starts"))
    };
    let ran = without_space("gate").with_code(5);
    assert!(ran.err.contains("the ticket ") && ran.err.contains("cannot be written"), "{}", ran.err);
    let folder = place.folder.path().join("state");
    assert_eq!(std::fs::read_dir(&folder).expect("the folder").count(), 0, "nothing half is left");

    place.write_ticket(&line("pending"));
    without_space("ticket close --status dropped").with_code(5);
    assert_eq!(std::fs::read_to_string(place.ticket()).expect("a ticket"), line("pending"));
    assert_eq!(std::fs::read_dir(&folder).expect("the folder").count(), 1);
    place.ran(&["ticket", "close", "--status", "dropped"]).with_code(0);
    assert_eq!(std::fs::read_to_string(place.ticket()).expect("a ticket"), line("dropped"));
}

#[test]
fn of_a_shared_ticket_the_note_is_damaged_and_nobody_guesses() {
    let place = Place::new(&open_today());
    place.ran(&["gate"]).with_code(0);
    place.ran(&["ticket", "close"]).with_code(0);
    let note = place.ticket().with_file_name(format!(".timesweep_pg1_{}.note", today()));
    let text = std::fs::read_to_string(&note).expect("a note");
    assert_eq!(text, "{\"database\":\"127.0.0.1:1/nothing\",\"to_be_told\":false}\n");
    std::fs::write(&note, "half").expect("written");
    let ran = place.ran(&["gate"]).with_code(4);
    assert!(ran.err.contains(".note is damaged"), "{}", ran.err);
    std::fs::remove_file(&note).expect("removed");
    assert!(place.asked().1.contains("says `dropped`"));
}

#[test]
fn a_folder_that_is_gone_or_cannot_be_written_is_told() {
    // Not even root may write below /sys.
    for (folder, hint) in [("/nowhere/tickets", "make the folder again"), ("/sys", "write access")] {
        let place = Place::new(&format!("{}[gate.ticket]\nfolder = \"{folder}\"\n", open_today()));
        let ran = place.ran(&["gate"]).with_code(5);
        assert!(ran.err.contains(&format!("the ticket {folder}/timesweep_pg1_")), "{}", ran.err);
        assert!(ran.err.contains(hint), "{}", ran.err);
        place.ran(&["run", "--apply"]).with_code(5);
    }
}

#[test]
fn a_ticket_is_shown_and_closed_by_hand() {
    let place = Place::new(&open_today());
    let none = place.ran(&["ticket", "close", "--status", "dropped"]).with_code(2);
    assert!(none.err.contains("there is no ticket"), "{}", none.err);
    place.ran(&["gate"]).with_code(0);
    let shown = place.ran(&["ticket", "show", "--output", "json"]).with_code(0).json();
    assert_eq!(
        (shown["vm_name"].as_str(), shown["chunk_status"].as_str()),
        (Some("pg1"), Some("pending")),
        "{shown}"
    );
    for word in ["partial", "failed", "dropped"] {
        place.ran(&["ticket", "close", "--status", word]).with_code(0);
        let text = std::fs::read_to_string(place.ticket()).expect("a ticket");
        assert_eq!(text.trim_end().split(',').nth(6), Some(word), "{text}");
    }
    let said = place.ran(&["ticket", "show"]).with_code(0).out;
    assert!(said.contains("chunk_status  dropped"), "{said}");
    place.ran(&["ticket", "close", "--status", "done"]).with_code(2);
    place.ran(&["ticket", "show", "--day", "yesterday"]).with_code(2);
    place.ran(&["ticket", "show", "--day", "2020-01-05"]).with_code(2);
}

#[test]
fn a_window_that_is_closed_wins_over_a_ticket_that_is_not_dropped() {
    let place = Place::new(&format!("not_on = [\"{}\"]", today()));
    place.write_ticket(&line("pending"));
    let (open, reason) = place.asked();
    assert!(!open && reason.ends_with("is a day off (`not_on`)"), "{reason}");
}

#[test]
fn a_prefix_and_a_folder_of_ones_own_make_the_tickets_name() {
    let place = Place::new("");
    let folder = place.folder.path().join("mysql-files");
    std::fs::create_dir(&folder).expect("a folder");
    let more = format!("[gate.ticket]\nfolder = \"{}\"\nprefix = \"weekly drop\"\n", folder.display());
    place.configure(&(open_today() + &more));
    place.ran(&["gate"]).with_code(0);
    assert!(folder.join(format!("weekly drop_pg1_{}", today())).is_file());
}

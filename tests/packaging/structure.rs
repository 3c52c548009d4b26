//! Job definitions are whole: what Rundeck would take in another way than it reads is found here.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::job::{FILES, Job, JobOption, Step, all_jobs, folder, jobs, text};

/// Each kind of command, where a step has it.
fn kinds(step: &Step) -> Vec<&str> {
    let kinds =
        [("exec", step.exec.is_some()), ("script", step.script.is_some()), ("plugin", step.kind.is_some())];
    kinds.iter().filter(|(_, is_there)| *is_there).map(|(kind, _)| *kind).collect()
}

#[test]
fn every_job_file_is_known_to_these_tests() {
    let entries = fs::read_dir(folder("rundeck")).expect("the folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"));
    let found: BTreeSet<String> = names
        .filter(|name| Path::new(name).extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    assert_eq!(found, FILES.map(String::from).into());
}

#[test]
fn every_job_has_what_an_import_needs() {
    let (mut uuids, mut names) = (BTreeSet::new(), BTreeSet::new());
    for job in all_jobs() {
        let name = job.reference();
        assert!(uuids.insert(job.uuid), "{name} has the uuid of another job");
        assert!(names.insert(name.clone()), "{name} is there twice");
        assert_eq!((job.loglevel.as_str(), job.group.as_str()), ("INFO", "timesweep"), "{name}");
        assert!(job.execution_enabled && job.schedule_enabled, "{name}");
        assert!(!job.multiple_executions, "{name} could run twice at once");
        assert!(!job.sequence.keep_going, "{name} would go on after an error");
        assert!(!job.timeout.is_empty() && !job.node_filter_editable, "{name}");
        assert!(job.node_filters.filter.starts_with("tags: "), "{name}");
        assert!(
            job.node_filters.dispatch.keep_going,
            "{name}: one node would keep the others from their turn"
        );
        assert_eq!(job.node_filters.dispatch.threadcount, 1, "{name}");
        assert!(["node-first", "sequential"].contains(&job.sequence.strategy.as_str()), "{name}");
        let first = job.description.lines().next().unwrap_or_default();
        assert!(!first.is_empty() && first.len() < 100, "{name}: the list of jobs shows the first line");
    }
}

#[test]
fn every_step_is_exactly_one_command() {
    for job in all_jobs() {
        for step in job.steps() {
            assert_eq!(kinds(step).len(), 1, "{}: {step:?}", job.reference());
            assert!(step.description.is_some(), "{}: {step:?}", job.reference());
            assert_eq!(step.script.is_some(), step.script_interpreter.is_some(), "{}", job.reference());
            assert_eq!(step.kind.is_some(), step.on_each_node.is_some(), "{}", job.reference());
        }
        for step in &job.sequence.commands {
            let handler = step.error_handler.as_deref();
            assert!(handler.is_none_or(|handler| handler.error_handler.is_none()), "{}", job.reference());
            assert!(!step.keepgoing_on_success, "{}: only an error handler has that", job.reference());
        }
    }
}

#[test]
fn schedules_are_seven_quartz_fields_with_days_by_name_and_a_zone() {
    for job in all_jobs() {
        let Some(schedule) = &job.schedule else { continue };
        let fields: Vec<&str> = schedule.crontab.split(' ').collect();
        assert_eq!(fields.len(), 7, "{}", job.reference());
        // Quartz counts Sunday as 1 and cron as 0, so a number here is one that somebody reads wrongly.
        assert_eq!((fields[3], fields[5]), ("?", "SUN"), "{}", job.reference());
        assert!(job.time_zone.is_some(), "{}: Sunday where?", job.reference());
    }
}

#[test]
fn a_red_job_is_mailed_unless_red_is_its_way_to_say_no() {
    for job in all_jobs() {
        let mailed = job.notification.keys().map(String::as_str).collect::<Vec<_>>();
        let expected: &[&str] = if job.name == "gate" { &[] } else { &["onfailure"] };
        assert_eq!(mailed, expected, "{}", job.reference());
        for mail in job.notification.values().map(|notification| &notification.email) {
            assert!(mail.recipients.contains('@') && mail.subject.contains("${job.name}"), "{mail:?}");
            assert!(mail.attach_log, "{}: the mail says why", job.reference());
        }
    }
}

fn is_secret(option: &JobOption) -> bool {
    option.name.ends_with("_password")
}

#[test]
fn secrets_come_from_the_key_storage_and_reach_scripts_by_the_environment_only() {
    for job in all_jobs() {
        let secrets: Vec<&JobOption> = job.options.iter().filter(|option| is_secret(option)).collect();
        assert_eq!(secrets.len(), 3, "{}", job.reference());
        for option in secrets {
            assert!(option.secure && option.value_exposed, "{}", option.name);
            assert!(option.value.is_none() && option.regex.is_none(), "{}", option.name);
            let path = option.storage_path.as_deref().unwrap_or_default();
            assert_eq!(path, format!("keys/project/timesweep/{}", option.name));
        }
        for other in job.options.iter().filter(|option| !is_secret(option)) {
            assert!(!other.secure && other.storage_path.is_none(), "{}", other.name);
        }
    }
    for file in FILES {
        for pasted in ["@option.db_", "@option.launcher_", "@option.mail_", "_password}", "_password@"] {
            assert!(!text(file).contains(pasted), "{file} pastes a secret into a command: {pasted}");
        }
    }
}

/// Whoever may start a job chooses its options, so that a value must not be able to leave its quotes.
#[test]
fn every_option_that_is_pasted_has_a_pattern_or_a_list() {
    for job in all_jobs() {
        assert!(job.options.iter().all(|option| !option.description.is_empty()), "{}", job.reference());
        for option in job.options.iter().filter(|option| !option.secure) {
            let pattern = option.regex.as_deref() == Some("^/[A-Za-z0-9_./-]+$");
            let list = option.enforced && !option.values.is_empty();
            assert!(pattern || list, "{}: {}", job.reference(), option.name);
            assert!(option.required && option.value.is_some(), "{}: {}", job.reference(), option.name);
        }
    }
}

#[test]
fn every_option_is_used_and_every_used_option_exists() {
    for job in all_jobs() {
        let code: String = job.steps().filter_map(|step| step.script.as_deref()).collect();
        for option in &job.options {
            let used = if option.secure {
                format!("${{RD_OPTION_{}:-}}", option.name.to_uppercase())
            } else {
                format!("'@option.{}@", option.name)
            };
            assert!(code.contains(&used), "{}: {}", job.reference(), option.name);
        }
        for (_, rest) in code.match_indices("@option.").map(|(at, found)| (at, &code[at + found.len()..])) {
            let name = rest.split('@').next().unwrap_or_default();
            assert!(job.options.iter().any(|option| option.name == name), "{}: {name}", job.reference());
        }
    }
}

#[test]
fn passed_data_is_captured_before_it_is_read() {
    for job in all_jobs() {
        let mut is_captured = false;
        for step in job.steps() {
            let reads = step.script.as_deref().is_some_and(|script| script.contains("@data."));
            assert!(!reads || is_captured, "{}: {:?}", job.reference(), step.description);
            for filter in &step.plugins.log_filters {
                assert_eq!(filter.kind, "key-value-data", "{}", job.reference());
                assert_eq!(
                    filter.config["regex"],
                    r"^RUNDECK:DATA:\s*([^\s]+?)\s*=\s*(.+)$",
                    "{}",
                    job.reference()
                );
                is_captured = true;
            }
        }
    }
}

#[test]
fn the_two_jobs_know_each_other_and_the_second_one_stops_green() {
    let jobs: [Job; 2] = jobs("two-job.yaml").try_into().expect("two jobs");
    let halts = jobs[1].steps().filter(|step| step.kind.as_deref() == Some("job-state-conditional"));
    let halt: &Step = halts.last().expect("a step that stops");
    let setting = |name: &str| halt.configuration.get(name).map(String::as_str);
    assert_eq!(setting("jobName"), Some(jobs[0].reference().as_str()));
    assert_eq!((setting("executionState"), setting("condition")), (Some("Succeeded"), Some("Equals")));
    assert_eq!((setting("halt"), setting("fail"), setting("status")), (Some("true"), Some("false"), None));
    assert_eq!(halt.on_each_node, Some(false), "only a workflow step can stop its job");
}

//! The small Rundeck does what the real one is known to do, so that the other tests mean something.

use super::job::{Job, parsed};
use super::runner::{Ended, Missing, Rundeck};

/// A job with these steps, and one plain and one secret option.
fn job(name: &str, steps: &str) -> Job {
    let indented = format!("    {}\n", steps.replace('\n', "\n    "));
    let text = format!(
        "- name: {name}\n  group: g\n  uuid: 8d1f2a0e-5f5c-4c0e-9a6e-2f7f0f6d1cff\n  description: d\n  loglevel: INFO\n  \
         executionEnabled: true\n  scheduleEnabled: true\n  multipleExecutions: false\n  timeout: 1m\n  nodeFilterEditable: false\n  \
         nodefilters: {{filter: 'tags: t', dispatch: {{threadcount: 1, keepgoing: true}}}}\n  options:\n  - {{name: plain, description: d, value: seven}}\n  \
         - {{name: key, description: d, secure: true, valueExposed: true, storagePath: keys/k}}\n  \
         notification: {{onfailure: {{email: {{recipients: r, subject: s}}}}}}\n  sequence:\n    keepgoing: false\n    strategy: node-first\n    commands:\n{indented}"
    );
    parsed(&text).pop().expect("a job")
}

#[test]
fn it_stops_at_the_first_failure_and_mails() {
    let execution =
        Rundeck::new().run(&job("j", "- exec: echo one\n- exec: exit 3\n- exec: echo three"), &[]);
    assert!(execution.is_mailed);
    let execution = execution.that(Ended::Failed(3));
    assert_eq!(execution.steps.len(), 2);
}

#[test]
fn data_is_captured_where_the_filter_is_and_filled_in_later() {
    const FILTER: &str = "\n  plugins: {LogFilter: [{type: key-value-data, config: {regex: r}}]}\n";
    let say = "- exec: printf 'RUNDECK:DATA:go = yes\\nRUNDECK:DATA:none = \\nx\\n'";
    let read = "- exec: echo \"${data.go}|${data.none}|${option.plain}|$RD_DATA_GO|${job.execid}\"\n\
                - {script: 'echo \"@data.go@|@data.none@|@option.plain@|a@b.c\"', scriptInterpreter: /bin/sh}";
    let mut rundeck = Rundeck::new();
    let with_filter = rundeck.run(&job("j", &[say, FILTER, read].concat()), &[("plain", "eight")]);
    assert_eq!(with_filter.data.get("go").map(String::as_str), Some("yes"));
    assert_eq!(with_filter.steps[1].out, "yes||eight|yes|1\n");
    assert_eq!(with_filter.steps[2].out, "yes||eight|a@b.c\n");
    let without = rundeck.run(&job("j", &[say, "\n", read].concat()), &[]);
    assert_eq!(without.steps[1].out, "||seven||2\n");
    rundeck.missing = Missing::Literal;
    let literal = rundeck.run(&job("j", "- {script: 'echo \"@data.go@\"', scriptInterpreter: /bin/sh}"), &[]);
    assert_eq!(literal.steps[0].out, "@data.go@\n");
}

#[test]
fn an_error_handler_fails_the_job_unless_it_says_otherwise() {
    let handled = |more: &str| {
        job("j", &format!("- exec: exit 3\n  errorhandler: {{exec: echo sorry{more}}}\n- exec: echo on"))
    };
    let stops = Rundeck::new().run(&handled(""), &[]).that(Ended::Failed(3));
    assert_eq!((stops.steps.len(), stops.steps[1].out.as_str()), (2, "sorry\n"));
    let goes_on = Rundeck::new().run(&handled(", keepgoingOnSuccess: true"), &[]).that(Ended::Succeeded);
    assert_eq!(goes_on.steps[2].out, "on\n");
}

#[test]
fn a_job_that_waits_for_another_stops_green_when_that_failed() {
    let second = "- nodeStep: false\n  type: job-state-conditional\n  configuration: {jobName: g/first, executionState: Succeeded, \
                  condition: Equals, halt: 'true', fail: 'false'}\n- exec: echo on";
    let mut rundeck = Rundeck::new();
    rundeck.run(&job("first", "- exec: exit 10"), &[]);
    let halted = rundeck.run(&job("second", second), &[]).that(Ended::Halted);
    assert!(halted.steps.is_empty() && !halted.is_mailed);
    rundeck.run(&job("first", "- exec: exit 0"), &[]);
    assert_eq!(rundeck.run(&job("second", second), &[]).that(Ended::Succeeded).steps.len(), 1);
}

#[test]
fn a_secret_comes_from_the_key_storage_into_the_environment() {
    let mut rundeck = Rundeck::new();
    let job = job("j", "- exec: echo \"${RD_OPTION_KEY:-none}\"");
    assert_eq!(rundeck.run(&job, &[]).steps[0].out, "none\n");
    rundeck.keys.insert("keys/k".into(), "geheim".into());
    assert_eq!(rundeck.run(&job, &[]).steps[0].out, "geheim\n");
}

#[test]
fn a_quoted_boolean_does_not_parse() {
    let text = super::job::text("one-step.yaml");
    let quoted = text.replacen("multipleExecutions: false", "multipleExecutions: 'false'", 1);
    assert!(quoted != text && serde_yaml_ng::from_str::<Vec<Job>>(&quoted).is_err());
}

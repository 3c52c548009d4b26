//! The exact text of every fault of the file: place, what is wrong, and the way out.

use std::path::Path;

use super::{STORE, check_faults, fault, with_store};
use crate::config::Config;
use crate::problem::Kind;

#[test]
fn an_unknown_setting_has_its_line_and_the_nearest_one() {
    check_faults(&[
        (
            "lock_timout = \"1 s\"",
            "t.toml, line 3: [stores.main] has no setting `lock_timout`\nhint: did you mean `lock_timeout`?",
        ),
        ("[cap]", "t.toml, line 3: the top level has no setting `cap`\nhint: did you mean `caps`?"),
        (
            "\n[caps]\nparallelism = 2",
            "t.toml, line 5: [caps] has no setting `parallelism`\nhint: `parallelism` belongs to [stores.NAME]",
        ),
        (
            "take_over_native_policy = true",
            "t.toml, line 3: [stores.main] has no setting `take_over_native_policy`\nhint: did you mean `take_over_native_policies`?",
        ),
        (
            "[plan]\nwidth = 1",
            "t.toml, line 4: [plan] has no setting `width`\nhint: the names known there: lifetime",
        ),
        (
            "[state]\npaht = \"/x\"",
            "t.toml, line 4: [state] has no setting `paht`\nhint: did you mean `path`?",
        ),
        (
            "[guards]\nmax_clock_scew = \"1 s\"",
            "t.toml, line 4: [guards] has no setting `max_clock_scew`\nhint: did you mean `max_clock_skew`?",
        ),
        (
            "[[policies]]\ntable = \"a\"\ndropafter = \"1 d\"",
            "t.toml, line 5: [[policies]] has no setting `dropafter`\nhint: did you mean `drop_after`?",
        ),
        (
            "[default_policy]\ntable = \"a\"",
            "t.toml, line 4: [default_policy] has no setting `table`\nhint: `table` belongs to [[policies]]",
        ),
        (
            "password = { fiel = \"/x\" }",
            "t.toml, line 3: `password` of [stores.main] has no setting `fiel`\nhint: did you mean `file`?",
        ),
    ]);
    assert_eq!(
        fault("[stores.main]\nurl = { environment = \"X\" }"),
        "t.toml, line 2: `url` of [stores.main] has no setting `environment`\nhint: the names known there: env, file"
    );
}

#[test]
fn a_value_of_the_wrong_type_is_not_repeated() {
    check_faults(&[
        (
            "parallelism = \"hunter2\"",
            "t.toml, line 3: `parallelism` of [stores.main] has to be a whole number, and it is text",
        ),
        (
            "zone = 1.5",
            "t.toml, line 3: `zone` of [stores.main] has to be text in double quotes, and it is a number with a decimal point",
        ),
        (
            "take_over_native_policies = 1979-05-27",
            "t.toml, line 3: `take_over_native_policies` of [stores.main] has to be true or false, and it is a date",
        ),
        (
            "[caps]\nshare_of_bytes = 50",
            "t.toml, line 4: `share_of_bytes` of [caps] has to be text in double quotes, and it is a whole number",
        ),
        (
            "[policies]\ntable = \"a\"",
            "t.toml, line 3: `policies` of the top level has to be a list: [[policies]], and it is a section",
        ),
        (
            "[[policies]]\ntable = \"a\"\ndrop_after = true",
            "t.toml, line 5: `drop_after` of [[policies]] has to be text such as \"30 days\" or a whole number, and it is true or false",
        ),
        (
            "[stores]\nspare = 3",
            "t.toml, line 4: [stores.spare] has to be a section, and it is a whole number",
        ),
    ]);
    assert_eq!(
        fault("caps = [1]"),
        "t.toml, line 1: `caps` of the top level has to be a section, and it is a list"
    );
    assert_eq!(
        fault("[stores.main]\nurl = 5"),
        "t.toml, line 2: `url` of [stores.main] has to be text or { env = \"…\" } or { file = \"…\" }, and it is a whole number"
    );
}

#[test]
fn a_value_out_of_its_range_is_refused() {
    check_faults(&[
        ("parallelism = 0", "t.toml, line 3: `parallelism` of [stores.main]: 0 is too small; 1 is the least"),
        (
            "parallelism = 17",
            "t.toml, line 3: `parallelism` of [stores.main]: 17 is too large; 16 is the most",
        ),
        ("attempts = 101", "t.toml, line 3: `attempts` of [stores.main]: 101 is too large; 100 is the most"),
        (
            "attempts = 99999999999999999999",
            "t.toml, line 3: `attempts` of [stores.main]: the number is too large",
        ),
        (
            "lock_timeout = \"11 s\"",
            "t.toml, line 3: `lock_timeout` of [stores.main]: `11 s` is outside of 1 ms to 10 s",
        ),
        (
            "lock_timeout = \"soon\"",
            "t.toml, line 3: `lock_timeout` of [stores.main]: `soon` is not a duration; write for example `25 ms`, `5 min` or `24 hours`",
        ),
        (
            "zone = \"Europe/Amsterdm\"",
            "t.toml, line 3: `zone` of [stores.main]: there is no time zone `Europe/Amsterdm`; did you mean `Europe/Amsterdam`?",
        ),
        (
            "kind = \"timescael\"",
            "t.toml, line 3: `kind` of [stores.main]: there is no `timescael`; it is one of timescale, influxdb, schemas\nhint: did you mean `timescale`?",
        ),
        (
            "[caps]\nshare_of_bytes = \"0 %\"",
            "t.toml, line 4: `share_of_bytes` of [caps]: `0 %`: a share has to be more than 0 % and at most 100 %",
        ),
        (
            "[caps]\nshare_of_bytes = \"101 %\"",
            "t.toml, line 4: `share_of_bytes` of [caps]: `101 %`: a share has to be more than 0 % and at most 100 %",
        ),
        ("[caps]\nchunks = 0", "t.toml, line 4: `chunks` of [caps]: 0 is too small; 1 is the least"),
        (
            "[caps]\nbytes = \"-1 GiB\"",
            "t.toml, line 4: `bytes` of [caps]: `-1 GiB` is not a size; write for example `50 GiB` or `500 MB`",
        ),
        (
            "[guards]\nmax_clock_skew = \"2 days\"",
            "t.toml, line 4: `max_clock_skew` of [guards]: `2 days` is outside of 1 s to 24 hours",
        ),
        (
            "[guards]\ncontinuous_aggregates = \"alow\"",
            "t.toml, line 4: `continuous_aggregates` of [guards]: there is no `alow`; it is one of refuse, allow\nhint: did you mean `allow`?",
        ),
        (
            "[plan]\nlifetime = \"1 month\"",
            "t.toml, line 4: `lifetime` of [plan]: `1 month` is not a duration; write for example `25 ms`, `5 min` or `24 hours`",
        ),
        (
            "[state]\npath = \"state.db\"",
            "t.toml, line 4: `path` of [state]: `state.db` is not an absolute path\nhint: write for example /var/lib/timesweep/state.db",
        ),
    ]);
}

#[test]
fn a_policy_that_could_mean_anything_is_refused() {
    check_faults(&[
        (
            "[[policies]]\ntable = \"a\"\ndrop_after = \"soon\"",
            "t.toml, line 5: `drop_after` of [[policies]]: `soon` is not a span of time; write for example `30 days`, `3 months`, `36 h` or `P1M`",
        ),
        (
            "[[policies]]\ntable = \"a\"\ndrop_after = \"30m\"",
            "t.toml, line 5: `drop_after` of [[policies]]: `30m` could be minutes or months; write `30 min` or `30 months`",
        ),
        (
            "[[policies]]\ntable = \"a\"\ndrop_after = \"-3 days\"",
            "t.toml, line 5: `drop_after` of [[policies]]: `-3 days`: a retention cannot be negative",
        ),
        (
            "[[policies]]\ntable = \"a\"\ndrop_after = \"0 days\"",
            "t.toml, line 5: `drop_after` of [[policies]]: `0 days`: a retention of zero would drop everything",
        ),
        (
            "[[policies]]\ntable = \"a\"\ndrop_after = -1",
            "t.toml, line 5: `drop_after` of [[policies]]: a retention has to be more than zero",
        ),
        (
            "[[policies]]\ntable = \"a\"\nkeep_newest = 0",
            "t.toml, line 5: `keep_newest` of [[policies]]: 0 is too small; 1 is the least",
        ),
        (
            "[[policies]]\ntable = \"a\"\ninteger_unit = \"second\"",
            "t.toml, line 5: `integer_unit` of [[policies]]: there is no `second`; it is one of seconds, milliseconds, microseconds, nanoseconds\nhint: did you mean `seconds`?",
        ),
        (
            "[[policies]]\ntable = \"a.b.c\"\nkeep_newest = 1",
            "t.toml, line 4: `table` of [[policies]]: `a.b.c` is not a table name; write schema.table, with double quotes around a part that holds a dot, a star or a quote",
        ),
        (
            "[[policies]]\nkeep_newest = 1",
            "t.toml, line 3: [[policies]] does not say for which `table` it is",
        ),
        (
            "[[policies]]\ntable = \"a\"",
            "t.toml, line 3: [[policies]] says neither `drop_after` nor `keep_newest`\nhint: set one of them, or both",
        ),
        (
            "[default_policy]",
            "t.toml, line 3: [default_policy] says neither `drop_after` nor `keep_newest`\nhint: set one of them, or both",
        ),
    ]);
}

#[test]
fn a_policy_is_for_one_store_and_the_only_one_for_its_table() {
    let two = "[stores.spare]\nurl = \"postgres://db/y\"\n[[policies]]\nkeep_newest = 1\n";
    let rule = "[[policies]]\nkeep_newest = 1\n";
    check_faults(&[
        (
            &format!("{two}table = \"a\""),
            "t.toml, line 5: [[policies]] does not say for which `store` it is\nhint: add store = \"NAME\" with one of main, spare",
        ),
        (
            &format!("{two}table = \"a\"\nstore = \"spair\""),
            "t.toml, line 8: `store` of [[policies]]: there is no store `spair`\nhint: did you mean `spare`?",
        ),
        (
            &format!("{rule}table = \"a\"\nstore = \"archive\""),
            "t.toml, line 6: `store` of [[policies]]: there is no store `archive`\nhint: the names known there: main",
        ),
        (
            &format!("{rule}table = \"a\"\n{rule}table = 'public.\"a\"'"),
            "t.toml, line 6: [[policies]] is for `public.a` of store main, which already has a policy on line 3\nhint: keep one of the two",
        ),
        (
            &format!("{rule}table = \"a_*\"\n{rule}table = \"a_*\""),
            "t.toml, line 6: [[policies]] is for `a_*` of store main, which already has a policy on line 3\nhint: keep one of the two",
        ),
    ]);
    let same_table_elsewhere =
        format!("{two}table = \"a\"\nstore = \"main\"\n{rule}table = \"a\"\nstore = \"spare\"");
    assert_eq!(with_store(&same_table_elsewhere).stores[1].rules.policies.len(), 1);
    let pattern_beside_name = format!("{rule}table = \"a\"\n{rule}table = \"a*\"");
    assert_eq!(with_store(&pattern_beside_name).stores[0].rules.policies.len(), 2);
}

#[test]
fn a_file_without_a_store_or_that_is_no_toml_is_refused() {
    let no_store = "t.toml names no store\nhint: add a section [stores.main] with url = { env = \"TIMESWEEP_STORE_URL\" }";
    assert_eq!(fault(""), no_store);
    assert_eq!(fault("[stores]\n"), no_store);
    assert_eq!(
        fault("\n[stores.main]\nzone = \"UTC\""),
        "t.toml, line 2: [stores.main] has no `url`\nhint: add url = { env = \"TIMESWEEP_STORE_URL\" }"
    );
    assert_eq!(
        fault(&format!("{STORE}url = \"postgres://x\"")),
        "t.toml, line 3: this is not valid TOML\n  because: duplicate key"
    );
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let problem = Config::read(Path::new("/nonexistent/t.toml")).expect_err("no file");
    assert_eq!(problem.kind, Kind::Usage);
    assert_eq!(
        problem.to_string(),
        "the configuration /nonexistent/t.toml cannot be read\n  because: No such file or directory (os error 2)\n\
         hint: name another one with --config; example.toml shows every setting"
    );
}

#[test]
fn a_disk_setting_that_cannot_be_followed_is_named() {
    check_faults(&[
        (
            "[disk]\nsource = \"ssh\"",
            "t.toml, line 4: `source` of [disk]: there is no `ssh`; it is one of auto, local, sql, command",
        ),
        (
            "[disk]\nsource = \"command\"",
            "t.toml, line 3: [disk] has no `command`\nhint: add command = [\"ssh\", \"db1\", \"timesweep\", \"disk\", \"--output\", \"json\"]",
        ),
        (
            "[disk]\ncommand = \"ssh db1 df\"",
            "t.toml, line 4: `command` of [disk] has to be a list of texts: a program and its arguments, and it is text",
        ),
        (
            "[disk]\ncommand = []",
            "t.toml, line 4: `command` of [disk] has to be a list of texts: a program and its arguments",
        ),
        (
            "[disk]\ncommand = [\"ssh\", 1]",
            "t.toml, line 4: `command` of [disk] has to be a list of texts: a program and its arguments",
        ),
        (
            "[disk]\ndata_folder = \"data\"",
            "t.toml, line 4: `data_folder` of [disk]: `data` is not an absolute path\nhint: write for example /var/lib/postgresql/17/main",
        ),
        (
            "[disk]\ntime_limit = \"2 days\"",
            "t.toml, line 4: `time_limit` of [disk]: `2 days` is outside of 1 s to 1 hour",
        ),
    ]);
}

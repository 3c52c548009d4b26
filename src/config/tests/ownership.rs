//! `[ownership]`: its defaults, its values, and every fault.

use super::*;

const HOUR: i64 = 3_600_000_000;

#[test]
fn ownership_has_the_platforms_times_and_careful_limits_by_default() {
    assert_eq!(with_store("").ownership, None);
    let settings = with_store("[ownership]").ownership.expect("ownership");
    assert_eq!(settings, OwnershipSettings::of_store(StoreName("main".into())));
    assert_eq!((settings.check.cap_share, settings.check.cap_count), (2_500, 5));
    assert_eq!(settings.check.longest_job, 720 * HOUR);
}

#[test]
fn every_setting_of_ownership_is_read() {
    let settings = with_store(
        "[ownership]\nstore = \"main\"\ncheck_interval = \"10 min\"\ngrace = \"1 hour\"\n\
         registration_lifetime = \"7 days\"\nadopt = \"job_*\"\ncap_share = \"12.5 %\"\ncap_count = 9\n\
         longest_job = \"3 days\"\nhold_after_cancel = \"2 days\"",
    );
    let settings = settings.ownership.expect("ownership");
    assert_eq!(settings.check_interval(), Duration::from_mins(10));
    assert_eq!((settings.check.grace, settings.check.registration_lifetime), (HOUR, 168 * HOUR));
    assert_eq!((settings.check.cap_share, settings.check.cap_count), (1_250, 9));
    assert_eq!((settings.check.longest_job, settings.hold_after_cancel), (72 * HOUR, 48 * HOUR));
    assert_eq!(settings.adopt, Adopt::Pattern("job_*".into()));
}

#[test]
fn a_grace_below_an_hour_is_only_taken_from_somebody_who_means_it() {
    let short = "[ownership]\ngrace = \"59 min\"\n";
    assert_eq!(
        fault(&format!("{STORE}{short}")),
        "t.toml, line 3: [ownership] has a `grace` below an hour: results that come a little late would find their data gone\n\
         hint: set `grace` to at least \"1 hour\"; for a try on data of no value add allow_short_grace = true"
    );
    let meant = with_store(&format!("{short}allow_short_grace = true"));
    assert_eq!(meant.ownership.expect("ownership").check.grace, 59 * HOUR / 60);
}

#[test]
fn faults_of_ownership_have_their_line_and_a_way_out() {
    let said = |rest: &str| fault(&format!("{STORE}[ownership]\n{rest}"));
    assert_eq!(
        said("store = \"mian\""),
        "t.toml, line 4: `store` of [ownership]: there is no store `mian`\nhint: did you mean `main`?"
    );
    assert!(said("adopt = \"\"").contains("an empty pattern adopts nothing"));
    assert!(said("grace = \"0 s\"").contains("`0 s` is outside of 1 s to 36500 days"));
    assert!(said("cap_count = 0").contains("0 is too small; 1 is the least"));
    assert!(said("gracee = \"1 hour\"").ends_with("did you mean `grace`?"));
    let two = format!("{STORE}[stores.other]\nurl = \"postgres://me@db/other\"\n[ownership]\n");
    assert!(fault(&two).contains("has no `store`, and there are several"));
}

//! `[ownership]`: which store holds data of jobs, and how long to wait before what nobody owns may go.
//!
//! The three times are three settings; each defaults to the platform's own JOB_RETENTION_SEC. Invariant: a
//! grace below an hour is only built where somebody wrote that it is meant.

use std::time::Duration;

use uuid::Uuid;

use super::document::{Section, Setting};
use super::values::{self, OWNERSHIP_TIME};
use super::{nearest, schema};
use crate::problem::{Problem, Result};
use crate::retention::model::StoreName;
use crate::retention::ownership::OwnedName;
use crate::retention::ownership::check::Settings;

/// What the platform calls its one setting, in seconds.
const RETENTION: &str = "JOB_RETENTION_SEC";
const RETENTION_DEFAULT: i64 = 172_800;
const ALLOW_SHORT_GRACE: &str = "TIMESWEEP_ALLOW_SHORT_GRACE";
const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3_600 * SECOND;
const DAY: i64 = 24 * HOUR;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnershipSettings {
    /// The store whose datasets are owned by jobs.
    pub store: StoreName,
    pub check: Settings,
    pub adopt: Adopt,
    /// Microseconds: how long a dataset whose mark a person cancelled is held.
    pub hold_after_cancel: i64,
}

/// Which names are ours, beside those that were ever registered or claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Adopt {
    /// A UUID in its usual form, as output ESDL ids are.
    Uuid,
    /// `*` stands for any letters; everything else is compared letter by letter.
    Pattern(String),
}

impl Adopt {
    pub fn adopts(&self, name: &OwnedName) -> bool {
        match self {
            Self::Uuid => is_uuid(&name.0),
            Self::Pattern(pattern) => fits(pattern, &name.0),
        }
    }
}

/// 32 digits alone are no UUID here: they may be anybody's checksum.
fn is_uuid(name: &str) -> bool {
    name.len() == 36 && Uuid::try_parse(name).is_ok()
}

impl OwnershipSettings {
    /// What stands in no file: for tests, and for those who start from the defaults.
    pub fn of_store(store: StoreName) -> Self {
        Self::with_retention(store, RETENTION_DEFAULT * SECOND)
    }

    fn with_retention(store: StoreName, retention: i64) -> Self {
        let check = Settings {
            check_interval: retention,
            grace: retention,
            registration_lifetime: retention,
            longest_job: 30 * DAY,
            accept_empty: false,
            cap_share: 2_500,
            cap_count: 5,
        };
        Self { store, check, adopt: Adopt::Uuid, hold_after_cancel: 30 * DAY }
    }

    pub fn check_interval(&self) -> Duration {
        Duration::from_micros(self.check.check_interval.unsigned_abs())
    }
}

/// The two variables that count where the file says nothing.
#[derive(Debug, Clone, Default)]
pub(super) struct Environment {
    retention: Option<String>,
    allow_short_grace: bool,
}

impl Environment {
    pub(super) fn of_this_process() -> Self {
        Self {
            retention: std::env::var(RETENTION).ok(),
            allow_short_grace: std::env::var(ALLOW_SHORT_GRACE).is_ok_and(|value| value == "1"),
        }
    }

    /// Microseconds.
    pub(super) fn retention(&self) -> Result<i64> {
        let Some(text) = self.retention.as_deref().map(str::trim).filter(|text| !text.is_empty()) else {
            return Ok(RETENTION_DEFAULT * SECOND);
        };
        // More than a century is a slip, and would not fit into the calendar.
        match text.parse::<i64>() {
            Ok(seconds) if (1..=3_200_000_000).contains(&seconds) => Ok(seconds * SECOND),
            Ok(seconds) => Err(wrong_retention(&if seconds < 1 {
                format!("is {seconds} and has to be at least 1")
            } else {
                format!("is {seconds}, which is more than a century")
            })),
            // Whatever it is instead may be a secret in the wrong place.
            Err(_) => Err(wrong_retention(&format!(
                "is no whole number of seconds (it has {} letters)",
                text.chars().count()
            ))),
        }
    }
}

fn wrong_retention(said: &str) -> Problem {
    Problem::usage(format!("{RETENTION} {said}"))
        .hint(format!("set it to a whole number of seconds such as {RETENTION_DEFAULT}, or unset it"))
}

/// `stores`: the names of all stores there are.
pub(super) fn read(
    top: &Section<'_>,
    stores: &[&str],
    environment: &Environment,
) -> Result<Option<OwnershipSettings>> {
    match top.section("ownership", &schema::OWNERSHIP)? {
        Some(section) => read_section(&section, stores, environment).map(Some),
        None => Ok(None),
    }
}

fn read_section(
    section: &Section<'_>,
    stores: &[&str],
    environment: &Environment,
) -> Result<OwnershipSettings> {
    let store = section.read("store", |setting| known_store(setting, stores))?;
    let store = store.or_else(|| only(stores)).ok_or_else(|| {
        section.fault("has no `store`, and there are several").hint("name the one whose data jobs own")
    })?;
    let mut settings = OwnershipSettings::with_retention(store, environment.retention()?);
    read_times(section, &mut settings)?;
    settings.adopt = section.read("adopt", |setting| setting.parsed(adopt))?.unwrap_or(Adopt::Uuid);
    if let Some(share) = section.read("cap_share", |setting| setting.parsed(values::share))? {
        settings.check.cap_share = share.of(10_000);
    }
    if let Some(count) = section.read("cap_count", |setting| setting.number(1..=1_000_000))? {
        settings.check.cap_count = count;
    }
    let allowed = section.read("allow_short_grace", Setting::flag)?.unwrap_or(false);
    refuse_short_grace(section, &settings, allowed || environment.allow_short_grace)?;
    Ok(settings)
}

fn read_times(section: &Section<'_>, settings: &mut OwnershipSettings) -> Result<()> {
    let check = &mut settings.check;
    for (key, bounds, time) in [
        ("check_interval", OWNERSHIP_TIME, &mut check.check_interval),
        ("grace", OWNERSHIP_TIME, &mut check.grace),
        ("registration_lifetime", OWNERSHIP_TIME, &mut check.registration_lifetime),
        ("longest_job", OWNERSHIP_TIME, &mut check.longest_job),
        ("hold_after_cancel", OWNERSHIP_TIME, &mut settings.hold_after_cancel),
    ] {
        let given = section.read(key, |setting| setting.parsed(|text| values::microseconds(text, bounds)))?;
        *time = given.unwrap_or(*time);
    }
    Ok(())
}

fn refuse_short_grace(section: &Section<'_>, settings: &OwnershipSettings, allowed: bool) -> Result<()> {
    if settings.check.grace >= HOUR || allowed {
        return Ok(());
    }
    Err(section
        .fault("has a `grace` below an hour: results that come a little late would find their data gone")
        .hint(
            "set `grace` to at least \"1 hour\"; for a try on data of no value add allow_short_grace = true",
        ))
}

fn known_store(setting: &Setting<'_>, stores: &[&str]) -> Result<StoreName> {
    let name = setting.text()?;
    if stores.contains(&name) {
        return Ok(StoreName(name.to_owned()));
    }
    Err(setting
        .fault(format!(": there is no store `{name}`"))
        .hint(nearest::hint(name, stores.iter().copied())))
}

fn only(stores: &[&str]) -> Option<StoreName> {
    match stores {
        [only] => Some(StoreName((*only).to_owned())),
        _ => None,
    }
}

fn adopt(text: &str) -> std::result::Result<Adopt, String> {
    if text.trim().eq_ignore_ascii_case("uuid") {
        return Ok(Adopt::Uuid);
    }
    if text.trim().is_empty() {
        return Err("an empty pattern adopts nothing; write \"uuid\" or for example \"job_*\"".into());
    }
    Ok(Adopt::Pattern(text.to_owned()))
}

/// Every piece between stars, in its order; the first at the beginning and the last at the end.
fn fits(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut left) = name.strip_prefix(first) else { return false };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    for piece in middle.split('*') {
        let Some(at) = left.find(piece) else { return false };
        left = &left[at + piece.len()..];
    }
    left.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retention(text: &str) -> Result<i64> {
        Environment { retention: Some(text.into()), allow_short_grace: false }.retention()
    }

    #[test]
    fn the_platforms_own_retention_is_the_default_of_all_three_times() {
        assert_eq!(retention(" 3600 ").expect("seconds"), HOUR);
        assert_eq!(retention("").expect("the default"), 2 * DAY);
        for (wrong, why) in [
            ("2 days", "is no whole number of seconds (it has 6 letters)"),
            ("-1", "is -1 and has to be at least 1"),
            ("0", "is 0 and has to be at least 1"),
            ("3200000001", "is 3200000001, which is more than a century"),
            ("99999999999999999999", "is no whole number of seconds (it has 20 letters)"),
        ] {
            let said = retention(wrong).expect_err(wrong).to_string();
            assert!(said.starts_with(&format!("JOB_RETENTION_SEC {why}")), "{said}");
        }
    }

    #[test]
    fn only_names_that_fit_are_adopted() {
        let adopts = |adopt: &Adopt, name: &str| adopt.adopts(&OwnedName(name.into()));
        assert!(adopts(&Adopt::Uuid, "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed"));
        for name in
            ["telegraf", "1b9d6bcdbbfd4b2d9b5dab8dfbbd4bed", "{1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4be}", ""]
        {
            assert!(!adopts(&Adopt::Uuid, name), "{name}");
        }
        let pattern = adopt("job_*").expect("a pattern");
        assert!(adopts(&pattern, "job_1.x") && !adopts(&pattern, "a_job_1") && !adopts(&pattern, "Job_1"));
        assert_eq!(adopt("uuid"), Ok(Adopt::Uuid));
        for (pattern, name, yes) in [
            ("*", "anything", true),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "abc", true),
            ("a*b*c", "acb", false),
            ("ab*ba", "aba", false),
            ("exact", "exact", true),
            ("exact", "exactly", false),
            ("*_tmp", "x_tmp_tmp", true),
        ] {
            assert_eq!(fits(pattern, name), yes, "{pattern} {name}");
        }
        assert!(adopt("").is_err());
    }
}

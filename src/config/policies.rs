//! `[[policies]]` and `[default_policy]`: the rules, and which store each is for.
//!
//! Invariant: a rule belongs to exactly one store, says when something may go, and is the only one
//! for its table there. Which of two overlapping patterns wins is decided later (`retention::resolve`).

use super::document::{Section, Setting};
use super::{nearest, schema, values};
use crate::problem::{Problem, Result};
use crate::retention::name::TablePattern;
use crate::retention::policy::{DropAfter, PolicySource};
use crate::retention::rules::PolicyRule;
use crate::retention::time_axis::IntegerUnit;

const INTEGER_UNITS: [(&str, IntegerUnit); 4] = [
    ("seconds", IntegerUnit::Seconds),
    ("milliseconds", IntegerUnit::Milliseconds),
    ("microseconds", IntegerUnit::Microseconds),
    ("nanoseconds", IntegerUnit::Nanoseconds),
];

/// One rule with its store.
struct Entry {
    store: String,
    table: TablePattern,
    line: usize,
    rule: PolicyRule,
}

/// The rules of all `[[policies]]`, with the name of the store that each is for.
pub(super) fn read_policies(top: &Section<'_>, stores: &[&str]) -> Result<Vec<(String, PolicyRule)>> {
    let mut entries: Vec<Entry> = Vec::new();
    for section in top.list("policies", &schema::POLICY)? {
        let entry = read_entry(&section, stores)?;
        match entries.iter().find(|earlier| is_same_table(earlier, &entry)) {
            Some(earlier) => return Err(duplicate(&section, earlier, &entry)),
            None => entries.push(entry),
        }
    }
    Ok(entries.into_iter().map(|entry| (entry.store, entry.rule)).collect())
}

pub(super) fn read_default_policy(top: &Section<'_>) -> Result<Option<PolicyRule>> {
    let Some(section) = top.section("default_policy", &schema::DEFAULT_POLICY)? else { return Ok(None) };
    let rule = read_rule(&section, None, PolicySource::Default)?;
    if says_nothing(&rule) { Err(nothing_said(&section)) } else { Ok(Some(rule)) }
}

fn read_entry(section: &Section<'_>, stores: &[&str]) -> Result<Entry> {
    let store = read_store(section, stores)?;
    let Some(table) = section.read("table", |setting| setting.parsed(str::parse::<TablePattern>))? else {
        return Err(section.fault("does not say for which `table` it is"));
    };
    let source = PolicySource::Configuration { table: table.to_string() };
    let mut rule = read_rule(section, Some(table.clone()), source)?;
    rule.take_over_native = section.read("take_over_native_policy", Setting::flag)?.unwrap_or_default();
    if says_nothing(&rule) && !rule.take_over_native {
        return Err(nothing_said(section));
    }
    Ok(Entry { store, table, line: section.line(), rule })
}

fn read_store(section: &Section<'_>, stores: &[&str]) -> Result<String> {
    let Some(setting) = section.setting("store") else {
        return match stores {
            [only] => Ok((*only).to_owned()),
            _ => Err(section
                .fault("does not say for which `store` it is")
                .hint(format!("add store = \"NAME\" with one of {}", stores.join(", ")))),
        };
    };
    let name = setting.text()?;
    if stores.contains(&name) {
        return Ok(name.to_owned());
    }
    Err(setting
        .fault(format!(": there is no store `{name}`"))
        .hint(nearest::hint(name, stores.iter().copied())))
}

fn read_rule(section: &Section<'_>, table: Option<TablePattern>, source: PolicySource) -> Result<PolicyRule> {
    Ok(PolicyRule {
        table,
        drop_after: section.read("drop_after", read_drop_after)?,
        keep_newest: section.read("keep_newest", |setting| setting.number(1..=u32::MAX.into()))?,
        integer_unit: section.read("integer_unit", |setting| setting.choice(&INTEGER_UNITS))?,
        take_over_native: false,
        source,
    })
}

fn read_drop_after(setting: &Setting<'_>) -> Result<DropAfter> {
    let value = setting.value.get_ref();
    if value.is_integer() {
        let number = setting.whole_number()?;
        return DropAfter::units(number).map_err(|why| setting.fault(format!(": {why}")));
    }
    if !value.is_str() {
        return Err(setting.wrong_type("text such as \"30 days\" or a whole number"));
    }
    setting.parsed(values::parse_span)
}

fn says_nothing(rule: &PolicyRule) -> bool {
    rule.drop_after.is_none() && rule.keep_newest.is_none()
}

fn nothing_said(section: &Section<'_>) -> Problem {
    section.fault("says neither `drop_after` nor `keep_newest`").hint("set one of them, or both")
}

fn is_same_table(one: &Entry, other: &Entry) -> bool {
    let same = match (one.table.exact_name(), other.table.exact_name()) {
        (Some(name), Some(other_name)) => name == other_name,
        _ => one.table == other.table,
    };
    same && one.store == other.store
}

fn duplicate(section: &Section<'_>, earlier: &Entry, later: &Entry) -> Problem {
    let (table, store, line) = (&later.table, &later.store, earlier.line);
    section
        .fault(format!("is for `{table}` of store {store}, which already has a policy on line {line}"))
        .hint("keep one of the two")
}

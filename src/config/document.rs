//! The configuration file as sections and settings that know their line.
//!
//! A fault names file, line, section and setting. Invariant: no line of the file is ever quoted (the
//! parser's own caret message would do that), because any line may hold a password.

use std::fmt::Display;
use std::ops::RangeInclusive;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::nearest;
use super::schema::{self, Known};
use crate::problem::{Problem, Result};

type Value<'a> = Spanned<DeValue<'a>>;

/// The text of a file and what people call it.
#[derive(Clone, Copy)]
pub(super) struct Document<'a> {
    pub origin: &'a str,
    pub text: &'a str,
}

impl<'a> Document<'a> {
    pub(super) fn parse(self) -> Result<Spanned<DeTable<'a>>> {
        DeTable::parse(self.text).map_err(|error| {
            let place = self.place(error.span().map_or(0, |span| span.start));
            Problem::usage(format!("{place}: this is not valid TOML")).cause(error.message())
        })
    }

    fn place(self, offset: usize) -> String {
        format!("{}, line {}", self.origin, self.line(offset))
    }

    fn line(self, offset: usize) -> usize {
        self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
    }

    pub(super) fn fault(self, offset: usize, said: impl Display) -> Problem {
        Problem::usage(format!("{}: {said}", self.place(offset)))
    }
}

/// One table of the file. Building it refuses every setting it does not know.
pub(super) struct Section<'a> {
    pub document: Document<'a>,
    pub label: String,
    entries: &'a DeTable<'a>,
    known: &'static Known,
    offset: usize,
}

impl<'a> Section<'a> {
    pub(super) fn top(document: Document<'a>, entries: &'a DeTable<'a>) -> Result<Self> {
        Self { document, label: schema::TOP.label.into(), entries, known: &schema::TOP, offset: 0 }.checked()
    }

    fn checked(self) -> Result<Self> {
        let unknown = |key: &&Spanned<_>| !self.known.keys.contains(&written(key));
        match self.entries.keys().filter(unknown).min_by_key(|key| key.span().start) {
            Some(key) => Err(self.unknown(written(key), key.span().start)),
            None => Ok(self),
        }
    }

    fn unknown(&self, key: &str, offset: usize) -> Problem {
        let label = &self.label;
        if !is_bare(key) {
            return self
                .document
                .fault(offset, format!("{label} has a setting that timesweep does not know"));
        }
        let own_names = self.known.keys;
        let hint = match (nearest::nearest(key, own_names), schema::home_of(key)) {
            (None, Some(home)) => format!("`{key}` belongs to {home}"),
            _ => nearest::hint(key, own_names.iter().copied()),
        };
        self.document.fault(offset, format!("{label} has no setting `{key}`")).hint(hint)
    }

    /// A fault of the section as a whole, such as something that is missing.
    pub(super) fn fault(&self, said: impl Display) -> Problem {
        self.document.fault(self.offset, format!("{} {said}", self.label))
    }

    pub(super) fn line(&self) -> usize {
        self.document.line(self.offset)
    }

    pub(super) fn setting(&self, key: &'static str) -> Option<Setting<'a>> {
        debug_assert!(self.known.keys.contains(&key), "{key} is not in the schema of {}", self.label);
        let value = self.entries.get(key)?;
        let place = format!("`{key}` of {}", self.label);
        Some(Setting { document: self.document, place, value })
    }

    /// Reads a setting where it is given.
    pub(super) fn read<T>(
        &self,
        key: &'static str,
        how: impl FnOnce(&Setting<'a>) -> Result<T>,
    ) -> Result<Option<T>> {
        self.setting(key).map(|setting| how(&setting)).transpose()
    }

    /// The section under `key`, where it is given.
    pub(super) fn section(&self, key: &'static str, known: &'static Known) -> Result<Option<Self>> {
        self.read(key, |setting| setting.section(known, known.label))
    }

    /// The sections under `key` that people name themselves, in the order of the file.
    pub(super) fn named_sections(
        &self,
        key: &'static str,
        known: &'static Known,
    ) -> Result<Vec<(String, Self)>> {
        let Some(setting) = self.setting(key) else { return Ok(Vec::new()) };
        let mut named: Vec<_> = setting.table()?.iter().collect();
        named.sort_by_key(|(name, _)| name.span().start);
        named.into_iter().map(|(name, value)| self.named_section(key, name, value, known)).collect()
    }

    fn named_section(
        &self,
        key: &'static str,
        name: &Spanned<impl AsRef<str>>,
        value: &'a Value<'a>,
        known: &'static Known,
    ) -> Result<(String, Self)> {
        let plain = name.get_ref().as_ref();
        if !is_bare(plain) {
            let said = format!("a name under [{key}] may have letters, digits, `-` and `_` only");
            return Err(self.document.fault(name.span().start, said));
        }
        let label = format!("[{key}.{plain}]");
        let setting = Setting { document: self.document, place: label.clone(), value };
        Ok((plain.to_owned(), setting.section(known, &label)?))
    }

    /// The elements of a `[[key]]` list.
    pub(super) fn list(&self, key: &'static str, known: &'static Known) -> Result<Vec<Self>> {
        let Some(setting) = self.setting(key) else { return Ok(Vec::new()) };
        let label = known.label;
        let Some(values) = setting.value.get_ref().as_array() else {
            return Err(setting.wrong_type(&format!("a list: {label}")));
        };
        let element = |value| Setting { document: self.document, place: label.into(), value };
        values.iter().map(|value| element(value).section(known, label)).collect()
    }
}

/// One value of the file.
pub(super) struct Setting<'a> {
    document: Document<'a>,
    /// What people call it: "`url` of [stores.main]".
    pub place: String,
    pub value: &'a Value<'a>,
}

impl<'a> Setting<'a> {
    pub(super) fn fault(&self, said: impl Display) -> Problem {
        self.document.fault(self.value.span().start, format!("{}{said}", self.place))
    }

    /// Says what is needed and what is there instead; never the value itself.
    pub(super) fn wrong_type(&self, needed: &str) -> Problem {
        let found = match self.value.get_ref() {
            DeValue::String(_) => "text",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number with a decimal point",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a section",
        };
        self.fault(format!(" has to be {needed}, and it is {found}"))
    }

    fn table(&self) -> Result<&'a DeTable<'a>> {
        self.value.get_ref().as_table().ok_or_else(|| self.wrong_type("a section"))
    }

    pub(super) fn section(&self, known: &'static Known, label: &str) -> Result<Section<'a>> {
        let (document, offset) = (self.document, self.value.span().start);
        Section { document, label: label.into(), entries: self.table()?, known, offset }.checked()
    }

    pub(super) fn text(&self) -> Result<&'a str> {
        self.value.get_ref().as_str().ok_or_else(|| self.wrong_type("text in double quotes"))
    }

    pub(super) fn flag(&self) -> Result<bool> {
        self.value.get_ref().as_bool().ok_or_else(|| self.wrong_type("true or false"))
    }

    pub(super) fn whole_number(&self) -> Result<i64> {
        let Some(number) = self.value.get_ref().as_integer() else {
            return Err(self.wrong_type("a whole number"));
        };
        i64::from_str_radix(number.as_str(), number.radix())
            .map_err(|_| self.fault(": the number is too large"))
    }

    /// A whole number inside of `bounds`, which the target type has to be able to hold.
    pub(super) fn number<T: TryFrom<i64>>(&self, bounds: RangeInclusive<i64>) -> Result<T> {
        let number = self.whole_number()?;
        if number < *bounds.start() {
            return Err(self.fault(format!(": {number} is too small; {} is the least", bounds.start())));
        }
        let too_large = || self.fault(format!(": {number} is too large; {} is the most", bounds.end()));
        if number > *bounds.end() { Err(too_large()) } else { T::try_from(number).map_err(|_| too_large()) }
    }

    /// Text that `how` understands; what `how` says becomes the sentence.
    pub(super) fn parsed<T>(&self, how: impl FnOnce(&str) -> std::result::Result<T, String>) -> Result<T> {
        how(self.text()?).map_err(|why| self.fault(format!(": {why}")))
    }

    /// A list of texts that `how` understands, at least one.
    pub(super) fn list_of<T>(&self, how: impl Fn(&str) -> std::result::Result<T, String>) -> Result<Vec<T>> {
        let needed = "a list of texts, such as [\"…\"]";
        let values = self.value.get_ref().as_array().ok_or_else(|| self.wrong_type(needed))?;
        if values.is_empty() {
            return Err(self.fault(" is an empty list").hint("leave it out, or name at least one"));
        }
        let element = |value| Setting { document: self.document, place: self.place.clone(), value };
        values.iter().map(|value| element(value).parsed(&how)).collect()
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&self, choices: &[(&'static str, T)]) -> Result<T> {
        let text = self.text()?;
        let names = || choices.iter().map(|(name, _)| *name);
        let found = choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        found.ok_or_else(|| {
            let names: Vec<&str> = names().collect();
            let fault = self.fault(format!(": there is no `{text}`; it is one of {}", names.join(", ")));
            match nearest::nearest(text, &names) {
                Some(name) => fault.hint(format!("did you mean `{name}`?")),
                None => fault,
            }
        })
    }
}

fn written(key: &Spanned<impl AsRef<str>>) -> &str {
    key.get_ref().as_ref()
}

/// A key that needs no quotes in TOML. Others are not repeated in faults: they may be anything.
fn is_bare(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

//! One object of the workflow file, and what is wrong with it.
//!
//! Invariant: a fault begins behind the name of its place, so that whoever knows the place puts it in front.

use serde_json::{Map, Value};

/// Such as ": `minimum` has to be a whole number".
pub(super) type Fault = String;

pub(super) fn missing(key: &str) -> Fault {
    format!(": `{key}` is missing")
}

pub(super) struct Object<'a>(&'a Map<String, Value>);

impl<'a> Object<'a> {
    pub(super) fn of(value: &'a Value) -> Result<Self, Fault> {
        value.as_object().map(Self).ok_or_else(|| ": it has to be an object".into())
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    fn read<T>(
        &self,
        key: &str,
        needed: &str,
        how: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, Fault> {
        let Some(value) = self.0.get(key) else { return Ok(None) };
        how(value).map(Some).ok_or_else(|| format!(": `{key}` has to be {needed}"))
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<String>, Fault> {
        self.read(key, "text", |value| value.as_str().map(str::to_owned))
    }

    /// `null` is the same as nothing here.
    pub(super) fn text_or_null(&self, key: &str) -> Result<Option<String>, Fault> {
        if self.0.get(key).is_some_and(Value::is_null) { Ok(None) } else { self.text(key) }
    }

    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>, Fault> {
        self.read(key, "true or false", Value::as_bool)
    }

    pub(super) fn whole(&self, key: &str) -> Result<Option<i64>, Fault> {
        self.read(key, "a whole number", Value::as_i64)
    }

    pub(super) fn number(&self, key: &str) -> Result<Option<f64>, Fault> {
        self.read(key, "a number", Value::as_f64)
    }

    pub(super) fn list(&self, key: &str) -> Result<&'a [Value], Fault> {
        let list = self.read(key, "a list", |value| value.as_array().map(Vec::as_slice))?;
        Ok(list.unwrap_or_default())
    }
}

//! Reads an answer table by table: there is one for each shard, and all of them at once would take many
//! times the memory of what is wanted of them.
//!
//! Invariant: whatever was handed over counts only if the whole answer was read without an error, and no
//! part of it is there twice.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{Series, Unusable};

/// Gets the number of a statement and one of its tables.
pub type Take<'a> = &'a mut (dyn FnMut(usize, Series) -> Result<(), Unusable> + Send);

/// Hands every table over in the order of the answer.
pub fn read_each(body: &[u8], statements: usize, take: Take<'_>) -> Result<(), Unusable> {
    let mut reading = Reading { take, results: 0, unusable: None };
    let mut text = serde_json::Deserializer::from_slice(body);
    let whole = Answer(&mut reading).deserialize(&mut text).and_then(|error| text.end().map(|()| error));
    let error = whole.map_err(|error| Unusable::Broken(format!("the answer is not whole: {error}")))?;
    let miscounted = || format!("{} results came for {statements} statements", reading.results);
    match error.map(Unusable::Said).or(reading.unusable) {
        Some(said @ Unusable::Said(_)) => Err(said),
        // What is wrong with a table of another statement than we took it for says nothing.
        _ if reading.results != statements => Err(Unusable::Broken(miscounted())),
        Some(why) => Err(why),
        None => Ok(()),
    }
}

struct Reading<'a> {
    take: Take<'a>,
    results: usize,
    /// The first reason why the answer does not count.
    unusable: Option<Unusable>,
}

impl Reading<'_> {
    fn refuse(&mut self, why: Unusable) {
        self.unusable.get_or_insert(why);
    }

    fn take(&mut self, table: Series) {
        if table.partial {
            self.refuse(cut());
        }
        if self.unusable.is_none()
            && let Err(why) = (self.take)(self.results, table)
        {
            self.refuse(why);
        }
    }

    fn end_result(&mut self, id: Option<usize>, partial: bool, error: Option<String>) {
        if partial {
            self.refuse(cut());
        }
        if id.is_some_and(|id| id != self.results) {
            self.refuse(Unusable::Broken("the results are in another order than the statements".into()));
        }
        // The server's own words tell more than what they have left behind.
        if let Some(error) = error
            && !matches!(self.unusable, Some(Unusable::Said(_)))
        {
            self.unusable = Some(Unusable::Said(error));
        }
        self.results += 1;
    }
}

fn cut() -> Unusable {
    Unusable::Broken("the server has cut the answer (partial)".into())
}

/// The whole answer; its value is the error beside the results.
struct Answer<'r, 'a>(&'r mut Reading<'a>);

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum AnswerKey {
    Results,
    Error,
    #[serde(other)]
    Other,
}

impl<'de> DeserializeSeed<'de> for Answer<'_, '_> {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Answer<'_, '_> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an answer")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut results, mut error) = (None, None);
        while let Some(key) = map.next_key()? {
            match key {
                AnswerKey::Results => {
                    once(&mut results, map.next_value_seed(Results(&mut *self.0))?, "results")?;
                }
                AnswerKey::Error => once(&mut error, map.next_value::<Option<String>>()?, "error")?,
                AnswerKey::Other => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        Ok(error.flatten())
    }
}

fn once<T, E: Error>(place: &mut Option<T>, value: T, name: &'static str) -> Result<(), E> {
    if place.replace(value).is_some() { Err(E::duplicate_field(name)) } else { Ok(()) }
}

/// A list whose elements are read one after the other and kept nowhere.
macro_rules! list {
    ($name:ident, $what:literal, |$reading:ident, $list:ident| $next:expr) => {
        struct $name<'r, 'a>(&'r mut Reading<'a>);

        impl<'de> DeserializeSeed<'de> for $name<'_, '_> {
            type Value = ();

            fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
                deserializer.deserialize_seq(self)
            }
        }

        impl<'de> Visitor<'de> for $name<'_, '_> {
            type Value = ();

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($what)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut $list: A) -> Result<(), A::Error> {
                let $reading = self.0;
                while $next.is_some() {}
                Ok(())
            }
        }
    };
}

list!(Results, "a list of results", |reading, list| list.next_element_seed(OneResult(&mut *reading))?);
list!(Tables, "a list of tables", |reading, list| list
    .next_element()?
    .map(|table: Series| reading.take(table)));

struct OneResult<'r, 'a>(&'r mut Reading<'a>);

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum ResultKey {
    StatementId,
    Series,
    Error,
    Partial,
    #[serde(other)]
    Other,
}

impl<'de> DeserializeSeed<'de> for OneResult<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for OneResult<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the result of a statement")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (mut id, mut series, mut error, mut partial) = (None, None, None, None);
        while let Some(key) = map.next_key()? {
            match key {
                ResultKey::StatementId => {
                    once(&mut id, map.next_value::<Option<usize>>()?, "statement_id")?;
                }
                ResultKey::Series => {
                    once(&mut series, map.next_value_seed(Tables(&mut *self.0))?, "series")?;
                }
                ResultKey::Error => once(&mut error, map.next_value::<Option<String>>()?, "error")?,
                ResultKey::Partial => once(&mut partial, map.next_value()?, "partial")?,
                ResultKey::Other => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        self.0.end_result(id.flatten(), partial.unwrap_or(false), error.flatten());
        Ok(())
    }
}

//! What InfluxDB answers to a query, read strictly.
//!
//! A failure comes inside a 200 as often as not: an error beside the results, in one of them, or a list
//! that is cut and says `partial`. Invariant: an answer is one complete result for each statement, or an error.

use serde::Deserialize;
use serde_json::Value;

mod each;

pub use each::{Take, read_each};

/// A table of the answer. One without rows has no `values` at all.
#[derive(Debug, Deserialize, PartialEq)]
pub struct Series {
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub tags: Tags,
    columns: Vec<String>,
    #[serde(default)]
    pub values: Vec<Vec<Value>>,
    #[serde(default)]
    partial: bool,
}

/// The tags that are asked for here; the paths beside them are most of an answer's bytes.
#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub struct Tags {
    pub database: String,
    pub id: String,
}

/// Why an answer does not count.
#[derive(Debug, PartialEq, Eq)]
pub enum Unusable {
    /// The server's own words.
    Said(String),
    /// It is not whole, or not what was asked for.
    Broken(String),
}

/// The tables of each statement, in the order of the statements.
pub fn read(body: &[u8], statements: usize) -> Result<Vec<Vec<Series>>, Unusable> {
    let mut answer: Vec<Vec<Series>> = (0..statements).map(|_| Vec::new()).collect();
    read_each(body, statements, &mut |statement, table| {
        // Results that nobody asked for are refused in the end.
        if let Some(tables) = answer.get_mut(statement) {
            tables.push(table);
        }
        Ok(())
    })?;
    Ok(answer)
}

impl Series {
    /// Where a column is; a server that has none is another version than those we know.
    pub fn column(&self, name: &str) -> Result<usize, Unusable> {
        let found = self.columns.iter().position(|column| column == name);
        found.ok_or_else(|| {
            Unusable::Broken(format!("the answer has no column {name} (it has {})", self.columns.join(", ")))
        })
    }
}

pub fn text(row: &[Value], column: usize) -> Result<&str, Unusable> {
    row.get(column).and_then(Value::as_str).ok_or_else(|| unexpected(row, column, "text"))
}

/// Counters and sizes; some versions write them as 1e+06.
pub fn number(row: &[Value], column: usize) -> Result<u64, Unusable> {
    let value = row.get(column).ok_or_else(|| unexpected(row, column, "a number"))?;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to be whole and not negative"
    )]
    let whole = |number: f64| (number >= 0.0 && number.fract() == 0.0).then_some(number as u64);
    value
        .as_u64()
        .or_else(|| value.as_f64().and_then(whole))
        .ok_or_else(|| unexpected(row, column, "a number"))
}

fn unexpected(row: &[Value], column: usize, needed: &str) -> Unusable {
    let found = row.get(column).map_or("nothing", |value| match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) | Value::Object(_) => "something else",
    });
    Unusable::Broken(format!("the answer has {found} where {needed} belongs"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &str = r#"{"results":[{"statement_id":0,"series":[{"name":"databases","columns":["name"],"values":[["a"],["b"]]}]}]}"#;

    #[test]
    fn a_whole_answer_is_read_and_one_without_rows_is_empty() {
        let answer = read(NAMES.as_bytes(), 1).expect("an answer");
        assert_eq!(answer[0][0].values.len(), 2);
        assert_eq!(text(&answer[0][0].values[1], 0), Ok("b"));
        let empty = r#"{"results":[{"series":[{"name":"databases","columns":["name"]}]},{}]}"#;
        let empty = read(empty.as_bytes(), 2).expect("an answer");
        assert!(empty[0][0].values.is_empty() && empty[1].is_empty());
    }

    #[test]
    fn an_error_inside_a_good_answer_is_an_error() {
        for body in [
            r#"{"error":"no"}"#,
            r#"{"results":[{"statement_id":0,"error":"no"}]}"#,
            r#"{"results":[{"statement_id":0,"series":[{"columns":["name"],"values":[["a"]]}],"error":"no"}]}"#,
            r#"{"results":[{"statement_id":0},{"statement_id":1,"error":"no"}]}"#,
        ] {
            assert_eq!(read(body.as_bytes(), 1).err(), Some(Unusable::Said("no".into())), "{body}");
        }
    }

    #[test]
    fn an_answer_that_is_not_whole_is_an_error_wherever_it_is_cut() {
        for end in 0..NAMES.len() {
            assert!(matches!(read(&NAMES.as_bytes()[..end], 1), Err(Unusable::Broken(_))), "cut at {end}");
        }
        for body in [
            r#"{"results":[{"series":[{"columns":["name"],"values":[["a"]],"partial":true}]}]}"#,
            r#"{"results":[{"series":[{"columns":["name"],"values":[["a"]]}],"partial":true}]}"#,
            r#"{"results":[]}"#,
            "{}",
            "[]",
            "null",
            "",
            r#"{"results":[{"statement_id":1}]}"#,
            r#"{"results":[{"statement_id":0},{"statement_id":1}]}"#,
            "{\"results\":[{\"statement_id\":0}]}\n{\"results\":[{\"statement_id\":0}]}",
        ] {
            assert!(matches!(read(body.as_bytes(), 1), Err(Unusable::Broken(_))), "{body}");
        }
    }

    #[test]
    fn what_has_another_shape_is_an_error() {
        let answer = read(NAMES.as_bytes(), 1).expect("an answer");
        assert!(answer[0][0].column("database").is_err());
        assert!(text(&[Value::Null], 0).is_err() && text(&[], 0).is_err());
        assert_eq!(number(&[1e6.into()], 0), Ok(1_000_000));
        assert_eq!(number(&[u64::MAX.into()], 0), Ok(u64::MAX));
        for value in [Value::from(-1), Value::from(0.5), Value::Null, Value::from("1")] {
            assert!(number(std::slice::from_ref(&value), 0).is_err(), "{value}");
        }
    }
}

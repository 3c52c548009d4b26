//! Names of datasets and chunks as the store spells them, and the patterns that select them.
//!
//! A name is kept raw and is quoted only when it is shown or sent, so that a table called
//! `a"; drop table b` is just a table. A character that would break the line or steer the terminal is
//! shown by its number, as SQL's `U&"…"` does. Invariant: `parse(display(name)) == name` for every name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A relation: schema and name, exactly as the catalog has them (no quotes, no case folding).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RelationName {
    pub schema: String,
    pub name: String,
}

/// What a policy is attached to. For TimescaleDB that is a hypertable.
pub type DatasetName = RelationName;

impl RelationName {
    pub fn new(schema: impl Into<String>, name: impl Into<String>) -> Self {
        Self { schema: schema.into(), name: name.into() }
    }
}

/// Shows a name the way SQL accepts it: quoted where it has to be.
impl fmt::Display for RelationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", quote_where_needed(&self.schema), quote_where_needed(&self.name))
    }
}

impl FromStr for RelationName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let pattern = TablePattern::from_str(text)?;
        pattern.exact_name().ok_or_else(|| format!("`{text}` is a pattern; one name is needed here"))
    }
}

/// Quotes an identifier unconditionally (PostgreSQL: double quotes, inner ones doubled).
pub fn quote_identifier(raw: &str) -> String {
    format!("\"{}\"", raw.replace('"', "\"\""))
}

fn quote_where_needed(raw: &str) -> String {
    let plain_start = raw.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if plain_start && raw.chars().all(plain) {
        raw.to_owned()
    } else if raw.contains(is_unprintable) {
        quote_by_number(raw)
    } else {
        quote_identifier(raw)
    }
}

/// Control characters, line separators and those that turn the direction of writing.
fn is_unprintable(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `U&"two\000alines"`.
fn quote_by_number(raw: &str) -> String {
    let shown = |letter: char| match letter {
        '\\' => "\\\\".to_owned(),
        '"' => "\"\"".to_owned(),
        letter if is_unprintable(letter) => format!("\\{:04x}", u32::from(letter)),
        letter => letter.to_string(),
    };
    format!("U&\"{}\"", raw.chars().map(shown).collect::<String>())
}

/// The mirror of [`quote_by_number`]; also reads `\+00000a`.
fn read_numbers(quoted: &str) -> Option<String> {
    let mut pieces = quoted.split('\\');
    let mut raw = pieces.next()?.to_owned();
    while let Some(piece) = pieces.next() {
        if piece.is_empty() {
            raw.push('\\');
            raw.push_str(pieces.next()?);
            continue;
        }
        let (number, rest) = match piece.strip_prefix('+') {
            Some(long) => (long.get(..6)?, long.get(6..)?),
            None => (piece.get(..4)?, piece.get(4..)?),
        };
        raw.push(char::from_u32(u32::from_str_radix(number, 16).ok()?)?);
        raw.push_str(rest);
    }
    Some(raw)
}

/// `schema.table` with `*` for any run of characters outside quotes; a missing schema means `public`.
///
/// Letters are compared as they are stored: `public.Sensors` is the table `"Sensors"`. One exact name is
/// shown as a [`RelationName`], a pattern as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TablePattern {
    schema: Vec<Piece>,
    name: Vec<Piece>,
    text: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Anything,
}

impl TablePattern {
    pub fn matches(&self, name: &RelationName) -> bool {
        glob(&self.schema, &name.schema) && glob(&self.name, &name.name)
    }

    /// The one name this pattern stands for, or nothing where it has a `*`.
    pub fn exact_name(&self) -> Option<RelationName> {
        Some(RelationName::new(literal(&self.schema)?, literal(&self.name)?))
    }
}

impl fmt::Display for TablePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.exact_name() {
            Some(name) => name.fmt(f),
            None => f.write_str(&self.text.replace(is_unprintable, "?")),
        }
    }
}

impl FromStr for TablePattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = split_at_dots(text)?;
        if parts.iter().any(Vec::is_empty) || parts.len() > 2 {
            return Err(format!(
                "`{text}` is not a table name; write schema.table, with double quotes around a part that holds a dot, a star or a quote"
            ));
        }
        let name = parts.pop().unwrap_or_default();
        let schema = parts.pop().unwrap_or_else(|| vec![Piece::Literal("public".into())]);
        Ok(Self { schema, name, text: text.to_owned() })
    }
}

fn split_at_dots(text: &str) -> Result<Vec<Vec<Piece>>, String> {
    let mut parts = vec![Vec::new()];
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let part = parts.last_mut().expect("there is always a part");
        match letter {
            '.' => parts.push(Vec::new()),
            '*' => part.push(Piece::Anything),
            '"' => push_quoted(part, read_quoted(&mut letters, text)?, text)?,
            other => push_letter(part, other),
        }
    }
    Ok(parts)
}

fn push_letter(part: &mut Vec<Piece>, letter: char) {
    if let Some(Piece::Literal(literal)) = part.last_mut() {
        literal.push(letter);
    } else {
        part.push(Piece::Literal(letter.to_string()));
    }
}

/// After `U&` a backslash and a number stand for a character.
fn push_quoted(part: &mut Vec<Piece>, quoted: String, text: &str) -> Result<(), String> {
    let by_number = matches!(part.as_slice(), [Piece::Literal(prefix)] if prefix.eq_ignore_ascii_case("u&"));
    if !by_number {
        part.push(Piece::Literal(quoted));
        return Ok(());
    }
    let wrong = || format!("`{text}` has a backslash after U& that no character's number follows");
    *part = vec![Piece::Literal(read_numbers(&quoted).ok_or_else(wrong)?)];
    Ok(())
}

fn read_quoted(letters: &mut std::iter::Peekable<std::str::Chars<'_>>, text: &str) -> Result<String, String> {
    let mut literal = String::new();
    while let Some(letter) = letters.next() {
        if letter != '"' {
            literal.push(letter);
        } else if letters.peek() == Some(&'"') {
            letters.next();
            literal.push('"');
        } else {
            return Ok(literal);
        }
    }
    Err(format!("`{text}` has a double quote that is never closed"))
}

fn literal(pieces: &[Piece]) -> Option<String> {
    let mut whole = String::new();
    for piece in pieces {
        match piece {
            Piece::Literal(part) => whole.push_str(part),
            Piece::Anything => return None,
        }
    }
    Some(whole)
}

fn glob(pieces: &[Piece], text: &str) -> bool {
    match pieces.split_first() {
        None => text.is_empty(),
        Some((Piece::Literal(part), rest)) => {
            text.strip_prefix(part.as_str()).is_some_and(|left| glob(rest, left))
        }
        Some((Piece::Anything, rest)) => {
            text.char_indices().map(|(at, _)| at).chain([text.len()]).any(|at| glob(rest, &text[at..]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_quoted_only_where_sql_needs_it() {
        assert_eq!(RelationName::new("public", "conditions").to_string(), "public.conditions");
        assert_eq!(
            RelationName::new("My Schema", "a\"; drop table b").to_string(),
            "\"My Schema\".\"a\"\"; drop table b\""
        );
        assert_eq!(
            RelationName::new("public", "two\nlin\\es\u{1b}\"").to_string(),
            "public.U&\"two\\000alin\\\\es\\001b\"\"\""
        );
    }

    #[test]
    fn a_pattern_matches_stored_names() {
        let cases = [
            ("public.conditions", "public", "conditions", true),
            ("conditions", "public", "conditions", true),
            ("public.sensor_*", "public", "sensor_7", true),
            ("*.sensor_*", "plant", "sensor_", true),
            ("public.sensor_*", "public", "sensors", false),
            ("public.\"sensor_*\"", "public", "sensor_7", false),
            ("public.\"a.b\"", "public", "a.b", true),
            ("public.Mixed", "public", "Mixed", true),
            ("public.mixed", "public", "Mixed", false),
            ("*.*", "x", "Größe", true),
            ("u&\"two\\000alines\"", "public", "two\nlines", true),
            ("U&\"\\+01F600\"", "public", "😀", true),
            ("\"U&\"\"x\"", "public", "U&\"x", true),
        ];
        for (pattern, schema, name, expected) in cases {
            let parsed: TablePattern = pattern.parse().expect(pattern);
            assert_eq!(
                parsed.matches(&RelationName::new(schema, name)),
                expected,
                "{pattern} on {schema}.{name}"
            );
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in [
            "",
            ".",
            "a.b.c",
            "a.",
            ".b",
            "\"open",
            "U&\"\\00\"",
            "U&\"\\zzzz\"",
            "U&\"\\d800\"",
            "U&\"x\\\"",
        ] {
            assert!(TablePattern::from_str(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_shown_name_reads_back_as_itself(schema in "(?s).{1,63}", name in "(?s).{1,63}") {
            let original = RelationName::new(schema, name);
            prop_assert_eq!(RelationName::from_str(&original.to_string()), Ok(original));
        }
    }
}

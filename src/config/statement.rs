//! SQL of the launcher's kind with named parameters, such as `:vm_name`.
//!
//! The names become `?` and their values are bound, never pasted. What stands in quotes, in back quotes or
//! in a comment is left alone. Invariant: a statement that is built names only parameters there are.

use super::nearest;

/// What a statement may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parameter {
    VmName,
    Status,
    Who,
    WindowStart,
    WindowEnd,
    /// Of the row that opened the gate; for `update` only.
    Id,
}

/// The names that the question may use.
pub(super) const ASKING: [(&str, Parameter); 5] = [
    ("vm_name", Parameter::VmName),
    ("status", Parameter::Status),
    ("who", Parameter::Who),
    ("window_start", Parameter::WindowStart),
    ("window_end", Parameter::WindowEnd),
];

/// The names that the answer to the launcher may use.
pub(super) const TELLING: [(&str, Parameter); 6] =
    [ASKING[0], ASKING[1], ASKING[2], ASKING[3], ASKING[4], ("id", Parameter::Id)];

/// A statement whose parameters are places to bind to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// With `?` for every parameter.
    pub sql: String,
    /// In the order of the places; a name that is used twice is there twice.
    pub parameters: Vec<Parameter>,
}

impl Statement {
    /// The error is one phrase for people.
    pub(super) fn parse(text: &str, known: &[(&str, Parameter)]) -> Result<Self, String> {
        let text = text.trim().trim_end_matches(';').trim_end();
        let (mut sql, mut parameters) = (String::new(), Vec::new());
        let mut rest = text;
        while !rest.is_empty() {
            let piece = Piece::first_of(rest)?;
            match piece.kind {
                PieceKind::Name => {
                    parameters.push(parameter(&piece.text[1..], known)?);
                    sql.push('?');
                }
                PieceKind::Place => return Err(BARE_PLACE.into()),
                PieceKind::End => return Err(MANY_STATEMENTS.into()),
                PieceKind::Verbatim => sql.push_str(piece.text),
            }
            rest = &rest[piece.text.len()..];
        }
        if sql.is_empty() { Err("the statement is empty".into()) } else { Ok(Self { sql, parameters }) }
    }
}

const BARE_PLACE: &str = "a `?` outside of quotes is no parameter; write a name such as `:vm_name`";
const MANY_STATEMENTS: &str = "there is a `;` in the middle; write one statement";

fn parameter(name: &str, known: &[(&str, Parameter)]) -> Result<Parameter, String> {
    let found = known.iter().find(|(one, _)| *one == name).map(|(_, parameter)| *parameter);
    found.ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|(one, _)| *one).collect();
        match nearest::nearest(name, &names) {
            Some(near) => format!("there is no parameter `:{name}`; did you mean `:{near}`?"),
            None => format!("there is no parameter `:{name}`; there are :{}", names.join(", :")),
        }
    })
}

/// A part of the statement that is all code or all left alone.
struct Piece<'a> {
    kind: PieceKind,
    text: &'a str,
}

enum PieceKind {
    Verbatim,
    Name,
    Place,
    End,
}

impl<'a> Piece<'a> {
    fn first_of(rest: &'a str) -> Result<Self, String> {
        let verbatim = |length: usize| Self { kind: PieceKind::Verbatim, text: &rest[..length] };
        let mut letters = rest.chars();
        let first = letters.next().unwrap_or_default();
        match first {
            '\'' | '"' | '`' => quoted(rest, first).map(verbatim),
            '#' => Ok(verbatim(line(rest))),
            '-' if is_dash_comment(rest) => Ok(verbatim(line(rest))),
            '/' if rest.starts_with("/*") => block_comment(rest).map(verbatim),
            '?' => Ok(Self { kind: PieceKind::Place, text: &rest[..1] }),
            ';' => Ok(Self { kind: PieceKind::End, text: &rest[..1] }),
            // `::` and `:=` belong to the server.
            ':' if rest[1..].starts_with([':', '=']) => Ok(verbatim(2)),
            ':' => Ok(match name(&rest[1..]) {
                0 => verbatim(1),
                length => Self { kind: PieceKind::Name, text: &rest[..=length] },
            }),
            _ => Ok(verbatim(first.len_utf8())),
        }
    }
}

fn name(text: &str) -> usize {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return 0;
    }
    text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len())
}

/// To the closing quote. A doubled quote does not close; a backslash hides the next letter, in back quotes not.
fn quoted(rest: &str, quote: char) -> Result<usize, String> {
    let mut letters = rest.char_indices().skip(1).peekable();
    while let Some((at, letter)) = letters.next() {
        if letter == '\\' && quote != '`' {
            letters.next();
        } else if letter == quote {
            if letters.peek().is_none_or(|(_, next)| *next != quote) {
                return Ok(at + 1);
            }
            letters.next();
        }
    }
    Err(format!("a {quote} is opened and not closed"))
}

fn line(rest: &str) -> usize {
    rest.find('\n').map_or(rest.len(), |end| end + 1)
}

/// MySQL wants a blank behind the dashes; `5--3` is a sum.
fn is_dash_comment(rest: &str) -> bool {
    rest.strip_prefix("--").is_some_and(|behind| behind.is_empty() || behind.starts_with(char::is_whitespace))
}

/// Comments that the server would run are refused: nobody could say where their parameters are.
fn block_comment(rest: &str) -> Result<usize, String> {
    if rest.starts_with("/*!") || rest.starts_with("/*M!") {
        return Err("`/*! … */` is run by some servers and not by others; write it without".into());
    }
    rest[2..].find("*/").map(|end| end + 4).ok_or_else(|| "a /* is opened and not closed".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, sql: &str, parameters: &[Parameter]) {
        let statement = Statement::parse(text, &ASKING).expect(text);
        assert_eq!((statement.sql.as_str(), statement.parameters.as_slice()), (sql, parameters), "{text}");
    }

    #[test]
    fn names_become_places_in_the_order_of_the_text() {
        use Parameter::{Status, VmName, Who, WindowEnd, WindowStart};
        check("SELECT 1", "SELECT 1", &[]);
        check(" a = :vm_name;\n", "a = ?", &[VmName]);
        check(":who or :status,:vm_name", "? or ?,?", &[Who, Status, VmName]);
        check("(:vm_name)=:vm_name", "(?)=?", &[VmName, VmName]);
        check("x BETWEEN :window_start AND :window_end", "x BETWEEN ? AND ?", &[WindowStart, WindowEnd]);
        check("größe=:who", "größe=?", &[Who]);
    }

    #[test]
    fn quotes_comments_and_the_servers_own_colons_are_left_alone() {
        for text in [
            "a = ':vm_name ?;'",
            "a = 'it''s :vm_name'",
            r"a = 'it\'s :vm_name'",
            r#"a = "say \":vm_name\"""#,
            "`:vm_name``?` = 1",
            r"`a\` = 1",
            "1 -- :vm_name ; ?\n + 1",
            "1 # :vm_name ?\n + 1",
            "1 /* :vm_name ; ? */ + 1",
            "a::text",
            "@a := 1",
            "a : b",
            "'12:30' = :",
            "5--3",
            "12:30",
        ] {
            check(text, text, &[]);
        }
        check("'a' = :who -- :who", "'a' = ? -- :who", &[Parameter::Who]);
        check("1--:who", "1--?", &[Parameter::Who]);
    }

    #[test]
    fn what_cannot_be_bound_is_said() {
        for (text, said) in [
            (
                "a = :vm",
                "there is no parameter `:vm`; there are :vm_name, :status, :who, :window_start, :window_end",
            ),
            ("a = :vm_nam", "there is no parameter `:vm_nam`; did you mean `:vm_name`?"),
            (
                "a = :id",
                "there is no parameter `:id`; there are :vm_name, :status, :who, :window_start, :window_end",
            ),
            ("a = :VM_NAME", "there is no parameter `:VM_NAME`; did you mean `:vm_name`?"),
            ("a = ?", BARE_PLACE),
            ("SELECT 1; DROP TABLE x", MANY_STATEMENTS),
            (" ; ", "the statement is empty"),
            ("a = 'x", "a ' is opened and not closed"),
            (r"a = 'x\'", "a ' is opened and not closed"),
            ("a /* b", "a /* is opened and not closed"),
            ("/*!50000 :vm_name */", "`/*! … */` is run by some servers and not by others; write it without"),
        ] {
            assert_eq!(Statement::parse(text, &ASKING), Err(said.to_owned()), "{text}");
        }
        assert!(Statement::parse("x = :id", &TELLING).is_ok());
    }
}

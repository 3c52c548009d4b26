//! The one shape of an error for people: a sentence, its causes, and a way out.
//!
//! Every fallible function above the drivers returns a [`Problem`]. Its kind decides the exit code
//! (`cli/exit.rs`), so a new failure has to say what it means for a scheduler.
//! Invariant: no secret ever enters a sentence, a cause or a hint; shown, each of them is one line
//! that steers no terminal, whatever a server put into it.

use std::fmt;

/// What a failure means for whoever started the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The command line, the configuration or a plan file is wrong. Nothing was touched.
    Usage,
    /// A guard refused; a person is needed.
    Refused,
    /// A server or file cannot be reached or read completely. Nothing was touched.
    Unreachable,
    /// Somebody else is at work; try later.
    Busy,
    /// Something stopped half way: some items are done, some are not.
    Partial,
}

/// A failure that is shown to people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub kind: Kind,
    pub sentence: String,
    pub causes: Vec<String>,
    pub hint: Option<String>,
}

pub type Result<T, E = Problem> = std::result::Result<T, E>;

impl Problem {
    pub fn new(kind: Kind, sentence: impl Into<String>) -> Self {
        Self { kind, sentence: sentence.into(), causes: Vec::new(), hint: None }
    }

    pub fn usage(sentence: impl Into<String>) -> Self {
        Self::new(Kind::Usage, sentence)
    }

    pub fn refused(sentence: impl Into<String>) -> Self {
        Self::new(Kind::Refused, sentence)
    }

    pub fn unreachable(sentence: impl Into<String>) -> Self {
        Self::new(Kind::Unreachable, sentence)
    }

    pub fn busy(sentence: impl Into<String>) -> Self {
        Self::new(Kind::Busy, sentence)
    }

    pub fn partial(sentence: impl Into<String>) -> Self {
        Self::new(Kind::Partial, sentence)
    }

    /// Adds the chain of an underlying error, outermost first; repeated texts are left out.
    #[must_use]
    pub fn because(mut self, error: &(dyn std::error::Error + 'static)) -> Self {
        let mut next = Some(error);
        while let Some(cause) = next {
            let text = cause.to_string();
            let said = |earlier: &String| earlier.contains(&text);
            if !self.causes.iter().any(said) {
                self.causes.push(text);
            }
            next = cause.source();
        }
        self
    }

    #[must_use]
    pub fn cause(mut self, text: impl Into<String>) -> Self {
        self.causes.push(text.into());
        self
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Sentence and causes, for a place that has no lines.
    pub fn in_one_line(&self) -> String {
        let parts: Vec<&str> =
            std::iter::once(&self.sentence).chain(&self.causes).map(String::as_str).collect();
        parts.join(": ")
    }

    /// Names what was being done, in the present tense, in front of what went wrong.
    #[must_use]
    pub fn while_doing(mut self, doing: &str) -> Self {
        let inner = std::mem::replace(&mut self.sentence, format!("cannot {doing}"));
        self.causes.insert(0, inner);
        self
    }
}

/// Text from elsewhere (a server, a catalog, another user) as one line that steers no terminal: what
/// breaks a line becomes a blank, any other control character and direction mark is shown by its number.
pub fn printable(text: impl fmt::Display) -> String {
    let shown = |whole: String, letter: char| match letter {
        '\n' | '\r' | '\t' => whole + " ",
        letter if is_unprintable(letter) => whole + &letter.escape_unicode().to_string(),
        letter => whole + letter.encode_utf8(&mut [0; 4]),
    };
    text.to_string().chars().fold(String::new(), shown)
}

/// What a problem said of itself, behind a word such as `warning: `: its causes and its hint on lines of their own, further
/// in. Nothing else breaks a line, and every line but the first begins with blanks.
pub fn told(word: &str, text: &str) -> String {
    let indent = " ".repeat(word.len() - word.trim_start().len() + 4);
    let add = |shown: String, line: &str| {
        let line = line.trim();
        let between = if shown.is_empty() {
            ""
        } else if line.starts_with("because: ") || line.starts_with("hint: ") {
            return shown + "\n" + &indent + &printable(line);
        } else {
            " "
        };
        shown + between + &printable(line)
    };
    format!("{word}{}\n", text.lines().fold(String::new(), add))
}

/// The same for a place that has no lines.
pub fn on_one_line(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join("; ")
}

/// The same characters that `retention/name.rs` shows by their numbers; a test in `report/text.rs`
/// holds the two together, since neither module may use the other.
fn is_unprintable(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&self.sentence))?;
        for cause in &self.causes {
            write!(f, "\n  because: {}", printable(cause))?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {}", printable(hint))?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_prints_sentence_causes_and_hint() {
        let io = std::io::Error::new(std::io::ErrorKind::NotFound, "no such file");
        let problem = Problem::usage("the file cannot be read").because(&io).hint("name another one");
        assert_eq!(
            problem.to_string(),
            "the file cannot be read\n  because: no such file\nhint: name another one"
        );
    }

    #[test]
    fn behind_a_word_causes_and_hint_have_lines_of_their_own_and_nothing_else_has() {
        let problem = Problem::refused("no").cause("why\nerror: x").hint("do").to_string();
        assert_eq!(
            told("  warning: ", &problem),
            "  warning: no\n      because: why error: x\n      hint: do\n"
        );
        assert_eq!(told("warning: ", "a\nerror: b"), "warning: a error: b\n");
        assert_eq!(on_one_line(&problem), "no; because: why error: x; hint: do");
    }

    #[test]
    fn text_from_elsewhere_breaks_no_line_and_steers_no_terminal() {
        let problem = Problem::refused("a\u{1b}[31m").cause("b\r\nhint: x\u{202e}").hint("c\u{9b}\td");
        assert_eq!(problem.to_string(), "a\\u{1b}[31m\n  because: b  hint: x\\u{202e}\nhint: c\\u{9b} d");
        assert_eq!(printable("Größe 表 😀 \\ \"'"), "Größe 表 😀 \\ \"'");
    }
}

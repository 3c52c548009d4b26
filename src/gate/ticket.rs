//! The ticket's line, which other programs read: seven fields between commas, the seventh is the chunk status.
//!
//! Those programs split at every comma, so quoting as in RFC 4180 would move the seventh field for them.
//! Invariant: a field never holds a comma, a quote or a line break; where a value has one, `_` stands for it.
//! The ticket remembers that somebody asked; the value itself stays with the launcher.

use std::fmt;
use std::str::FromStr;

use super::decide::Row;

/// What became of the chunks of the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChunkStatus {
    /// The gate was open, and nothing has come to its end yet.
    Pending,
    /// Everything that should go is gone. The word is a promise.
    Dropped,
    Partial,
    Failed,
}

const WORDS: [(&str, ChunkStatus); 4] = [
    ("pending", ChunkStatus::Pending),
    ("dropped", ChunkStatus::Dropped),
    ("partial", ChunkStatus::Partial),
    ("failed", ChunkStatus::Failed),
];

impl fmt::Display for ChunkStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = WORDS.iter().find(|(_, status)| status == self).map_or("", |(word, _)| word);
        f.write_str(word)
    }
}

impl FromStr for ChunkStatus {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = WORDS.iter().find(|(word, _)| *word == text).map(|(_, status)| *status);
        found.ok_or_else(|| format!("the chunk status is `{}`", text.escape_debug()))
    }
}

/// What a ticket has to look like, for people.
pub const EXPECTED: &str = "one line `launcher_id,vm_name,status,who,start_time,checked_at,chunk_status`, \
     the last of them pending, dropped, partial or failed";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// Empty in its fields where no launcher was asked.
    pub row: Row,
    /// `2026-11-22T02:00:00Z`.
    pub checked_at: String,
    pub chunk_status: ChunkStatus,
}

impl Ticket {
    /// With a newline at its end.
    pub fn line(&self) -> String {
        let Row { id, vm_name, status, who, start_time } = &self.row;
        let fields = [id, vm_name, status, who, start_time, &self.checked_at].map(|field| plain(field));
        format!("{},{}\n", fields.join(","), self.chunk_status)
    }

    /// The error says what is there instead.
    pub fn parse(text: &str, vm_name: &str) -> Result<Self, String> {
        let line = text.strip_suffix('\n').unwrap_or(text);
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.contains(['\n', '\r', '"']) {
            return Err("it has more than one line, or quotes".into());
        }
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        let [id, vm, status, who, start_time, checked_at, chunk_status] = fields[..] else {
            return Err(format!("it has {} fields", if line.is_empty() { 0 } else { fields.len() }));
        };
        if vm != plain(vm_name) {
            return Err(format!("it is for `{}`, and this is `{vm_name}`", vm.escape_debug()));
        }
        let text = str::to_owned;
        let row = Row {
            id: text(id),
            vm_name: text(vm),
            status: text(status),
            who: text(who),
            start_time: text(start_time),
        };
        Ok(Self { row, checked_at: text(checked_at), chunk_status: chunk_status.parse()? })
    }
}

/// What fits between two commas on one line.
fn plain(field: &str) -> String {
    let fits = |letter: char| !(letter.is_control() || matches!(letter, ',' | '"' | '\u{2028}' | '\u{2029}'));
    field.trim().chars().map(|letter| if fits(letter) { letter } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket(who: &str, chunk_status: ChunkStatus) -> Ticket {
        let text = |text: &str| text.to_owned();
        let row = Row {
            id: text("17"),
            vm_name: text("pg1"),
            status: text("due"),
            who: text(who),
            start_time: text("2026-11-22 02:00:00"),
        };
        Ticket { row, checked_at: "2026-11-22T02:00:05Z".into(), chunk_status }
    }

    #[test]
    fn the_line_of_a_ticket_is_a_promise() {
        assert_eq!(
            ticket("dba", ChunkStatus::Dropped).line(),
            "17,pg1,due,dba,2026-11-22 02:00:00,2026-11-22T02:00:05Z,dropped\n"
        );
        let words = [ChunkStatus::Pending, ChunkStatus::Dropped, ChunkStatus::Partial, ChunkStatus::Failed];
        assert_eq!(words.map(|word| word.to_string()), ["pending", "dropped", "partial", "failed"]);
    }

    #[test]
    fn no_value_moves_the_chunk_status_away_from_index_six() {
        for who in
            ["a,b", "a\"b\"", "a\nb", "a\r\nb,\"", "", " ", ",,,", "\u{2028}", "\0", "dropped,", "Größe 表"]
        {
            for status in [ChunkStatus::Pending, ChunkStatus::Dropped] {
                let mut written = ticket(who, status);
                written.row.vm_name = "p,g".into();
                let line = written.line();
                assert_eq!(line.lines().count(), 1, "{line:?}");
                let fields: Vec<&str> = line.trim_end_matches('\n').split(',').collect();
                assert_eq!((fields.len(), fields[6]), (7, status.to_string().as_str()), "{line:?}");
                let read = Ticket::parse(&line, "p,g").expect("our own line");
                assert_eq!((read.chunk_status, read.row.id.as_str()), (status, "17"));
            }
        }
        assert_eq!(ticket("a,b\"c\nd", ChunkStatus::Pending).line().split(',').nth(3), Some("a_b_c_d"));
    }

    #[test]
    fn a_damaged_ticket_is_never_guessed() {
        let whole = ticket("dba", ChunkStatus::Dropped).line();
        // Cut anywhere before the last letter of its last word.
        for length in 0..whole.len() - 1 {
            assert!(Ticket::parse(&whole[..length], "pg1").is_err(), "{}", &whole[..length]);
        }
        for (text, said) in [
            ("", "it has 0 fields"),
            ("dropped", "it has 1 fields"),
            ("17,pg1,due,dba,a,b,dropped,x", "it has 8 fields"),
            ("17,pg1,due,dba,a,b,", "the chunk status is ``"),
            ("17,pg1,due,dba,a,b,Dropped", "the chunk status is `Dropped`"),
            ("17,pg1,due,dba,a,b,drop\u{0}ed", "the chunk status is `drop\\0ed`"),
            ("17,pg2,due,dba,a,b,dropped", "it is for `pg2`, and this is `pg1`"),
            (
                "17,pg1,due,dba,a,b,dropped\n17,pg1,due,dba,a,b,partial\n",
                "it has more than one line, or quotes",
            ),
            ("\"17\",pg1,due,dba,a,b,dropped", "it has more than one line, or quotes"),
        ] {
            assert_eq!(Ticket::parse(text, "pg1"), Err(said.to_owned()), "{text:?}");
        }
    }

    #[test]
    fn a_ticket_that_another_program_wrote_by_the_same_rules_is_read() {
        for text in [
            "17,pg1,due,dba,x,y,dropped",
            "17,pg1,due,dba,x,y,dropped\r\n",
            "17, pg1 ,due,dba,x,y, dropped\n",
        ] {
            assert_eq!(
                Ticket::parse(text, "pg1").map(|read| read.chunk_status),
                Ok(ChunkStatus::Dropped),
                "{text:?}"
            );
        }
    }
}

//! The look of tables, the same everywhere.

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table};

/// A table without lines around it, with its header in small words.
pub fn plain(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
    table
}

pub fn number(text: impl ToString) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

/// The table's text, indented and without blanks at the ends of lines.
pub fn indented(table: &Table) -> String {
    table.to_string().lines().fold(String::new(), |text, line| text + "  " + line.trim_end() + "\n")
}

/// `1 chunk`, `2 chunks`.
pub fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// An instant in microseconds since 1970 UTC, to the minute.
pub fn minute(instant: i64) -> String {
    jiff::Timestamp::from_microsecond(instant).map_or_else(
        |_| instant.to_string(),
        |at| at.to_zoned(jiff::tz::TimeZone::UTC).datetime().strftime("%Y-%m-%d %H:%M").to_string(),
    )
}

pub fn day(instant: i64) -> String {
    minute(instant).split(' ').next().unwrap_or_default().to_owned()
}

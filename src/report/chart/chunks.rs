//! Every chunk on the time axis, one bar for each table: what stayed, what went, what should have gone.

use std::fmt::Write as _;

use crate::report::measure::{ChunkMark, Fate};
use crate::report::{DatasetReport, Report};

use super::Chart;
use super::axis::{Scale, is_moment, time_labels, time_ticks};
use super::canvas::{Anchor, Canvas, Fill, GRID, INK, WIDTH, shortened};

const MOST_ROWS: usize = 8;
const LEFT: f64 = 12.0;
const RIGHT: f64 = WIDTH - 12.0;
const BAR: f64 = 20.0;
const ROW: f64 = 60.0;
const TOP: f64 = 30.0;
/// From the top of a row to its bar; the letters of marked chunks are between the name and the bar.
const BAR_TOP: f64 = 32.0;

pub fn chart(report: &Report) -> Option<Chart> {
    let mut rows: Vec<Row> = report.datasets.iter().filter_map(row_of).collect();
    if rows.is_empty() {
        return None;
    }
    // Where something happened, and where most is.
    rows.sort_by_key(|row| std::cmp::Reverse((row.happened(), row.marks.len())));
    let more = rows.len().saturating_sub(MOST_ROWS);
    rows.truncate(MOST_ROWS);
    let mut alt = String::from("Chunks on the time axis.");
    for row in &rows {
        let _ = write!(alt, " {}: {}.", row.name, row.counts(", "));
    }
    let svg = draw(&rows, more, report.ended_at, &alt);
    Some(Chart { name: "chunks", title: "Chunks on the time axis", alt, svg })
}

/// One table, its chunks in the order of time.
struct Row {
    name: String,
    marks: Vec<ChunkMark>,
    is_time: bool,
}

fn row_of(dataset: &DatasetReport) -> Option<Row> {
    let bounded = |mark: &&ChunkMark| mark.start < mark.end && mark.start != i64::MIN && mark.end != i64::MAX;
    let all = &dataset.measure.as_ref()?.chunks;
    let mut marks: Vec<ChunkMark> = all.iter().filter(bounded).cloned().collect();
    marks.sort_by_key(|mark| (mark.start, mark.end));
    let is_time = marks.iter().all(|mark| is_moment(mark.start) && is_moment(mark.end));
    (!marks.is_empty()).then(|| Row { name: dataset.name.to_string(), marks, is_time })
}

impl Row {
    fn count(&self, fate: Fate) -> usize {
        self.marks.iter().filter(|mark| mark.fate == fate).count()
    }

    fn happened(&self) -> usize {
        self.marks.len() - self.count(Fate::Kept)
    }

    fn counts(&self, between: &str) -> String {
        let said: Vec<String> = FATES
            .iter()
            .map(|(fate, word)| (self.count(*fate), word))
            .filter(|(count, _)| *count > 0)
            .map(|(count, word)| format!("{count} {word}"))
            .collect();
        said.join(between)
    }

    fn span(&self) -> (i64, i64) {
        let start = self.marks.iter().map(|mark| mark.start).min().unwrap_or_default();
        (start, self.marks.iter().map(|mark| mark.end).max().unwrap_or(start))
    }
}

const FATES: [(Fate, &str); 4] =
    [(Fate::Kept, "kept"), (Fate::Held, "held"), (Fate::Dropped, "dropped"), (Fate::Stayed, "stayed")];

fn fill(fate: Fate) -> Fill {
    match fate {
        Fate::Kept => Fill::Plain,
        Fate::Held => Fill::Dark,
        Fate::Dropped => Fill::Hatched,
        Fate::Stayed => Fill::Crossed,
    }
}

fn draw(rows: &[Row], more: usize, now: i64, alt: &str) -> String {
    let mut canvas = Canvas::new();
    legend(&mut canvas);
    let of_time: Vec<(i64, i64)> = rows.iter().filter(|row| row.is_time).map(Row::span).collect();
    let from = of_time.iter().map(|(start, _)| *start).min();
    let to = of_time.iter().map(|(_, end)| *end).max();
    let bottom = TOP + ROW * rows.len() as f64;
    let shared = from.zip(to).map(|(from, to)| scale(from, to));
    let moments = from.zip(to).map(|(from, to)| time_ticks(from, to)).unwrap_or_default();
    for (number, row) in rows.iter().enumerate() {
        let (start, end) = row.span();
        let top = TOP + ROW * number as f64;
        if let Some(shared) = shared.filter(|_| row.is_time) {
            for (at, _) in &moments {
                upright(&mut canvas, shared.at(*at), top, GRID, "");
            }
            draw_row(&mut canvas, row, top, &shared);
            if (shared.from..=shared.to).contains(&(now as f64)) {
                upright(
                    &mut canvas,
                    shared.at(now),
                    top,
                    INK,
                    r#"stroke-width="1.6" stroke-dasharray="4 3""#,
                );
            }
        } else {
            draw_row(&mut canvas, row, top, &scale(start, end));
        }
    }
    if let Some(shared) = shared {
        time_axis(&mut canvas, &shared, &moments, bottom);
    }
    let more = match more {
        0 => String::new(),
        1 => "; 1 more table is in the table only".into(),
        more => format!("; {more} more tables are in the table only"),
    };
    let own = if rows.iter().all(|row| row.is_time) { "" } else { "; numbers have a scale of their own" };
    let note = format!("the dashed line is this run{own}{more}");
    canvas.text((LEFT, bottom + 32.0), Anchor::Start, &note);
    canvas.finish(bottom + 42.0, alt)
}

fn scale(from: i64, to: i64) -> Scale {
    Scale { from: from as f64, to: to as f64, start: LEFT, end: RIGHT }
}

fn legend(canvas: &mut Canvas) {
    let mut x = LEFT;
    for (fate, word) in FATES {
        canvas.rect((x, 6.0), (22.0, 13.0), fill(fate));
        let said = match fate {
            Fate::Held => "held (H)",
            Fate::Stayed => "should have gone and stayed (!)",
            _ => word,
        };
        canvas.text((x + 28.0, 17.0), Anchor::Start, said);
        x += 46.0 + said.len() as f64 * 6.6;
    }
}

/// A line behind or before a row's bar, clear of the words above it.
fn upright(canvas: &mut Canvas, x: f64, top: f64, colour: &str, style: &str) {
    canvas.line((x, top + BAR_TOP - 5.0), (x, top + BAR_TOP + BAR + 5.0), colour, style);
}

fn time_axis(canvas: &mut Canvas, scale: &Scale, moments: &[(i64, String)], bottom: f64) {
    for (x, label) in time_labels(scale, moments, (LEFT, RIGHT)) {
        canvas.text((x, bottom + 14.0), Anchor::Middle, label);
    }
}

fn draw_row(canvas: &mut Canvas, row: &Row, top: f64, scale: &Scale) {
    let name = shortened(&row.name, 40);
    canvas.bold((LEFT, top + 14.0), Anchor::Start, &name);
    let mut counts = row.counts(" · ");
    if !row.is_time {
        let (start, end) = row.span();
        let _ = write!(counts, " · {start} to {end}");
    }
    canvas.text((RIGHT, top + 14.0), Anchor::End, &counts);
    let y = top + BAR_TOP;
    let mut marked = f64::MIN;
    for stretch in row.marks.chunk_by(|a, b| a.fate == b.fate && a.end == b.start) {
        let (start, end) = (scale.at(stretch[0].start), scale.at(stretch[stretch.len() - 1].end));
        // A single chunk among thousands is seen as well.
        let least = if matches!(stretch[0].fate, Fate::Held | Fate::Stayed) { 4.0 } else { 0.8 };
        canvas.rect((start, y), ((end - start).max(least), BAR), fill(stretch[0].fate));
        separators(canvas, stretch, scale, y);
        let letter = match stretch[0].fate {
            Fate::Held => "H",
            Fate::Stayed => "!",
            _ => continue,
        };
        let middle = f64::midpoint(start, end);
        if middle - marked >= 8.0 {
            canvas.bold((middle, y - 2.0), Anchor::Middle, letter);
            marked = middle;
        }
    }
}

/// Lines between chunks, where they are wide enough to be told apart.
fn separators(canvas: &mut Canvas, stretch: &[ChunkMark], scale: &Scale, y: f64) {
    for mark in &stretch[1..] {
        let (x, width) = (scale.at(mark.start), scale.at(mark.end) - scale.at(mark.start));
        if width >= 4.0 {
            canvas.line((x, y), (x, y + BAR), "#4a7fb5", r#"stroke-width="0.8""#);
        }
    }
}

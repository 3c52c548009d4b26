//! The disk before and after: one pair of bars for each file system that the store writes to.

use std::fmt::Write as _;

use crate::report::Report;
use crate::report::measure::{DiskReading, FileSystemReading};
use crate::report::subject::same;
use crate::retention::model::ByteCount;

use super::Chart;
use super::canvas::{Anchor, Canvas, Fill, INK, WIDTH, shortened};

const MOST: usize = 4;
const LEFT: f64 = 60.0;
const RIGHT: f64 = WIDTH - 16.0;
const BAR: f64 = 22.0;
const BLOCK: f64 = 122.0;

pub fn chart(report: &Report) -> Option<Chart> {
    let disk = report.disk.as_ref()?;
    let newest = disk.after.as_ref().or(disk.before.as_ref())?;
    let shown: Vec<&FileSystemReading> =
        newest.file_systems.iter().filter(|reading| reading.size.0 > 0).take(MOST).collect();
    if shown.is_empty() {
        return None;
    }
    let mut canvas = Canvas::new();
    legend(&mut canvas);
    let mut alt = String::from("The disk before and after.");
    for (number, system) in shown.iter().enumerate() {
        let top = 30.0 + BLOCK * number as f64;
        draw(&mut canvas, system, disk.before.as_ref(), disk.after.as_ref(), top);
        let used = |reading: Option<&DiskReading>, word: &str| {
            let found = same(&reading?.file_systems, &system.path)?;
            Some(format!("{:.0} % used {word}", found.used_percent()))
        };
        let before = used(disk.before.as_ref(), "before");
        let after = used(disk.after.as_ref(), if before.is_some() { "after" } else { "now" });
        let said: Vec<String> = [before, after].into_iter().flatten().collect();
        let said = said.join(", ").replacen(" % used after", " % after", 1);
        let _ = write!(alt, " {}: {said}, of {}.", system.path, system.size);
    }
    let svg = canvas.finish(30.0 + BLOCK * shown.len() as f64, &alt);
    Some(Chart { name: "disk", title: "The disk before and after", alt, svg })
}

fn legend(canvas: &mut Canvas) {
    let mut x = 16.0;
    for (fill, word) in [
        (Fill::Dark, "data"),
        (Fill::Crossed, "write-ahead log"),
        (Fill::Dotted, "everything else"),
        (Fill::Empty, "free"),
    ] {
        canvas.rect((x, 6.0), (22.0, 13.0), fill);
        canvas.text((x + 28.0, 17.0), Anchor::Start, word);
        x += 46.0 + word.len() as f64 * 6.6;
    }
}

fn draw(
    canvas: &mut Canvas,
    system: &FileSystemReading,
    before: Option<&DiskReading>,
    after: Option<&DiskReading>,
    top: f64,
) {
    let holds =
        if system.holds.is_empty() { String::new() } else { format!(" ({})", system.holds.join(", ")) };
    let title = format!("{}{holds}, {}", system.path, system.size);
    canvas.bold((16.0, top + 14.0), Anchor::Start, &shortened(&title, 54));
    for percent in [80_u8, 90] {
        let x = LEFT + (RIGHT - LEFT) * f64::from(percent) / 100.0;
        canvas.text((x, top + 17.0), Anchor::Middle, &format!("{percent} %"));
    }
    for (word, reading, y) in [("before", before, top + 24.0), ("after", after, top + 66.0)] {
        canvas.text((LEFT - 6.0, y + 15.0), Anchor::End, word);
        match reading.and_then(|reading| Some((reading, same(&reading.file_systems, &system.path)?))) {
            Some((reading, found)) => bar(canvas, reading, found, y),
            None => canvas.text((LEFT, y + 15.0), Anchor::Start, "unknown"),
        }
    }
}

fn bar(canvas: &mut Canvas, reading: &DiskReading, system: &FileSystemReading, y: f64) {
    let parts = parts(reading, system);
    let width = |bytes: u64| (RIGHT - LEFT) * bytes as f64 / system.size.0 as f64;
    let mut x = LEFT;
    for (fill, _, bytes) in &parts {
        canvas.rect((x, y), (width(*bytes), BAR), *fill);
        x += width(*bytes);
    }
    for percent in [80_u8, 90] {
        let x = LEFT + (RIGHT - LEFT) * f64::from(percent) / 100.0;
        canvas.line((x, y - 4.0), (x, y + BAR + 3.0), INK, r#"stroke-width="1.4" stroke-dasharray="2 2""#);
    }
    let said: Vec<String> =
        parts.iter().map(|(_, word, bytes)| format!("{word} {}", ByteCount(*bytes))).collect();
    let line = format!("{:.0} % used: {}", system.used_percent(), said.join(", "));
    canvas.text((LEFT, y + BAR + 13.0), Anchor::Start, &shortened(&line, 92));
}

/// What lies on the file system, together exactly its size.
fn parts(reading: &DiskReading, system: &FileSystemReading) -> Vec<(Fill, &'static str, u64)> {
    let holds = |what: &str| system.holds.iter().any(|held| held == what);
    let known =
        |what: &str, bytes: Option<ByteCount>| bytes.filter(|_| holds(what)).map_or(0, |bytes| bytes.0);
    let spaces = reading.tablespaces.iter().map(|space| known(&space.name, space.bytes)).sum::<u64>();
    let used = system.size.0.saturating_sub(system.free.0);
    let data = known("data", reading.data).saturating_add(spaces).min(used);
    let wal = known("wal", reading.wal).min(used - data);
    let all = [
        (Fill::Dark, "data", data),
        (Fill::Crossed, "log", wal),
        (Fill::Dotted, "other", used - data - wal),
        (Fill::Empty, "free", system.size.0 - used),
    ];
    all.into_iter().filter(|(_, _, bytes)| *bytes > 0).collect()
}

//! Size of each table over time, from the samples of every run, and what today's volume leads to.
//!
//! Invariant: the forecast is drawn only where the daily volume is known, and never beyond the steady state.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::report::measure::SizePoint;
use crate::report::subject::whole_days;
use crate::report::table::counted;
use crate::report::{DatasetReport, Report};
use crate::retention::model::ByteCount;

use super::Chart;
use super::axis::{DAY, Scale, byte_ticks, time_labels, time_ticks};
use super::canvas::{Anchor, Canvas, GRID, MUTED, WIDTH, shortened};

const MOST_LINES: usize = 6;
const LEFT: f64 = 66.0;
const RIGHT: f64 = WIDTH - 168.0;
const TOP: f64 = 24.0;
const BOTTOM: f64 = 290.0;
const HEIGHT: f64 = 322.0;
/// Between two labels at the end of the lines.
const LABEL: f64 = 30.0;

pub fn chart(report: &Report) -> Option<Chart> {
    let mut lines: Vec<Line> = report.datasets.iter().filter_map(line_of).collect();
    lines.sort_by_key(|line| std::cmp::Reverse(line.last().bytes));
    if lines.len() > MOST_LINES + 1 {
        let rest = lines.split_off(MOST_LINES);
        lines.push(sum(&rest));
    }
    let from = lines.iter().map(|line| line.points[0].at).min()?;
    let to = lines.iter().map(|line| line.last().at).max()?;
    if from >= to {
        return None;
    }
    let forecast_to = to + ((to - from) / 2).clamp(7 * DAY, 60 * DAY);
    let mut alt = String::from("Size of the tables over time, with the size of now.");
    for line in &lines {
        let _ = write!(alt, " {}: {}", line.name, line.last().bytes);
        if let Some(end) = line.forecast(forecast_to).last() {
            let _ = write!(
                alt,
                ", {} in {}",
                end.bytes,
                whole_days((end.at - line.last().at) as f64 / DAY as f64)
            );
        }
        alt.push('.');
    }
    let svg = draw(&lines, (from, to, forecast_to), &alt);
    Some(Chart { name: "size", title: "Size of the tables over time, with forecast", alt, svg })
}

struct Line {
    name: String,
    /// Oldest first, never empty.
    points: Vec<SizePoint>,
    daily_bytes: Option<f64>,
    steady_state: Option<ByteCount>,
}

fn line_of(dataset: &DatasetReport) -> Option<Line> {
    let measure = dataset.measure.as_ref()?;
    let mut points = measure.history.clone();
    points.sort_by_key(|point| point.at);
    (!points.is_empty()).then(|| Line {
        name: dataset.name.to_string(),
        points,
        daily_bytes: measure.daily_bytes.filter(|daily| daily.is_finite() && *daily >= 0.0),
        steady_state: measure.steady_state,
    })
}

/// The small tables as one line; a forecast only where each of them has one.
fn sum(lines: &[Line]) -> Line {
    let moments: BTreeSet<i64> = lines.iter().flat_map(|line| line.points.iter().map(|p| p.at)).collect();
    let points = moments
        .into_iter()
        .map(|at| SizePoint { at, bytes: lines.iter().map(|line| line.size_at(at)).sum() })
        .collect();
    Line {
        name: counted(lines.len(), "more table"),
        points,
        daily_bytes: lines.iter().map(|line| line.daily_bytes).sum(),
        steady_state: lines.iter().map(|line| line.steady_state).sum(),
    }
}

impl Line {
    fn last(&self) -> &SizePoint {
        &self.points[self.points.len() - 1]
    }

    /// The newest sample of then; nothing before the first.
    fn size_at(&self, at: i64) -> ByteCount {
        self.points.iter().rev().find(|point| point.at <= at).map_or(ByteCount(0), |point| point.bytes)
    }

    /// Grows by the daily volume and stops at the steady state, when as much goes as comes.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn forecast(&self, until: i64) -> Vec<SizePoint> {
        let (last, Some(daily)) = (self.last(), self.daily_bytes) else { return Vec::new() };
        let ceiling = self.steady_state.map_or(u64::MAX, |steady| steady.0.max(last.bytes.0));
        let days_to_ceiling = (ceiling - last.bytes.0) as f64 / daily.max(1.0);
        let days = (until - last.at) as f64 / DAY as f64;
        let size =
            |days: f64| ByteCount(((last.bytes.0 as f64 + daily * days).min(ceiling as f64)).max(0.0) as u64);
        let bend = (days_to_ceiling < days && days_to_ceiling > 0.0).then(|| SizePoint {
            at: last.at + (days_to_ceiling * DAY as f64) as i64,
            bytes: ByteCount(ceiling),
        });
        let end = SizePoint { at: until, bytes: size(days) };
        [Some(last.clone()), bend, Some(end)].into_iter().flatten().collect()
    }
}

/// Colours that differ in lightness as well, dark and light in turns.
const COLOURS: [&str; 7] = ["#0b3d66", "#c2570c", "#1a7f37", "#8250df", "#6e7781", "#bf3989", "#24292f"];

fn draw(lines: &[Line], (from, to, until): (i64, i64, i64), alt: &str) -> String {
    let mut canvas = Canvas::new();
    let time = Scale { from: from as f64, to: until as f64, start: LEFT, end: RIGHT };
    let points = |line: &Line| [line.points.clone(), line.forecast(until)].concat();
    let most = lines.iter().flat_map(points).map(|point| point.bytes.0).max().unwrap_or(1);
    let ticks = byte_ticks(most);
    let top = ticks.last().map_or(1.0, |(value, _)| *value);
    let size = Scale { from: 0.0, to: top, start: BOTTOM, end: TOP };
    canvas.shade((time.at(to), TOP), (RIGHT - time.at(to), BOTTOM - TOP), "#f3f5f7");
    canvas.text((time.at(to) + 4.0, TOP + 13.0), Anchor::Start, "forecast");
    for (value, label) in &ticks {
        let y = size.place(*value);
        canvas.line((LEFT, y), (RIGHT, y), GRID, "");
        canvas.text((LEFT - 6.0, y + 4.0), Anchor::End, label);
    }
    let moments = time_ticks(from, until);
    for (at, _) in &moments {
        canvas.line((time.at(*at), BOTTOM), (time.at(*at), BOTTOM + 4.0), MUTED, "");
    }
    for (x, label) in time_labels(&time, &moments, (0.0, WIDTH)) {
        canvas.text((x, BOTTOM + 18.0), Anchor::Middle, label);
    }
    for (number, line) in lines.iter().enumerate() {
        draw_line(&mut canvas, line, number, until, |point| {
            (time.at(point.at), size.place(point.bytes.0 as f64))
        });
    }
    labels(&mut canvas, lines, until, |line| {
        let end = line.forecast(until).pop().unwrap_or_else(|| line.last().clone());
        size.place(end.bytes.0 as f64)
    });
    canvas.finish(HEIGHT, alt)
}

fn draw_line(
    canvas: &mut Canvas,
    line: &Line,
    number: usize,
    until: i64,
    place: impl Fn(&SizePoint) -> (f64, f64),
) {
    let colour = COLOURS[number % COLOURS.len()];
    let points: Vec<(f64, f64)> = line.points.iter().map(&place).collect();
    canvas.path(&points, colour, "");
    let forecast: Vec<(f64, f64)> = line.forecast(until).iter().map(&place).collect();
    if !forecast.is_empty() {
        canvas.path(&forecast, colour, r#"stroke-dasharray="5 4""#);
    }
    // At most a dozen marks on a line, the last one among them.
    let every = points.len().div_ceil(12).max(1);
    for point in points.iter().rev().step_by(every) {
        mark(canvas, *point, number);
    }
}

/// The shape tells the lines apart without colour.
fn mark(canvas: &mut Canvas, at: (f64, f64), number: usize) {
    let colour = COLOURS[number % COLOURS.len()];
    let square = [(-3.5, -3.5), (3.5, -3.5), (3.5, 3.5), (-3.5, 3.5)];
    let triangle = [(0.0, -4.5), (4.5, 3.5), (-4.5, 3.5)];
    let diamond = [(0.0, -5.0), (5.0, 0.0), (0.0, 5.0), (-5.0, 0.0)];
    match number % COLOURS.len() {
        0 => canvas.circle(at, 3.8, colour, colour),
        1 => canvas.shape(at, &square, colour, colour),
        2 => canvas.shape(at, &triangle, colour, colour),
        3 => canvas.shape(at, &diamond, "#ffffff", colour),
        4 => canvas.circle(at, 3.8, "#ffffff", colour),
        5 => canvas.shape(at, &square, "#ffffff", colour),
        _ => canvas.shape(at, &triangle, "#ffffff", colour),
    }
}

/// Names and sizes beside the lines' ends, moved apart where they would lie on each other.
fn labels(canvas: &mut Canvas, lines: &[Line], until: i64, end: impl Fn(&Line) -> f64) {
    let mut places: Vec<(usize, f64)> = lines.iter().map(&end).enumerate().collect();
    places.sort_by(|a, b| a.1.total_cmp(&b.1));
    let lowest = BOTTOM - 4.0;
    let room = |after: usize| lowest - LABEL * after as f64;
    let mut free = TOP;
    let count = places.len();
    for (order, (number, wanted)) in places.into_iter().enumerate() {
        let y = wanted.min(room(count - 1 - order)).max(free);
        free = y + LABEL;
        canvas.line((RIGHT + 2.0, wanted), (RIGHT + 12.0, y), MUTED, r#"stroke-width="0.8""#);
        mark(canvas, (RIGHT + 18.0, y), number);
        canvas.bold((RIGHT + 27.0, y + 1.0), Anchor::Start, &shortened(&lines[number].name, 20));
        let now = lines[number].last().bytes;
        let then = lines[number].forecast(until).pop().map(|point| point.bytes).filter(|then| *then != now);
        let then = then.map(|then| format!(" » {then}")).unwrap_or_default();
        canvas.text((RIGHT + 27.0, y + 14.0), Anchor::Start, &format!("{now}{then}"));
    }
}

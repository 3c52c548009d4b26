//! The report's charts: size of the tables over time, chunks on the time axis, the disk before and after.
//!
//! Drawn as SVG for the page; for mail, whose readers show no SVG, rasterised by charts-rs. They are drawn here because the
//! axes of charts-rs have categories, and samples and chunks lie at any distance on a true time axis.
//! Invariant: no chart without data, and everything a colour says is also said by a pattern, a mark or a word.

use super::Report;
use crate::problem::printable;

mod axis;
mod canvas;
mod chunks;
mod disk;
mod size;

/// One picture and the words that stand for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chart {
    /// `size`, `chunks` or `disk`: also the name of the file in the mail.
    pub name: &'static str,
    pub title: &'static str,
    /// The same in words, for those who do not see the picture.
    pub alt: String,
    pub svg: String,
}

/// The disk first, as in the report.
pub fn charts(report: &Report) -> Vec<Chart> {
    let drawn = [disk::chart(report), chunks::chart(report), size::chart(report)].into_iter().flatten();
    drawn.map(|chart| Chart { alt: printable(&chart.alt), ..chart }).collect()
}

/// Twice as many points as the mail shows, for sharp letters.
const PIXELS: u32 = 2 * 600;

/// The chart as PNG; the error is for people.
pub fn png(chart: &Chart) -> Result<Vec<u8>, String> {
    charts_rs::svg_to_png_with_size(&chart.svg, Some(PIXELS), None)
        .map_err(|error| format!("the chart `{}` cannot be drawn: {error}", chart.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn a_rich_report_has_all_charts_and_an_early_end_has_none() {
        let names: Vec<&str> = charts(&sample::partial()).iter().map(|chart| chart.name).collect();
        assert_eq!(names, ["disk", "chunks", "size"]);
        assert_eq!(charts(&sample::busy()), []);
    }

    #[test]
    fn the_words_hold_the_numbers_of_the_picture() {
        let charts = charts(&sample::partial());
        let alt = |name: &str| charts.iter().find(|chart| chart.name == name).map_or("", |chart| &chart.alt);
        assert!(alt("disk").contains("/var/lib/postgresql: 81 % used before, 71 % after"), "{}", alt("disk"));
        assert!(
            alt("chunks").contains("public.conditions: 31 kept, 1 held, 9 dropped, 3 stayed"),
            "{}",
            alt("chunks")
        );
        assert!(alt("size").contains("public.conditions: 77.0 GiB"), "{}", alt("size"));
    }

    #[test]
    fn hostile_names_are_text_in_the_picture() {
        let hostile = sample::hostile();
        for chart in charts(&hostile) {
            assert!(!chart.svg.contains("<script") && !chart.svg.contains('\u{1b}'), "{}", chart.svg);
            assert!(png(&chart).is_ok(), "{}", chart.name);
        }
        assert_eq!(charts(&hostile).len(), 3);
    }

    #[test]
    fn fifty_tables_are_the_largest_and_one_for_the_rest() {
        for chart in charts(&sample::many_tables()) {
            let height: f64 = chart
                .svg
                .split_once("height=\"")
                .and_then(|(_, rest)| rest.split_once('"'))
                .and_then(|(height, _)| height.parse().ok())
                .expect("a height");
            assert!(height < 800.0, "{} is {height} high", chart.name);
            assert!(chart.name == "disk" || chart.svg.contains("more tables"), "{}", chart.svg);
        }
    }

    /// `TIMESWEEP_CHARTS=folder cargo nextest run charts_as_files` leaves them there to be looked at.
    #[test]
    fn charts_as_files() {
        let Some(folder) = std::env::var_os("TIMESWEEP_CHARTS") else { return };
        for (kind, report) in sample::all() {
            for chart in charts(&report) {
                let path = std::path::Path::new(&folder).join(format!("{kind}-{}.png", chart.name));
                std::fs::write(path, png(&chart).expect("a picture")).expect("written");
            }
        }
    }
}

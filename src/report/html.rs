//! The report as one page without anything from outside: for a file, and for the mail.
//!
//! The same template for both; the page has its charts as SVG in it, the mail shows the attached PNG.
//! Invariant: every text is escaped by the template; only our own SVG is not, which escapes for itself.

use askama::Template;

use super::Report;
use super::chart::Chart;
use super::document::{self, Block, Section};
use super::subject::{subject, tag};

/// Where a reader finds a chart's picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pictures {
    /// In the page itself.
    Inline,
    /// As parts of the mail, named by [`content_id`].
    Attached,
}

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    subject: String,
    tag: &'static str,
    colour: &'static str,
    summary: String,
    sections: Vec<Section>,
    charts: &'a [Chart],
    pictures: Pictures,
    run: String,
}

pub fn render(report: &Report, title: &str, charts: &[Chart], pictures: Pictures) -> Result<String, String> {
    let page = Page {
        subject: subject(report, title),
        tag: tag(report.verdict),
        colour: if report.verdict.is_trouble() { "#b42318" } else { "#1a7f37" },
        summary: document::summary(report),
        sections: document::sections(report),
        charts,
        pictures,
        run: report.run.to_string(),
    };
    page.render().map_err(|error| format!("the page cannot be written: {error}"))
}

/// What `cid:` refers to.
pub fn content_id(chart: &str, run: &str) -> String {
    format!("{chart}.{run}@timesweep")
}

impl Page<'_> {
    fn chart(&self, name: &str) -> Option<&Chart> {
        self.charts.iter().find(|chart| chart.name == name)
    }

    fn is_inline(&self) -> bool {
        self.pictures == Pictures::Inline
    }

    fn cid(&self, chart: &Chart) -> String {
        content_id(chart.name, &self.run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::chart::charts;
    use crate::report::sample;

    fn page(report: &Report, pictures: Pictures) -> String {
        render(report, "weekly drop", &charts(report), pictures).expect("a page")
    }

    #[test]
    fn errors_come_first_and_every_section_follows_in_order() {
        let page = page(&sample::partial(), Pictures::Inline);
        let mut last = 0;
        for title in [
            "Errors and warnings",
            "Run",
            "Disk",
            "Tables",
            "Growth",
            "Why chunks stay",
            "Sessions",
            "What comes next",
            "The runs before",
        ] {
            let at = page.find(&format!(">{title}</h2>")).unwrap_or_else(|| panic!("no section {title}"));
            assert!(at > last, "{title} comes too early");
            last = at;
        }
    }

    #[test]
    fn hostile_text_stays_text() {
        for pictures in [Pictures::Inline, Pictures::Attached] {
            let page = page(&sample::hostile(), pictures);
            assert!(!page.contains("<script"), "{page}");
            assert!(!page.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{page:?}");
            assert!(page.contains("&#60;script") || page.contains("&lt;script"), "{page}");
        }
    }

    #[test]
    fn nothing_is_loaded_from_outside() {
        for pictures in [Pictures::Inline, Pictures::Attached] {
            let page = page(&sample::partial(), pictures).replace("http://www.w3.org/2000/svg", "");
            for outside in ["http:", "https:", "src=\"//", "@import", "<link", "<script"] {
                assert!(!page.contains(outside), "{outside}");
            }
        }
    }

    #[test]
    fn the_mail_names_its_pictures_and_the_page_holds_them() {
        let report = sample::partial();
        let (mail, page) = (page(&report, Pictures::Attached), page(&report, Pictures::Inline));
        for chart in ["disk", "chunks", "size"] {
            let cid = format!("cid:{}", content_id(chart, &report.run.to_string()));
            assert!(mail.contains(&cid) && !page.contains(&cid), "{chart}");
        }
        assert!(!mail.contains("<svg") && page.matches("<svg").count() == 3);
    }

    /// Gmail cuts at 102 kB.
    #[test]
    fn fifty_tables_are_a_mail_that_no_client_cuts() {
        let length = page(&sample::many_tables(), Pictures::Attached).len();
        assert!(length < 100_000, "{length}");
    }

    #[test]
    fn what_was_not_done_is_always_said() {
        for (kind, report) in sample::all() {
            let page = page(&report, Pictures::Inline);
            let trouble = report.verdict.is_trouble();
            assert_eq!(page.contains("Not everything was done"), trouble, "{kind}");
            assert!(!trouble || page.contains("not done: "), "{kind}");
        }
    }

    #[test]
    fn the_page_reads_like_this() {
        let report = sample::partial();
        insta::assert_snapshot!("partial", page(&report, Pictures::Attached));
        insta::assert_snapshot!("busy", page(&sample::busy(), Pictures::Attached));
    }

    /// `TIMESWEEP_CHARTS=folder cargo nextest run pages_as_files` leaves them there to be looked at.
    #[test]
    fn pages_as_files() {
        let Some(folder) = std::env::var_os("TIMESWEEP_CHARTS") else { return };
        for (kind, report) in sample::all() {
            let path = std::path::Path::new(&folder).join(format!("{kind}.html"));
            std::fs::write(path, page(&report, Pictures::Inline)).expect("written");
        }
    }
}

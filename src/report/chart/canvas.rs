//! The few shapes of SVG that the charts are made of.
//!
//! Invariant: text is escaped here and nowhere else, so that a table may have any name.

use std::fmt::Write as _;

use crate::problem::printable;

pub const WIDTH: f64 = 600.0;
pub const INK: &str = "#1b1f24";
pub const MUTED: &str = "#57606a";
pub const GRID: &str = "#d8dee4";

/// Fills that differ in lightness and pattern, not in colour alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    Plain,
    Dark,
    Hatched,
    Crossed,
    Dotted,
    Empty,
}

impl Fill {
    fn attributes(self) -> &'static str {
        match self {
            Self::Plain => r##"fill="#8fb3d9" stroke="#4a7fb5""##,
            Self::Dark => r##"fill="#1f4e79" stroke="#12314d""##,
            Self::Hatched => r##"fill="url(#hatched)" stroke="#57606a" stroke-dasharray="3 2""##,
            Self::Crossed => r##"fill="url(#crossed)" stroke="#8f1d14""##,
            Self::Dotted => r##"fill="url(#dotted)" stroke="#57606a""##,
            Self::Empty => r##"fill="#ffffff" stroke="#57606a""##,
        }
    }
}

const PATTERNS: &str = r##"<defs>
<pattern id="hatched" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="6" height="6" fill="#ffffff"/><rect width="2" height="6" fill="#8c959f"/></pattern>
<pattern id="crossed" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="5" height="5" fill="#f3b3ad"/><path d="M0 0H5M0 0V5" stroke="#8f1d14" stroke-width="2.4"/></pattern>
<pattern id="dotted" width="5" height="5" patternUnits="userSpaceOnUse"><rect width="5" height="5" fill="#eaeef2"/><circle cx="2" cy="2" r="1" fill="#57606a"/></pattern>
</defs>
"##;

/// How text stands to its point.
#[derive(Debug, Clone, Copy)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

pub struct Canvas {
    body: String,
}

impl Canvas {
    pub fn new() -> Self {
        Self { body: String::new() }
    }

    pub fn rect(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), fill: Fill) {
        let fill = fill.attributes();
        let _ = writeln!(
            self.body,
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" {fill}/>"#
        );
    }

    /// An area without a border.
    pub fn shade(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), colour: &str) {
        let _ = writeln!(
            self.body,
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" fill="{colour}"/>"#
        );
    }

    pub fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), colour: &str, style: &str) {
        let _ = writeln!(
            self.body,
            r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" stroke="{colour}" {style}/>"#
        );
    }

    pub fn path(&mut self, points: &[(f64, f64)], colour: &str, style: &str) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(
            self.body,
            r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="2" stroke-linejoin="round" {style}/>"#,
            points.join(" ")
        );
    }

    /// A closed shape around a point, from offsets.
    pub fn shape(&mut self, (x, y): (f64, f64), offsets: &[(f64, f64)], fill: &str, colour: &str) {
        let points: Vec<String> =
            offsets.iter().map(|(dx, dy)| format!("{:.1},{:.1}", x + dx, y + dy)).collect();
        let _ = writeln!(
            self.body,
            r#"<polygon points="{}" fill="{fill}" stroke="{colour}" stroke-width="1.4"/>"#,
            points.join(" ")
        );
    }

    pub fn circle(&mut self, (x, y): (f64, f64), radius: f64, fill: &str, colour: &str) {
        let _ = writeln!(
            self.body,
            r#"<circle cx="{x:.1}" cy="{y:.1}" r="{radius:.1}" fill="{fill}" stroke="{colour}" stroke-width="1.4"/>"#
        );
    }

    pub fn text(&mut self, at: (f64, f64), anchor: Anchor, text: &str) {
        self.write(at, anchor, text, &format!(r#"fill="{MUTED}""#));
    }

    pub fn bold(&mut self, at: (f64, f64), anchor: Anchor, text: &str) {
        self.write(at, anchor, text, &format!(r#"fill="{INK}" font-weight="bold""#));
    }

    fn write(&mut self, (x, y): (f64, f64), anchor: Anchor, text: &str, style: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = escaped(text);
        let _ = writeln!(
            self.body,
            r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" font-size="12" {style}>{text}</text>"#
        );
    }

    /// The picture of this height; its ground is white also where the reader's is dark.
    pub fn finish(self, height: f64, alt: &str) -> String {
        let alt = escaped(alt);
        format!(
            concat!(
                r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height:.0}" viewBox="0 0 {width} {height:.0}" "#,
                r#"font-family="Roboto, Arial, sans-serif" role="img" aria-label="{alt}">"#,
                "\n{patterns}<rect width=\"{width}\" height=\"{height:.0}\" fill=\"#ffffff\"/>\n{body}</svg>\n"
            ),
            width = WIDTH,
            height = height,
            alt = alt,
            patterns = PATTERNS,
            body = self.body
        )
    }
}

fn escaped(text: &str) -> String {
    let plain = |c: char| match c {
        '&' => "&amp;".into(),
        '<' => "&lt;".into(),
        '>' => "&gt;".into(),
        '"' => "&quot;".into(),
        // XML has no way to write these two.
        '\u{fffe}' | '\u{ffff}' => "?".into(),
        other => other.to_string(),
    };
    printable(text).chars().map(plain).collect()
}

/// At most so many letters; three dots stand for what is cut from the middle, since names differ at their ends.
pub fn shortened(text: &str, letters: usize) -> String {
    let all: Vec<char> = text.chars().collect();
    if all.len() <= letters {
        return text.to_owned();
    }
    let tail = letters / 2;
    let head = letters.saturating_sub(tail + 1);
    all[..head].iter().chain(&['…']).chain(&all[all.len() - tail..]).collect()
}

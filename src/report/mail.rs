//! The report as a mail: both texts, the charts as pictures in it, the JSON attached.
//!
//! Builds the message and sends nothing. Invariant: a report has one message id, so that a mail that is sent a second time
//! after a crash can be told from a second report.

use std::time::{Duration, SystemTime};

use lettre::message::header::ContentType;
use lettre::message::{Attachment, Mailbox, Message, MultiPart, SinglePart};

use super::chart::{Chart, charts, png};
use super::html::{self, Pictures, content_id};
use super::subject::subject;
use super::{Report, text};

const LARGEST_JSON: usize = 2 << 20;

/// A message that is ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Without brackets; also the beginning of the file name while it waits.
    pub id: String,
    pub message: Vec<u8>,
}

/// What stands on the envelope.
#[derive(Debug, Clone)]
pub struct Heading<'a> {
    pub title: &'a str,
    pub from: &'a Mailbox,
    pub to: &'a [Mailbox],
    /// Microseconds since 1970 UTC, by our clock.
    pub date: i64,
    /// Somebody asked for it once more: another mail, with an id of its own.
    pub again: bool,
}

/// Builds the message; the error is one sentence for people.
pub fn compose(report: &Report, heading: &Heading<'_>) -> Result<Letter, String> {
    let id = letter_id(report, heading);
    let mut builder = Message::builder()
        .from(heading.from.clone())
        .subject(subject(report, heading.title))
        .message_id(Some(format!("<{id}>")))
        .date(system_time(heading.date));
    for to in heading.to {
        builder = builder.to(to.clone());
    }
    let message = builder.multipart(body(report, heading.title)?);
    let message = message.map_err(|error| format!("the mail cannot be built: {error}"))?;
    Ok(Letter { id, message: message.formatted() })
}

fn letter_id(report: &Report, heading: &Heading<'_>) -> String {
    let domain = heading.from.email.domain();
    if heading.again {
        format!("{}.{}@{domain}", report.run, heading.date)
    } else {
        format!("{}@{domain}", report.run)
    }
}

fn system_time(microseconds: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(microseconds.max(0).unsigned_abs())
}

/// mixed [ alternative [ text, related [ page, charts ] ], JSON ]
fn body(report: &Report, title: &str) -> Result<MultiPart, String> {
    // A chart that cannot be drawn is left out; its numbers are in the tables.
    let pictures: Vec<(Chart, Vec<u8>)> = charts(report)
        .into_iter()
        .filter_map(|chart| png(&chart).ok().map(|picture| (chart, picture)))
        .collect();
    let shown: Vec<Chart> = pictures.iter().map(|(chart, _)| chart.clone()).collect();
    let page = html::render(report, title, &shown, Pictures::Attached)?;
    let mut related = MultiPart::related().singlepart(SinglePart::html(page));
    for (chart, picture) in pictures {
        related = related.singlepart(inline_picture(report, &chart, picture)?);
    }
    let texts =
        MultiPart::alternative().singlepart(SinglePart::plain(text::render(report))).multipart(related);
    Ok(MultiPart::mixed().multipart(texts).singlepart(json(report)?))
}

fn inline_picture(report: &Report, chart: &Chart, picture: Vec<u8>) -> Result<SinglePart, String> {
    let id = content_id(chart.name, &report.run.to_string());
    let name = format!("{}.png", chart.name);
    Ok(Attachment::new_inline_with_name(id, name).body(picture, content_type("image/png")?))
}

fn json(report: &Report) -> Result<SinglePart, String> {
    let mut text = as_json(report)?;
    if text.len() > LARGEST_JSON {
        text = as_json(&without_marks(report))?;
    }
    let name = format!("{}.json", report.run);
    Ok(Attachment::new(name).body(text, content_type("application/json")?))
}

fn as_json(report: &Report) -> Result<String, String> {
    serde_json::to_string(report).map_err(|error| format!("the report has no JSON: {error}"))
}

/// Hundreds of thousands of chunks make a mail that servers refuse; the journal has them all.
fn without_marks(report: &Report) -> Report {
    let mut small = report.clone();
    for measure in small.datasets.iter_mut().filter_map(|dataset| dataset.measure.as_mut()) {
        measure.chunks.clear();
    }
    small.warnings.push(
        "this attachment leaves out where each chunk lies; `timesweep report --output json` has it".into(),
    );
    small
}

fn content_type(text: &str) -> Result<ContentType, String> {
    ContentType::parse(text).map_err(|error| format!("{text} is no content type: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;
    use mail_parser::{MessageParser, MimeHeaders};

    fn compose_it(report: &Report, again: bool) -> Letter {
        let from: Mailbox = "Zeitfeger Größe <timesweep@example.org>".parse().expect("a sender");
        let to: Vec<Mailbox> = vec!["dba@example.org".parse().expect("a recipient")];
        let heading = Heading { title: "weekly drop", from: &from, to: &to, date: sample::NOW, again };
        compose(report, &heading).expect("a letter")
    }

    #[test]
    fn the_mail_has_both_texts_three_pictures_and_the_json() {
        let report = sample::partial();
        let letter = compose_it(&report, false);
        let mail = MessageParser::default().parse(&letter.message).expect("a mail");
        assert_eq!(mail.subject(), Some(subject(&report, "weekly drop").as_str()));
        assert_eq!(
            mail.from().and_then(|from| from.first()).and_then(|from| from.name()),
            Some("Zeitfeger Größe")
        );
        assert_eq!(mail.body_text(0).map(|text| text.replace("\r\n", "\n")), Some(text::render(&report)));
        let page = mail.body_html(0).expect("a page");
        let mut pictures = 0;
        for part in mail.parts.iter().filter(|part| part.is_content_type("image", "png")) {
            let id = part.content_id().expect("an id");
            assert!(page.contains(&format!("cid:{id}")), "{id}");
            assert!(part.contents().starts_with(b"\x89PNG"), "{id}");
            pictures += 1;
        }
        assert_eq!(pictures, 3);
        let json = mail.parts.iter().find(|part| part.is_content_type("application", "json")).expect("JSON");
        assert_eq!(json.attachment_name(), Some(format!("{}.json", report.run).as_str()));
        let back: Report = serde_json::from_slice(json.contents()).expect("a report");
        assert_eq!(back, report);
    }

    #[test]
    fn a_report_keeps_its_id_until_somebody_asks_for_it_again() {
        let report = sample::done();
        assert_eq!(compose_it(&report, false).id, compose_it(&report, false).id);
        assert_ne!(compose_it(&report, false).id, compose_it(&report, true).id);
    }

    #[test]
    fn every_kind_of_report_becomes_a_mail_and_hostile_text_no_header() {
        for (kind, report) in sample::all() {
            let letter = compose_it(&report, false);
            let mail = MessageParser::default().parse(&letter.message).expect(kind);
            assert_eq!(mail.to().map(|to| to.iter().count()), Some(1), "{kind}");
            assert!(letter.message.len() < 2_000_000, "{kind}: {}", letter.message.len());
        }
    }
}

//! The one thing that is read from an ESDL: the `id` of its root element, which names the dataset.
//!
//! Invariant: only the beginning of the text is looked at, nothing is expanded, and nothing that could not
//! be the name of a dataset comes out: whatever a worker sends costs no more than that.

use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{Namespace, ResolveResult};
use quick_xml::reader::NsReader;

use crate::retention::ownership::event::Event as Outcome;
use crate::retention::ownership::{JobId, OwnedName};

const ESDL: Namespace<'_> = Namespace("http://www.tno.nl/esdl");
/// The start tag of the root has to end within this many bytes.
const BEGINNING: usize = 1 << 20;
const LONGEST_NAME: usize = 255;

/// The job succeeded; where nobody can read with what, the log says so, and a person has to look.
pub fn event_of_success(job: JobId, esdl: Option<&str>) -> Outcome {
    if let Some(dataset) = esdl.and_then(dataset_of) {
        return Outcome::Succeeded { job, dataset };
    }
    let what = match esdl {
        None | Some("") => "it has no output ESDL".to_owned(),
        Some(esdl) => format!("its output ESDL ({} bytes) has no id that can be read", esdl.len()),
    };
    tracing::warn!(
        job = %job.0,
        "a job succeeded, and nobody can read with what: {what}; what may be its data is held, see `timesweep hold list`"
    );
    Outcome::SucceededWithAnUnknownDataset(job)
}

/// `None`: there is no root element of an ESDL at its beginning, or its id names no dataset.
pub fn dataset_of(esdl: &str) -> Option<OwnedName> {
    let mut reader = NsReader::from_str(beginning(esdl));
    loop {
        match reader.read_resolved_event().ok()? {
            (namespace, Event::Start(root) | Event::Empty(root)) => return name_of_root(&namespace, &root),
            (_, Event::Eof) => return None,
            _ => {}
        }
    }
}

fn beginning(esdl: &str) -> &str {
    &esdl[..esdl.floor_char_boundary(BEGINNING)]
}

fn name_of_root(namespace: &ResolveResult<'_>, root: &BytesStart<'_>) -> Option<OwnedName> {
    let is_esdl = matches!(namespace, ResolveResult::Bound(bound) if *bound == ESDL)
        && root.local_name().as_ref() == "EnergySystem";
    let id = root.try_get_attribute("id").ok()?.filter(|_| is_esdl)?;
    let name = id.normalized_value(XmlVersion::Implicit1_0).ok()?;
    // What a database cannot store would be delivered for ever.
    let could_be_a_name = !name.is_empty() && name.len() <= LONGEST_NAME && !name.contains(char::is_control);
    could_be_a_name.then(|| OwnedName(name.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write;
    use std::time::{Duration, Instant};

    const ID: &str = "1b7c8a5e-6c1e-4cb1-b9f5-3b1f0c6d8f10";

    fn name(esdl: &str) -> Option<String> {
        dataset_of(esdl).map(|name| name.0.to_string())
    }

    fn root(attributes: &str) -> String {
        format!("<esdl:EnergySystem xmlns:esdl=\"http://www.tno.nl/esdl\" {attributes}>")
    }

    #[test]
    fn the_id_of_the_root_names_the_dataset() {
        let declaration = "<?xml version='1.0' encoding='UTF-8'?>\n<!-- a comment with id=\"x\" -->\n";
        for text in [
            format!("{}</esdl:EnergySystem>", root(&format!("id=\"{ID}\""))),
            format!("{declaration}{}<instance id=\"other\"/>", root(&format!("name=\"a\" id='{ID}'"))),
            format!("\u{feff}{}", root(&format!("id=\"{ID}\""))),
            format!("<EnergySystem xmlns=\"http://www.tno.nl/esdl\" id=\"{ID}\"/>"),
            // What comes behind the start tag is not looked at.
            format!("{}<broken", root(&format!("id=\"{ID}\""))),
        ] {
            assert_eq!(name(&text).as_deref(), Some(ID), "{text}");
        }
        assert_eq!(name(&root("id=\"a&amp;b &#x42;\"")).as_deref(), Some("a&b B"));
    }

    #[test]
    fn what_names_no_dataset_is_nothing() {
        for text in [
            String::new(),
            "no XML".into(),
            "<".into(),
            root(""),
            root("id=\"\""),
            root(&format!("xmi:id=\"{ID}\"")),
            root("id=\"a&#0;b\""),
            root("id=\"a&#10;b\""),
            root(&format!("id=\"{}\"", "x".repeat(256))),
            root("id=\"&unknown;\""),
            format!("<EnergySystem id=\"{ID}\"/>"),
            format!("<esdl:EnergySystem id=\"{ID}\"/>"),
            format!("<other id=\"{ID}\">{}", root(&format!("id=\"{ID}\""))),
            format!("<html xmlns=\"http://www.tno.nl/esdl\" id=\"{ID}\"/>"),
        ] {
            assert_eq!(name(&text), None, "{text}");
        }
    }

    #[test]
    fn an_entity_bomb_is_not_lit() {
        let mut bomb = String::from("<!DOCTYPE bomb [<!ENTITY a0 \"boom\">");
        for level in 1..40 {
            let inner = format!("&a{};", level - 1).repeat(10);
            write!(bomb, "<!ENTITY a{level} \"{inner}\">").expect("a text");
        }
        bomb.push_str("<!ENTITY file SYSTEM \"file:///etc/passwd\">]>");
        assert_eq!(name(&format!("{bomb}{}", root("id=\"&a39;\""))), None);
        assert_eq!(name(&format!("{bomb}{}", root("id=\"&file;\""))), None);
        assert_eq!(name(&format!("{bomb}{}", root("id=\"plain\""))).as_deref(), Some("plain"));
    }

    #[test]
    fn a_huge_text_costs_no_more_than_its_beginning() {
        let ten_megabytes = "é".repeat(5_000_000);
        let elements = "<asset><port/></asset>".repeat(500_000);
        let nested = "<a>".repeat(1_000_000);
        let started = Instant::now();
        for behind in [&ten_megabytes, &elements, &nested] {
            let text = format!("{}{behind}", root(&format!("id=\"{ID}\"")));
            assert_eq!(name(&text).as_deref(), Some(ID));
        }
        for before in [
            format!("<!--{ten_megabytes}-->{}", root(&format!("id=\"{ID}\""))),
            root(&format!("name=\"{ten_megabytes}\" id=\"{ID}\"")),
            root(&(0..200_000).fold(String::new(), |all, number| all + &format!("a{number}=\"\" "))),
        ] {
            assert_eq!(name(&before), None);
        }
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    }
}

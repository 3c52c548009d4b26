//! What somebody may have meant who wrote a name that does not exist.

/// `did you mean …?` where one of the names is close, otherwise all of them.
pub(super) fn hint<'a>(written: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    match nearest(written, &names) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("the names known there: {}", names.join(", ")),
    }
}

/// The closest name, if no more than about a third of its letters differ.
pub(super) fn nearest<'a>(written: &str, names: &[&'a str]) -> Option<&'a str> {
    let lower = written.to_lowercase();
    let distance = |name: &str| strsim::damerau_levenshtein(&lower, &name.to_lowercase());
    let (steps, name) = names.iter().map(|name| (distance(name), *name)).min()?;
    let letters = name.chars().count();
    (steps <= ((letters + 1) / 3).max(1) && steps < letters).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_name_and_a_different_word_does_not() {
        let names = ["lock_timeout", "zone", "url"];
        assert_eq!(nearest("lock_timout", &names), Some("lock_timeout"));
        assert_eq!(nearest("Zone", &names), Some("zone"));
        assert_eq!(nearest("ulr", &names), Some("url"));
        assert_eq!(nearest("retention", &names), None);
        assert_eq!(nearest("x", &["a"]), None);
        assert_eq!(nearest("x", &[]), None);
    }

    #[test]
    fn without_a_close_name_the_hint_lists_all() {
        assert_eq!(hint("retention", ["zone", "url"]), "the names known there: zone, url");
        assert_eq!(hint("zonr", ["zone", "url"]), "did you mean `zone`?");
    }
}

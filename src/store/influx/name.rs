//! Names as InfluxQL writes them.
//!
//! Between double quotes a backslash, a double quote and a new line are written with a backslash; nothing
//! else is special there. Invariant: what is quoted here is read back by the server as exactly that name.

/// A carriage return is read as a new line and a zero ends the statement: no way to write them is known,
/// so a name that holds one is never sent.
pub fn quoted(name: &str) -> Option<String> {
    if name.contains(['\r', '\0']) {
        return None;
    }
    Some(format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the server's scanner reads it.
    fn read_back(text: &str) -> (String, &str) {
        let mut name = String::new();
        let mut letters = text.strip_prefix('"').expect("a quote").char_indices();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '"' => return (name, &text[at + 2..]),
                '\n' => panic!("a line ends inside a name"),
                '\\' => match letters.next().expect("an escaped letter").1 {
                    'n' => name.push('\n'),
                    escaped @ ('\\' | '"') => name.push(escaped),
                    other => panic!("\\{other} means nothing"),
                },
                other => name.push(other),
            }
        }
        panic!("the name never ends: {text}")
    }

    #[test]
    fn every_name_is_read_back_as_itself_and_nothing_follows_it() {
        let long = "a\"\\\n".repeat(16_384);
        for name in ["a", "", "A b", "x\"; DROP DATABASE y; --", "\\", "\\\"", "a\nb", "\\n", "ü😀", &long]
        {
            assert_eq!(read_back(&quoted(name).expect("a name")), (name.to_owned(), ""), "{name}");
        }
        assert_eq!(quoted("a\rb"), None);
        assert_eq!(quoted("a\0b"), None);
    }

    #[test]
    fn a_quoted_name_of_any_letters_is_read_back_as_itself() {
        let letters = ['"', '\\', '\n', 'n', 'a', ' ', ';', 'é', '\''];
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..2000 {
            let name: String =
                (0..random.usize(0..12)).map(|_| letters[random.usize(..letters.len())]).collect();
            assert_eq!(read_back(&quoted(&name).expect("a name")), (name.clone(), ""));
        }
    }
}

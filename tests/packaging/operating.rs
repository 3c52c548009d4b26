//! docs/operating.md shows a configuration that is one, and names only commands and files that there are.

use std::fs;
use std::path::Path;
use std::process::Command;

use secrecy::SecretString;
use timesweep::config::{Config, SecretSource};

struct AnySecret;

impl SecretSource for AnySecret {
    fn variable(&self, _name: &str) -> Result<SecretString, String> {
        Ok("secret".into())
    }

    fn file(&self, _path: &Path) -> Result<SecretString, String> {
        Ok("secret".into())
    }
}

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operating.md");
    fs::read_to_string(path).expect("the page")
}

#[test]
fn the_configuration_on_the_page_is_one() {
    let page = page();
    let (_, rest) = page.split_once("```toml\n").expect("a configuration");
    let (text, _) = rest.split_once("```").expect("its end");
    let config = Config::parse(text, "docs/operating.md", &AnySecret).expect("it parses");
    assert_eq!(config.stores.len(), 1);
}

/// `timesweep …` between back quotes or at the beginning of an indented line, as far as its options go.
fn commands(page: &str) -> Vec<Vec<String>> {
    let quoted = page.split('`').skip(1).step_by(2);
    let indented = page.lines().filter_map(|line| line.strip_prefix("    "));
    let lines = quoted.chain(indented).filter_map(|text| text.strip_prefix("timesweep "));
    let words = |line: &str| {
        let line = line.split(['#', '\n']).next().unwrap_or_default();
        line.split_whitespace().take_while(|word| *word != "=>").map(String::from).collect()
    };
    lines.map(words).collect()
}

/// With `--help` behind them, arguments are looked at and nothing is done.
#[test]
fn every_command_on_the_page_is_one() {
    let commands = commands(&page());
    assert!(commands.len() > 15, "{commands:?}");
    for words in commands {
        let verbs: Vec<&String> =
            words.iter().filter(|word| word.starts_with(char::is_lowercase)).take(2).collect();
        let options: Vec<&str> = words.iter().filter_map(|word| word.strip_prefix("--")).collect();
        let verb = verbs.first().expect("a verb");
        let sub = verbs.get(1).filter(|_| ["ticket", "hold"].contains(&verb.as_str()));
        let mut help = Command::new(env!("CARGO_BIN_EXE_timesweep"));
        help.env_clear().arg(verb).args(sub).arg("--help");
        let output = help.output().expect("timesweep starts");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "timesweep {}", words.join(" "));
        for option in options {
            assert!(text.contains(&format!("--{option}")), "timesweep {}: no --{option}", words.join(" "));
        }
    }
}

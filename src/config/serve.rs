//! `[serve]`: where the daemon listens, and who may ask it for what.
//!
//! Invariant: nobody deletes without a token, and without a token nobody outside of this machine is heard.

use std::net::{Ipv4Addr, SocketAddr};

use secrecy::{ExposeSecret, SecretString};

use super::document::Section;
use super::schema;
use super::secret::{self, SecretSource};
use crate::problem::Result;

const DEFAULT_PORT: u16 = 8085;
/// Shorter ones can be guessed.
const LEAST_LETTERS: usize = 16;

#[derive(Debug, Clone)]
pub struct ServeSettings {
    pub listen: SocketAddr,
    /// None: reading is open to this machine, and nothing else is.
    pub tokens: Vec<TokenSettings>,
}

impl Default for ServeSettings {
    fn default() -> Self {
        Self { listen: (Ipv4Addr::LOCALHOST, DEFAULT_PORT).into(), tokens: Vec::new() }
    }
}

#[derive(Debug, Clone)]
pub struct TokenSettings {
    /// Whose it is.
    pub name: String,
    pub token: SecretString,
    pub may: Vec<Right>,
}

/// What a token lets its bearer do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    Read,
    /// Everything that writes: deletions, cancelled marks, holds.
    Delete,
}

pub(super) fn read(top: &Section<'_>, secrets: &dyn SecretSource) -> Result<ServeSettings> {
    let default = ServeSettings::default();
    let Some(section) = top.section("serve", &schema::SERVE)? else { return Ok(default) };
    let listen = section.read("listen", |setting| setting.parsed(address))?.unwrap_or(default.listen);
    let sections = section.list("tokens", &schema::SERVE_TOKENS)?;
    let tokens = sections.iter().map(|token| read_token(token, secrets)).collect::<Result<Vec<_>>>()?;
    refuse_twins(&sections, &tokens)?;
    if tokens.is_empty() && !listen.ip().is_loopback() {
        return Err(section
            .fault(format!("would listen on {listen} and asks nobody for a token"))
            .hint("add [[serve.tokens]], or listen on 127.0.0.1"));
    }
    Ok(ServeSettings { listen, tokens })
}

fn address(text: &str) -> std::result::Result<SocketAddr, String> {
    text.trim().parse().map_err(|_| {
        format!("`{text}` is not an address and a port; write for example `127.0.0.1:{DEFAULT_PORT}`")
    })
}

fn read_token(section: &Section<'_>, secrets: &dyn SecretSource) -> Result<TokenSettings> {
    let name = section.read("name", |setting| setting.parsed(name))?;
    let name = name.ok_or_else(|| section.fault("has no `name`").hint("say whose token it is"))?;
    let token = section.read("token", |setting| {
        let token = secret::read_secret(setting, &schema::SERVE_TOKEN, secrets)?;
        if fits_in_a_header(&token) {
            Ok(token)
        } else {
            Err(setting.fault(UNFIT).hint("openssl rand -hex 32"))
        }
    })?;
    let token = token.ok_or_else(|| section.fault("has no `token`").hint("add token = { env = \"…\" }"))?;
    let may = section.read("may", |setting| setting.list_of(right))?;
    let may = may.ok_or_else(|| section.fault("has no `may`").hint("add may = [\"read\"]"))?;
    Ok(TokenSettings { name, token, may })
}

const UNFIT: &str = " has to be at least 16 letters, digits and signs without a blank";

fn fits_in_a_header(token: &SecretString) -> bool {
    let token = token.expose_secret();
    token.len() >= LEAST_LETTERS && token.bytes().all(|byte| byte.is_ascii_graphic())
}

fn name(text: &str) -> std::result::Result<String, String> {
    let plain = !text.is_empty() && text.len() <= 60 && !text.contains(char::is_control);
    if plain { Ok(text.to_owned()) } else { Err("it has to be 1 to 60 letters on one line".into()) }
}

fn right(text: &str) -> std::result::Result<Right, String> {
    match text {
        "read" => Ok(Right::Read),
        "delete" => Ok(Right::Delete),
        _ => Err(format!("there is no `{text}`; it is one of read, delete")),
    }
}

/// One secret under two names would make one of them a lie.
fn refuse_twins(sections: &[Section<'_>], tokens: &[TokenSettings]) -> Result<()> {
    for (index, token) in tokens.iter().enumerate() {
        let earlier = &tokens[..index];
        if earlier.iter().any(|other| other.name == token.name) {
            return Err(sections[index].fault(format!("has the name `{}` of another one", token.name)));
        }
        let secret = token.token.expose_secret();
        if let Some(other) = earlier.iter().find(|other| other.token.expose_secret() == secret) {
            return Err(sections[index].fault(format!("has the very token of `{}`", other.name)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use std::path::Path;

    struct Variables;

    impl SecretSource for Variables {
        fn variable(&self, name: &str) -> std::result::Result<SecretString, String> {
            match name {
                "SHORT" => Ok("geheim".into()),
                "BLANK" => Ok("geheim geheim geheim".into()),
                other => Ok(format!("geheim-geheim-{other}").into()),
            }
        }

        fn file(&self, _path: &Path) -> std::result::Result<SecretString, String> {
            Err("no files here".into())
        }
    }

    fn parse(serve: &str) -> Result<ServeSettings> {
        let text = format!("[stores.main]\nurl = \"postgres://me@host/db\"\n{serve}");
        Config::parse(&text, "test.toml", &Variables).map(|config| config.serve)
    }

    fn token(name: &str, variable: &str, may: &str) -> String {
        format!("[[serve.tokens]]\nname = \"{name}\"\ntoken = {{ env = \"{variable}\" }}\nmay = {may}\n")
    }

    #[test]
    fn without_a_section_this_machine_may_read() {
        let serve = parse("").expect("settings");
        assert_eq!(serve.listen.to_string(), "127.0.0.1:8085");
        assert!(serve.tokens.is_empty());
    }

    #[test]
    fn nobody_listens_to_the_network_without_a_token() {
        for open in ["0.0.0.0:1", "[::]:1", "192.0.2.1:1"] {
            let problem = parse(&format!("[serve]\nlisten = \"{open}\"\n")).expect_err(open);
            assert!(problem.sentence.contains("asks nobody for a token"), "{problem}");
            let guarded = format!("[serve]\nlisten = \"{open}\"\n{}", token("ui", "UI", "[\"read\"]"));
            assert_eq!(parse(&guarded).expect("guarded").tokens.len(), 1, "{open}");
        }
        for closed in ["127.0.0.1:0", "127.8.8.8:1", "[::1]:1"] {
            assert!(parse(&format!("[serve]\nlisten = \"{closed}\"\n")).is_ok(), "{closed}");
        }
    }

    #[test]
    fn a_token_is_not_shown() {
        let serve = parse(&token("ui", "UI", "[\"read\", \"delete\"]")).expect("settings");
        assert_eq!(serve.tokens[0].may, [Right::Read, Right::Delete]);
        assert!(!format!("{serve:?}").contains("geheim"));
    }

    #[test]
    fn what_cannot_guard_is_refused_with_its_place() {
        let twice = |second: &str| token("ui", "UI", "[\"read\"]") + second;
        for (settings, said) in [
            ("[serve]\nlisten = \"8085\"\n".to_owned(), "`listen` of [serve]: `8085` is not an address"),
            ("[serve]\nport = 1\n".into(), "[serve] has no setting `port`"),
            (token("ui", "SHORT", "[\"read\"]"), "has to be at least 16 letters"),
            (token("ui", "BLANK", "[\"read\"]"), "has to be at least 16 letters"),
            (token("", "UI", "[\"read\"]"), "1 to 60 letters"),
            (token("ui", "UI", "[]"), "`may` of [[serve.tokens]] is an empty list"),
            (token("ui", "UI", "[\"write\"]"), "there is no `write`; it is one of read, delete"),
            (twice(&token("ui", "OTHER", "[\"read\"]")), "has the name `ui` of another one"),
            (twice(&token("me", "UI", "[\"read\"]")), "has the very token of `ui`"),
            ("[[serve.tokens]]\nname = \"ui\"\ntoken = \"geheim\"\n".into(), "written in plain text"),
            ("[[serve.tokens]]\nname = \"ui\"\n".into(), "has no `token`"),
        ] {
            let problem = parse(&settings).expect_err(&settings);
            assert!(problem.sentence.contains(said), "{settings}: {problem}");
            assert!(!problem.to_string().contains("geheim"), "{problem}");
        }
    }
}

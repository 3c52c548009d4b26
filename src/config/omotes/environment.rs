//! The environment variables of OMOTES' own orchestrator as a configuration file, so that one parser checks both.
//!
//! Invariants: a secret is named in that file and never written there; and whatever is wrong is told with the
//! variable that says so, because nobody has seen the file.

use std::fmt::Write;
use std::path::Path;

use secrecy::SecretString;

use super::super::Config;
use super::super::secret::{Machine, SecretSource};
use super::super::set_in::SetIn;
use crate::problem::{Problem, Result};

/// What people are told instead of a file and a line, until it is replaced by the variables.
const ORIGIN: &str = "the environment";
/// Whoever may delete may look at what is there.
const TOKENS: [(&str, &str); 2] =
    [("TIMESWEEP_READ_TOKEN", "[\"read\"]"), ("TIMESWEEP_DELETE_TOKEN", "[\"read\", \"delete\"]")];
const BROKERS: [(&str, &str); 3] = [("SDK", "clients"), ("TASK", "workers"), ("CELERY", "tasks")];

/// Plain variables of this process.
pub(in crate::config) type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

pub(in crate::config) fn config() -> Result<Config> {
    config_of(&|name| std::env::var(name).ok(), &Defaulted(&Machine))
}

fn config_of(variables: Variables<'_>, secrets: &dyn SecretSource) -> Result<Config> {
    let file = File::of(variables)?;
    let mut config = Config::parse(&file.text, ORIGIN, secrets).map_err(|problem| file.in_words(problem))?;
    name_variables(&mut config);
    Ok(config)
}

/// Hints about a connection name what people have set.
fn name_variables(config: &mut Config) {
    if let Some(omotes) = &mut config.omotes {
        let brokers = [&mut omotes.clients, &mut omotes.workers, &mut omotes.tasks];
        for (broker, (prefix, _)) in brokers.into_iter().zip(BROKERS) {
            broker.set_in = SetIn::variables(&format!("{prefix}_RABBITMQ"), "HOSTNAME", "VIRTUALHOST");
        }
    }
    if let Some(registry) = &mut config.registry {
        registry.set_in = SetIn::variables("POSTGRESQL", "HOST", "DATABASE");
    }
    for store in &mut config.stores {
        store.influx.set_in = SetIn::variables("INFLUXDB", "HOST", "DATABASE");
    }
}

/// Passwords that OMOTES' own programs assume where none is set.
struct Defaulted<'a>(&'a dyn SecretSource);

impl SecretSource for Defaulted<'_> {
    fn variable(&self, name: &str) -> std::result::Result<SecretString, String> {
        self.0.variable(name).or_else(|why| match name.strip_suffix("_RABBITMQ_PASSWORD") {
            Some(_) if why == "is not set" => Ok("guest".into()),
            _ => Err(why),
        })
    }

    fn file(&self, path: &Path) -> std::result::Result<SecretString, String> {
        self.0.file(path)
    }
}

/// The text, and what each of its lines comes from.
struct File {
    text: String,
    sources: Vec<Source>,
}

/// The variables of a line, and what to set where a hint would name keys of a file that nobody has.
struct Source {
    variables: String,
    way_out: Option<&'static str>,
}

const GRACE: &str =
    "set JOB_RETENTION_SEC to at least 3600; for a try on data of no value add TIMESWEEP_ALLOW_SHORT_GRACE=1";
const TOKEN_NEEDED: &str = "set TIMESWEEP_READ_TOKEN or TIMESWEEP_DELETE_TOKEN, or let TIMESWEEP_LISTEN be an address of this machine alone, such as 127.0.0.1:8085";
const ADDRESS: &str = "set TIMESWEEP_LISTEN to an address and a port, such as 127.0.0.1:8085";
const LOGIN: &str = "set INFLUXDB_USERNAME and INFLUXDB_PASSWORD, or neither";
const QUEUES: &str = "let TASK_RESULT_QUEUE_NAME and TASK_PROGRESS_QUEUE_NAME be two queues that nobody uses for anything else";
const GOOD_TOKEN: &str = "let each token be one of its own, as `openssl rand -hex 32` makes them";

impl File {
    fn of(variables: Variables<'_>) -> Result<Self> {
        let mut file = Self { text: String::new(), sources: Vec::new() };
        let from = From(variables);
        file.add_store(&from)?;
        file.add_registry(&from)?;
        file.add_rest(&from)?;
        file.add_jobs(&from)?;
        for (prefix, section) in BROKERS {
            file.add_broker(&from, prefix, section)?;
        }
        Ok(file)
    }

    fn line(&mut self, text: &str, variables: &str) {
        self.line_with(text, variables, None);
    }

    /// A line whose faults have this way out.
    fn line_or(&mut self, text: &str, variables: &str, way_out: &'static str) {
        self.line_with(text, variables, Some(way_out));
    }

    fn line_with(&mut self, text: &str, variables: &str, way_out: Option<&'static str>) {
        self.text.push_str(text);
        self.text.push('\n');
        self.sources.push(Source { variables: variables.to_owned(), way_out });
    }

    fn add_store(&mut self, from: &From<'_>) -> Result<()> {
        let login = "INFLUXDB_USERNAME, INFLUXDB_PASSWORD";
        self.line_or("[stores.results]", login, LOGIN);
        self.line("kind = \"influxdb\"", "INFLUXDB_HOST");
        let place = from.place("INFLUXDB_HOST", "INFLUXDB_PORT", 8096)?;
        self.line(&format!("url = {}", quoted(&format!("http://{place}"))), "INFLUXDB_HOST, INFLUXDB_PORT");
        if let Some(user) = from.given("INFLUXDB_USERNAME") {
            self.line(&format!("user = {}", quoted(&user)), login);
        }
        self.secret("password", "INFLUXDB_PASSWORD", from);
        let database = from.text("INFLUXDB_DATABASE", "omotes_timeseries");
        let never = format!("never = [\"_internal\", {}]", quoted(&database));
        self.line(&never, "INFLUXDB_DATABASE");
        Ok(())
    }

    fn add_registry(&mut self, from: &From<'_>) -> Result<()> {
        let place = from.place("POSTGRESQL_HOST", "POSTGRESQL_PORT", 5432)?;
        let user = from.given("POSTGRESQL_USERNAME").map(|user| format!("{}@", encoded(&user)));
        let database = encoded(&from.text("POSTGRESQL_DATABASE", "public"));
        let url = format!("postgres://{}{place}/{database}", user.unwrap_or_default());
        self.line_or("[ownership]", "JOB_RETENTION_SEC", GRACE);
        let all = "POSTGRESQL_HOST, POSTGRESQL_PORT, POSTGRESQL_DATABASE, POSTGRESQL_USERNAME";
        self.line(&format!("registry = {}", quoted(&url)), all);
        self.secret("registry_password", "POSTGRESQL_PASSWORD", from);
        Ok(())
    }

    fn add_rest(&mut self, from: &From<'_>) -> Result<()> {
        if let Some(listen) = from.given("TIMESWEEP_LISTEN") {
            self.line_or("[serve]", "TIMESWEEP_LISTEN", TOKEN_NEEDED);
            self.line_or(&format!("listen = {}", quoted(&listen)), "TIMESWEEP_LISTEN", ADDRESS);
        }
        for (name, may) in TOKENS {
            let Some((source, form)) = from.token(name)? else { continue };
            self.line_or("[[serve.tokens]]", &source, GOOD_TOKEN);
            self.line(&format!("name = {}", quoted(name)), &source);
            self.line(&format!("may = {may}"), &source);
            self.line(&format!("token = {form}"), &source);
        }
        Ok(())
    }

    fn add_jobs(&mut self, from: &From<'_>) -> Result<()> {
        self.line_or("[omotes]", "TASK_RESULT_QUEUE_NAME, TASK_PROGRESS_QUEUE_NAME", QUEUES);
        let path = from.text("WORKFLOW_CONFIG_PATH", "../config/workflow_config.json");
        let path = std::path::absolute(&path).map_or(path, |path| path.display().to_string());
        self.line(&format!("workflows = {}", quoted(&path)), "WORKFLOW_CONFIG_PATH");
        let limit = from.number("DELIVERY_LIMIT_THRESHOLD_PER_JOB", 1)?;
        self.line(&format!("delivery_limit = {limit}"), "DELIVERY_LIMIT_THRESHOLD_PER_JOB");
        for (key, name, default) in [
            ("start_buffer", "TIMEOUT_JOB_MANAGER_START_BUFFER_SEC", 60),
            ("rerun", "TIMEOUT_JOB_HANDLER_RERUN_SEC", 30),
        ] {
            self.line(&format!("{key} = \"{} s\"", from.number(name, default)?), name);
        }
        for (key, name, default) in [
            ("results", "TASK_RESULT_QUEUE_NAME", super::DEFAULT_RESULTS),
            ("progress", "TASK_PROGRESS_QUEUE_NAME", super::DEFAULT_PROGRESS),
        ] {
            self.line(&format!("{key} = {}", quoted(&from.text(name, default))), name);
        }
        Ok(())
    }

    fn add_broker(&mut self, from: &From<'_>, prefix: &str, section: &str) -> Result<()> {
        let name = |part: &str| format!("{prefix}_RABBITMQ_{part}");
        let place = from.place(&name("HOSTNAME"), &name("PORT"), 5672)?;
        let user = encoded(&from.text(&name("USERNAME"), "omotes"));
        let vhost = encoded(&from.text(&name("VIRTUALHOST"), "omotes"));
        let all = ["HOSTNAME", "PORT", "USERNAME", "VIRTUALHOST"].map(&name).join(", ");
        self.line(&format!("[omotes.{section}]"), &all);
        self.line(&format!("url = {}", quoted(&format!("amqp://{user}@{place}/{vhost}"))), &all);
        let password = name("PASSWORD");
        self.line(&format!("password = {{ env = {} }}", quoted(&password)), &password);
        Ok(())
    }

    /// Named where it is set.
    fn secret(&mut self, key: &str, name: &str, from: &From<'_>) {
        if from.given(name).is_some() {
            self.line(&format!("{key} = {{ env = {} }}", quoted(name)), name);
        }
    }

    /// Instead of a line that nobody has written.
    fn in_words(&self, mut problem: Problem) -> Problem {
        let place = problem.sentence.strip_prefix(&format!("{ORIGIN}, line "));
        let Some((line, said)) = place.and_then(|rest| rest.split_once(": ")) else { return problem };
        let source = line.parse::<usize>().ok().and_then(|line| self.sources.get(line.checked_sub(1)?));
        if let Some(Source { variables, way_out }) = source {
            problem.sentence = format!("{variables} in the environment: {said}");
            problem.hint = way_out.map(str::to_owned).or(problem.hint);
        }
        problem
    }
}

struct From<'a>(Variables<'a>);

impl From<'_> {
    /// A variable that is empty is none.
    fn given(&self, name: &str) -> Option<String> {
        (self.0)(name).filter(|value| !value.trim().is_empty())
    }

    fn text(&self, name: &str, default: &str) -> String {
        self.given(name).unwrap_or_else(|| default.to_owned())
    }

    /// The variable that says where a token is, and how a file would say it: the variable itself, or a file whose
    /// path stands in the one that ends in `_FILE`.
    fn token(&self, name: &str) -> Result<Option<(String, String)>> {
        let file_name = format!("{name}_FILE");
        match (self.given(name), self.given(&file_name)) {
            (Some(_), Some(_)) => Err(Problem::usage(format!("{name} and {file_name} are both set"))
                .hint("unset one of them, so that nobody has to guess which one counts")),
            (Some(_), None) => Ok(Some((name.to_owned(), format!("{{ env = {} }}", quoted(name))))),
            (None, Some(path)) => Ok(Some((file_name, format!("{{ file = {} }}", quoted(&path))))),
            (None, None) => Ok(None),
        }
    }

    fn number(&self, name: &str, default: u32) -> Result<u32> {
        let Some(text) = self.given(name) else { return Ok(default) };
        text.trim().parse().map_err(|_| {
            Problem::usage(format!("{name} in the environment is no whole number"))
                .hint(format!("set it to a number such as {default}, or unset it"))
        })
    }

    fn place(&self, host: &str, port: &str, default_port: u16) -> Result<String> {
        let number = self.number(port, default_port.into())?;
        if u16::try_from(number).is_err() || number == 0 {
            return Err(Problem::usage(format!("{port} in the environment is no port"))
                .hint(format!("set it to a number such as {default_port}, or unset it")));
        }
        let host_text = self.text(host, "localhost");
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
        if !host_text.chars().all(is_plain) {
            return Err(Problem::usage(format!("{host} in the environment is no name of a host"))
                .hint("set it to the name alone, without a port, a user or a path"));
        }
        let host = if host_text.contains(':') { format!("[{host_text}]") } else { host_text };
        Ok(format!("{host}:{number}"))
    }
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// As a part of a URL.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(byte.into());
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

#[cfg(test)]
mod tests;

use super::*;
use crate::config::{OmotesSettings, Right, StoreKind};
use secrecy::ExposeSecret;
use std::collections::BTreeMap;
use std::time::Duration;

struct Given(BTreeMap<&'static str, &'static str>);

impl SecretSource for Given {
    fn variable(&self, name: &str) -> std::result::Result<SecretString, String> {
        self.0.get(name).map(|value| (*value).into()).ok_or_else(|| "is not set".into())
    }

    fn file(&self, path: &Path) -> std::result::Result<SecretString, String> {
        if path == Path::new("/run/secrets/token") {
            return Ok("geheim-geheim-from-a-file\n".into());
        }
        Err("no such file".into())
    }
}

fn read(given: &[(&'static str, &'static str)]) -> Result<Config> {
    let given = Given(given.iter().copied().collect());
    config_of(&|name| given.0.get(name).map(|value| (*value).to_owned()), &Defaulted(&given))
}

fn omotes(config: Config) -> OmotesSettings {
    config.omotes.expect("the settings")
}

#[test]
fn without_a_variable_everything_is_where_omotes_has_it() {
    let config = read(&[]).expect("a configuration");
    let store = config.store(None).expect("one store").clone();
    assert_eq!(
        (store.kind, store.never.as_slice()),
        (StoreKind::InfluxDb, ["_internal".to_owned(), "omotes_timeseries".into()].as_slice())
    );
    assert_eq!(store.connection.url.expose_secret(), "http://localhost:8096");
    let registry = config.registry.clone().expect("a registry");
    assert_eq!(registry.url.expose_secret(), "postgres://localhost:5432/public");
    let settings = omotes(config);
    assert_eq!(settings.clients.url.expose_secret(), "amqp://omotes@localhost:5672/omotes");
    assert_eq!(settings.clients.password.as_ref().expect("a password").expose_secret(), "guest");
    assert!(settings.workflows.is_absolute() && settings.workflows.ends_with("config/workflow_config.json"));
    assert_eq!((settings.start_buffer, settings.rerun), (Duration::from_mins(1), Duration::from_secs(30)));
}

#[test]
fn every_variable_counts() {
    let config = read(&[
        ("SDK_RABBITMQ_HOSTNAME", "rabbit"),
        ("SDK_RABBITMQ_USERNAME", "a/b@c"),
        ("SDK_RABBITMQ_PASSWORD", "p@ss/word"),
        ("CELERY_RABBITMQ_VIRTUALHOST", "omotes_celery"),
        ("TASK_RABBITMQ_HOSTNAME", "::1"),
        ("TASK_RABBITMQ_PORT", "5673"),
        ("POSTGRESQL_USERNAME", "root"),
        ("POSTGRESQL_PASSWORD", "geheim"),
        ("INFLUXDB_USERNAME", "writer"),
        ("INFLUXDB_PASSWORD", "geheim"),
        ("INFLUXDB_DATABASE", "a \"quoted\" one"),
        ("TASK_RESULT_QUEUE_NAME", "r"),
        ("TIMEOUT_JOB_MANAGER_START_BUFFER_SEC", "0"),
        ("DELIVERY_LIMIT_THRESHOLD_PER_JOB", "3"),
        ("WORKFLOW_CONFIG_PATH", "/w.json"),
        ("TIMESWEEP_LISTEN", "127.0.0.1:0"),
    ])
    .expect("a configuration");
    assert_eq!(config.stores[0].never[1], "a \"quoted\" one");
    assert_eq!(config.stores[0].influx.user.as_deref(), Some("writer"));
    assert_eq!(config.stores[0].influx.set_in.place, "INFLUXDB_HOST and INFLUXDB_PORT");
    assert_eq!(config.serve.listen.port(), 0);
    let registry = config.registry.clone().expect("a registry");
    assert_eq!(registry.url.expose_secret(), "postgres://root@localhost:5432/public");
    assert!(registry.password.is_some());
    assert_eq!(registry.set_in.login, "POSTGRESQL_USERNAME and POSTGRESQL_PASSWORD");
    let settings = omotes(config);
    assert_eq!(settings.clients.url.expose_secret(), "amqp://a%2Fb%40c@rabbit:5672/omotes");
    assert_eq!(settings.clients.password.as_ref().expect("a password").expose_secret(), "p@ss/word");
    assert_eq!(settings.clients.set_in.all, "SDK_RABBITMQ_…");
    assert_eq!(settings.tasks.set_in.inside, "CELERY_RABBITMQ_VIRTUALHOST");
    assert_eq!(settings.workers.url.expose_secret(), "amqp://omotes@[::1]:5673/omotes");
    assert_eq!(settings.tasks.url.expose_secret(), "amqp://omotes@localhost:5672/omotes_celery");
    assert_eq!((settings.results.as_str(), settings.delivery_limit), ("r", 3));
    assert_eq!(settings.start_buffer, Duration::ZERO);
}

#[test]
fn what_is_wrong_is_told_with_its_variable() {
    for (name, value, said) in [
        ("SDK_RABBITMQ_PORT", "x", "SDK_RABBITMQ_PORT in the environment is no whole number"),
        ("POSTGRESQL_PORT", "70000", "POSTGRESQL_PORT in the environment is no port"),
        ("INFLUXDB_HOST", "http://influx", "INFLUXDB_HOST in the environment is no name of a host"),
        (
            "INFLUXDB_USERNAME",
            "writer",
            "INFLUXDB_USERNAME, INFLUXDB_PASSWORD in the environment: [stores.results] has a `user` and no `password`",
        ),
        (
            "DELIVERY_LIMIT_THRESHOLD_PER_JOB",
            "0",
            "DELIVERY_LIMIT_THRESHOLD_PER_JOB in the environment: `delivery_limit` of [omotes]: 0 is too small",
        ),
        ("TIMEOUT_JOB_HANDLER_RERUN_SEC", "0", "TIMEOUT_JOB_HANDLER_RERUN_SEC in the environment: `rerun`"),
        ("TIMESWEEP_LISTEN", "0.0.0.0:80", "TIMESWEEP_LISTEN in the environment: [serve] would listen on"),
        ("TASK_RESULT_QUEUE_NAME", "timesweep_dead_letters", "TASK_RESULT_QUEUE_NAME, "),
        ("TASK_PROGRESS_QUEUE_NAME", "omotes_task_result_events", "TASK_RESULT_QUEUE_NAME, "),
        ("TASK_PROGRESS_QUEUE_NAME", "job_submissions", "TASK_RESULT_QUEUE_NAME, "),
    ] {
        let problem = read(&[(name, value)]).expect_err(name);
        assert!(problem.sentence.starts_with(said), "{name}: {problem}");
        let hint = problem.hint.unwrap_or_default();
        assert!(!hint.contains(['[', '`']), "{name} has a hint about keys of a file that nobody has: {hint}");
    }
}

const READ: (&str, &str) = ("TIMESWEEP_READ_TOKEN", "geheim-geheim-read");
const DELETE: (&str, &str) = ("TIMESWEEP_DELETE_TOKEN", "geheim-geheim-delete");
const OPEN: (&str, &str) = ("TIMESWEEP_LISTEN", "0.0.0.0:8085");

#[test]
fn tokens_open_the_network_and_let_delete_without_a_file() {
    let config = read(&[READ, DELETE, OPEN]).expect("a configuration");
    let may: Vec<_> = config.serve.tokens.iter().map(|token| token.may.as_slice()).collect();
    assert_eq!(may, [&[Right::Read][..], &[Right::Read, Right::Delete]]);
    assert_eq!(config.serve.tokens[1].token.expose_secret(), DELETE.1);
    assert!(!config.serve.listen.ip().is_loopback());
    assert!(!format!("{config:?}").contains("geheim"));
    let file = read(&[("TIMESWEEP_DELETE_TOKEN_FILE", "/run/secrets/token"), OPEN]).expect("a file");
    assert_eq!(file.serve.tokens[0].token.expose_secret(), "geheim-geheim-from-a-file");
    assert!(read(&[("TIMESWEEP_READ_TOKEN", ""), OPEN]).is_err(), "an empty variable guards nothing");
    // On this machine alone a token guards as well.
    assert_eq!(read(&[DELETE]).expect("a token").serve.tokens.len(), 1);
}

#[test]
fn tokens_that_guard_nothing_are_refused_with_their_variable() {
    let file = ("TIMESWEEP_READ_TOKEN_FILE", "/run/secrets/token");
    for (given, said) in [
        (vec![("TIMESWEEP_READ_TOKEN", "geheim")], "TIMESWEEP_READ_TOKEN in the environment: `token` of"),
        (
            vec![("TIMESWEEP_DELETE_TOKEN", "geheim geheim geheim")],
            "TIMESWEEP_DELETE_TOKEN in the environment: `token`",
        ),
        (
            vec![READ, ("TIMESWEEP_DELETE_TOKEN", READ.1)],
            "TIMESWEEP_DELETE_TOKEN in the environment: [[serve.tokens]] has the very token of `TIMESWEEP_READ_TOKEN`",
        ),
        (vec![READ, file], "TIMESWEEP_READ_TOKEN and TIMESWEEP_READ_TOKEN_FILE are both set"),
        (
            vec![("TIMESWEEP_READ_TOKEN_FILE", "token")],
            "TIMESWEEP_READ_TOKEN_FILE in the environment: `file` of",
        ),
        (
            vec![("TIMESWEEP_READ_TOKEN_FILE", "/nowhere")],
            "TIMESWEEP_READ_TOKEN_FILE in the environment: `file` of",
        ),
    ] {
        let problem = read(&given).expect_err(said);
        assert!(problem.sentence.starts_with(said), "{problem}");
        assert!(!problem.to_string().contains("geheim"), "{problem}");
    }
}

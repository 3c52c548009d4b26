//! Every setting of the configuration file, by section.
//!
//! Reading refuses what is not listed here, and reading a setting that is not listed here stops a
//! debug build, so the lists are neither too long nor too short for long.
//! Invariant: `example.toml` names each of them (`tests/example_config.rs`).

/// The settings of one section; `label` is how the file spells the section.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub label: &'static str,
    /// The section's place from the top; `*` stands for a name that people choose.
    path: &'static str,
    pub keys: &'static [&'static str],
}

pub(super) const TOP: Known = Known {
    label: "the top level",
    path: "",
    keys: &[
        "state",
        "stores",
        "policies",
        "default_policy",
        "caps",
        "guards",
        "plan",
        "gate",
        "disk",
        "mail",
        "report",
        "ownership",
        "serve",
        "amqp",
        "omotes",
    ],
};

pub(super) const STATE: Known = Known { label: "[state]", path: "state", keys: &["path"] };

pub(super) const STORE: Known = Known {
    label: "[stores.NAME]",
    path: "stores.*",
    keys: &[
        "kind",
        "url",
        "password",
        "zone",
        "parallelism",
        "lock_timeout",
        "attempts",
        "take_over_native_policies",
        "sessions",
        "never",
        "user",
        "ca_file",
        "drop_pause",
    ],
};

pub(super) const SESSIONS: Known = Known {
    label: "[stores.NAME.sessions]",
    path: "stores.*.sessions",
    keys: &["roles", "mode", "patience"],
};

pub(super) const URL: Known = Known { label: "url", path: "stores.*.url", keys: &["env", "file"] };

pub(super) const PASSWORD: Known =
    Known { label: "password", path: "stores.*.password", keys: &["env", "file"] };

pub(super) const POLICY: Known = Known {
    label: "[[policies]]",
    path: "policies",
    keys: &["store", "table", "drop_after", "keep_newest", "integer_unit", "take_over_native_policy"],
};

pub(super) const DEFAULT_POLICY: Known = Known {
    label: "[default_policy]",
    path: "default_policy",
    keys: &["drop_after", "keep_newest", "integer_unit"],
};

pub(super) const CAPS: Known =
    Known { label: "[caps]", path: "caps", keys: &["share_of_bytes", "chunks", "bytes"] };

pub(super) const GUARDS: Known =
    Known { label: "[guards]", path: "guards", keys: &["max_clock_skew", "continuous_aggregates"] };

pub(super) const PLAN: Known = Known { label: "[plan]", path: "plan", keys: &["lifetime"] };

pub(super) const MAIL: Known = Known {
    label: "[mail]",
    path: "mail",
    keys: &["host", "port", "security", "user", "password", "from", "to", "ca_file", "on", "title"],
};

pub(super) const MAIL_PASSWORD: Known =
    Known { label: "password", path: "mail.password", keys: &["env", "file"] };

pub(super) const REPORT: Known = Known { label: "[report]", path: "report", keys: &["folder"] };

pub(super) const GATE: Known = Known {
    label: "[gate]",
    path: "gate",
    keys: &["vm_name", "days", "from", "to", "zone", "not_on", "launcher", "ticket"],
};

pub(super) const LAUNCHER: Known = Known {
    label: "[gate.launcher]",
    path: "gate.launcher",
    keys: &["url", "password", "table", "statement", "status", "who", "update"],
};

pub(super) const LAUNCHER_URL: Known =
    Known { label: "url", path: "gate.launcher.url", keys: &["env", "file"] };

pub(super) const LAUNCHER_PASSWORD: Known =
    Known { label: "password", path: "gate.launcher.password", keys: &["env", "file"] };

pub(super) const TICKET: Known =
    Known { label: "[gate.ticket]", path: "gate.ticket", keys: &["folder", "prefix"] };

pub(super) const REGISTRY_URL: Known =
    Known { label: "registry", path: "ownership.registry", keys: &["env", "file"] };

pub(super) const REGISTRY_PASSWORD: Known =
    Known { label: "registry_password", path: "ownership.registry_password", keys: &["env", "file"] };

pub(super) const SERVE: Known = Known { label: "[serve]", path: "serve", keys: &["listen", "tokens"] };

pub(super) const SERVE_TOKENS: Known =
    Known { label: "[[serve.tokens]]", path: "serve.tokens", keys: &["name", "token", "may"] };

pub(super) const SERVE_TOKEN: Known =
    Known { label: "token", path: "serve.tokens.token", keys: &["env", "file"] };

pub(super) const AMQP: Known = Known {
    label: "[amqp]",
    path: "amqp",
    keys: &["url", "password", "ca_file", "deletions", "dead_letters", "results"],
};

pub(super) const AMQP_URL: Known = Known { label: "url", path: "amqp.url", keys: &["env", "file"] };

pub(super) const AMQP_PASSWORD: Known =
    Known { label: "password", path: "amqp.password", keys: &["env", "file"] };

pub(super) const AMQP_RESULTS: Known =
    Known { label: "[amqp.results]", path: "amqp.results", keys: &["url", "password", "ca_file", "queue"] };

pub(super) const AMQP_RESULTS_URL: Known =
    Known { label: "url", path: "amqp.results.url", keys: &["env", "file"] };

pub(super) const AMQP_RESULTS_PASSWORD: Known =
    Known { label: "password", path: "amqp.results.password", keys: &["env", "file"] };

pub(super) const OMOTES: Known = Known {
    label: "[omotes]",
    path: "omotes",
    keys: &[
        "workflows",
        "delivery_limit",
        "start_buffer",
        "rerun",
        "job_retention",
        "results",
        "progress",
        "dead_letters",
        "clients",
        "workers",
        "tasks",
    ],
};

pub(super) const OMOTES_CLIENTS: Known =
    Known { label: "[omotes.clients]", path: "omotes.clients", keys: &["url", "password", "ca_file"] };

pub(super) const OMOTES_CLIENTS_URL: Known =
    Known { label: "url", path: "omotes.clients.url", keys: &["env", "file"] };

pub(super) const OMOTES_CLIENTS_PASSWORD: Known =
    Known { label: "password", path: "omotes.clients.password", keys: &["env", "file"] };

pub(super) const OMOTES_WORKERS: Known =
    Known { label: "[omotes.workers]", path: "omotes.workers", keys: &["url", "password", "ca_file"] };

pub(super) const OMOTES_WORKERS_URL: Known =
    Known { label: "url", path: "omotes.workers.url", keys: &["env", "file"] };

pub(super) const OMOTES_WORKERS_PASSWORD: Known =
    Known { label: "password", path: "omotes.workers.password", keys: &["env", "file"] };

pub(super) const OMOTES_TASKS: Known =
    Known { label: "[omotes.tasks]", path: "omotes.tasks", keys: &["url", "password", "ca_file"] };

pub(super) const OMOTES_TASKS_URL: Known =
    Known { label: "url", path: "omotes.tasks.url", keys: &["env", "file"] };

pub(super) const OMOTES_TASKS_PASSWORD: Known =
    Known { label: "password", path: "omotes.tasks.password", keys: &["env", "file"] };

const SECTIONS: &[Known] = &[
    STATE,
    STORE,
    SESSIONS,
    URL,
    PASSWORD,
    POLICY,
    DEFAULT_POLICY,
    CAPS,
    GUARDS,
    PLAN,
    GATE,
    LAUNCHER,
    LAUNCHER_URL,
    LAUNCHER_PASSWORD,
    TICKET,
    MAIL,
    MAIL_PASSWORD,
    REPORT,
    DISK,
    OWNERSHIP,
    REGISTRY_URL,
    REGISTRY_PASSWORD,
    SERVE,
    SERVE_TOKENS,
    SERVE_TOKEN,
    AMQP,
    AMQP_URL,
    AMQP_PASSWORD,
    AMQP_RESULTS,
    AMQP_RESULTS_URL,
    AMQP_RESULTS_PASSWORD,
    OMOTES,
    OMOTES_CLIENTS,
    OMOTES_CLIENTS_URL,
    OMOTES_CLIENTS_PASSWORD,
    OMOTES_WORKERS,
    OMOTES_WORKERS_URL,
    OMOTES_WORKERS_PASSWORD,
    OMOTES_TASKS,
    OMOTES_TASKS_URL,
    OMOTES_TASKS_PASSWORD,
];

pub(super) const OWNERSHIP: Known = Known {
    label: "[ownership]",
    path: "ownership",
    keys: &[
        "store",
        "registry",
        "registry_password",
        "check_interval",
        "grace",
        "registration_lifetime",
        "adopt",
        "allow_short_grace",
        "cap_share",
        "cap_count",
        "longest_job",
        "hold_after_cancel",
    ],
};

pub(super) const DISK: Known =
    Known { label: "[disk]", path: "disk", keys: &["source", "data_folder", "command", "time_limit"] };

/// Every setting as `section.key`, `stores.*.zone` for one of every store.
pub fn known_settings() -> Vec<String> {
    let of_section = |known: &Known| {
        let path = known.path;
        known.keys.iter().map(move |key| format!("{path}.{key}")).collect::<Vec<_>>()
    };
    SECTIONS.iter().flat_map(of_section).collect()
}

/// Where else a setting of this very name would be understood.
pub(super) fn home_of(key: &str) -> Option<&'static str> {
    SECTIONS.iter().find(|known| known.keys.contains(&key)).map(|known| known.label)
}

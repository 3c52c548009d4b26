//! What people call the settings of one connection: keys of a section, or environment variables.
//!
//! Every hint about a connection takes its words from here. Invariant: a hint never names a key of a file where
//! only variables are set, and never a value.

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetIn {
    /// `[amqp]`, or `SDK_RABBITMQ_…`.
    pub all: String,
    /// Host and port.
    pub place: String,
    /// User and password.
    pub login: String,
    /// The virtual host or database behind them.
    pub inside: String,
}

impl SetIn {
    /// `url` is the key of the section that says where it is.
    pub fn section(label: &str, url: &str, login: &str) -> Self {
        Self {
            all: label.to_owned(),
            place: format!("`{url}` of {label}"),
            login: format!("{login} of {label}"),
            inside: format!("the name behind the host in `{url}` of {label} (`/` itself is %2f)"),
        }
    }

    pub(super) fn variables(prefix: &str, host: &str, inside: &str) -> Self {
        Self {
            all: format!("{prefix}_…"),
            place: format!("{prefix}_{host} and {prefix}_PORT"),
            login: format!("{prefix}_USERNAME and {prefix}_PASSWORD"),
            inside: format!("{prefix}_{inside}"),
        }
    }
}

/// For what stands in no file.
impl Default for SetIn {
    fn default() -> Self {
        Self::section("the store", "url", "`user` and `password`")
    }
}

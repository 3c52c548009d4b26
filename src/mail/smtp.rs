//! One mail to one recipient by SMTP, tried again while that can help.
//!
//! Invariant: a login never crosses a connection that is not encrypted, and no attempt outlasts its limit: lettre's own limit covers
//! connecting only, so each attempt is cut from outside.

use std::time::{Duration, Instant};

use backon::{ExponentialBuilder, Retryable};
use lettre::address::Envelope;
use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::transport::smtp::{Error, extension::ClientId};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use secrecy::ExposeSecret;

use crate::config::{MailSettings, Security};

/// How long one attempt may take, from connecting to the last answer.
const ATTEMPT: Duration = Duration::from_secs(10);
const TRIES_AGAIN: usize = 2;

/// Why a mail did not get through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Not now: the server said so, or took too long.
    Later(String),
    /// The server will not have this mail, or not for this recipient.
    Refused(String),
    /// Nothing can be sent at all: no connection, no trust, no login.
    Away(String),
}

impl Failure {
    pub fn why(&self) -> &str {
        match self {
            Self::Later(why) | Self::Refused(why) | Self::Away(why) => why,
        }
    }
}

pub struct Server {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    /// `mail.example.org:587`, for sentences.
    place: String,
    has_own_ca: bool,
    security: Security,
}

impl Server {
    /// Connects to nothing yet; the error is a sentence.
    pub fn new(settings: &MailSettings) -> Result<Self, String> {
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&settings.host)
            .port(settings.port)
            .timeout(Some(ATTEMPT))
            .hello_name(ClientId::default())
            .tls(protection(settings)?);
        if let Some(login) = &settings.login {
            let password = login.password.expose_secret().to_owned();
            builder = builder.credentials(Credentials::new(login.user.clone(), password));
        }
        let place = format!("{}:{}", settings.host, settings.port);
        Ok(Self {
            transport: builder.build(),
            place,
            has_own_ca: settings.ca_file.is_some(),
            security: settings.security,
        })
    }

    pub async fn send(
        &self,
        from: &Mailbox,
        to: &str,
        message: &[u8],
        deadline: Instant,
    ) -> Result<(), Failure> {
        let to: Address = to.parse().map_err(|_| Failure::Refused("this is not a mail address".into()))?;
        let envelope = Envelope::new(Some(from.email.clone()), vec![to]);
        let envelope = envelope.map_err(|error| Failure::Refused(error.to_string()))?;
        let pauses = ExponentialBuilder::default()
            .with_min_delay(Duration::from_secs(1))
            .with_factor(2.0)
            .with_max_times(TRIES_AGAIN);
        let attempt = || self.attempt(&envelope, message, deadline);
        let tried = attempt.retry(pauses).sleep(tokio::time::sleep).when(|tried| tried.is_worth_another_try);
        tried.await.map_err(|tried| tried.failure)
    }

    async fn attempt(&self, envelope: &Envelope, message: &[u8], deadline: Instant) -> Result<(), Tried> {
        let limit = ATTEMPT.min(deadline.saturating_duration_since(Instant::now()));
        match tokio::time::timeout(limit, self.transport.send_raw(envelope, message)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(self.judge(&error)),
            // What hung once hangs again; the next run is soon enough.
            Err(_) => {
                Err(Tried { failure: Failure::Later(self.silence(limit)), is_worth_another_try: false })
            }
        }
    }

    /// Connects and logs in, without a mail; the error is a sentence.
    pub async fn try_out(&self) -> Result<(), String> {
        match tokio::time::timeout(ATTEMPT, self.transport.test_connection()).await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err(format!("{} has closed the connection", self.place)),
            Ok(Err(error)) => Err(self.sentence(&error)),
            Err(_) => Err(self.silence(ATTEMPT)),
        }
    }

    /// A server that waits for the first byte of TLS, and a client that waits for a greeting, say nothing to each other.
    fn silence(&self, limit: Duration) -> String {
        let said = format!("{} did not answer within {} s", self.place, limit.as_secs());
        match self.security {
            Security::Tls => said,
            Security::StartTls | Security::None => {
                said + "; where that port is one for TLS from the first byte, set `security` of [mail] to `tls`"
            }
        }
    }

    fn judge(&self, error: &Error) -> Tried {
        let why = self.sentence(error);
        let (failure, is_worth_another_try) = if is_about_login(error) {
            (Failure::Away(why), false)
        } else if error.is_transient() {
            (Failure::Later(why), true)
        } else if error.is_permanent() {
            (Failure::Refused(why), false)
        } else {
            // A wrong certificate is no better in a second; a connection may be.
            (Failure::Away(why), !error.is_tls() && !error.is_client())
        };
        Tried { failure, is_worth_another_try }
    }

    fn sentence(&self, error: &Error) -> String {
        let mut said = format!("{} says no", self.place);
        if error.status().is_none() {
            said = format!("{} cannot be used", self.place);
        }
        let mut next: Option<&dyn std::error::Error> = Some(error);
        while let Some(cause) = next {
            let text = cause.to_string();
            if !said.contains(&text) {
                said = format!("{said}: {text}");
            }
            next = cause.source();
        }
        if let Some(hint) = self.wrong_security(&said) {
            return format!("{} cannot be used: {hint}", self.place);
        }
        if said.contains("certificate") {
            said.push_str(if self.has_own_ca {
                "; `ca_file` of [mail] has to hold the CA that signed the server's certificate, and `host` its name"
            } else {
                "; where the server's CA is a private one, name its file as `ca_file` of [mail]"
            });
        }
        said
    }
}

impl Server {
    /// Where both sides speak, and not the same.
    fn wrong_security(&self, said: &str) -> Option<&'static str> {
        match self.security {
            Security::StartTls if said.contains("STARTTLS is not supported") => Some(
                "it offers no STARTTLS; name its port with TLS, or set `security` of [mail] to `tls` or, without a login, to `none`",
            ),
            Security::Tls if said.contains("corrupt message") || said.contains("InvalidContentType") => Some(
                "it does not begin with TLS on this port; set `security` of [mail] to `starttls`, or name its port for TLS",
            ),
            _ => None,
        }
    }
}

struct Tried {
    failure: Failure,
    is_worth_another_try: bool,
}

/// Trying it for every mail would only lock the account.
fn is_about_login(error: &Error) -> bool {
    error.status().is_some_and(|code| matches!(u16::from(code), 530 | 534 | 535 | 538))
}

fn protection(settings: &MailSettings) -> Result<Tls, String> {
    match settings.security {
        Security::None => Ok(Tls::None),
        Security::StartTls => parameters(settings).map(Tls::Required),
        Security::Tls => parameters(settings).map(Tls::Wrapper),
    }
}

fn parameters(settings: &MailSettings) -> Result<TlsParameters, String> {
    let mut builder = TlsParameters::builder(settings.host.clone());
    if let Some(path) = &settings.ca_file {
        let shown = path.display();
        let content =
            std::fs::read(path).map_err(|error| format!("`ca_file` {shown} cannot be read: {error}"))?;
        let unusable = |error: Error| format!("`ca_file` {shown} holds no usable certificates: {error}");
        let certificate = Certificate::from_pem(&content).map_err(unusable)?;
        builder = builder.certificate_store(CertificateStore::None).add_root_certificate(certificate);
    }
    builder.build().map_err(|error| format!("no TLS with {}: {error}", settings.host))
}

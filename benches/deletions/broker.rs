//! A virtual host of the benchmark's own, filled with deletions as OMOTES' clients send them.

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use prost::Message;
use timesweep::amqp::wire::JobDelete;
use uuid::Uuid;

use crate::Outcome;

pub const QUEUE: &str = "job_deletions";
/// As many confirmations are waited for at once.
const AT_ONCE: usize = 1_000;

pub struct Broker {
    vhost: String,
    server: String,
    admin: String,
    http: reqwest::Client,
}

impl Broker {
    pub async fn new() -> Outcome<Self> {
        let given = |name: &str| {
            std::env::var(name).map_err(|_| format!("{name} is not set; start this by `dev/bench deletions`"))
        };
        let _ = rustls::crypto::ring::default_provider().install_default();
        let broker = Self {
            vhost: format!("bench_{}", Uuid::now_v7().simple()),
            server: given("TIMESWEEP_TEST_AMQP_URL")?,
            admin: given("TIMESWEEP_TEST_AMQP_ADMIN_URL")?,
            http: reqwest::Client::builder().no_proxy().build()?,
        };
        broker.http.put(broker.address()).send().await?.error_for_status()?;
        Ok(broker)
    }

    fn address(&self) -> String {
        format!("{}/api/vhosts/{}", self.admin, self.vhost)
    }

    pub fn url(&self) -> String {
        let base = self.server.rsplit_once('/').map_or(self.server.as_str(), |(base, _)| base);
        format!("{base}/{}", self.vhost)
    }

    /// The same by way of another port of this host; and where that has to lead.
    pub fn url_by(&self, port: u16) -> Outcome<(String, (String, u16))> {
        let mut url: reqwest::Url = self.url().parse()?;
        let to = (url.host_str().unwrap_or("127.0.0.1").to_owned(), url.port().unwrap_or(5672));
        url.set_host(Some("127.0.0.1"))?;
        url.set_port(Some(port)).map_err(|()| "the broker's url takes no port")?;
        Ok((url.to_string(), to))
    }

    pub async fn channel(&self) -> Outcome<(Connection, Channel)> {
        let connection = Connection::connect(&self.url(), ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(QUEUE.into(), durable, FieldTable::default()).await?;
        Ok((connection, channel))
    }

    /// They lie on the broker's disk when this returns.
    pub async fn publish(&self, jobs: impl Iterator<Item = Uuid>) -> Outcome<()> {
        let (connection, channel) = self.channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let bodies: Vec<Vec<u8>> =
            jobs.map(|job| JobDelete { uuid: job.to_string() }.encode_to_vec()).collect();
        for some in bodies.chunks(AT_ONCE) {
            let mut confirmations = Vec::new();
            for body in some {
                let lasting = BasicProperties::default().with_delivery_mode(2);
                let options = BasicPublishOptions::default();
                confirmations
                    .push(channel.basic_publish("".into(), QUEUE.into(), options, body, lasting).await?);
            }
            for confirmation in confirmations {
                confirmation.await?;
            }
        }
        Ok(connection.close(200, "done".into()).await?)
    }

    pub async fn remove(self) -> Outcome<()> {
        self.http.delete(self.address()).send().await?.error_for_status()?;
        Ok(())
    }
}

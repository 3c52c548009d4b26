//! A RabbitMQ of one test alone, which can be restarted.

use super::amqp::broker::TestBroker;
use super::own_testbed::OwnTestbed;

pub struct OwnBroker {
    testbed: OwnTestbed,
    url: String,
    admin: String,
}

impl OwnBroker {
    pub fn start() -> Self {
        Self::on(OwnTestbed::with("rabbitmq"))
    }

    /// Messages with more bytes are refused.
    pub fn taking_no_more_than(bytes: u32) -> Self {
        let line = format!("max_message_size = {bytes}");
        Self::on(OwnTestbed::configured("rabbitmq", &line))
    }

    fn on(testbed: OwnTestbed) -> Self {
        let url = testbed.env("TIMESWEEP_TEST_AMQP_URL");
        let admin = testbed.env("TIMESWEEP_TEST_AMQP_ADMIN_URL");
        Self { testbed, url, admin }
    }

    /// A virtual host there.
    pub async fn host(&self) -> TestBroker {
        TestBroker::on(&self.url, &self.admin).await
    }

    /// `TERM` lets it end by itself, `KILL` does not.
    pub fn end(&self, signal: &str) {
        self.testbed.end("rabbitmq", signal);
    }

    pub fn start_again(&self) {
        self.testbed.up("rabbitmq");
        assert_eq!(self.testbed.env("TIMESWEEP_TEST_AMQP_URL"), self.url, "it has the address it had");
    }
}

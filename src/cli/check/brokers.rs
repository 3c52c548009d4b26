//! What was seen at message brokers, for people: each queue with what waits in it and how many take from it.

use std::fmt::Write as _;

use crate::amqp::look::{BrokerLook, QueueLook};
use crate::problem::printable;
use crate::report::table::{indented, number, plain};

pub(super) fn render(brokers: &[BrokerLook]) -> String {
    let mut text = String::new();
    for broker in brokers {
        let _ = writeln!(text, "broker of {}: {}", broker.of, printable(&broker.place));
        text.push_str(&table_of(&broker.queues));
    }
    text
}

fn table_of(queues: &[QueueLook]) -> String {
    let mut table = plain(&["queue", "messages", "consumers"]);
    for look in queues {
        let name = comfy_table::Cell::new(printable(&look.queue));
        let (messages, consumers) = if look.is_there {
            (look.waiting.to_string(), look.consumers.to_string())
        } else {
            ("not there yet".into(), String::new())
        };
        table.add_row(vec![name, number(messages), number(consumers)]);
    }
    indented(&table)
}

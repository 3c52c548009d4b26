//! How a task is told to a Celery worker, and how it is taken back: protocol 2, as Celery's own clients write it.
//!
//! Pure: what goes over the wire from what a letter says. Invariant: the text of an ESDL is in the body only,
//! not once more in a header.

use lapin::types::{AMQPValue, FieldArray, FieldTable};
use lapin::{BasicProperties, ExchangeKind};
use serde_json::json;
use uuid::Uuid;

use crate::amqp::declared::{DeclaredExchange, DeclaredQueue};
use crate::retention::ownership::JobId;

/// Where every worker listens for orders.
pub const CONTROL_EXCHANGE: &str = "celery.pidbox";
const PERSISTENT: u8 = 2;
/// Seconds after which a worker forgets the order. Long enough for clocks that differ, and for a busy one.
const ORDER_IS_GOOD_FOR: f64 = 60.0;

/// The properties of a task; its body is in the letter.
pub fn task(job: JobId, celery_id: Uuid, workflow: &str, priority: u8, origin: &str) -> BasicProperties {
    let id = celery_id.to_string();
    BasicProperties::default()
        .with_content_type("application/json".into())
        .with_content_encoding("utf-8".into())
        .with_headers(headers(job, &id, workflow, origin))
        .with_delivery_mode(PERSISTENT)
        .with_priority(priority)
        .with_correlation_id(id.into())
        // Nobody listens there: results come as messages of their own.
        .with_reply_to(job.0.to_string().into())
}

fn headers(job: JobId, id: &str, workflow: &str, origin: &str) -> FieldTable {
    let text = |text: &str| AMQPValue::LongString(text.into());
    let no_limit = FieldArray::from(vec![AMQPValue::Void, AMQPValue::Void]);
    let mut headers = FieldTable::default();
    for (name, value) in [
        ("lang", text("py")),
        ("task", text(workflow)),
        ("id", text(id)),
        ("root_id", text(id)),
        ("parent_id", AMQPValue::Void),
        ("group", AMQPValue::Void),
        ("group_index", AMQPValue::Void),
        ("shadow", AMQPValue::Void),
        ("eta", AMQPValue::Void),
        ("expires", AMQPValue::Void),
        ("retries", AMQPValue::LongInt(0)),
        ("timelimit", AMQPValue::FieldArray(no_limit)),
        ("argsrepr", text(&format!("[UUID('{}'), ...]", job.0))),
        ("kwargsrepr", text("{}")),
        ("origin", text(origin)),
        ("ignore_result", AMQPValue::Boolean(false)),
        ("replaced_task_nesting", AMQPValue::LongInt(0)),
        ("stamped_headers", AMQPValue::Void),
        ("stamps", AMQPValue::FieldTable(FieldTable::default())),
    ] {
        headers.insert(name.into(), value);
    }
    headers
}

/// As Celery declares the queue of a workflow: another value would close the channel.
pub fn queue_of(workflow: &str) -> DeclaredQueue<'_> {
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-priority".into(), AMQPValue::LongInt(10));
    DeclaredQueue { name: workflow, arguments }
}

/// The queue of a workflow has an exchange to itself.
pub fn exchange_of(workflow: &str) -> DeclaredExchange<'_> {
    DeclaredExchange { name: workflow, kind: ExchangeKind::Direct, durable: true }
}

pub fn exchange_of_orders() -> DeclaredExchange<'static> {
    DeclaredExchange { name: CONTROL_EXCHANGE, kind: ExchangeKind::Fanout, durable: false }
}

/// An order to every worker: never begin this task, or end it. `now`: seconds since 1970.
pub fn revoke(celery_id: Uuid, now: f64) -> (BasicProperties, Vec<u8>) {
    let mut headers = FieldTable::default();
    headers.insert("clock".into(), AMQPValue::LongInt(1));
    headers.insert("expires".into(), AMQPValue::Double(now + ORDER_IS_GOOD_FOR));
    let properties = BasicProperties::default()
        .with_content_type("application/json".into())
        .with_content_encoding("utf-8".into())
        .with_headers(headers)
        .with_delivery_mode(PERSISTENT)
        .with_priority(0);
    let order = json!({
        "method": "revoke",
        "arguments": { "task_id": celery_id.to_string(), "terminate": true, "signal": "SIGTERM" },
        "destination": null,
        "pattern": null,
        "matcher": null,
    });
    (properties, order.to_string().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: JobId = JobId(Uuid::from_u128(1));
    const TASK: Uuid = Uuid::from_u128(2);

    #[test]
    fn a_task_has_everything_that_celerys_own_clients_say() {
        let properties = task(JOB, TASK, "simulator", 4, "a host");
        let id = TASK.to_string();
        assert_eq!(properties.correlation_id().as_ref().map(ToString::to_string), Some(id.clone()));
        assert_eq!((*properties.delivery_mode(), *properties.priority()), (Some(2), Some(4)));
        let headers = properties.headers().clone().expect("headers");
        let text = |text: &str| AMQPValue::LongString(text.into());
        assert_eq!(headers.inner().get("id"), Some(&text(&id)));
        assert_eq!(headers.inner().get("root_id"), Some(&text(&id)));
        assert_eq!(headers.inner().get("task"), Some(&text("simulator")));
        assert_eq!(headers.inner().get("group"), Some(&AMQPValue::Void), "none is not missing");
        assert_eq!(headers.inner().len(), 19);
    }

    #[test]
    fn an_order_names_the_task_and_ends_it() {
        let (properties, body) = revoke(TASK, 1000.0);
        let order: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(order["method"], "revoke");
        assert_eq!(order["arguments"]["task_id"], TASK.to_string());
        assert_eq!(order["arguments"]["terminate"], true);
        assert!(order["destination"].is_null() && order.as_object().expect("an object").len() == 5);
        let headers = properties.headers().clone().expect("headers");
        assert_eq!(headers.inner().get("expires"), Some(&AMQPValue::Double(1060.0)));
    }
}

//! The body of a Celery task: what a worker's function is called with.
//!
//! Invariant: numbers of the parameters stay floating-point, as the client's library sends them, and what
//! JSON has no number for is the text that protobuf's JSON has.

use prost_types::value::Kind;
use prost_types::{Struct, Value as Parameter};
use serde_json::{Map, Number, Value, json};

use crate::retention::ownership::JobId;

/// `[args, kwargs, embed]` of Celery's protocol 2.
pub fn body(job: JobId, reference: Option<&str>, esdl: &str, parameters: &Struct) -> Vec<u8> {
    // As Celery's own JSON writes a UUID; some workers take nothing else.
    let job = json!({"__type__": "uuid", "__value__": {"hex": job.0.simple().to_string()}});
    let embed = json!({"callbacks": null, "errbacks": null, "chain": null, "chord": null});
    json!([[job, reference, esdl, object(parameters)], {}, embed]).to_string().into_bytes()
}

fn object(parameters: &Struct) -> Map<String, Value> {
    parameters.fields.iter().map(|(name, parameter)| (name.clone(), value(parameter))).collect()
}

fn value(parameter: &Parameter) -> Value {
    match &parameter.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::NumberValue(number)) => self::number(*number),
        Some(Kind::StringValue(text)) => Value::String(text.clone()),
        Some(Kind::BoolValue(is_true)) => Value::Bool(*is_true),
        Some(Kind::StructValue(inner)) => Value::Object(object(inner)),
        Some(Kind::ListValue(list)) => Value::Array(list.values.iter().map(value).collect()),
    }
}

fn number(number: f64) -> Value {
    Number::from_f64(number).map_or_else(|| Value::String(not_finite(number).into()), Value::Number)
}

fn not_finite(number: f64) -> &'static str {
    match number {
        f64::INFINITY => "Infinity",
        f64::NEG_INFINITY => "-Infinity",
        _ => "NaN",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn parameter(kind: Kind) -> Parameter {
        Parameter { kind: Some(kind) }
    }

    #[test]
    fn a_task_says_what_celery_expects() {
        let list =
            prost_types::ListValue { values: vec![parameter(Kind::BoolValue(true)), Parameter::default()] };
        let inner = Struct { fields: [("é".into(), parameter(Kind::StringValue("\"".into())))].into() };
        let parameters = Struct {
            fields: [
                ("a".into(), parameter(Kind::NumberValue(1.0))),
                ("b".into(), parameter(Kind::NumberValue(1e300))),
                ("c".into(), parameter(Kind::NumberValue(f64::NAN))),
                ("d".into(), parameter(Kind::ListValue(list))),
                ("e".into(), parameter(Kind::StructValue(inner))),
            ]
            .into(),
        };
        let job = JobId(Uuid::from_u128(0x12));
        let text = String::from_utf8(body(job, None, "<e id=\"1\"/>\0", &parameters)).expect("a text");
        assert_eq!(
            text,
            "[[{\"__type__\":\"uuid\",\"__value__\":{\"hex\":\"00000000000000000000000000000012\"}},null,\
             \"<e id=\\\"1\\\"/>\\u0000\",{\"a\":1.0,\"b\":1e+300,\"c\":\"NaN\",\"d\":[true,null],\"e\":{\"é\":\"\\\"\"}}],{},\
             {\"callbacks\":null,\"chain\":null,\"chord\":null,\"errbacks\":null}]"
        );
        let empty = String::from_utf8(body(job, Some(""), "", &Struct::default())).expect("a text");
        assert!(empty.contains("},\"\",\"\",{}],{},"), "{empty}");
    }
}

//! One parameter of a workflow, of any of the six types.
//!
//! Invariant: a parameter without a single setting is still set in its oneof: clients cannot read another one.

use std::fmt::Write;

use jiff::fmt::temporal::{DateTimeParser, PiecesOffset};
use serde_json::Value;

use super::object::{Fault, Object, missing};
use crate::amqp::wire::workflow_parameter::constraint::RelationType;
use crate::amqp::wire::workflow_parameter::{Constraint, ParameterType};
use crate::amqp::wire::{
    BooleanParameter, DateTimeParameter, DurationParameter, FloatParameter, IntegerParameter,
    StringParameter, WorkflowParameter, string_parameter::StringEnum,
};

/// Of every type. (`type_name` is nobody's setting, but the platform's own library takes it.)
const COMMON: [&str; 6] = ["parameter_type", "key_name", "title", "description", "constraints", "type_name"];
const WITH_BOUNDS: [&str; 3] = ["default", "minimum", "maximum"];

/// `None` for a type that nobody knows: the platform's own library leaves such a one out.
pub(super) fn read(value: &Value) -> Result<Option<WorkflowParameter>, Fault> {
    let object = Object::of(value)?;
    let key_name = object.text("key_name")?.ok_or_else(|| missing("key_name"))?;
    let read = read_as(&object, key_name.clone());
    read.map_err(|why| format!(" (`{key_name}`){why}"))
}

fn read_as(object: &Object<'_>, key_name: String) -> Result<Option<WorkflowParameter>, Fault> {
    let kind = object.text("parameter_type")?.ok_or_else(|| missing("parameter_type"))?;
    let Some(parameter_type) = read_type(object, &kind)? else {
        tracing::warn!("the parameter `{key_name}` of type `{kind}` is left out: nobody knows this type");
        return Ok(None);
    };
    Ok(Some(WorkflowParameter {
        key_name,
        title: object.text_or_null("title")?,
        description: object.text_or_null("description")?,
        parameter_type: Some(parameter_type),
        constraints: read_constraints(object)?,
    }))
}

fn read_type(object: &Object<'_>, kind: &str) -> Result<Option<ParameterType>, Fault> {
    let own: &[&str] = match kind {
        "string" => &["default", "enum_options"],
        "boolean" | "datetime" => &["default"],
        _ => &WITH_BOUNDS,
    };
    let parameter = match kind {
        "string" => ParameterType::StringParameter(read_string(object)?),
        "boolean" => ParameterType::BooleanParameter(BooleanParameter { default: object.flag("default")? }),
        "integer" => ParameterType::IntegerParameter(IntegerParameter {
            default: object.whole("default")?,
            minimum: object.whole("minimum")?,
            maximum: object.whole("maximum")?,
        }),
        "float" => ParameterType::FloatParameter(FloatParameter {
            default: single(object, "default")?,
            minimum: single(object, "minimum")?,
            maximum: single(object, "maximum")?,
        }),
        "datetime" => ParameterType::DatetimeParameter(DateTimeParameter { default: read_time(object)? }),
        "duration" => ParameterType::DurationParameter(DurationParameter {
            default: seconds(object, "default")?,
            minimum: seconds(object, "minimum")?,
            maximum: seconds(object, "maximum")?,
        }),
        _ => return Ok(None),
    };
    // A slip in a name would be a limit that does not hold. (The platform's own library looks for it as well,
    // except in a duration.)
    let is_unknown = |key: &&str| kind != "duration" && !COMMON.contains(key) && !own.contains(key);
    let unknown = object.keys().find(is_unknown);
    match unknown {
        Some(key) => Err(format!(": nobody knows `{key}` of a parameter of type `{kind}`")),
        None => Ok(Some(parameter)),
    }
}

fn read_string(object: &Object<'_>) -> Result<StringParameter, Fault> {
    let mut enum_options = Vec::new();
    for (number, value) in (1..).zip(object.list("enum_options")?) {
        let option = read_option(value).map_err(|why| format!(", option {number}{why}"))?;
        enum_options.push(option);
    }
    Ok(StringParameter { default: object.text("default")?, enum_options })
}

fn read_option(value: &Value) -> Result<StringEnum, Fault> {
    let option = Object::of(value)?;
    let text = |key| option.text(key)?.ok_or_else(|| missing(key));
    Ok(StringEnum { key_name: text("key_name")?, display_name: text("display_name")? })
}

/// As wide as the message has room for.
#[allow(clippy::cast_possible_truncation)]
fn single(object: &Object<'_>, key: &str) -> Result<Option<f32>, Fault> {
    Ok(object.number(key)?.map(|number| number as f32))
}

/// In whole microseconds first, as the platform's own library counts.
#[allow(clippy::cast_possible_truncation)]
fn seconds(object: &Object<'_>, key: &str) -> Result<Option<f32>, Fault> {
    Ok(object.number(key)?.map(|number| ((number * 1e6).round_ties_even() / 1e6) as f32))
}

fn read_time(object: &Object<'_>) -> Result<Option<String>, Fault> {
    let Some(text) = object.text("default")? else { return Ok(None) };
    let fault = || ": `default` is no date and time such as 2026-01-31T12:00:00+00:00".to_owned();
    as_written_by_python(&text).map(Some).ok_or_else(fault)
}

/// What `datetime.fromisoformat(text).isoformat()` gives: microseconds only where there are any.
fn as_written_by_python(text: &str) -> Option<String> {
    let pieces = DateTimeParser::new().parse_pieces(text).ok()?;
    if pieces.time_zone_annotation().is_some() {
        return None;
    }
    let time = pieces.time().unwrap_or_default();
    let mut written = format!("{}T{}", pieces.date(), time.strftime("%H:%M:%S"));
    let micros = time.subsec_nanosecond() / 1_000;
    if micros != 0 {
        let _ = write!(written, ".{micros:06}");
    }
    let offset = match pieces.offset() {
        None => return Some(written),
        Some(PiecesOffset::Numeric(offset)) => offset.offset().seconds(),
        Some(_) => 0,
    };
    let (sign, offset) = (if offset < 0 { '-' } else { '+' }, offset.abs());
    let _ = write!(written, "{sign}{:02}:{:02}", offset / 3_600, offset / 60 % 60);
    if offset % 60 != 0 {
        let _ = write!(written, ":{:02}", offset % 60);
    }
    Some(written)
}

fn read_constraints(object: &Object<'_>) -> Result<Vec<Constraint>, Fault> {
    let numbered = (1..).zip(object.list("constraints")?);
    let read = |(number, value): (u32, &Value)| {
        read_constraint(value).map_err(|why| format!(", constraint {number}{why}"))
    };
    numbered.map(read).collect()
}

fn read_constraint(value: &Value) -> Result<Constraint, Fault> {
    let constraint = Object::of(value)?;
    let text = |key| constraint.text(key)?.ok_or_else(|| missing(key));
    let relation = RelationType::from_str_name(&text("relation")?.to_uppercase())
        .ok_or(": `relation` is one of greater, greater_or_eq, smaller, smaller_or_eq, eq".to_owned())?;
    Ok(Constraint { other_key_name: text("other_key_name")?, relation: relation.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_the_platforms_own_library_writes_them() {
        for (text, written) in [
            ("2026-01-31", "2026-01-31T00:00:00"),
            ("2026-01-31T10:20", "2026-01-31T10:20:00"),
            ("2026-01-31 10:20:30", "2026-01-31T10:20:30"),
            ("2026-01-31T10:20:30Z", "2026-01-31T10:20:30+00:00"),
            ("2026-01-31T10:20:30.5+01:30", "2026-01-31T10:20:30.500000+01:30"),
            ("2026-01-31T10:20:30.1234569-02:00", "2026-01-31T10:20:30.123456-02:00"),
            ("20260131T102030", "2026-01-31T10:20:30"),
        ] {
            assert_eq!(as_written_by_python(text).as_deref(), Some(written), "{text}");
        }
        for wrong in ["", "soon", "2026-02-30", "2026-01-31T10:20[Europe/Amsterdam]"] {
            assert_eq!(as_written_by_python(wrong), None, "{wrong}");
        }
    }
}

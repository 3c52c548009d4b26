//! A plan as a file: JSON with a checksum, so that a cut or edited file is never run.
//!
//! The checksum covers the parsed content with sorted keys; white space may change, nothing else. It
//! is no signature: it protects from accidents, not from somebody who can compute it again.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::plan::{Plan, hex};

/// The version of the file's layout. A file of another version is refused, not guessed at.
pub const FORMAT: u64 = 1;

/// Why a file is no plan that can be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanFileError {
    #[error("the file is no complete JSON: {0}")]
    NotJson(String),
    #[error("the file is no timesweep plan")]
    NotAPlan,
    #[error("the file is a plan of format {0}, this program reads format {FORMAT}")]
    OtherFormat(u64),
    #[error("the file was changed after it was written")]
    Edited,
    #[error("the plan cannot be read: {0}")]
    Unreadable(String),
}

pub fn write(plan: &Plan) -> Result<String, serde_json::Error> {
    let content = serde_json::to_value(plan)?;
    let file = json!({ "timesweep_plan": FORMAT, "checksum": checksum(&content), "plan": content });
    serde_json::to_string_pretty(&file).map(|text| text + "\n")
}

pub fn read(text: &str) -> Result<Plan, PlanFileError> {
    let mut file: Value = serde_json::from_str(text).map_err(|e| PlanFileError::NotJson(e.to_string()))?;
    let format = file.get("timesweep_plan").and_then(Value::as_u64).ok_or(PlanFileError::NotAPlan)?;
    if format != FORMAT {
        return Err(PlanFileError::OtherFormat(format));
    }
    let content = file.get_mut("plan").map(Value::take).ok_or(PlanFileError::NotAPlan)?;
    let said = file.get("checksum").and_then(Value::as_str).unwrap_or_default();
    if said != checksum(&content) {
        return Err(PlanFileError::Edited);
    }
    serde_json::from_value(content).map_err(|e| PlanFileError::Unreadable(e.to_string()))
}

fn checksum(content: &Value) -> String {
    format!("sha256:{}", hex(&Sha256::digest(content.to_string().as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::super::model::StoreName;
    use super::super::plan::{Drawing, draw};
    use super::super::rules::Rules;
    use super::super::testing::{daily, rule, store};
    use super::super::time_axis::TimeRange;
    use super::*;

    fn plan() -> Plan {
        let mut table = daily("weird", 9);
        table.name.name = "we\"ird; drop".into();
        table.chunks[0].range.start = TimeRange::OPEN_START;
        let rules = Rules { policies: vec![rule(Some("public.*"), Some("5 days"))], ..Rules::default() };
        let drawing =
            Drawing { id: uuid::Uuid::nil(), made_by: "test".into(), store: StoreName("main".into()) };
        draw(drawing, &store(vec![table]), &rules, &[], None)
    }

    #[test]
    fn a_plan_survives_the_file() {
        let text = write(&plan()).expect("text");
        assert_eq!(read(&text), Ok(plan()));
        let squeezed = serde_json::from_str::<Value>(&text).expect("json").to_string();
        assert_eq!(read(&squeezed), Ok(plan()), "white space does not matter");
    }

    #[test]
    fn a_cut_edited_or_foreign_file_is_refused() {
        let text = write(&plan()).expect("text");
        assert!(matches!(read(&text[..text.len() / 2]), Err(PlanFileError::NotJson(_))));
        assert_eq!(read("{}"), Err(PlanFileError::NotAPlan));
        assert_eq!(read("[]"), Err(PlanFileError::NotAPlan));
        assert_eq!(
            read(&text.replace("\"timesweep_plan\": 1", "\"timesweep_plan\": 2")),
            Err(PlanFileError::OtherFormat(2))
        );
        assert_eq!(read(&text.replacen("\"keep\"", "\"drop\"", 1)), Err(PlanFileError::Edited));
        assert_eq!(
            read(&text.replacen("\"plan\": {", "\"plan\": { \"extra\": 1,", 1)),
            Err(PlanFileError::Edited)
        );
    }
}

//! Permissions to exceed a cap, each for one plan and for one time (invariant 7).
//!
//! Who asks first gets it, also among several processes: the primary key decides.

use uuid::Uuid;

use crate::problem::Result;

use super::State;

const USE: &str =
    "INSERT INTO cap_override (plan_id, used_at) VALUES (?1, ?2) ON CONFLICT (plan_id) DO NOTHING";

impl State {
    /// Uses up the override of a plan: true the first time, false ever after.
    pub async fn use_cap_override(&self, plan_id: Uuid, at: i64) -> Result<bool> {
        let used = self.file.execute(sqlx::query(USE).bind(plan_id.to_string()).bind(at)).await?;
        Ok(used.rows_affected() == 1)
    }
}

//! What a run never came to know is null in JSON: no empty name, no id of zeros.
//!
//! Invariant: what is written here is read back as the same value.

/// The plan; none is the nil id.
pub mod plan {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use uuid::Uuid;

    pub fn serialize<S: Serializer>(plan: &Uuid, serializer: S) -> Result<S::Ok, S::Error> {
        (!plan.is_nil()).then_some(plan).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Uuid, D::Error> {
        Option::<Uuid>::deserialize(deserializer).map(Option::unwrap_or_default)
    }
}

/// The database; no database has an empty name or the object id 0.
pub mod identity {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::retention::model::StoreIdentity;

    #[derive(Serialize, Deserialize)]
    struct Known {
        system: Option<String>,
        database: Option<String>,
        database_oid: Option<u32>,
    }

    pub fn serialize<S: Serializer>(identity: &StoreIdentity, serializer: S) -> Result<S::Ok, S::Error> {
        let known = |text: &String| (!text.is_empty()).then(|| text.clone());
        let database_oid = (identity.database_oid != 0).then_some(identity.database_oid);
        let (system, database) = (known(&identity.system), known(&identity.database));
        Known { system, database, database_oid }.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<StoreIdentity, D::Error> {
        let Known { system, database, database_oid } = Known::deserialize(deserializer)?;
        Ok(StoreIdentity {
            system: system.unwrap_or_default(),
            database: database.unwrap_or_default(),
            database_oid: database_oid.unwrap_or_default(),
        })
    }
}

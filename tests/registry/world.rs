//! A registry in some database, and what plain SQL says about it.

use std::path::PathBuf;
use std::sync::Arc;

use secrecy::SecretString;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, SqliteConnection};
use timesweep::config::{RegistrySettings, SetIn};
use timesweep::registry::{self, Registry};
use timesweep::retention::ownership::check::{Inventory, Settings};
use timesweep::retention::ownership::sighting::Sighting;
use timesweep::retention::ownership::{JobId, Ledger, OwnedName};
use uuid::Uuid;

pub const HOUR: i64 = 3_600_000_000;
/// Some day in 2024, so that instants look like real ones.
pub const START: i64 = 1_720_000_000_000_123;

pub const SETTINGS: Settings = Settings {
    check_interval: HOUR,
    grace: 10 * HOUR,
    registration_lifetime: 20 * HOUR,
    longest_job: 720 * HOUR,
    cap_share: 6_000,
    cap_count: 3,
    accept_empty: false,
};

/// esdl_id, job_id, deactivated_at in microseconds.
pub type PlainRow = (Option<String>, Option<String>, Option<i64>);

#[derive(Clone)]
#[allow(dead_code, reason = "each of the two test programs uses one of them")]
pub enum Place {
    Sqlite(PathBuf),
    Postgres(String),
}

impl Place {
    pub fn settings(&self) -> RegistrySettings {
        let url: SecretString = match self {
            Self::Sqlite(path) => path.display().to_string().into(),
            Self::Postgres(url) => url.as_str().into(),
        };
        RegistrySettings { url, password: None, set_in: SetIn::default() }
    }

    pub async fn open(&self) -> Arc<dyn Registry> {
        registry::open(&self.settings()).await.expect("the registry opens")
    }

    /// Runs statements as another program would.
    pub async fn run(&self, statements: &str) {
        let statements = AssertSqlSafe(statements.to_owned());
        match self {
            Self::Sqlite(path) => {
                let mut connection = sqlite(path).await;
                sqlx::raw_sql(statements).execute(&mut connection).await.map(|_| ())
            }
            Self::Postgres(url) => {
                let mut connection = PgConnection::connect(url).await.expect("the test server answers");
                sqlx::raw_sql(statements).execute(&mut connection).await.map(|_| ())
            }
        }
        .expect("the statements run");
    }

    /// An instant as their table has it.
    pub fn instant(&self, at: i64) -> String {
        match self {
            Self::Sqlite(_) => at.to_string(),
            Self::Postgres(_) => format!("timestamptz 'epoch' + {at} * interval '1 microsecond'"),
        }
    }

    /// A row as another program writes it; instants in hours after `START`.
    pub async fn insert(&self, dataset: Option<&str>, job: Option<u128>, marked: Option<i64>) {
        let text = |value: Option<String>| value.map_or("NULL".into(), |value| format!("'{value}'"));
        let marked = marked.map_or("NULL".into(), |hour| self.instant(START + hour * HOUR));
        let (dataset, job) =
            (text(dataset.map(str::to_owned)), text(job.map(|number| id(number).0.to_string())));
        let row = Uuid::now_v7();
        self.run(&format!(
            "INSERT INTO esdl_time_series_info (row_id, esdl_id, registered_at, deactivated_at, job_id) \
             VALUES ('{row}', {dataset}, {}, {marked}, {job})",
            self.instant(START)
        ))
        .await;
    }

    pub async fn rows(&self) -> Vec<PlainRow> {
        let mut rows: Vec<PlainRow> = match self {
            Self::Sqlite(path) => {
                let query = "SELECT esdl_id, job_id, deactivated_at FROM esdl_time_series_info";
                let rows = sqlx::query(query).fetch_all(&mut sqlite(path).await).await.expect(query);
                rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
            }
            Self::Postgres(url) => {
                let query = "SELECT esdl_id, job_id::text, (extract(epoch FROM deactivated_at) * 1000000)::bigint \
                     FROM esdl_time_series_info";
                let mut connection = PgConnection::connect(url).await.expect("the test server answers");
                let rows = sqlx::query(query).fetch_all(&mut connection).await.expect(query);
                rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
            }
        };
        rows.sort();
        rows
    }
}

async fn sqlite(path: &std::path::Path) -> SqliteConnection {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
    let options = options.busy_timeout(std::time::Duration::from_secs(30));
    SqliteConnection::connect_with(&options).await.expect("the file opens")
}

pub fn id(number: u128) -> JobId {
    JobId(Uuid::from_u128(number))
}

pub fn name(text: &str) -> OwnedName {
    OwnedName(text.into())
}

/// These, last written at the start of everything, with nobody at work.
pub fn inventory_of(names: impl Iterator<Item = OwnedName>) -> Inventory {
    let sighting = |name| Sighting { name, last_change: Some(START), change_token: None };
    Inventory { complete: true, datasets: names.map(sighting).collect(), live_jobs: Vec::new(), read_by: 0 }
}

pub fn listed(names: &[&str]) -> Inventory {
    inventory_of(names.iter().map(|text| name(text)))
}

/// What the table has to hold for a ledger: the face that other programs see.
pub fn derived(ledger: &Ledger) -> Vec<PlainRow> {
    let text = |job: JobId| job.0.to_string();
    let of_datasets = ledger.rows.iter().map(|(name, row)| {
        (Some(name.0.to_string()), row.job.map(text), row.mark.as_ref().map(|mark| mark.at))
    });
    let tombstones = ledger.tombstones.iter().map(|(job, at)| (None, Some(text(*job)), Some(*at)));
    let mut rows: Vec<PlainRow> = of_datasets.chain(tombstones).collect();
    rows.sort();
    rows
}

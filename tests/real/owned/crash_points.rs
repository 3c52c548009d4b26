//! `run --apply` is killed at every step of journal and registry, with schemas as well as InfluxDB as the store
//! and the registry in a file; each time the next runs do what is left, and nothing that is owned is touched.

use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;

use timesweep::config::{RegistrySettings, SetIn};
use timesweep::registry::{self, Registry};
use timesweep::retention::ownership::event::Event;
use timesweep::retention::ownership::{JobId, Ledger, OwnedName};
use timesweep::state::State;
use uuid::Uuid;

use super::place::{Place, id};
use crate::real::support::eventually;

fn success(job: Uuid, dataset: &str) -> Event {
    Event::Succeeded { job: JobId(job), dataset: OwnedName(dataset.into()) }
}

struct Installation {
    place: Place,
    registry: Arc<dyn Registry>,
    owner: Uuid,
    kept: String,
}

/// One whose job was deleted, and one that nobody ever claimed.
struct Due([String; 2]);

impl Installation {
    async fn on(place: Place) -> Self {
        let place = place.with_registry_in_a_file();
        place.ran(&["plan"]).with_code(0);
        let settings = RegistrySettings {
            url: place.registry_url.clone().into(),
            password: None,
            set_in: SetIn::default(),
        };
        let registry = registry::open(&settings).await.expect("the registry");
        let (owner, kept) = (Uuid::now_v7(), id());
        place.ground.write(&kept).await;
        let installation = Self { place, registry, owner, kept };
        installation.tell(&[success(owner, &installation.kept)]).await;
        installation
    }

    async fn tell(&self, events: &[Event]) {
        let now = self.registry.now().await.expect("a clock");
        self.registry.record(events, now).await.expect("it is recorded");
    }

    async fn ledger(&self) -> Ledger {
        self.registry.ledger().await.expect("the ledger")
    }

    /// Both are seen often enough, announced, and their grace is over.
    async fn something_due(&mut self) -> Due {
        let (deleted, due) = (Uuid::now_v7(), Due([id(), id()]));
        for dataset in &due.0 {
            self.place.ground.write(dataset).await;
        }
        self.tell(&[success(deleted, &due.0[0]), Event::Deleted(JobId(deleted))]).await;
        let short = self.place.times.clone();
        self.place.times = short.replace("grace = \"2 s\"", "grace = \"1 hour\"");
        eventually("marks are seen", async || {
            self.place.ran(&["run", "--apply"]).with_code(0);
            let ledger = self.ledger().await;
            due.0.iter().all(|dataset| {
                let mark =
                    ledger.rows.get(&OwnedName(dataset.as_str().into())).and_then(|row| row.mark.clone());
                mark.is_some_and(|mark| {
                    mark.announced && mark.seen.is_some_and(|(first, last)| last - first >= 500_000)
                })
            })
        })
        .await;
        self.place.times = short;
        eventually("both would go", async || {
            let plan = self.place.ran(&["plan", "--output", "json"]).with_code(0).json();
            let groups = plan["owned"]["groups"].as_array().cloned().unwrap_or_default();
            groups.iter().any(|group| group["standing"] == "due" && group["count"] == 2)
        })
        .await;
        due
    }

    /// Whether the run ever came to that point.
    fn is_killed_at(&self, point: &str) -> bool {
        let mut command = self.place.command(&["run", "--apply"]);
        let output = command.env("TIMESWEEP_KILL_AT", point).output().expect("timesweep starts");
        let is_killed = output.status.signal() == Some(libc::SIGKILL);
        assert!(is_killed || output.status.code() == Some(0), "{point}: {output:?}");
        is_killed
    }

    async fn still_owns(&self, point: &str) {
        assert!(self.place.ground.has(&self.kept).await, "{point}");
        assert_eq!(self.place.row(&self.kept).await, Some((Some(self.owner), false)), "{point}");
    }

    /// What was due goes, its rows as well, and every intent gets its outcome.
    async fn goes_on(&self, due: &Due, point: &str) {
        eventually(&format!("{point}: all that is due goes"), async || {
            self.place.ran(&["run", "--apply"]).with_code(0);
            let names = self.place.ground.names().await;
            let ledger = self.ledger().await;
            due.0.iter().all(|dataset| {
                !names.contains(dataset) && !ledger.rows.contains_key(&OwnedName(dataset.as_str().into()))
            })
        })
        .await;
        assert_eq!(self.open_intents().await, 0, "{point}");
        self.still_owns(point).await;
    }

    async fn open_intents(&self) -> usize {
        let state = State::open(&self.place.database.file("state.db")).await.expect("the state");
        let run = state.last_run().await.expect("the journal").expect("a run");
        let open = state.open_dataset_intents(&run.run.identity.system).await.expect("the journal");
        state.close().await.expect("it closes");
        open.len()
    }

    /// Killed at the first, the second, … time that a run reaches it, until no run does.
    async fn survives_kills_at(&mut self, point: &str) -> usize {
        for count in 1.. {
            let due = self.something_due().await;
            let at = format!("{point}:{count}");
            let is_killed = self.is_killed_at(&at);
            self.still_owns(&at).await;
            self.goes_on(&due, &at).await;
            if !is_killed {
                return count - 1;
            }
        }
        unreachable!("a run ends")
    }
}

/// Each with how often a run reaches it that drops two datasets.
const OF_THE_JOURNAL: [(&str, usize); 5] = [
    ("run-begun", 1),
    ("before-dataset-intent", 2),
    ("dataset-intent-written", 2),
    ("outcomes-written", 2),
    ("run-finished", 1),
];
const OF_THE_DROP: [(&str, usize); 4] = [
    ("before-dataset-drop", 2),
    ("dataset-dropped", 2),
    ("dataset-row-forgotten", 2),
    ("before-outcomes", 2),
];
/// One check, two second looks, two rows that go.
const OF_THE_REGISTRY: [(&str, usize); 3] =
    [("registry-before-writes", 5), ("registry-before-commit", 5), ("registry-committed", 5)];

async fn survives(place: Place, points: &[(&str, usize)]) {
    let mut installation = Installation::on(place).await;
    for (point, times) in points {
        assert_eq!(installation.survives_kills_at(point).await, *times, "{point}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn schemas_survive_a_kill_at_every_step_of_the_journal() {
    survives(Place::on_schemas().await, &OF_THE_JOURNAL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn schemas_survive_a_kill_at_every_step_of_a_drop() {
    survives(Place::on_schemas().await, &OF_THE_DROP).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn schemas_survive_a_kill_around_every_commit_of_the_registry() {
    survives(Place::on_schemas().await, &OF_THE_REGISTRY).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn databases_survive_a_kill_at_every_step_of_a_drop_with_the_registry_in_a_file() {
    survives(Place::on_influx().await, &OF_THE_DROP).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn databases_survive_a_kill_around_every_commit_of_a_registry_in_a_file() {
    survives(Place::on_influx().await, &OF_THE_REGISTRY).await;
}

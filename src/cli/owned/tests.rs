//! The verbs on a store and a registry in memory: what people and programs get to read.

use serde_json::Value;
use uuid::Uuid;

use super::*;

use crate::cli::mark::{MarkVerb, Said, answer};
use crate::config::ReportSettings;
use crate::problem::Kind;
use crate::registry::memory::Memory as MemoryRegistry;
use crate::retention::model::StoreName;
use crate::retention::ownership::event::Event;
use crate::retention::ownership::{JobId, OwnedName};
use crate::store::owned::memory::Memory as MemoryStore;

const NOW: i64 = 1_767_225_600_000_000;

fn opened(registry: &MemoryRegistry) -> OpenedOwned {
    let store = StoreName("results".into());
    let state_path = PathBuf::from("/nowhere/state.db");
    registry.set_now(NOW);
    OpenedOwned {
        settings: OwnershipSettings::of_store(store.clone()),
        store: Arc::new(MemoryStore::default()),
        registry: Arc::new(registry.clone()),
        max_clock_skew: 1,
        gate: None,
        serve: crate::config::ServeSettings::default(),
        amqp: None,
        role: None,
        wake: Wake::default(),
        publisher: Publisher {
            mail: None,
            report: ReportSettings::default(),
            store,
            place: "db1:8086".into(),
            state_path: state_path.clone(),
        },
        place: "db1:8086".into(),
        state_path,
    }
}

fn job(number: u128) -> JobId {
    JobId(Uuid::from_u128(number))
}

async fn said(opened: &OpenedOwned, verb: MarkVerb) -> (String, Value) {
    let answer = answer(opened, verb).await.expect("an answer");
    (answer.text, answer.json)
}

fn add(number: u128) -> MarkVerb {
    MarkVerb::Add { job: job(number).0.to_string() }
}

fn cancel(dataset: Option<String>, job: Option<String>) -> MarkVerb {
    MarkVerb::Cancel { dataset, job, said: Said::default() }
}

fn happen(registry: &MemoryRegistry, event: &Event) {
    registry.change(|ledger| ledger.apply(event, NOW));
}

fn claim(registry: &MemoryRegistry, number: u128, dataset: &str) {
    happen(registry, &Event::Succeeded { job: job(number), dataset: OwnedName(dataset.into()) });
}

#[tokio::test]
async fn marks_read_like_this() {
    let registry = MemoryRegistry::default();
    let opened = opened(&registry);
    claim(&registry, 1, "mine");
    claim(&registry, 2, "ours");
    claim(&registry, 3, "ours");
    let mut text = said(&opened, MarkVerb::List).await.0;
    for number in [1, 2, 9] {
        text += &said(&opened, add(number)).await.0;
    }
    text += &said(&opened, MarkVerb::List).await.0;
    let dataset = Some("mine".to_owned());
    text += &said(&opened, cancel(dataset, None)).await.0;
    for number in [9, 2] {
        let job = Some(job(number).0.to_string());
        text += &said(&opened, cancel(None, job)).await.0;
    }
    text += &said(&opened, MarkVerb::List).await.0;
    insta::assert_snapshot!(text);
}

#[tokio::test]
async fn check_says_which_times_are_in_force_and_what_protects_running_jobs() {
    let registry = MemoryRegistry::default();
    let opened = opened(&registry);
    let (report, advice) = check::look(&opened).await.expect("a look");
    insta::assert_snapshot!(check::render(&opened, &report, &advice));
    // A list of running jobs is kept, and nobody is on it yet.
    let listed = MemoryRegistry::default();
    listed.set_now(NOW);
    listed.set_live_jobs(Vec::<JobId>::new());
    let (_, advice) = check::look(&self::opened(&listed)).await.expect("a look");
    assert_eq!(advice, Vec::<String>::new());
    // A job was seen at work, whoever told of it: the grace is not all there is.
    happen(&registry, &Event::JobIsLive(job(1)));
    registry.set_now(NOW + 1);
    let (_, advice) = check::look(&opened).await.expect("a look");
    assert_eq!(advice, Vec::<String>::new());
}

#[tokio::test]
async fn programs_get_the_same_as_json() {
    let registry = MemoryRegistry::default();
    let opened = opened(&registry);
    claim(&registry, 1, "mine");
    let (_, json) = said(&opened, add(1)).await;
    assert_eq!((json["known"].as_bool(), json["let_go"][0].as_str()), (Some(true), Some("mine")));
    let (_, json) = said(&opened, MarkVerb::List).await;
    assert_eq!(json["marks"][0]["dataset"], "mine");
    assert_eq!(json["marks"][0]["marked_at"], NOW);
    let (_, json) = said(&opened, cancel(Some("mine".into()), None)).await;
    assert_eq!(json["hold_until"], NOW + opened.settings.hold_after_cancel);
    assert!(registry.change(|ledger| ledger.deleted_jobs.is_empty() && !ledger.holds.is_empty()));
}

#[tokio::test]
async fn what_is_no_id_gets_one_short_sentence() {
    let registry = MemoryRegistry::default();
    let opened = opened(&registry);
    let huge = "é".repeat(5_000_000);
    for wrong in ["", "x", "7", "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4be", "a\n\u{1b}[2Jb", &huge] {
        for verb in [
            MarkVerb::Add { job: wrong.into() },
            cancel(None, Some(wrong.into())),
            cancel(Some(wrong.into()), None),
        ] {
            let problem = answer(&opened, verb).await.expect_err("no id");
            assert_eq!(problem.kind, Kind::Usage);
            let shown = problem.to_string();
            assert!(shown.len() < 400 && shown.lines().count() == 2 && !shown.contains('\u{1b}'), "{shown}");
        }
    }
    assert!(registry.change(|ledger| ledger.deleted_jobs.is_empty()), "nothing was written");
    let unknown = answer(&opened, cancel(None, Some(job(5).0.to_string()))).await;
    assert!(unknown.expect_err("not deleted").sentence.ends_with("is not deleted"));
}

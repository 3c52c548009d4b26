//! A store whose datasets are all gone, by the command line: refused, and believed for one pass.

use uuid::Uuid;

use super::place::{Place, id};
use crate::real::support::{Ran, TestDatabase, eventually};

async fn registers(place: &Place) -> (Uuid, String) {
    let (job, dataset) = (Uuid::now_v7(), id());
    place.ground.write(&dataset).await;
    place.orchestrator_writes(&format!("'{dataset}'"), &format!("'{job}'"), "NULL").await;
    (job, dataset)
}

fn run(place: &Place) -> Ran {
    place.ran(&["run", "--apply"])
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_store_is_refused_with_the_way_out_and_believed_for_one_pass() {
    let place = Place::on_schemas().await.with_orchestrator().await;
    let (job, dataset) = registers(&place).await;
    let (_, other) = registers(&place).await;
    run(&place).with_code(0);
    place.ground.lose(&dataset).await;
    place.ground.lose(&other).await;
    let refused = run(&place).with_code(4);
    assert!(
        refused
            .out
            .contains("the store lists nothing, and 2 registered datasets were there at the last check"),
        "{refused:?}"
    );
    assert!(refused.out.contains("timesweep run --apply --accept-empty"), "{refused:?}");
    place.ran(&["check"]).with_code(4);
    // It is about a pass that works, and no other verb knows it.
    for verb in [&["run", "--accept-empty"][..], &["plan", "--accept-empty"], &["serve", "--accept-empty"]] {
        place.ran(verb).with_code(2);
    }
    run(&place).with_code(4);
    assert_eq!(place.row(&dataset).await, Some((Some(job), false)));
    place.ran(&["run", "--apply", "--accept-empty"]).with_code(0);
    assert_eq!(place.row(&dataset).await, Some((Some(job), true)));
    eventually("both are forgotten", async || {
        run(&place).with_code(0);
        place.count("esdl_time_series_info").await == 0
    })
    .await;
    // The next one that is lost is another matter.
    let (_, third) = registers(&place).await;
    run(&place).with_code(0);
    place.ground.lose(&third).await;
    run(&place).with_code(4);
    // What comes back belongs to its job, as ever.
    place.ground.write(&dataset).await;
    run(&place).with_code(0);
    assert_eq!(place.row(&dataset).await, Some((Some(job), false)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_lacks_much_is_refused_with_the_way_out_and_believed_for_one_pass() {
    let place = Place::on_schemas().await.with_orchestrator().await;
    let (kept_by, kept) = registers(&place).await;
    let mut lost = Vec::new();
    for _ in 0..6 {
        lost.push(registers(&place).await);
    }
    run(&place).with_code(0);
    for (_, dataset) in &lost {
        place.ground.lose(dataset).await;
    }
    let refused = run(&place).with_code(4);
    assert!(refused.out.contains("6 registered datasets are missing at once, and 5 may be"), "{refused:?}");
    assert!(refused.out.contains("timesweep run --apply --accept-empty"), "{refused:?}");
    place.ran(&["run", "--apply", "--accept-empty"]).with_code(0);
    run(&place).with_code(0);
    assert_eq!(place.row(&kept).await, Some((Some(kept_by), false)));
    assert!(place.ground.has(&kept).await, "nothing is dropped for a loss");
    // What comes back belongs to its job, as ever.
    let (job, dataset) = &lost[0];
    place.ground.write(dataset).await;
    run(&place).with_code(0);
    assert_eq!(place.row(dataset).await, Some((Some(*job), false)));
}

#[tokio::test]
async fn accepting_an_empty_store_means_nothing_where_no_job_owns_data() {
    let database = TestDatabase::new().await;
    database.configuration("");
    let refused = database.ran(&["run", "--apply", "--accept-empty"]).with_code(2);
    assert!(refused.err.contains("is about data that jobs own"), "{refused:?}");
}

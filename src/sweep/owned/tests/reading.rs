//! What people read of a pass over owned data: report, page, preview, and the chain of one dataset.

use super::*;
use crate::report::{document, owned_text, subject};
use crate::retention::ownership::live::LiveJob;

/// Something of everything.
async fn rich() -> (Ground, Report) {
    let mut ground = Ground::default();
    (1..=9).for_each(|number| ground.write(number));
    ground.store.write(&OwnedName("telegraf\u{1b}[31m".into()), START);
    ground.succeed(1, 1);
    ground.succeed(2, 2);
    ground.succeed(3, 3);
    ground.run().await;
    ground.happen(&Event::Hold { dataset: name(4), until: Some(START + 900 * HOUR) });
    ground.delete(2);
    ground.later(1);
    let since = ground.now();
    let live = LiveJob { job: job(77), since: Some(since) };
    ground.registry.change(|ledger| ledger.job_is_live(live, since));
    ground.write(6);
    ground.later(29);
    ground.write(5);
    ground.run().await;
    ground.later(30);
    ground.store.vanish(&name(3));
    ground.write(10);
    ground.store.next_drops([DropOutcome::Works, DropOutcome::Refused]);
    ground.settings.check.cap_count = 3;
    let report = ground.run().await;
    (ground, report)
}

#[tokio::test]
async fn a_report_about_owned_data_reads_like_this() {
    let (_, report) = rich().await;
    insta::assert_snapshot!(text::render(&report));
}

#[tokio::test]
async fn a_page_about_owned_data_has_these_sections() {
    let (_, report) = rich().await;
    let sections = document::sections(&report);
    let datasets = sections.iter().find(|section| section.title == "Datasets").expect("a section");
    let mut said = subject::subject(&report, "weekly drop") + "\n";
    for block in &datasets.blocks {
        let document::Block::Table(table) = block else { panic!("{block:?}") };
        for row in std::iter::once(&table.header).chain(&table.rows) {
            let cells: Vec<&str> = row.iter().map(|cell| cell.text.as_str()).collect();
            said += &(cells.join(" | ") + "\n");
        }
    }
    insta::assert_snapshot!(said);
}

#[tokio::test]
async fn a_preview_of_owned_data_reads_like_this() {
    let (mut ground, _) = rich().await;
    ground.later(1);
    let report = ground.pass(&Steps::default()).preview(false).await.expect("a preview");
    insta::assert_snapshot!(owned_text::render_preview(&report, owned(&report), false));
}

#[tokio::test]
async fn the_chain_of_a_dataset_reads_like_this() {
    let (mut ground, _) = rich().await;
    ground.later(1);
    let pass = ground.pass(&Steps::default());
    let mut said = String::new();
    for number in [1, 2, 3, 4, 5, 10] {
        let explanation = pass.explain(&name(number), &[]).await.expect("an answer");
        said.push_str(&crate::report::explain::render(&explanation));
    }
    insta::assert_snapshot!(said);
    let unknown = pass.explain(&OwnedName("x".repeat(5_000).into()), &[]).await.expect_err("unknown");
    assert!(unknown.to_string().chars().count() < 200, "{unknown}");
}

#[tokio::test]
async fn a_store_that_starts_too_often_is_told_by_report_and_preview() {
    let mut ground = Ground::default();
    ground.store.count_write(&name(1));
    let mut told = Vec::new();
    for _ in 0..6 {
        let report = ground.run().await;
        told.push(report.warnings.iter().any(|warning| warning.contains("keeps what nobody owns for ever")));
        ground.later(40);
        ground.store.restart();
    }
    assert_eq!(told, [false, false, false, false, true, true], "three graces are 144 hours");
    let preview = ground.pass(&Steps::default()).preview(false).await.expect("a preview");
    insta::assert_snapshot!(preview.warnings.join("\n"));
}

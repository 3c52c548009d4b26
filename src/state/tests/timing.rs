//! What a commit costs. Not a test of anything; run it by hand on an optimised build:
//! `cargo test --profile bench -- --ignored --nocapture state::tests::timing`, with `TMPDIR` on the disk in question.

use std::time::Instant;

use super::*;

async fn time(batch: u32, rounds: u32) {
    let folder = folder();
    let state = open(&file_in(&folder)).await;
    let run = begun(&state).await;
    let (mut intents_took, mut outcomes_took) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let intents: Vec<Intent> = (0..batch).map(intent).collect();
        let start = Instant::now();
        let ids = state.write_intents(run, &intents).await.expect("intents");
        intents_took.push(start.elapsed());
        let outcomes: Vec<_> = ids.into_iter().map(|id| (id, Outcome::Dropped { bytes: None })).collect();
        let start = Instant::now();
        state.write_outcomes(&outcomes, 1, None).await.expect("outcomes");
        outcomes_took.push(start.elapsed());
    }
    for (what, mut took) in [("intents", intents_took), ("outcomes", outcomes_took)] {
        took.sort_unstable();
        let mean = took.iter().sum::<std::time::Duration>() / rounds;
        let worst = took[took.len() - 1];
        println!("{batch:>3} {what:<8}: mean {mean:?}, median {:?}, worst {worst:?}", took[took.len() / 2]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn commits() {
    for batch in [1, 10, 50] {
        time(batch, 1_000).await;
    }
}

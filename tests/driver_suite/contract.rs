//! The contract of `store.rs`, one test a promise.

use timesweep::problem::Kind;
use timesweep::retention::model::Chunk;
use timesweep::retention::name::RelationName;
use timesweep::retention::sessions::{How, SessionFacts};
use timesweep::store::{Change, DropFailure, DropOrder, Dropper, EndAnswer, EndOrder, Wanted};

use super::ground::{Ground, chunks, facts, order, t, table};

/// Writes one test per promise and per ground.
macro_rules! on_every_ground {
    ($($promise:ident)*) => {
        mod in_memory {
            use super::super::memory::InMemory;
            $(#[tokio::test] async fn $promise() { super::$promise(&mut InMemory::new()).await; })*
        }
        mod on_timescale {
            use super::super::timescale::OnTimescale;
            $(#[tokio::test] async fn $promise() { super::$promise(&mut OnTimescale::new().await).await; })*
        }
    };
}

on_every_ground! {
    facts_are_complete_and_sorted
    facts_of_one_dataset_leave_the_others_out_and_say_what_is_missing
    an_order_is_done_exactly
    an_order_with_a_chunk_that_is_gone_is_not_done_at_all
    an_order_with_a_chunk_that_the_store_keeps_is_not_done_at_all
    a_locked_chunk_makes_the_order_wait_and_its_holder_is_named
    only_the_first_chunk_is_waited_for
    a_second_runner_is_busy_until_the_first_one_has_ended
    a_chunk_is_still_there_only_by_its_object_id_and_its_name
    sessions_of_the_listed_roles_are_told_and_those_of_others_are_not
    a_session_is_ended_only_while_it_is_the_same_one_and_of_a_listed_role
    whoever_is_in_the_way_is_ended_only_while_it_is_there
}

/// What holds as well where nobody can lock a chunk, keep it from going, or be connected.
mod on_influx {
    use super::super::influx::OnInflux;

    macro_rules! promises {
        ($($promise:ident)*) => {
            $(#[tokio::test] async fn $promise() { super::$promise(&mut OnInflux::new().await).await; })*
        };
    }

    promises! {
        facts_are_complete_and_sorted
        facts_of_one_dataset_leave_the_others_out_and_say_what_is_missing
        an_order_is_done_exactly
        an_order_with_a_chunk_that_is_gone_is_not_done_at_all
        a_second_runner_is_busy_until_the_first_one_has_ended
        a_chunk_is_still_there_only_by_its_object_id_and_its_name
    }
}

/// Sizes and estimates may change at any time on a real server.
fn oids(chunks: &[Chunk]) -> Vec<u32> {
    chunks.iter().flat_map(|chunk| chunk.parts.iter().map(|part| part.oid)).collect()
}

/// Tries again while somebody holds a lock: on a real server that may be an autovacuum.
async fn until_free(dropper: &mut dyn Dropper, order: &DropOrder) -> Result<usize, DropFailure> {
    let mut answer = dropper.drop_chunks(order).await;
    for _ in 0..20 {
        if !matches!(answer, Err(DropFailure::Waited(_))) {
            break;
        }
        answer = dropper.drop_chunks(order).await;
    }
    answer.map(|dropped| dropped.chunks)
}

async fn facts_are_complete_and_sorted(ground: &mut dyn Ground) {
    let facts = facts(ground).await;
    let names: Vec<String> = facts.datasets.iter().map(|dataset| dataset.name.to_string()).collect();
    assert_eq!(names, ["public.t", "public.u"]);
    let table = table(ground).await;
    assert_eq!((table.chunks.len(), table.relations_in_catalog, table.relations_listed()), (7, 7, 7));
    let ends: Vec<i64> = table.chunks.iter().map(|chunk| chunk.range.end).collect();
    assert!(ends.is_sorted(), "{ends:?}");
    assert!(table.chunks.iter().all(|chunk| chunk.range.is_well_formed() && chunk.bytes().is_some()));
    assert!(table.droppable_by_us);
    assert!(facts.now.abs_diff(facts.our_now) < 300_000_000, "both clocks are told");
}

async fn facts_of_one_dataset_leave_the_others_out_and_say_what_is_missing(ground: &mut dyn Ground) {
    let missing = RelationName::new("public", "nothing");
    let wanted = Wanted { only: Some(vec![t(), missing.clone()]), expected: vec![t(), missing.clone()] };
    let facts = ground.driver().facts(&wanted).await.expect("facts");
    assert_eq!(facts.datasets.iter().map(|dataset| &dataset.name).collect::<Vec<_>>(), [&t()]);
    assert_eq!(facts.datasets[0].chunks.len(), 7);
    assert_eq!(facts.not_datasets.iter().map(|missing| &missing.name).collect::<Vec<_>>(), [&missing]);
}

async fn an_order_is_done_exactly(ground: &mut dyn Ground) {
    let before = chunks(ground).await;
    let bytes_before = ground.driver().total_bytes().await.expect("a size").expect("a size");
    let order = order(ground, &before[1..4]).await;
    let mut dropper = ground.driver().open_dropper().await.expect("a session");
    assert_eq!(until_free(dropper.as_mut(), &order).await, Ok(3));
    let left = oids(&[&before[..1], &before[4..]].concat());
    assert_eq!(oids(&chunks(ground).await), left);
    let bytes_after = ground.driver().total_bytes().await.expect("a size").expect("a size");
    assert!(bytes_after < bytes_before, "{bytes_before} -> {bytes_after}");
    let again = dropper.drop_chunks(&order).await;
    let gone = (0..3).map(|index| (index, Change::Gone)).collect();
    assert_eq!(again, Err(DropFailure::Changed(gone)), "the same order again finds nothing");
    assert_eq!(oids(&chunks(ground).await), left);
}

async fn an_order_with_a_chunk_that_is_gone_is_not_done_at_all(ground: &mut dyn Ground) {
    let before = chunks(ground).await;
    let order = order(ground, &before[0..3]).await;
    ground.drop_elsewhere(&before[1]).await;
    let mut dropper = ground.driver().open_dropper().await.expect("a session");
    let answer = dropper.drop_chunks(&order).await;
    assert_eq!(answer, Err(DropFailure::Changed(vec![(1, Change::Gone)])));
    assert_eq!(chunks(ground).await.len(), 6);
}

async fn an_order_with_a_chunk_that_the_store_keeps_is_not_done_at_all(ground: &mut dyn Ground) {
    let before = chunks(ground).await;
    let order = order(ground, &before[0..3]).await;
    ground.freeze(&before[2]).await;
    let mut dropper = ground.driver().open_dropper().await.expect("a session");
    let answer = dropper.drop_chunks(&order).await;
    let Err(DropFailure::Changed(changes)) = &answer else { panic!("{answer:?}") };
    assert!(matches!(changes.as_slice(), [(2, Change::Differs(_))]), "{changes:?}");
    assert_eq!(chunks(ground).await.len(), 7, "the two before it are rolled back");
}

async fn a_locked_chunk_makes_the_order_wait_and_its_holder_is_named(ground: &mut dyn Ground) {
    let before = chunks(ground).await;
    let order = order(ground, &[&before[1..3], &before[..1]].concat()).await;
    ground.lock(&before[1]).await;
    let mut dropper = ground.driver().open_dropper().await.expect("a session");
    let answer = dropper.drop_chunks(&order).await;
    assert!(matches!(answer, Err(DropFailure::Waited(_))), "{answer:?}");
    assert_eq!(chunks(ground).await.len(), 7);
    let who = ground.driver().blockers(&t(), &before[1].parts).await.expect("blockers");
    assert_eq!(who.len(), 1, "{who:?}");
    assert!(who[0].pid > 0 && who[0].state == "idle in transaction", "{who:?}");
    let nobody = ground.driver().blockers(&t(), &before[0].parts).await.expect("blockers");
    assert!(nobody.is_empty(), "{nobody:?}");
    ground.release().await;
    assert_eq!(until_free(dropper.as_mut(), &order).await, Ok(3), "the same session can try again");
    assert_eq!(chunks(ground).await.len(), 4);
}

async fn only_the_first_chunk_is_waited_for(ground: &mut dyn Ground) {
    let before = chunks(ground).await;
    let order = order(ground, &before[0..3]).await;
    ground.lock(&before[2]).await;
    let mut dropper = ground.driver().open_dropper().await.expect("a session");
    assert_eq!(until_free(dropper.as_mut(), &order).await, Ok(1), "the others stay together");
    assert_eq!(oids(&chunks(ground).await), oids(&before[1..]));
}

async fn a_second_runner_is_busy_until_the_first_one_has_ended(ground: &mut dyn Ground) {
    let driver = ground.driver();
    let mut first = driver.lock_runner("run one").await.expect("the lock");
    first.verify().await.expect("it is held");
    let second = driver.lock_runner("run two").await.err().expect("busy");
    assert_eq!(second.kind, Kind::Busy);
    assert!(second.sentence.contains("another run holds the lock"), "{second}");
    first.verify().await.expect("it is still held");
    drop(first);
    crate::support::eventually("the lock is free", async || driver.lock_runner("run two").await.is_ok())
        .await;
}

async fn a_chunk_is_still_there_only_by_its_object_id_and_its_name(ground: &mut dyn Ground) {
    let before = chunks(ground).await;
    ground.drop_elsewhere(&before[0]).await;
    let there = before[1].parts[0].clone();
    let mut other_name = there.clone();
    other_name.relation.name.push('x');
    let mut other_oid = there.clone();
    other_oid.oid += 1_000_000;
    let asked = [before[0].parts[0].clone(), there, other_name, other_oid];
    let answer = ground.driver().still_there(&asked).await.expect("an answer");
    assert_eq!(answer, [false, true, false, false]);
    assert_eq!(ground.driver().still_there(&[]).await.expect("an answer"), Vec::<bool>::new());
}

/// Clients of this role that are none of ours; a server may have processes of its own under that role.
async fn others(ground: &dyn Ground, role: &str) -> Vec<SessionFacts> {
    let mut sessions = ground.driver().sessions(&[role.to_owned()]).await.expect("sessions");
    sessions.retain(|session| !session.ours && session.backend.as_deref() == Some("client backend"));
    sessions
}

async fn end(ground: &dyn Ground, session: &SessionFacts, role: &str, way: Option<&Chunk>) -> EndAnswer {
    let order = EndOrder {
        sessions: vec![(session.clone(), How::Terminate)],
        roles: vec![role.to_owned()],
        in_the_way_of: way.map(|chunk| (t(), chunk.parts.clone())),
    };
    let answers = ground.driver().end_sessions(&order).await.expect("an answer");
    assert_eq!(answers.len(), 1);
    answers[0].clone()
}

async fn sessions_of_the_listed_roles_are_told_and_those_of_others_are_not(ground: &mut dyn Ground) {
    let role = ground.connect().await;
    let sessions = others(ground, &role).await;
    assert_eq!(sessions.len(), 1, "{sessions:?}");
    let session = &sessions[0];
    assert_eq!(session.role, role);
    assert!(session.started_at.is_some() && session.in_our_database && !session.drops_chunks);
    let driver = ground.driver();
    assert!(driver.sessions(&["nobody".into()]).await.expect("sessions").is_empty());
    assert!(driver.sessions(&[role.to_uppercase()]).await.expect("sessions").is_empty(), "letter by letter");
    assert!(driver.sessions(&[]).await.expect("sessions").is_empty());
}

async fn a_session_is_ended_only_while_it_is_the_same_one_and_of_a_listed_role(ground: &mut dyn Ground) {
    let role = ground.connect().await;
    let session = others(ground, &role).await.remove(0);
    // As if the process had ended and another session had got its number.
    let started_at = session.started_at.map(|at| at - 1);
    let earlier = SessionFacts { started_at, ..session.clone() };
    assert_eq!(end(ground, &earlier, &role, None).await, EndAnswer::Passed);
    let unknown = SessionFacts { started_at: None, ..session.clone() };
    assert_eq!(end(ground, &unknown, &role, None).await, EndAnswer::Passed);
    assert_eq!(end(ground, &session, "nobody", None).await, EndAnswer::Passed);
    assert_eq!(others(ground, &role).await.len(), 1, "it is still there");
    assert_eq!(end(ground, &session, &role, None).await, EndAnswer::Ended);
    assert!(others(ground, &role).await.is_empty());
    assert_eq!(end(ground, &session, &role, None).await, EndAnswer::Passed, "it is gone");
}

async fn whoever_is_in_the_way_is_ended_only_while_it_is_there(ground: &mut dyn Ground) {
    let before = chunks(ground).await;
    let role = ground.connect().await;
    let idle = others(ground, &role).await.remove(0);
    ground.lock(&before[1]).await;
    let holder = ground.driver().blockers(&t(), &before[1].parts).await.expect("blockers").remove(0).pid;
    let both = others(ground, &role).await;
    let reader = both.iter().find(|session| session.pid == holder).expect("the holder").clone();
    assert_eq!(end(ground, &idle, &role, Some(&before[1])).await, EndAnswer::Passed, "not in the way");
    assert_eq!(end(ground, &reader, &role, Some(&before[0])).await, EndAnswer::Passed, "elsewhere");
    assert_eq!(end(ground, &reader, &role, Some(&before[1])).await, EndAnswer::Ended);
    let left: Vec<i32> = others(ground, &role).await.iter().map(|session| session.pid).collect();
    assert_eq!(left, [idle.pid]);
    let order = order(ground, &before[1..2]).await;
    let mut dropper = ground.driver().open_dropper().await.expect("a session");
    assert_eq!(until_free(dropper.as_mut(), &order).await, Ok(1), "the way is free");
}

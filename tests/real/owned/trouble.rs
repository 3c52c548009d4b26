//! Servers that are down, slow, empty or cut off while `serve` works: nothing owned is lost, everything due
//! goes once they are back, and the trouble is shown meanwhile.

use std::time::Duration;

use uuid::Uuid;

use super::ground::Ground;
use super::place::{Place, id};
use super::serving::Serving;
use crate::real::own_influx::OwnInflux;
use crate::real::support::eventually;
use crate::real::tcp_proxy::{Mode, TcpProxy};

/// `url` with this address instead of its own.
fn through(url: &str, proxy: &TcpProxy) -> String {
    let (scheme, rest) = url.split_once("://").expect("a url");
    let (login, place) = rest.rsplit_once('@').map_or((None, rest), |(login, place)| (Some(login), place));
    let path = place.split_once('/').map_or(String::new(), |(_, path)| format!("/{path}"));
    let login = login.map_or(String::new(), |login| format!("{login}@"));
    format!("{scheme}://{login}{}{path}", proxy.address)
}

fn host(url: &str) -> String {
    let (_, rest) = url.split_once("://").expect("a url");
    let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
    place.split_once('/').map_or(place, |(host, _)| host).to_owned()
}

/// With one dataset that stays and one whose job is deleted, which the trouble keeps from going.
struct Troubled {
    place: Place,
    serving: Serving,
    owner: Uuid,
    kept: String,
    due: String,
}

impl Troubled {
    async fn on(place: Place) -> Self {
        let serving = place.serve().await;
        let (owner, kept, deleted, due) = (Uuid::now_v7(), id(), Uuid::now_v7(), id());
        for (job, dataset) in [(owner, &kept), (deleted, &due)] {
            place.ground.write(dataset).await;
            place.succeeds(job, dataset).await;
            place.is_active(dataset, job).await;
        }
        place.passes(1).await;
        assert_eq!(serving.delete_job(deleted).await.code, 200);
        Self { place, serving, owner, kept, due }
    }

    /// Everything is back: what is due goes, what is owned stays, and nothing is wrong any more.
    async fn recovers(self) {
        let Self { place, serving, owner, kept, due } = self;
        place.goes(&due).await;
        place.is_active(&kept, owner).await;
        place.stays(&kept).await;
        serving.listens().await;
        serving.stop().await;
    }
}

async fn with_store_behind_a_proxy() -> (Troubled, TcpProxy) {
    let mut place = Place::on_influx().await;
    let proxy = TcpProxy::before(&host(&place.store_url)).await;
    place.store_url = through(&place.store_url, &proxy);
    (Troubled::on(place).await, proxy)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_influxdb_that_is_down_ends_passes_and_nothing_else() {
    let troubled = Troubled::on(Place::on_influx().await).await;
    let (place, serving) = (&troubled.place, &troubled.serving);
    place.ground.server().stop();
    serving.is_in_trouble("loop").await;
    // Ways in go on meanwhile.
    let late = Uuid::now_v7();
    assert_eq!(serving.delete_job(late).await.code, 200);
    eventually("it is written down", async || place.is_deleted(late).await).await;
    place.ground.server().up("false");
    troubled.recovers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_list_is_no_list() {
    let (troubled, proxy) = with_store_behind_a_proxy().await;
    for bytes in [0, 1, 200, 600] {
        proxy.set(Mode::CutAfter(bytes));
        troubled.serving.is_in_trouble("loop").await;
        let (row, owner) = (troubled.place.row(&troubled.kept).await, troubled.owner);
        assert_eq!(row, Some((Some(owner), false)), "{bytes}");
    }
    proxy.set(Mode::Pass);
    troubled.recovers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_leaves_rows_out_is_not_believed() {
    let troubled = Troubled::on(Place::on_influx().await).await;
    let server = troubled.place.ground.server();
    server.limit_rows(1);
    troubled.serving.is_in_trouble("loop").await;
    troubled.place.is_active(&troubled.kept, troubled.owner).await;
    server.stop();
    server.up("false");
    troubled.recovers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_influxdb_slows_the_loop_and_not_the_ways_in() {
    let (troubled, proxy) = with_store_behind_a_proxy().await;
    proxy.set(Mode::Delay(Duration::from_millis(700)));
    let began = std::time::Instant::now();
    assert_eq!(troubled.serving.delete_job(Uuid::now_v7()).await.code, 200);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    troubled.place.goes(&troubled.due).await;
    proxy.set(Mode::Pass);
    troubled.recovers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_in_the_middle_of_a_slow_pass_ends_well_and_the_next_start_goes_on() {
    let (troubled, proxy) = with_store_behind_a_proxy().await;
    proxy.set(Mode::Delay(Duration::from_millis(400)));
    let Troubled { place, serving, owner, kept, due } = troubled;
    eventually("a pass is at work", async || proxy.answered() > 0).await;
    serving.stop().await;
    proxy.set(Mode::Pass);
    let serving = place.serve().await;
    Troubled { place, serving, owner, kept, due }.recovers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drop_whose_answer_is_lost_is_looked_at_again() {
    let (troubled, proxy) = with_store_behind_a_proxy().await;
    proxy.set(Mode::BreakBehind("DROP+DATABASE"));
    troubled.recovers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drop_that_never_arrives_is_tried_again() {
    let (troubled, proxy) = with_store_behind_a_proxy().await;
    proxy.set(Mode::BreakBefore("DROP+DATABASE"));
    troubled.recovers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_server_in_place_of_ours_teaches_nothing() {
    let Troubled { mut place, serving, owner, kept, due } = Troubled::on(Place::on_influx().await).await;
    serving.kill().await;
    let (empty, ours) = (OwnInflux::start("false"), place.store_url.clone());
    place.store_url.clone_from(&empty.url);
    let serving = place.serve_as(&[]).await;
    serving.is_in_trouble("loop").await;
    eventually("it says why", async || serving.log().contains("the store lists nothing")).await;
    assert_eq!(place.row(&kept).await, Some((Some(owner), false)));
    let check = place.ran(&["check"]);
    assert!(check.out.contains("the store lists nothing"), "{check:?}");
    // The wrong one gets some data of its own.
    let theirs = Ground::Influx(empty);
    theirs.write("telegraf").await;
    serving.kill().await;
    place.store_url = ours;
    let serving = place.serve().await;
    let place_again = Troubled { place, serving, owner, kept, due };
    place_again.recovers().await;
}

/// Another server that has data of its own, though not ours: fewer are missing than the cap allows.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_server_costs_no_data_although_registrations_are_forgotten() {
    let Troubled { mut place, serving, owner, kept, due } = Troubled::on(Place::on_influx().await).await;
    place.goes(&due).await;
    serving.kill().await;
    let (wrong, ours) = (Ground::influx(), place.store_url.clone());
    wrong.write("telegraf").await;
    place.store_url = wrong.url();
    let serving = place.serve().await;
    eventually("it is forgotten", async || place.row(&kept).await.is_none()).await;
    serving.kill().await;
    place.store_url = ours;
    let serving = place.serve().await;
    place.is_active(&kept, owner).await;
    place.stays(&kept).await;
    serving.stop().await;
}

/// Sessions of the program in the registry's database end now.
async fn cut(place: &Place) {
    place
        .database
        .run_outside(&format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = '{}' AND application_name LIKE 'timesweep%'",
            place.database.name
        ))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_whose_sessions_are_cut_again_and_again_loses_nothing() {
    let troubled = Troubled::on(Place::on_influx().await).await;
    for _ in 0..30 {
        cut(&troubled.place).await;
        tokio::task::yield_now().await;
    }
    let job = Uuid::now_v7();
    troubled.place.client_deletes(&[job]).await;
    cut(&troubled.place).await;
    eventually("it is deleted", async || troubled.place.is_deleted(job).await).await;
    troubled.recovers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_is_away_acknowledges_nothing_and_stops_checks_until_it_is_back() {
    let troubled = Troubled::on(Place::on_influx().await).await;
    let Troubled { place, serving, kept, .. } = &troubled;
    let allow = |yes: bool| format!("ALTER DATABASE {} ALLOW_CONNECTIONS {yes}", place.database.name);
    place.database.run_outside(&allow(false)).await;
    cut(place).await;
    serving.is_in_trouble("loop").await;
    let job = Uuid::now_v7();
    let said = serving.delete_job(job).await;
    assert_eq!((said.code, &said.json["status"]), (503, &503.into()), "{said:?}");
    place.client_deletes(&[job]).await;
    serving.is_in_trouble("deletions").await;
    assert!(place.ground.has(kept).await && place.ground.has(&troubled.due).await);
    place.database.run_outside(&allow(true)).await;
    eventually("it is deleted", async || place.is_deleted(job).await).await;
    troubled.recovers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_hangs_in_the_middle_of_a_pass_is_taken_up_again() {
    let mut place = Place::on_influx().await;
    let proxy = TcpProxy::before(&host(&place.registry_url)).await;
    place.registry_url = through(&place.registry_url, &proxy);
    let troubled = Troubled::on(place).await;
    for bytes in [0, 300, 3000] {
        proxy.set(Mode::CutAfter(bytes));
        troubled.serving.is_in_trouble("loop").await;
    }
    proxy.set(Mode::Pass);
    troubled.recovers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_cuts_connections_costs_no_message() {
    let mut place = Place::on_influx().await;
    let proxy = TcpProxy::before(&host(&place.clients_url)).await;
    place.clients_url = through(&place.clients_url, &proxy);
    let troubled = Troubled::on(place).await;
    for bytes in [0, 100] {
        proxy.set(Mode::CutAfter(bytes));
        let job = Uuid::now_v7();
        // The client has a way of its own to the broker.
        troubled.place.client_deletes(&[job]).await;
        troubled.serving.is_in_trouble("deletions").await;
        troubled.place.passes(2).await;
        proxy.set(Mode::Pass);
        eventually("it is deleted", async || troubled.place.is_deleted(job).await).await;
    }
    troubled.recovers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_broker_at_the_start_everything_else_works_and_it_is_tried_again() {
    let mut place = Place::on_influx().await;
    let proxy = TcpProxy::before(&host(&place.clients_url)).await;
    place.clients_url = through(&place.clients_url, &proxy);
    proxy.set(Mode::CutAfter(0));
    let mut serving = place.serve_as(&[]).await;
    serving.is_in_trouble("deletions").await;
    place.outlasts_a_stray().await;
    assert!(serving.is_running());
    proxy.set(Mode::Pass);
    serving.listens().await;
    let job = Uuid::now_v7();
    place.client_deletes(&[job]).await;
    eventually("it is deleted", async || place.is_deleted(job).await).await;
    serving.stop().await;
}

/// The registry's clock runs ahead by days: what a mark waits for is not over by that.
#[tokio::test(flavor = "multi_thread")]
async fn a_registry_whose_clock_jumps_drops_nothing_until_the_clocks_agree() {
    let mut place = Place::on_influx().await;
    place.times = place.times.replace("grace = \"2 s\"", "grace = \"2 days\"");
    let (job, dataset) = (Uuid::now_v7(), id());
    place.ground.write(&dataset).await;
    let serving = place.serve().await;
    place.succeeds(job, &dataset).await;
    place.is_active(&dataset, job).await;
    serving.delete_job(job).await;
    place.is_marked(&dataset).await;
    place.passes(3).await;
    serving.stop().await;
    for days in [30, -30] {
        place
            .database
            .run(&format!(
                "CREATE SCHEMA IF NOT EXISTS bent; CREATE OR REPLACE FUNCTION bent.clock_timestamp() \
                 RETURNS timestamptz LANGUAGE sql AS $$ SELECT pg_catalog.clock_timestamp() + interval '{days} days' $$"
            ))
            .await;
        let path =
            format!("ALTER DATABASE {} SET search_path = bent, pg_catalog, public", place.database.name);
        place.database.run_outside(&path).await;
        let serving = place.serve_as(&[]).await;
        serving.is_in_trouble("loop").await;
        assert!(serving.log().contains("the registry's clock and ours are"), "{}", serving.log());
        assert!(place.ground.has(&dataset).await);
        serving.kill().await;
    }
    let path = format!("ALTER DATABASE {} RESET search_path", place.database.name);
    place.database.run_outside(&path).await;
    let serving = place.serve().await;
    place.passes(3).await;
    assert!(place.ground.has(&dataset).await, "its grace is not over");
    serving.stop().await;
}

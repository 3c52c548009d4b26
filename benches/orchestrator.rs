//! How soon a client hears that its job runs, how fast jobs come from their submission to their result when a worker
//! does nothing but answer, how many progress messages pass in a second, and what memory many live jobs cost.
//!
//! `dev/bench orchestrator` starts it on servers of its own. One program plays all clients and all workers, over
//! real queues. Invariant: counted is what a client received, not what was sent.

#[path = "deletions/broker.rs"]
#[allow(dead_code, reason = "deletions are another benchmark's")]
mod broker;
#[path = "orchestrator/others.rs"]
mod others;
#[path = "shared/place.rs"]
mod place;
#[path = "shared/stand_in.rs"]
mod stand_in;
#[path = "shared/table.rs"]
mod table;

use std::fs::File;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use clap::Parser;
use uuid::Uuid;

use self::broker::Broker;
use self::others::{Clients, Workers};
use self::place::Place;
use self::stand_in::StandIn;
use self::table::{Table, Target, grouped};

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const GIVE_UP: Duration = Duration::from_mins(5);
/// So that the news that a task began is not overtaken by its result.
const A_LITTLE_WORK: Duration = Duration::from_millis(50);
const WORKFLOWS: &str = r#"[{"workflow_type_name": "echo", "workflow_type_description_name": "answers"},
    {"workflow_type_name": "idle", "workflow_type_description_name": "has no worker"}]"#;

#[derive(Debug, Parser)]
#[command(name = "dev/bench orchestrator", about = "Jobs from submission to result, per second")]
struct Options {
    /// How many jobs come one after the other, where it is measured how soon each runs.
    #[arg(long, default_value_t = 100)]
    single: usize,

    /// How many jobs come and go.
    #[arg(long, default_value_t = 3_000)]
    jobs: usize,

    /// How many progress messages, of a hundred jobs.
    #[arg(long, default_value_t = 20_000)]
    progress: usize,

    /// How many jobs live at once where memory is measured.
    #[arg(long, default_value_t = 10_000)]
    live: usize,

    /// Given by `cargo bench` to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Options::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: error: {error}");
            ExitCode::from(2)
        }
    }
}

struct Installation {
    clients: Broker,
    workers: Broker,
    place: Place,
    serve: Child,
}

impl Drop for Installation {
    fn drop(&mut self) {
        let _ = self.serve.kill();
        let _ = self.serve.wait();
    }
}

async fn run(options: &Options) -> Outcome<bool> {
    let store = StandIn::start(0).await?;
    let installation = start(&store).await?;
    let measured = measure(&installation, options).await;
    let output = installation.place.path("serve");
    let table = measured.map_err(|error| format!("{error}\n{}", place::last_words(&output)))?;
    println!("{}\n\n{table}", table::machine());
    Ok(table.all_ok())
}

async fn measure(installation: &Installation, options: &Options) -> Outcome<Table> {
    let (mut clients, workers) =
        (Clients::of(&installation.clients).await?, Workers::of(&installation.workers).await?);
    let mut table = Table::new(&["what", "how many", "measured"]);
    let echo = workers.answer(A_LITTLE_WORK);
    let (median, worst) = until_running(&mut clients, options.single).await?;
    workers.stop("echo").await?;
    echo.await??;
    let cells = ["job after job, from submission to RUNNING".into(), grouped(options.single)];
    let measured = format!("median {}, worst {}", milliseconds(median), milliseconds(worst));
    table.add(
        &[cells.as_slice(), &[measured]].concat(),
        &[Target::at_most("worst", worst.as_secs_f64(), 1.0, "s")],
    );
    let mut add = |what: &str, count: usize, measured: String| {
        table.add(&[what.into(), grouped(count), measured], &[]);
    };
    let echo = workers.answer(Duration::ZERO);
    let rate = jobs_per_second(&mut clients, options.jobs).await?;
    echo.abort();
    add("jobs from submission to result", options.jobs, format!("{rate:.0} per second"));
    let rate = progress_per_second(&mut clients, &workers, options.progress).await?;
    add("progress messages from worker to client", options.progress, format!("{rate:.0} per second"));
    let (before, _) = memory(&installation.serve)?;
    live_jobs(installation, &clients, options.live).await?;
    let (now, most) = memory(&installation.serve)?;
    let mebibytes = |kibibytes: u64| kibibytes / 1024;
    let said = format!(
        "{} MiB, {} MiB before them, at most {} MiB",
        mebibytes(now),
        mebibytes(before),
        mebibytes(most)
    );
    add("memory with live jobs", options.live, said);
    Ok(table)
}

/// One at a time, so that nobody waits for anybody else. Median and worst.
async fn until_running(clients: &mut Clients, count: usize) -> Outcome<(Duration, Duration)> {
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let job = [Uuid::now_v7()];
        clients.listen(&job, "status").await?;
        clients.listen(&job, "result").await?;
        let began = Instant::now();
        clients.submit(&job, "echo").await?;
        clients.hear_next("status", GIVE_UP).await?;
        times.push(began.elapsed());
        clients.hear_next("result", GIVE_UP).await?;
    }
    times.sort_unstable();
    let worst = times.last().copied().ok_or("no job was submitted")?;
    Ok((times[count / 2], worst))
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

async fn jobs_per_second(clients: &mut Clients, count: usize) -> Outcome<f64> {
    let jobs: Vec<Uuid> = (0..count).map(|_| Uuid::now_v7()).collect();
    clients.listen(&jobs, "result").await?;
    let began = Instant::now();
    clients.submit(&jobs, "echo").await?;
    clients.hear(count, GIVE_UP).await?;
    Ok(count as f64 / began.elapsed().as_secs_f64())
}

async fn progress_per_second(clients: &mut Clients, workers: &Workers, count: usize) -> Outcome<f64> {
    let jobs: Vec<Uuid> = (0..100).map(|_| Uuid::now_v7()).collect();
    clients.listen(&jobs, "progress").await?;
    clients.submit(&jobs, "idle").await?;
    let tasks = workers.tasks("idle", jobs.len(), GIVE_UP).await?;
    let began = Instant::now();
    workers.progress(&tasks, count).await?;
    clients.hear(count, GIVE_UP).await?;
    Ok(count as f64 / began.elapsed().as_secs_f64())
}

async fn live_jobs(installation: &Installation, clients: &Clients, count: usize) -> Outcome<()> {
    let jobs: Vec<Uuid> = (0..count).map(|_| Uuid::now_v7()).collect();
    clients.submit(&jobs, "idle").await?;
    let mut connection = installation.place.connect().await?;
    let began = Instant::now();
    loop {
        let submitted: i64 = sqlx::query_scalar("SELECT count(*) FROM job WHERE status = 'SUBMITTED'")
            .fetch_one(&mut connection)
            .await?;
        if usize::try_from(submitted)? >= count {
            return Ok(());
        }
        if began.elapsed() > GIVE_UP {
            return Err(format!("{submitted} of {count} jobs are submitted").into());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn start(store: &StandIn) -> Outcome<Installation> {
    let (clients, workers) = (Broker::new().await?, Broker::new().await?);
    let folder = tempfile::tempdir()?.keep();
    let workflows = folder.join("workflows.json");
    std::fs::write(&workflows, WORKFLOWS)?;
    let sections = format!(
        "[serve]\nlisten = \"127.0.0.1:0\"\n[omotes]\nworkflows = \"{}\"\n\
         [omotes.clients]\nurl = {{ env = \"BENCH_CLIENTS\" }}\n[omotes.workers]\nurl = {{ env = \"BENCH_WORKERS\" }}\n",
        workflows.display()
    );
    let place = Place::new(&store.url, &sections).await?;
    let output = File::create(place.path("serve"))?;
    let serve = Command::new(env!("CARGO_BIN_EXE_timesweep"))
        .args(["serve", "--config"])
        .arg(place.config())
        .env("BENCH_REGISTRY", place.url(None))
        .env("BENCH_CLIENTS", clients.url())
        .env("BENCH_WORKERS", workers.url())
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()?;
    let installation = Installation { clients, workers, place, serve };
    others::wait_for_consumers(&installation.clients, "job_submissions", GIVE_UP).await?;
    others::wait_for_consumers(&installation.workers, "omotes_task_result_events", GIVE_UP).await?;
    Ok(installation)
}

/// Resident now, and at most, in KiB.
fn memory(serve: &Child) -> Outcome<(u64, u64)> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", serve.id()))?;
    let line = |name: &str| -> Outcome<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).ok_or("no memory is shown")?;
        Ok(line.trim().trim_end_matches(" kB").trim().parse()?)
    };
    Ok((line("VmRSS:")?, line("VmHWM:")?))
}

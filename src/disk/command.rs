//! Asks a configured command for a reading: `ssh db1 timesweep disk --output json`.
//!
//! No shell: the arguments are passed as they are written. Its time and what it may print are limited,
//! and whatever is not a plausible answer is a reason, never a number.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

use super::Answer;
use crate::retention::measured::FileSystemReading;

/// More than any reading needs.
const MOST_BYTES: u64 = 1 << 20;

/// All that the command gets of our environment, where passwords stand beside it: what a program needs to be
/// found and to speak, and what ssh needs to log in.
const HANDED_ON: [&str; 11] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "SSH_AUTH_SOCK",
    "KRB5CCNAME",
];

/// The error is a phrase that follows the command's name.
pub async fn ask(command: &[String], limit: Duration) -> Result<Answer, String> {
    let Some((program, arguments)) = command.split_first() else { return Err("is not configured".into()) };
    let started = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(HANDED_ON.iter().filter_map(|name| Some((*name, std::env::var_os(name)?))))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let mut child = started.map_err(|error| format!("cannot be started: {error}"))?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let work = async {
        let ended = async { child.wait().await.map_err(|error| format!("cannot be waited for: {error}")) };
        tokio::try_join!(all_of(out), all_of(err), ended)
    };
    let over = |_| Err(format!("gives no answer within {} s", limit.as_secs()));
    let (out, err, status) = tokio::time::timeout(limit, work).await.unwrap_or_else(over)?;
    if !status.success() {
        return Err(failed(status, &err));
    }
    read(&out)
}

async fn all_of(stream: Option<impl AsyncRead + Unpin>) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let Some(stream) = stream else { return Ok(bytes) };
    let read = stream.take(MOST_BYTES + 1).read_to_end(&mut bytes).await;
    read.map_err(|error| format!("cannot be read from: {error}"))?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err("prints more than any reading needs".into());
    }
    Ok(bytes)
}

fn failed(status: ExitStatus, err: &[u8]) -> String {
    let text = String::from_utf8_lossy(err);
    let last: String =
        text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("").chars().take(200).collect();
    let how = match status.code() {
        Some(code) => format!("ended with code {code}"),
        None => "was killed".into(),
    };
    if last.is_empty() { how } else { format!("{how}: {last}") }
}

/// The last line, as every command with `--output json` prints it.
fn read(out: &[u8]) -> Result<Answer, String> {
    let text = std::str::from_utf8(out).map_err(|_| "prints something that is no text".to_owned())?;
    let line = text.trim_end().lines().last().unwrap_or_default();
    let answer: Answer = serde_json::from_str(line)
        .map_err(|error| format!("prints something that is no reading: {error}"))?;
    match answer.reading.file_systems.iter().find(|system| !plausible(system)) {
        Some(wrong) => Err(format!("says that {} has more free than it is large", wrong.path)),
        None => Ok(answer),
    }
}

fn plausible(system: &FileSystemReading) -> bool {
    system.free <= system.size
}

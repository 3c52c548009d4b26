//! What a message says, as an event of the registry, where no orchestrator's role is taken.
//!
//! Invariant: an event comes from a message that is understood; anything else gets a reason and changes
//! nothing. A success is never lost over an ESDL that cannot be read.

use async_trait::async_trait;
use prost::Message;
use uuid::Uuid;

use super::esdl;
use super::taker::Taker;
use super::wire::{JobDelete, TaskResult, task_result::ResultType};
use crate::crash_point;
use crate::problem::Result as Outcome;
use crate::registry::Registry;
use crate::retention::ownership::JobId;
use crate::retention::ownership::event::Event;
use crate::wake::Wake;

/// How many messages one transaction takes in. A result holds a whole ESDL, a deletion a few bytes.
const DELETIONS_AT_ONCE: u16 = 1_000;
const RESULTS_AT_ONCE: u16 = 20;

/// Writes what comes through a queue into the registry, and wakes the loop.
pub(super) struct Recorder<'a> {
    pub kind: Kind,
    pub registry: &'a dyn Registry,
    pub wake: &'a Wake,
}

#[async_trait]
impl Taker for Recorder<'_> {
    fn at_once(&self) -> u16 {
        match self.kind {
            Kind::Deletions => DELETIONS_AT_ONCE,
            Kind::Results => RESULTS_AT_ONCE,
        }
    }

    async fn take(&self, bodies: &[&[u8]]) -> Outcome<Vec<Option<&'static str>>> {
        let (mut events, mut answers) = (Vec::new(), Vec::with_capacity(bodies.len()));
        for body in bodies {
            let read = self.kind.read(body);
            answers.push(read.as_ref().err().copied());
            events.extend(read.ok());
        }
        if !events.is_empty() {
            let now = self.registry.now().await?;
            self.registry.record(&events, now).await?;
            crash_point::reach("amqp-recorded");
            self.wake.wake();
        }
        Ok(answers)
    }
}

/// What comes through a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Deletions,
    Results,
}

impl Kind {
    /// The error is the reason, without a word of the message.
    pub(super) fn read(self, body: &[u8]) -> Result<Event, &'static str> {
        match self {
            Self::Deletions => read_deletion(body),
            Self::Results => read_result(body),
        }
    }
}

fn read_deletion(body: &[u8]) -> Result<Event, &'static str> {
    let deletion = JobDelete::decode(body).map_err(|_| "this is no JobDelete message")?;
    Ok(Event::Deleted(job(&deletion.uuid)?))
}

fn read_result(body: &[u8]) -> Result<Event, &'static str> {
    let result = TaskResult::decode(body).map_err(|_| "this is no TaskResult message")?;
    let job = job(&result.job_id)?;
    match ResultType::try_from(result.result_type) {
        Ok(ResultType::Succeeded) => Ok(esdl::event_of_success(job, result.output_esdl.as_deref())),
        Ok(ResultType::Error) => Ok(Event::Failed(job)),
        Err(_) => Err("its result type is not known"),
    }
}

fn job(text: &str) -> Result<JobId, &'static str> {
    Uuid::parse_str(text).map(JobId).map_err(|_| "its job id is not a UUID")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retention::ownership::OwnedName;

    const JOB: Uuid = Uuid::from_u128(0x1234_5678);

    fn result(result_type: i32, output_esdl: Option<&str>) -> Vec<u8> {
        let output_esdl = output_esdl.map(str::to_owned);
        TaskResult { job_id: JOB.to_string(), result_type, output_esdl, ..TaskResult::default() }
            .encode_to_vec()
    }

    #[test]
    fn a_deletion_names_its_job() {
        for text in [JOB.to_string(), JOB.simple().to_string(), JOB.to_string().to_uppercase()] {
            let body = JobDelete { uuid: text }.encode_to_vec();
            assert_eq!(Kind::Deletions.read(&body), Ok(Event::Deleted(JobId(JOB))));
        }
    }

    #[test]
    fn a_result_says_how_the_job_ended() {
        let job = JobId(JOB);
        let esdl = "<e:EnergySystem xmlns:e=\"http://www.tno.nl/esdl\" id=\"data\"/>";
        let dataset = OwnedName("data".into());
        assert_eq!(Kind::Results.read(&result(0, Some(esdl))), Ok(Event::Succeeded { job, dataset }));
        assert_eq!(Kind::Results.read(&result(1, Some(esdl))), Ok(Event::Failed(job)));
        for unreadable in [None, Some(""), Some("<broken"), Some("<a id=\"data\"/>")] {
            let event = Kind::Results.read(&result(0, unreadable));
            assert_eq!(event, Ok(Event::SucceededWithAnUnknownDataset(job)), "{unreadable:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_has_a_reason() {
        let with_id = |id: &str| JobDelete { uuid: id.into() }.encode_to_vec();
        for (body, reason) in [
            (vec![0xff; 20], "this is no JobDelete message"),
            (b"{\"uuid\": 1}".to_vec(), "this is no JobDelete message"),
            (Vec::new(), "its job id is not a UUID"),
            (with_id("job 1"), "its job id is not a UUID"),
            (with_id(&"1".repeat(10_000_000)), "its job id is not a UUID"),
        ] {
            assert_eq!(Kind::Deletions.read(&body), Err(reason));
        }
        assert_eq!(Kind::Results.read(&result(2, None)), Err("its result type is not known"));
        assert_eq!(Kind::Results.read(&[0xff; 20]), Err("this is no TaskResult message"));
        assert_eq!(Kind::Results.read(&[]), Err("its job id is not a UUID"));
    }
}

//! What becomes of the messages of one queue.
//!
//! Invariant: when `take` answers, everything that could be read is committed; the line acknowledges then.
//! An error means that nothing counts: the broker delivers all of the messages again.

use async_trait::async_trait;

use crate::problem::Result;

/// What the broker says of a message beside its bytes.
#[derive(Debug, Clone, Default)]
pub struct Delivered {
    /// It was given to somebody before.
    pub again: bool,
    /// What its sender calls it.
    pub id: Option<String>,
}

#[async_trait]
pub trait Taker: Send + Sync {
    /// How many messages one call takes at most.
    fn at_once(&self) -> u16;

    /// The queue is listened to from now on, for the first time or again. An error ends the listening.
    async fn begun(&self) -> Result<()> {
        Ok(())
    }

    /// Commits what the messages say, in their order. One answer for each: nothing, or the reason why it cannot
    /// be read (without a word of the message), after which it goes to the dead letters.
    async fn take(&self, bodies: &[&[u8]]) -> Result<Vec<Option<&'static str>>>;

    /// The same where it matters how each of them came.
    async fn take_delivered(
        &self,
        bodies: &[&[u8]],
        _delivered: &[Delivered],
    ) -> Result<Vec<Option<&'static str>>> {
        self.take(bodies).await
    }
}

//! What the store says right before a drop.
//!
//! A store that can be asked for one dataset is asked for it before each drop. Where one costs as much as all, and
//! that is seconds with many, an answer serves the next drops for as long as it took to come: asking then takes no
//! longer than dropping. Invariant: what a drop goes by was asked for after the check, and is never older than
//! twice the time that the store needs for saying it.

use std::collections::HashMap;

use tokio::time::{Duration, Instant};

use crate::problem::Result;
use crate::retention::ownership::OwnedName;
use crate::store::owned::{ListedDataset, OwnedStore};

/// Of one pass.
#[derive(Default)]
pub(super) struct SecondLook {
    last: Option<Answer>,
}

struct Answer {
    datasets: HashMap<OwnedName, ListedDataset>,
    took: Duration,
    came: Instant,
}

impl SecondLook {
    pub(super) async fn at(
        &mut self,
        store: &dyn OwnedStore,
        name: &OwnedName,
    ) -> Result<Option<ListedDataset>> {
        if !store.looks_at_all() {
            return store.look(name).await;
        }
        if !self.last.as_ref().is_some_and(Answer::still_counts) {
            self.last = None;
            self.last = Some(Answer::ask(store).await?);
        }
        Ok(self.last.as_ref().and_then(|answer| answer.datasets.get(name)).cloned())
    }
}

impl Answer {
    async fn ask(store: &dyn OwnedStore) -> Result<Self> {
        let asked = Instant::now();
        let datasets = store.list().await?;
        let datasets = datasets.into_iter().map(|dataset| (dataset.name.clone(), dataset)).collect();
        Ok(Self { datasets, took: asked.elapsed(), came: Instant::now() })
    }

    fn still_counts(&self) -> bool {
        self.came.elapsed() <= self.took
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;

    use super::*;
    use crate::store::owned::DropTrouble;
    use crate::store::owned::memory::{ListTrouble, Memory};
    use crate::sweep::owned::testing::name;

    /// A store that says everything in ten seconds, or one thing at once.
    struct Slow {
        memory: Memory,
        looks_at_all: bool,
        lists: AtomicUsize,
    }

    #[async_trait]
    impl OwnedStore for Slow {
        async fn identity(&self) -> Result<String> {
            self.memory.identity().await
        }

        async fn list(&self) -> Result<Vec<ListedDataset>> {
            self.lists.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_secs(10)).await;
            self.memory.list().await
        }

        async fn look(&self, name: &OwnedName) -> Result<Option<ListedDataset>> {
            self.memory.look(name).await
        }

        fn looks_at_all(&self) -> bool {
            self.looks_at_all
        }

        async fn drop_dataset(&self, name: &OwnedName) -> std::result::Result<(), DropTrouble> {
            self.memory.drop_dataset(name).await
        }

        async fn advice(&self) -> Result<Vec<String>> {
            self.memory.advice().await
        }
    }

    fn slow(looks_at_all: bool) -> Slow {
        let memory = Memory::default();
        (1..=2).for_each(|number| memory.write(&name(number), 0));
        Slow { memory, looks_at_all, lists: AtomicUsize::new(0) }
    }

    async fn change_seen(looks: &mut SecondLook, store: &Slow) -> Option<i64> {
        looks.at(store, &name(1)).await.expect("a look").expect("it is there").last_change
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_serves_for_as_long_as_it_took_and_not_longer() {
        let (store, mut looks) = (slow(true), SecondLook::default());
        assert_eq!(change_seen(&mut looks, &store).await, Some(0));
        store.memory.write(&name(1), 7);
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(change_seen(&mut looks, &store).await, Some(0));
        assert_eq!(store.lists.load(Ordering::SeqCst), 1);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(change_seen(&mut looks, &store).await, Some(7));
        assert_eq!(store.lists.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_fails_leaves_none_that_serves() {
        let (store, mut looks) = (slow(true), SecondLook::default());
        change_seen(&mut looks, &store).await;
        tokio::time::advance(Duration::from_secs(11)).await;
        store.memory.next_lists([ListTrouble::Unreachable]);
        looks.at(&store, &name(1)).await.expect_err("the store is out of reach");
        store.memory.write(&name(1), 7);
        assert_eq!(change_seen(&mut looks, &store).await, Some(7));
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_can_be_asked_for_one_is_asked_each_time_and_for_nothing_else() {
        let (store, mut looks) = (slow(false), SecondLook::default());
        assert_eq!(change_seen(&mut looks, &store).await, Some(0));
        store.memory.write(&name(1), 7);
        assert_eq!(change_seen(&mut looks, &store).await, Some(7));
        assert_eq!(store.lists.load(Ordering::SeqCst), 0);
        assert_eq!(looks.at(&store, &name(3)).await, Ok(None));
    }
}

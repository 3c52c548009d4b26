//! The verbs on a store whose datasets jobs own: which store that is, and what every one of them begins with.
//!
//! Invariant: what the other verbs do with tables and chunks is never done with such a store.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::publish::Publisher;
use super::{Common, exit, open};
use crate::config::{
    AmqpSettings, Config, OwnershipSettings, RegistrySettings, ServeSettings, SetIn, StoreConfig,
};
use crate::gate::Gate;
use crate::omotes::role::Role;
use crate::problem::{Problem, Result};
use crate::registry::{self, Registry};
use crate::report::gate::GateReport;
use crate::store::{self, owned::OwnedStore};
use crate::sweep::gather::our_now;
use crate::sweep::owned::OwnedPass;
use crate::wake::Wake;

pub mod check;
pub mod explain;
pub mod hold;
pub mod ids;
pub mod pass;
#[cfg(test)]
mod tests;

pub struct OpenedOwned {
    pub settings: OwnershipSettings,
    pub store: Arc<dyn OwnedStore>,
    pub registry: Arc<dyn Registry>,
    /// Microseconds.
    pub max_clock_skew: i64,
    pub state_path: PathBuf,
    pub gate: Option<Gate>,
    pub publisher: Publisher,
    /// Where the store is, by the configuration.
    pub place: String,
    pub serve: ServeSettings,
    pub amqp: Option<AmqpSettings>,
    /// The orchestrator's place.
    pub role: Option<Arc<Role>>,
    /// Wakes the loop, where there is one.
    pub wake: Wake,
}

/// The settings of a store whose data jobs own, before anything is connected to.
pub struct Meant {
    pub config: Config,
    settings: OwnershipSettings,
    store: StoreConfig,
}

impl Meant {
    pub async fn open(self: Box<Self>, common: &Common) -> Result<OpenedOwned> {
        let Self { config, settings, store } = *self;
        Box::pin(opened(common, config, settings, &store)).await
    }
}

/// The store that is meant, if jobs own its data; `None` where it has tables and chunks.
pub fn meant(common: &Common) -> Result<Option<Box<Meant>>> {
    let config = open::configuration(common)?;
    let Some(settings) = config.ownership.clone() else { return Ok(None) };
    let store = config.store(common.store.as_deref())?.clone();
    Ok((store.name == settings.store).then(|| Box::new(Meant { config, settings, store })))
}

pub async fn open_if_meant(common: &Common) -> Result<Option<OpenedOwned>> {
    match meant(common)? {
        Some(meant) => meant.open(common).await.map(Some),
        None => Ok(None),
    }
}

/// For verbs that make sense there only.
pub async fn open(common: &Common) -> Result<OpenedOwned> {
    let config = open::configuration(common)?;
    let settings = config.ownership.clone().ok_or_else(|| {
        Problem::usage("the configuration has no [ownership]")
            .hint("add one (example.toml shows its settings); it says which store's data belongs to jobs")
    })?;
    let store = config.store(Some(&settings.store.0))?.clone();
    opened(common, config, settings, &store).await
}

async fn opened(
    common: &Common,
    config: Config,
    settings: OwnershipSettings,
    store: &StoreConfig,
) -> Result<OpenedOwned> {
    let state_path = common.state.clone().unwrap_or_else(|| config.state.path.clone());
    let (place, owned) = (store::place(store)?, store::open_owned(store)?);
    let wake = Wake::default();
    let role = open_role(&config, &wake).await?;
    let registry = match &role {
        Some(role) => role.registry(),
        None => registry_of(&config, &state_path).await?,
    };
    Ok(OpenedOwned {
        store: owned,
        registry,
        max_clock_skew: store.rules.guards.max_clock_skew,
        gate: open::gate_of(common, &config)?,
        serve: config.serve,
        amqp: config.amqp,
        role,
        wake,
        publisher: Publisher {
            mail: config.mail,
            report: config.report,
            store: store.name.clone(),
            place: place.clone(),
            state_path: state_path.clone(),
        },
        place,
        settings,
        state_path,
    })
}

async fn open_role(config: &Config, wake: &Wake) -> Result<Option<Arc<Role>>> {
    let Some((settings, registry)) = config.omotes.clone().zip(config.registry.clone()) else {
        return Ok(None);
    };
    Ok(Some(Arc::new(Role::open(settings, registry, wake.clone()).await?)))
}

/// Without a place of its own the registry is a file beside the state: for one host, without a server.
async fn registry_of(config: &Config, state_path: &Path) -> Result<Arc<dyn Registry>> {
    if let Some(settings) = &config.registry {
        return registry::open(settings).await;
    }
    let file = std::path::absolute(state_path.with_file_name("registry.db")).unwrap_or_default();
    let url = file.display().to_string().into();
    registry::open(&RegistrySettings { url, password: None, set_in: SetIn::default() }).await
}

impl OpenedOwned {
    pub fn pass(&self, command: &str, stop: CancellationToken, gate: Option<GateReport>) -> OwnedPass {
        OwnedPass {
            store: Arc::clone(&self.store),
            registry: Arc::clone(&self.registry),
            settings: self.settings.clone(),
            max_clock_skew: self.max_clock_skew,
            command: command.to_owned(),
            stop,
            place: self.place.clone(),
            exit_code: exit::of_verdict,
            our_now: Arc::new(our_now),
            gate,
        }
    }
}

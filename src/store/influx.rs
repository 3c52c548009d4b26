//! InfluxDB 1.x: every result in a database of its own, which goes whole.
//!
//! Three calls over HTTP are all there is to it: ask for names and write counters, drop, ask again. What
//! the server cannot show, when a database was last written, its write counters replace
//! (`change_token.rs`). Invariant: no statement holds a name that is not quoted, no answer counts
//! that is not whole, and `_internal` and what the configuration lists are never named in a drop.

use std::sync::Arc;

use crate::config::StoreConfig;
use crate::problem::Result;
use crate::retention::ownership::OwnedName;

use self::client::Client;
use self::turn::Turn;

mod age;
mod answer;
mod change_token;
mod client;
mod name;
mod owned;
mod snapshot;
mod turn;

/// The server's own database.
const INTERNAL: &str = "_internal";

pub struct InfluxDb {
    client: Arc<Client>,
    never: Vec<String>,
    turn: Arc<Turn>,
}

impl InfluxDb {
    pub fn new(config: &StoreConfig) -> Result<Self> {
        Ok(Self {
            client: Arc::new(Client::new(config)?),
            never: config.never.clone(),
            turn: Arc::new(Turn::new(config.influx.drop_pause)),
        })
    }

    /// Host and port.
    pub fn place(&self) -> String {
        self.client.address()
    }

    fn may_touch(&self, name: &OwnedName) -> bool {
        *name.0 != *INTERNAL && !self.never.iter().any(|never| **never == *name.0)
    }
}

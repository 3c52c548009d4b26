//! Which kind of database a registry is in: the one match over its url.

use secrecy::ExposeSecret;

use super::Place;
use super::postgres::Postgres;
use super::sqlite::File;
use crate::config::RegistrySettings;
use crate::problem::Result;

pub(super) fn of(settings: &RegistrySettings) -> Result<Box<dyn Place>> {
    match postgres(settings)? {
        Some(server) => Ok(Box::new(server)),
        None => Ok(Box::new(File::new(std::path::Path::new(settings.url.expose_secret()))?)),
    }
}

/// `None`: it is in a file.
pub(super) fn postgres(settings: &RegistrySettings) -> Result<Option<Postgres>> {
    let url = settings.url.expose_secret();
    let is_server = url.starts_with("postgres://") || url.starts_with("postgresql://");
    is_server.then(|| Postgres::new(settings)).transpose()
}

//! Which kind of database a registry is in: the one match over its url.

use secrecy::ExposeSecret;

use super::Place;
use super::postgres::Postgres;
use super::sqlite::File;
use crate::config::RegistrySettings;
use crate::problem::Result;

pub(super) fn of(settings: &RegistrySettings) -> Result<Box<dyn Place>> {
    let url = settings.url.expose_secret();
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return Ok(Box::new(Postgres::new(settings)?));
    }
    Ok(Box::new(File::new(std::path::Path::new(url))?))
}

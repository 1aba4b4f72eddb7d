//! A store for trying things out: it is gone at the end.

use std::path::PathBuf;

use uuid::Uuid;

use super::StoreUrl;

/// A SQLite file in the machine's folder for temporary files. Dropping it deletes the file, if the process lives to do so.
#[derive(Debug)]
pub struct TemporaryStore(PathBuf);

impl TemporaryStore {
    /// One that nobody else has.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn new() -> std::io::Result<Self> {
        let folder = std::env::temp_dir().join(format!("event-pair-{}", Uuid::now_v7().simple()));
        std::fs::create_dir(&folder)?;
        Ok(Self(folder))
    }

    /// Where it is.
    pub fn url(&self) -> StoreUrl {
        StoreUrl::Sqlite(self.0.join("store.db"))
    }
}

impl Drop for TemporaryStore {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::debug!("{} stays: {error}", self.0.display());
        }
    }
}

//! What a run stands on: made by who supervises it, before it starts.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::broker::Serving;

/// The variable of the environment that hands it on.
const VARIABLE: &str = "BENCH_GROUND";

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Ground {
    /// In the names of topics, groups and databases: runs beside each other do not meet, and what is left of one is found.
    pub(crate) name: String,
    /// Where all of its files go.
    pub(crate) folder: PathBuf,
    /// Where it is the run's own.
    pub(crate) kafka: Option<Serving>,
}

impl Ground {
    /// That of this process; `None` for who was started by people, and is to make one.
    ///
    /// # Errors
    /// It is not as it was written.
    pub(crate) fn given() -> anyhow::Result<Option<Self>> {
        let text = std::env::var(VARIABLE).ok();
        text.map(|text| serde_json::from_str(&text).context(VARIABLE)).transpose()
    }

    /// Hands it on, with the folder for whoever makes temporary files, which then cannot stay.
    pub(crate) fn hand_on(&self, command: &mut Command) {
        command.env(VARIABLE, serde_json::json!(self).to_string()).env("TMPDIR", &self.folder);
    }
}

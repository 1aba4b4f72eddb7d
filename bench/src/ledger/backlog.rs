//! What is drained in a round: a topic of new events, and their ids in a file for who reads no topic.

use std::cell::RefCell;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use super::ids::Ids;
use crate::load::{self, Load};
use crate::settings::Bench;

/// The same for all subjects of a round, a new one for the next.
pub(super) struct Backlog<'a> {
    bench: &'a Bench,
    name: &'a str,
    ids: Ids,
    load: Load,
    present: RefCell<Option<Round>>,
}

/// One round's.
#[derive(Debug, Clone)]
pub(super) struct Round {
    number: u32,
    pub(super) topic: String,
    /// 16 bytes each, in the order in which the events were published.
    pub(super) ids: PathBuf,
}

impl<'a> Backlog<'a> {
    pub(super) fn new(bench: &'a Bench, name: &'a str, ids: Ids, load: Load) -> Self {
        Self { bench, name, ids, load, present: RefCell::default() }
    }

    pub(super) fn events(&self) -> u64 {
        self.load.events
    }

    /// The round's; published if the round has none yet, in the place of the last one's.
    ///
    /// # Errors
    /// No broker, or no room.
    pub(super) fn round(&self, number: u32) -> anyhow::Result<Round> {
        if let Some(round) = self.present.borrow().as_ref().filter(|round| round.number == number) {
            return Ok(round.clone());
        }
        self.delete()?;
        let topic = format!("{}-{number}", self.name);
        let round = Round { number, topic, ids: self.bench.folder.join("ids") };
        let (mut file, mut written) = (BufWriter::new(File::create(&round.ids)?), Ok(()));
        self.load.fill_with(self.bench, &round.topic, |event| {
            let id = self.ids.make();
            event.id = id.to_string();
            if written.is_ok() {
                written = file.write_all(id.as_bytes());
            }
        })?;
        written?;
        file.flush()?;
        Ok(self.present.borrow_mut().insert(round).clone())
    }

    /// # Errors
    /// No broker.
    pub(super) fn delete(&self) -> anyhow::Result<()> {
        match self.present.take() {
            Some(round) => load::delete(self.bench, &[&round.topic]),
            None => Ok(()),
        }
    }
}

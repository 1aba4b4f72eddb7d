//! Batches of outcomes into the ledger. Those that wait at the same time share a transaction, and its fsync.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::file::File;
use super::settling::Settling;
use super::target::Target;
use super::trouble::Failure;
use crate::store::{Settlement, Splitter, StoreError, Verdict};

/// A batch, and who waits for its verdicts.
pub(super) struct Batch {
    pub(super) settlements: Arc<[Settlement]>,
    /// One for each settlement.
    targets: Vec<Target>,
    reply: oneshot::Sender<Result<Vec<Verdict>, StoreError>>,
}

impl Batch {
    pub(super) fn new(
        settlements: Arc<[Settlement]>,
        reply: oneshot::Sender<Result<Vec<Verdict>, StoreError>>,
    ) -> Self {
        let targets = settlements.iter().map(Target::of).collect();
        Self { settlements, targets, reply }
    }

    fn get(&self, index: usize) -> (&Settlement, &Target) {
        (&self.settlements[index], &self.targets[index])
    }
}

pub(super) fn settle(file: &mut File, batches: Vec<Batch>) {
    if batches.len() > 1 {
        let all = batches.iter().flat_map(|batch| batch.settlements.iter().zip(&batch.targets));
        match transact(file, all) {
            Ok(mut verdicts) => {
                let answers = batches.into_iter().rev().map(|batch| {
                    let own = verdicts.split_off(verdicts.len() - batch.settlements.len());
                    (batch, own)
                });
                for (batch, own) in answers {
                    let _ = batch.reply.send(Ok(own));
                }
                return;
            }
            Err(Failure::Refused(_)) => {} // one by one, so that each is split by itself
            Err(failure) => {
                let error = in_words(failure);
                for batch in batches {
                    let _ = batch.reply.send(Err(error.clone()));
                }
                return;
            }
        }
    }
    for batch in batches {
        let verdicts = alone(file, &batch);
        let _ = batch.reply.send(verdicts);
    }
}

fn alone(file: &mut File, batch: &Batch) -> Result<Vec<Verdict>, StoreError> {
    let mut splitter = Splitter::new(&batch.settlements);
    while let Some(tried) = splitter.next() {
        match transact(file, tried.iter().map(|index| batch.get(*index))) {
            Ok(verdicts) => splitter.committed(&tried, verdicts),
            Err(Failure::Refused(refusal)) => splitter.refused(&tried, refusal),
            Err(failure) => return Err(in_words(failure)),
        }
    }
    Ok(splitter.finish())
}

fn in_words(failure: Failure) -> StoreError {
    failure.into_store_error(std::path::Path::new(""))
}

fn transact<'a>(
    file: &mut File,
    settlements: impl Iterator<Item = (&'a Settlement, &'a Target)>,
) -> Result<Vec<Verdict>, Failure> {
    file.transact(|connection, names, statements| {
        let mut settling = Settling::new(connection, names, statements)?;
        for (settlement, target) in settlements {
            settling.settle(settlement, target)?;
        }
        settling.finish()
    })
}

//! Batches of outcomes into the ledger. Those that wait at the same time share a transaction, and its fsync.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::file::File;
use super::settling::Settling;
use super::trouble::Failure;
use crate::store::{Settlement, Splitter, StoreError, Verdict};

/// A batch, and who waits for its verdicts.
pub(super) struct Batch {
    pub(super) settlements: Arc<[Settlement]>,
    pub(super) reply: oneshot::Sender<Result<Vec<Verdict>, StoreError>>,
}

pub(super) fn settle(file: &mut File, batches: Vec<Batch>) {
    if batches.len() > 1 {
        let all = batches.iter().flat_map(|batch| batch.settlements.iter());
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
        let _ = batch.reply.send(alone(file, &batch.settlements));
    }
}

fn alone(file: &mut File, settlements: &[Settlement]) -> Result<Vec<Verdict>, StoreError> {
    let mut splitter = Splitter::new(settlements);
    while let Some(tried) = splitter.next() {
        match transact(file, tried.iter().map(|index| &settlements[*index])) {
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
    settlements: impl Iterator<Item = &'a Settlement>,
) -> Result<Vec<Verdict>, Failure> {
    file.transact(|connection, names, statements| {
        let mut settling = Settling::new(connection, names, statements)?;
        for settlement in settlements {
            settling.settle(settlement)?;
        }
        settling.finish()
    })
}

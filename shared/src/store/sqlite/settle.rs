//! Batches of outcomes into the ledger. Those that wait at the same time share a transaction, and its fsync.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};
use tokio::sync::oneshot;

use super::effects;
use super::file::File;
use super::ledger::Ledger;
use super::names::Names;
use super::trouble::Failure;
use crate::store::{Settlement, Splitter, Step, StoreError, Verdict};

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
        let mut settling = Settling {
            connection,
            names,
            statements,
            ledger: Ledger::new(connection, Timestamp::now().as_millisecond())?,
            partitions: HashMap::default(),
        };
        settlements.map(|settlement| settling.settle(settlement)).collect()
    })
}

/// One transaction.
struct Settling<'a> {
    connection: &'a Connection,
    names: &'a mut Names,
    statements: &'a HashSet<&'static str>,
    ledger: Ledger<'a>,
    /// Epoch and group of each partition met so far: nobody can raise an epoch while the transaction is open.
    partitions: HashMap<i64, Option<(i64, i64)>, foldhash::fast::RandomState>,
}

impl Settling<'_> {
    fn settle(&mut self, settlement: &Settlement) -> Result<Verdict, Failure> {
        let Some(group) = self.owned(settlement)? else { return Ok(Verdict::Fenced) };
        let verdict = match settlement.row {
            Some((row, attempts)) => self.ledger.move_row(row, attempts, settlement)?,
            None => self.insert(group, settlement)?,
        };
        if matches!(verdict, Verdict::Settled(_)) {
            self.apply(&settlement.step)?;
        }
        Ok(verdict)
    }

    /// The partition's group, if the partition is still the settlement's.
    fn owned(&mut self, settlement: &Settlement) -> Result<Option<i64>, Failure> {
        let owner = settlement.owner;
        let present = if let Some(present) = self.partitions.get(&owner.partition) {
            *present
        } else {
            let present = self
                .connection
                .prepare_cached("select epoch, group_number from partitions where number = ?1")?
                .query_row([owner.partition], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            self.partitions.insert(owner.partition, present);
            present
        };
        Ok(present.filter(|(epoch, _)| *epoch == owner.epoch).map(|(_, group)| group))
    }

    fn insert(&mut self, group: i64, settlement: &Settlement) -> Result<Verdict, Failure> {
        let identity = settlement.identity();
        let scope = self.names.scope(self.connection, group, &identity.source)?;
        let ty = match &settlement.arrived {
            crate::event::Arrived::Event(event) => Some(self.names.ty(self.connection, event.ty())?),
            crate::event::Arrived::Undecodable(_) => None,
        };
        self.ledger.insert(&scope, ty.as_ref(), &identity, settlement)
    }

    fn apply(&mut self, step: &Step) -> Result<(), Failure> {
        match step {
            Step::Handled { effects, events } => {
                effects::write(self.connection, self.statements, effects)?;
                events.iter().try_for_each(|record| super::outbox::add(self.connection, record))?;
            }
            Step::Dead { letter, .. } => super::outbox::add(self.connection, letter)?,
            Step::Deferred { .. } | Step::Expired => {}
        }
        Ok(())
    }
}

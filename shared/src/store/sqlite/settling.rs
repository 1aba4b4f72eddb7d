//! Outcomes into the ledger, in order.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use super::ledger::Ledger;
use super::names::Names;
use super::run::{self, NewRow};
use super::target::{Described, Target};
use super::trouble::Failure;
use super::{effects, outbox, replies};
use crate::event::Arrived;
use crate::store::{Reply, Settlement, Step, Verdict};

/// One transaction.
pub(super) struct Settling<'a, 's> {
    connection: &'a Connection,
    names: &'a mut Names,
    statements: &'a HashSet<&'static str>,
    ledger: Ledger<'a>,
    /// Prepared once a run is long enough.
    insert: Option<run::Insert<'a>>,
    now: i64,
    /// Epoch and group of each partition met so far: nobody can raise an epoch while the transaction is open.
    partitions: HashMap<i64, Option<(i64, i64)>, foldhash::fast::RandomState>,
    /// What is not inserted yet.
    run: Vec<NewRow<'s>>,
    /// One for each settlement in front of the run.
    verdicts: Vec<Verdict>,
}

impl<'a, 's> Settling<'a, 's> {
    pub(super) fn new(
        connection: &'a Connection,
        names: &'a mut Names,
        statements: &'a HashSet<&'static str>,
    ) -> Result<Self, Failure> {
        let now = Timestamp::now().as_millisecond();
        let ledger = Ledger::new(connection, now)?;
        let (run, verdicts) = (Vec::with_capacity(run::ROWS), Vec::new());
        let partitions = HashMap::default();
        Ok(Self { connection, names, statements, ledger, insert: None, now, partitions, run, verdicts })
    }

    /// One verdict for each settlement.
    pub(super) fn finish(mut self) -> Result<Vec<Verdict>, Failure> {
        self.end_run()?;
        Ok(self.verdicts)
    }

    pub(super) fn settle(&mut self, settlement: &'s Settlement, target: &'s Target) -> Result<(), Failure> {
        let verdict = match (self.owned(settlement)?, target) {
            (Some(group), Target::New(described)) => {
                let row = self.new_row(group, settlement, described)?;
                if run::fits(settlement) {
                    return self.extend_run(row);
                }
                self.end_run()?;
                self.insert(&row)?
            }
            (Some(_), Target::Row(row, attempts)) => {
                self.end_run()?;
                self.ledger.move_row(*row, *attempts, settlement)?
            }
            (None, _) => {
                self.end_run()?;
                Verdict::Fenced
            }
        };
        self.conclude(settlement, verdict)
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

    fn new_row(
        &mut self,
        group: i64,
        settlement: &'s Settlement,
        described: &'s Described,
    ) -> Result<NewRow<'s>, Failure> {
        let scope = self.names.scope(self.connection, group, settlement.source())?;
        let ty = match &settlement.arrived {
            Arrived::Event(event) => Some(self.names.ty(self.connection, event.ty())?),
            Arrived::Undecodable(_) => None,
        };
        Ok(NewRow { settlement, described, scope, ty })
    }

    fn extend_run(&mut self, row: NewRow<'s>) -> Result<(), Failure> {
        self.run.push(row);
        if self.run.len() < run::ROWS {
            return Ok(());
        }
        let first = self.verdicts.len();
        let insert = match &mut self.insert {
            Some(insert) => insert,
            none => none.insert(run::Insert::new(self.connection, self.now)?),
        };
        insert.insert(&self.ledger, &self.run, &mut self.verdicts)?;
        for (row, verdict) in self.run.iter().zip(&self.verdicts[first..]) {
            self.apply(row.settlement, verdict)?;
        }
        self.run.clear();
        Ok(())
    }

    /// Inserts what is not inserted yet, one by one.
    fn end_run(&mut self) -> Result<(), Failure> {
        for row in std::mem::take(&mut self.run) {
            let verdict = self.insert(&row)?;
            self.conclude(row.settlement, verdict)?;
        }
        Ok(())
    }

    fn insert(&mut self, row: &NewRow<'_>) -> Result<Verdict, Failure> {
        self.ledger.insert(&row.scope, row.ty.as_ref(), row.described, row.settlement)
    }

    fn conclude(&mut self, settlement: &Settlement, verdict: Verdict) -> Result<(), Failure> {
        self.apply(settlement, &verdict)?;
        // A command is in no run.
        if let Some(reply) = &settlement.reply {
            self.answer(settlement, reply, &verdict)?;
        }
        self.verdicts.push(verdict);
        Ok(())
    }

    /// The effects of what has been settled.
    fn apply(&self, settlement: &Settlement, verdict: &Verdict) -> Result<(), Failure> {
        if !matches!(verdict, Verdict::Settled(_)) {
            return Ok(());
        }
        match &settlement.step {
            Step::Handled { effects, events } => {
                effects::write(self.connection, self.statements, effects)?;
                events.iter().try_for_each(|record| outbox::add(self.connection, record))?;
            }
            Step::Dead { letter, .. } => outbox::add(self.connection, letter)?,
            Step::Handling | Step::Deferred { .. } | Step::Expired => {}
        }
        Ok(())
    }

    /// The reply to a command: kept with its row, and once more what is kept there.
    fn answer(&mut self, settlement: &Settlement, reply: &Reply, verdict: &Verdict) -> Result<(), Failure> {
        match verdict {
            Verdict::Settled(row) => replies::keep(self.connection, *row, reply),
            Verdict::Known(_) => {
                let Some(group) = self.owned(settlement)? else { return Ok(()) };
                let identity = settlement.identity();
                let scope = self.names.scope(self.connection, group, &identity.source)?;
                replies::again(self.connection, &scope, &identity.id, reply)
            }
            _ => Ok(()),
        }
    }
}

//! A batch, sorted by what it does to the ledger. Pure.

use std::collections::{HashMap, HashSet};

use super::Owner;
use crate::store::{Identity, RowId, Settlement};

/// Where a settlement goes.
#[derive(Debug)]
pub(super) enum Place {
    /// Nowhere: the partition has another owner.
    Fenced,
    /// Into a new row, if its identity is new.
    New(RowId),
    /// Into the row that it has, if that still waits.
    Moved(RowId),
    /// Nowhere: an earlier one of the batch has the same row, or the same identity.
    Taken,
}

#[derive(Debug)]
pub(super) struct NewRow<'a> {
    pub(super) number: RowId,
    pub(super) group: i32,
    pub(super) identity: Identity<'a>,
    pub(super) settlement: &'a Settlement,
}

#[derive(Debug)]
pub(super) struct Move<'a> {
    pub(super) row: RowId,
    /// The attempts that the row knows of.
    pub(super) known: u32,
    pub(super) settlement: &'a Settlement,
}

#[derive(Debug)]
pub(super) struct Sorted<'a> {
    /// One for each settlement.
    pub(super) places: Vec<Place>,
    /// In the order of their identity: two members that insert the same rows wait for each other in one direction.
    pub(super) new: Vec<NewRow<'a>>,
    pub(super) moves: Vec<Move<'a>>,
}

impl<'a> Sorted<'a> {
    /// `numbers` has one for each settlement without a row.
    pub(super) fn of(asked: &[&'a Settlement], owners: &HashMap<i64, Owner>, numbers: &[i64]) -> Self {
        let (mut places, mut new, mut moves) = (Vec::with_capacity(asked.len()), Vec::new(), Vec::new());
        let mut rows = HashSet::new();
        let mut numbers = numbers.iter().copied().map(RowId);
        for &settlement in asked {
            let owner = owners.get(&settlement.owner.partition);
            let Some(owner) = owner.filter(|owner| owner.epoch == settlement.owner.epoch) else {
                places.push(Place::Fenced);
                continue;
            };
            if let Some((row, known)) = settlement.row {
                if rows.insert(row) {
                    moves.push(Move { row, known, settlement });
                    places.push(Place::Moved(row));
                } else {
                    places.push(Place::Taken);
                }
            } else if let Some(number) = numbers.next() {
                places.push(Place::New(number));
                new.push(NewRow { number, group: owner.group, identity: settlement.identity(), settlement });
            }
        }
        new.sort_unstable_by(|a, b| a.order().cmp(&b.order()));
        // Of one identity the first of the batch stays; the others are not inserted, and so they are known.
        new.dedup_by(|later, earlier| later.order().0 == earlier.order().0);
        Self { places, new, moves }
    }
}

impl NewRow<'_> {
    fn order(&self) -> ((i32, &str, &str), RowId) {
        ((self.group, &self.identity.source, &self.identity.id), self.number)
    }
}

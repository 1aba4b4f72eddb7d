//! A batch whose effects are refused is halved until the culprit is alone. Pure.

use std::collections::HashSet;
use std::ops::Range;

use super::{Refusal, Settlement, Verdict};

/// What is left to try of a batch.
#[derive(Debug)]
pub(crate) struct Splitter<'a> {
    batch: &'a [Settlement],
    /// Ranges still to try, the first one last.
    left: Vec<Range<usize>>,
    verdicts: Vec<Option<Verdict>>,
    /// Keys of which an event was refused.
    held: HashSet<(i64, &'a [u8])>,
}

impl<'a> Splitter<'a> {
    pub(crate) fn new(batch: &'a [Settlement]) -> Self {
        let left = Vec::from_iter((!batch.is_empty()).then_some(0..batch.len()));
        Self { batch, left, verdicts: vec![None; batch.len()], held: HashSet::new() }
    }

    /// The next settlements to try in one transaction, by their index in the batch. `None` when nothing is left.
    pub(crate) fn next(&mut self) -> Option<Vec<usize>> {
        while let Some(range) = self.left.last().cloned() {
            let (mut tried, mut behind) = (Vec::with_capacity(range.len()), false);
            for index in range {
                if self.is_held(index) {
                    self.verdicts[index] = Some(Verdict::Behind);
                    behind = true;
                } else {
                    tried.push(index);
                }
            }
            if !tried.is_empty() {
                return Some(tried);
            }
            debug_assert!(behind, "a range is never empty");
            self.left.pop();
        }
        None
    }

    /// What [`next`](Self::next) gave is committed, with these verdicts.
    pub(crate) fn committed(&mut self, tried: &[usize], verdicts: Vec<Verdict>) {
        self.left.pop();
        for (index, verdict) in tried.iter().zip(verdicts) {
            self.verdicts[*index] = Some(verdict);
        }
    }

    /// The database refused something of what [`next`](Self::next) gave, and it is rolled back.
    pub(crate) fn refused(&mut self, tried: &[usize], refusal: Refusal) {
        let Some(range) = self.left.pop() else { return };
        if let [index] = *tried {
            self.verdicts[index] = Some(Verdict::Refused(refusal));
            self.hold(index);
            // What lies in the range besides is held already.
            return;
        }
        let middle = tried[tried.len() / 2];
        self.left.push(middle..range.end);
        self.left.push(range.start..middle);
    }

    /// One verdict for each settlement.
    pub(crate) fn finish(self) -> Vec<Verdict> {
        // Everything has been tried by now; "behind" is the one that claims nothing.
        self.verdicts.into_iter().map(|verdict| verdict.unwrap_or(Verdict::Behind)).collect()
    }

    fn key(&self, index: usize) -> Option<(i64, &'a [u8])> {
        let settlement: &'a Settlement = self.batch.get(index)?;
        Some((settlement.owner.partition, settlement.arrived.record().key()?))
    }

    fn is_held(&self, index: usize) -> bool {
        !self.held.is_empty() && self.key(index).is_some_and(|key| self.held.contains(&key))
    }

    fn hold(&mut self, index: usize) {
        if let Some(key) = self.key(index) {
            self.held.insert(key);
        }
    }
}

#[cfg(test)]
mod tests;

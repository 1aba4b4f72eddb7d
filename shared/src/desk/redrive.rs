//! Many dead events back to their handlers, the oldest first: that is the order of their keys.
//!
//! A redrive that was cut off, be it by kill -9, goes on when it is started again: what has been given back is not dead any
//! more, and what has died again since the redrive began is left alone. One of a limited number is not noted: started again
//! it takes the next ones.

use std::time::Duration;

use super::Operator;
use crate::store::operate::{Operated, Operation};
use crate::store::{Filter, RowId, Status, StoreError};

/// Which dead events, and how.
#[derive(Debug, Clone)]
pub struct Redrive {
    /// Which.
    pub filter: Filter,
    /// How many at most.
    pub limit: Option<usize>,
    /// How many a second at most.
    pub rate: Option<f64>,
    /// One that has been redriven so often, and is dead again, is parked.
    pub max_redrives: i64,
}

/// What a redrive has come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Redriven {
    /// Given back to their handlers.
    pub redriven: usize,
    /// Put aside: they had been given back often enough.
    pub parked: usize,
    /// Not dead any more when it was their turn: somebody else was quicker.
    pub skipped: usize,
}

/// How many a transaction, and how many while a rate is kept to.
const AT_ONCE: usize = 500;
const READ: usize = 5_000;

/// A row, and how often it has been redriven.
type Dead = (RowId, i64);

impl Operator {
    /// A redrive of this group that has not come to its end.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn unfinished(&self) -> Result<Option<Filter>, StoreError> {
        let unfinished = self.store.unfinished(self.desk.group).await?;
        let parse = |text: String| {
            text.parse().map_err(|error| {
                let advice = "`--unfinished abandon` gives it up";
                StoreError::Unusable(format!(
                    "the redrive that was cut off cannot be read, {error}: {advice}"
                ))
            })
        };
        unfinished.map(parse).transpose()
    }

    /// Gives it up: what it has not reached stays dead.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn abandon(&self) -> Result<(), StoreError> {
        self.store.end_redrive(self.desk.group).await
    }

    /// How many a redrive would give back, and how many it would park.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn would_redrive(&self, asked: &Redrive) -> Result<Redriven, StoreError> {
        let dead = self.dead(asked, i64::MAX).await?;
        let parked = dead.iter().filter(|(_, redrives)| *redrives >= asked.max_redrives).count();
        Ok(Redriven { redriven: dead.len() - parked, parked, skipped: 0 })
    }

    /// Gives them back, and says after each step how far it is, of how many. Where this is dropped, it goes on at the next
    /// call with the same filter.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn redrive(
        &self,
        asked: &Redrive,
        mut progress: impl FnMut(Redriven, usize),
    ) -> Result<Redriven, StoreError> {
        let is_noted = asked.limit.is_none();
        let started = if is_noted {
            self.store.begin_redrive(self.desk.group, &asked.filter.to_string()).await?
        } else {
            i64::MAX
        };
        let dead = self.dead(asked, started).await?;
        let mut sum = Redriven::default();
        let step = asked.rate.map_or(AT_ONCE, |rate| (rate.ceil().max(1.0) as usize).min(AT_ONCE));
        for some in dead.chunks(step) {
            let (spent, fresh): (Vec<Dead>, Vec<Dead>) =
                some.iter().partition(|(_, redrives)| *redrives >= asked.max_redrives);
            sum.redriven += self.give(Operation::Redrive, &fresh, &mut sum.skipped).await?;
            sum.parked += self.give(Operation::Park, &spent, &mut sum.skipped).await?;
            progress(sum, dead.len());
            if let Some(rate) = asked.rate {
                tokio::time::sleep(Duration::from_secs_f64(some.len() as f64 / rate)).await;
            }
        }
        if is_noted {
            self.store.end_redrive(self.desk.group).await?;
        }
        Ok(sum)
    }

    async fn give(
        &self,
        operation: Operation,
        rows: &[Dead],
        skipped: &mut usize,
    ) -> Result<usize, StoreError> {
        if rows.is_empty() {
            return Ok(0);
        }
        let answers = self.store.operate(operation, rows.iter().map(|(row, _)| *row).collect()).await?;
        let done = answers.iter().filter(|answer| matches!(answer, Operated::Done(_))).count();
        *skipped += answers.len() - done;
        Ok(done)
    }

    /// Those that were dead at that moment, the oldest first.
    async fn dead(&self, asked: &Redrive, at: i64) -> Result<Vec<Dead>, StoreError> {
        let filter = asked.filter.clone().with_status([Status::Dead]);
        let mut walk = self.desk.walk(&filter, None, false).await?;
        let mut dead = Vec::new();
        while let Some(entries) = walk.next(READ).await? {
            let then = entries.iter().filter(|entry| entry.settled.is_some_and(|settled| settled < at));
            dead.extend(then.map(|entry| (RowId(entry.row), entry.redrives)));
        }
        dead.reverse();
        dead.truncate(asked.limit.unwrap_or(usize::MAX));
        Ok(dead)
    }
}

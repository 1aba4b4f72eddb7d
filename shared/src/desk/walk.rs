//! From the newest row down, a transaction at a time.

use std::ops::Range;
use std::sync::Arc;

use super::FullEvent;
use crate::store::query::LOOKED_AT;
use crate::store::{Entry, Filter, Query, Question, StoreError, Window};

/// How many rows a transaction looks at, at least.
const LEAST: usize = 100;

/// A way through the rows that a filter leaves.
#[derive(Debug)]
pub(super) struct Walk {
    query: Arc<dyn Query>,
    question: Question,
    is_over: bool,
}

impl Walk {
    pub(super) async fn start(
        query: Arc<dyn Query>,
        group: i64,
        filter: &Filter,
        below: Option<i64>,
        with_records: bool,
    ) -> Result<Self, StoreError> {
        let window = Window::of(filter);
        let Range { start, mut end } = match window {
            Window { since: None, until: None } => i64::MIN..i64::MAX,
            window => query.range(window).await?,
        };
        end = end.min(below.unwrap_or(i64::MAX));
        let filter = Arc::new(filter.clone());
        let question = Question { group, filter, rows: start..end, limit: 0, look_at: 0, with_records };
        Ok(Self { query, question, is_over: start >= end })
    }

    /// Some more, which may be none at all; `None` at the end.
    pub(super) async fn next(&mut self, limit: usize) -> Result<Option<Vec<Entry>>, StoreError> {
        if self.is_over {
            return Ok(None);
        }
        let look_at = self.question.look_at.max(limit.max(LEAST)).min(LOOKED_AT);
        let limit = limit.min(look_at);
        let look = self.query.look(Question { limit, look_at, ..self.question.clone() }).await?;
        // Where little is found, more is looked at: and where all that is asked for is found at once, no more than that.
        self.question.look_at = if look.entries.len() == limit { LEAST } else { 4 * look_at };
        match look.below {
            Some(row) => self.question.rows.end = row,
            None => self.is_over = true,
        }
        Ok(Some(look.entries))
    }

    /// Where to go on.
    pub(super) fn cursor(&self) -> Option<i64> {
        (!self.is_over).then_some(self.question.rows.end)
    }
}

/// Events with their records, newest first, some at a time: never more in memory than that.
#[derive(Debug)]
pub struct Export(pub(super) Walk);

/// How many records there may be in memory: each may be as large as the broker takes it.
const RECORDS: usize = 64;

impl Export {
    /// Some more, which may be none at all; `None` at the end.
    ///
    /// # Errors
    /// The store does not answer. Asking again goes on at the same place.
    pub async fn next(&mut self) -> Result<Option<Vec<FullEvent>>, StoreError> {
        let entries = self.0.next(RECORDS).await?;
        Ok(entries.map(|all| all.into_iter().map(|entry| FullEvent::of(entry, Vec::new())).collect()))
    }
}

//! An operator's desk: what can be asked of a store, and done to its events, also while services work with it. A question
//! writes nothing; a store that is not there is not made.
//!
//! A page goes from the newest row down; its cursor is the number of a row, which never changes. What changes while
//! somebody turns pages may be missed or seen as it is by then; no row is seen twice.

mod event;
mod operator;
mod outbox;
mod reasons;
mod rebuild;
mod record;
mod redrive;
mod shadow;
mod stream;
mod walk;

use std::sync::Arc;

pub use self::event::{EventRow, FullEvent, OperationKind, PastOperation, Waits};
pub use self::operator::{Answered, Operator};
pub use self::outbox::{OutboxDesk, SourceRow, Unpublished, WaitingRow};
pub use self::reasons::{ReasonRow, essence};
pub use self::rebuild::Rebuild;
pub use self::record::{Bytes, Header, KeptRecord};
pub use self::redrive::{Redrive, Redriven};
pub use self::shadow::{Shadow, Would};
pub use self::stream::{Found, Stands, Stream, StreamRow};
pub use self::walk::Export;
pub use crate::store::operate::Operation;
pub use crate::store::{Filter, Status, moment};

use self::reasons::Reasons;
use self::walk::Walk;
use crate::store::query::LOOKED_AT;
use crate::store::{self, Query, Schema, StoreError, StoreUrl};

/// The events of one group, in a store that is there.
#[derive(Debug)]
pub struct Desk {
    query: Arc<dyn Query>,
    /// The store's number for the group.
    group: i64,
    name: String,
}

/// Rows, newest first.
#[derive(Debug)]
pub struct Page {
    /// At most as many as were asked for.
    pub rows: Vec<EventRow>,
    /// Where the next page begins: below that row. `None` where all rows were looked at.
    pub next: Option<i64>,
}

impl Desk {
    /// Opens a store that is there.
    ///
    /// # Errors
    /// There is no store, it is another version's, it cannot be reached, or it does not know the group: which, and what
    /// to do.
    pub async fn open(url: &StoreUrl, group: &str) -> Result<Self, StoreError> {
        let query = store::ask(url).await?;
        let groups = query.groups().await?;
        match groups.iter().find(|(_, name)| name == group) {
            Some((number, _)) => Ok(Self { query, group: *number, name: group.to_owned() }),
            None => Err(unknown(group, &groups)),
        }
    }

    /// The same, with the right to change events.
    ///
    /// # Errors
    /// As of [`open`](Self::open).
    pub async fn operator(url: &StoreUrl, group: &str) -> Result<Operator, StoreError> {
        Self::operator_with(url, group, &[]).await
    }

    /// The same, with the right to write what handlers write.
    ///
    /// # Errors
    /// As of [`open`](Self::open), or the database does not take a handler's schema.
    pub async fn operator_with(
        url: &StoreUrl,
        group: &str,
        schemas: &[Schema],
    ) -> Result<Operator, StoreError> {
        // Asked first: that makes no store, and brings none up to date under those who work with it.
        let desk = Self::open(url, group).await?;
        Ok(Operator::new(desk, store::operator(url, schemas).await?, group))
    }

    /// The topics that the group has ever had partitions of.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn topics(&self) -> Result<Vec<String>, StoreError> {
        self.query.topics(self.group).await
    }

    /// A page of the rows that the filter leaves, below the row `after`.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn list(&self, filter: &Filter, after: Option<i64>, limit: usize) -> Result<Page, StoreError> {
        let mut walk = self.walk(filter, after, false).await?;
        let mut rows = Vec::new();
        while rows.len() < limit
            && let Some(entries) = walk.next(limit - rows.len()).await?
        {
            rows.extend(entries.into_iter().map(|entry| EventRow::of(&entry)));
        }
        Ok(Page { rows, next: walk.cursor() })
    }

    /// The events of that id: one of each source that has used it.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn find(&self, id: &str, source: Option<&str>) -> Result<Vec<FullEvent>, StoreError> {
        let mut events = Vec::new();
        for entry in self.query.find(self.group, id, source).await? {
            let operations = self.query.operations(entry.row).await?;
            events.push(FullEvent::of(entry, operations));
        }
        Ok(events)
    }

    /// Why events came to where they are: each reason's [`essence`] with its count, the most frequent first.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn reasons(&self, filter: &Filter) -> Result<Vec<ReasonRow>, StoreError> {
        let mut walk = self.walk(filter, None, false).await?;
        let mut reasons = Reasons::default();
        while let Some(entries) = walk.next(LOOKED_AT).await? {
            for entry in &entries {
                reasons.add(entry.reason.as_deref().unwrap_or_default(), entry.settled.unwrap_or(entry.seen));
            }
        }
        Ok(reasons.rows())
    }

    /// All that the filter leaves, with their records, some at a time.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn export(&self, filter: &Filter) -> Result<Export, StoreError> {
        Ok(Export(self.walk(filter, None, true).await?))
    }

    async fn walk(
        &self,
        filter: &Filter,
        below: Option<i64>,
        with_records: bool,
    ) -> Result<Walk, StoreError> {
        Walk::start(Arc::clone(&self.query), self.group, filter, below, with_records).await
    }
}

fn unknown(group: &str, groups: &[(i64, String)]) -> StoreError {
    // Under an empty name there are pauses of event sources, and no group.
    let named = groups.iter().filter(|(_, name)| !name.is_empty());
    let known: Vec<String> = named.map(|(_, name)| format!("{name:?}")).collect();
    let known = if known.is_empty() { "none yet".to_owned() } else { known.join(", ") };
    StoreError::Unusable(format!(
        "the store knows no group {group:?}: name one that it knows ({known}), --group NAME (SERVICE_B_GROUP)"
    ))
}

//! What is to stand still, for all members of a group and across restarts: a small table, which members look at once a
//! second and operators write.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::{Answer, Store, StoreError, StoreUrl, url};

/// What can be paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Pausable {
    /// The records of a topic: nothing of it is fetched, nothing that waits of it starts.
    Topic,
    /// The handler of a pattern: its events do not start.
    Handler,
    /// An event source that is read into an outbox: nothing more is read. It belongs to no consumer group; see
    /// [`Pauses::of_sources`].
    Source,
}

/// Something that stands still.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pause {
    /// What it is.
    pub what: Pausable,
    /// The topic, the handler's pattern, or the event source, as it was given.
    pub name: String,
    /// Since when.
    pub since: Timestamp,
}

/// Under which name event sources are paused: no consumer group has an empty one.
pub(crate) const SOURCES: &str = "";

/// A store that has such a table. Each call is one transaction, and asked twice it does no more than once.
pub(crate) trait PauseTable: Send + Sync {
    /// What stands still in the group, topics before handlers, then by name.
    fn pauses(&self, group: &str) -> Answer<'_, Vec<Pause>>;

    /// `false` where it stood still already; since when stays as it was.
    fn pause(&self, group: &str, what: Pausable, name: &str) -> Answer<'_, bool>;

    /// `false` where it did not stand still.
    fn resume(&self, group: &str, what: Pausable, name: &str) -> Answer<'_, bool>;
}

impl Pausable {
    /// As databases have it: never to be changed.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Topic => "topic",
            Self::Handler => "handler",
            Self::Source => "source",
        }
    }
}

impl Pause {
    /// A row of the table; `None` for what a later version may have put there.
    pub(crate) fn of(what: &str, name: String, since: i64) -> Option<Self> {
        let all = [Pausable::Topic, Pausable::Handler, Pausable::Source];
        let what = all.into_iter().find(|one| one.as_str() == what)?;
        Some(Self { what, name, since: Timestamp::from_millisecond(since).unwrap_or(Timestamp::UNIX_EPOCH) })
    }
}

/// The pauses of a group, for operators' tools.
#[derive(Debug)]
pub struct Pauses {
    store: Arc<dyn Store>,
    group: String,
}

impl Pauses {
    /// Those of that store, which has to be there: a file that is made by asking would say nothing, and to nobody.
    ///
    /// # Errors
    /// There is no store, or it does not answer.
    pub async fn open(url: &StoreUrl, group: &str) -> Result<Self, StoreError> {
        if let StoreUrl::Sqlite(path) = url
            && !path.exists()
        {
            return Err(StoreError::Unusable(format!(
                "there is no store at {}: say where the service has it (service-b: --store, service-a: --outbox), or start the \
                 service once",
                path.display()
            )));
        }
        // Asked first, as for every tool: that makes no store, and brings none up to date under those who work with it.
        url::ask(url).await?;
        Ok(Self { store: url::open(url, &[]).await?, group: group.to_owned() })
    }

    /// Those of event sources in that store.
    ///
    /// # Errors
    /// As of [`open`](Self::open).
    pub async fn of_sources(url: &StoreUrl) -> Result<Self, StoreError> {
        Self::open(url, SOURCES).await
    }

    /// What stands still.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn list(&self) -> Result<Vec<Pause>, StoreError> {
        self.table()?.pauses(&self.group).await
    }

    /// Pauses it; `false` where it stood still already.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn pause(&self, what: Pausable, name: &str) -> Result<bool, StoreError> {
        self.table()?.pause(&self.group, what, name).await
    }

    /// Lets it go on; `false` where it did not stand still.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn resume(&self, what: Pausable, name: &str) -> Result<bool, StoreError> {
        self.table()?.resume(&self.group, what, name).await
    }

    fn table(&self) -> Result<&dyn PauseTable, StoreError> {
        let none = || StoreError::Unusable("this store knows no pauses".to_owned());
        self.store.pause_table().ok_or_else(none)
    }
}

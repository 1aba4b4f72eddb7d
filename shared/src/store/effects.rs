//! What a handler wants written or published, together with its event or not at all.

use crate::command::Answer;
use crate::event::NewEvent;
use crate::topic::Topic;

/// What a handler wants written or published. The store applies it in the transaction that settles the event: it
/// becomes true once, however often the event arrives.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Effects(Option<Box<Wanted>>);

#[derive(Debug, Default, Clone, PartialEq)]
struct Wanted {
    writes: Vec<(&'static Statement, Vec<Value>)>,
    events: Vec<(Topic, NewEvent)>,
    answer: Option<Answer>,
}

impl Effects {
    /// Nothing to write, nothing to publish.
    pub fn none() -> Self {
        Self(None)
    }

    /// Executes a statement that the handler has registered in its [`Schema`], with these parameters.
    #[must_use]
    pub fn write(mut self, statement: &'static Statement, parameters: impl Into<Vec<Value>>) -> Self {
        self.0.get_or_insert_default().writes.push((statement, parameters.into()));
        self
    }

    /// Publishes an event. Its id is derived from the id of the event that caused it, so that handling twice publishes
    /// the same; `correlationid` and `causationid` are set.
    #[must_use]
    pub fn publish(mut self, topic: Topic, event: NewEvent) -> Self {
        self.0.get_or_insert_default().events.push((topic, event));
        self
    }

    /// Answers a command; the last answer counts, and without one the reply has no data. Kept with the command: sent again
    /// under its id, it gets the same again. An event has nobody to answer.
    #[must_use]
    pub fn reply(mut self, content_type: &str, data: impl Into<Vec<u8>>) -> Self {
        let answer = Answer::Data { content_type: content_type.to_owned(), data: data.into() };
        self.0.get_or_insert_default().answer = Some(answer);
        self
    }

    /// Answers a command with a failure that is its sender's to see to, and nobody else's: it becomes no dead letter.
    #[must_use]
    pub fn refuse(mut self, reason: impl std::fmt::Display) -> Self {
        self.0.get_or_insert_default().answer = Some(Answer::Failure(reason.to_string()));
        self
    }

    /// Whether there is nothing to apply.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The statements, in the order in which they were asked for.
    pub fn writes(&self) -> &[(&'static Statement, Vec<Value>)] {
        self.0.as_ref().map_or(&[], |wanted| &wanted.writes)
    }

    /// The follow-up events, in the order in which they were asked for.
    pub fn events(&self) -> &[(Topic, NewEvent)] {
        self.0.as_ref().map_or(&[], |wanted| &wanted.events)
    }

    /// What a command is to be answered.
    pub fn answer(&self) -> Option<&Answer> {
        self.0.as_ref()?.answer.as_ref()
    }
}

/// A statement that changes data: one text for each database, parameters as `?1` and `$1`. It is prepared at the
/// start, so that a typo does not start.
#[derive(Debug, PartialEq, Eq)]
pub struct Statement {
    /// For logs and errors.
    pub name: &'static str,
    /// The text for SQLite.
    pub sqlite: &'static str,
    /// The text for PostgreSQL.
    pub postgres: &'static str,
}

/// A step of a handler's own tables: executed once, in order, before its statements are prepared.
#[derive(Debug, PartialEq, Eq)]
pub struct Migration {
    /// Unique within the service: how the store knows that it has been executed.
    pub name: &'static str,
    /// The text for SQLite.
    pub sqlite: &'static str,
    /// The text for PostgreSQL.
    pub postgres: &'static str,
}

/// What a handler needs in the store.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Schema {
    /// Its tables.
    pub migrations: &'static [Migration],
    /// What it may write.
    pub statements: &'static [&'static Statement],
}

/// A parameter of a statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// SQL's null.
    Null,
    /// `integer`, `bigint`.
    Integer(i64),
    /// `real`, `double precision`.
    Real(f64),
    /// `text`.
    Text(String),
    /// `blob`, `bytea`.
    Bytes(Vec<u8>),
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<&[u8]> for Value {
    fn from(value: &[u8]) -> Self {
        Self::Bytes(value.to_owned())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

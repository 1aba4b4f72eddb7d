//! A handler that counts, in a table that any tool can read.
//!
//! ```sql
//! select type, to_timestamp(minute), events, sum, min, max from event_statistics order by minute; -- PostgreSQL
//! select type, datetime(minute, 'unixepoch'), events, sum, min, max from event_statistics order by minute; -- SQLite
//! ```

use serde_json::Value as Json;
use shared::consumer::{Effects, HandleError, Handler, Migration, Schema, Statement, Value};
use shared::event::Event;

/// Counts the events of each type and key by the minute in which they happened (UTC), with sum, min and max of a
/// numeric field, where one is named. Each group counts for itself, so that two may share a store.
///
/// The field is a member of the JSON object that the data is, or a path of such by dots; a member whose name holds the
/// dots goes first. An event in which it is missing or not a number is counted, and touches neither sum nor min nor
/// max; so is one whose data is not JSON. An event of unknown time belongs to minute 0.
///
/// Numbers are 64-bit floating point: a sum of fractions depends on the order in its last digits, as always.
#[derive(Debug, Clone)]
pub struct Statistics {
    group: String,
    field: Option<String>,
}

/// A row by group, type, minute and key. A null key orders nothing and an empty one is a key: `has_key` tells them
/// apart, because null cannot be part of a primary key. PostgreSQL's index holds a hash of the key, which may be
/// longer than an index entry can be.
static MIGRATIONS: [Migration; 1] = [Migration {
    name: "event_statistics_1",
    sqlite: "create table event_statistics (
        consumer_group text not null,
        type text not null,
        minute integer not null, -- its first second, counted from 1970
        has_key integer not null, -- 0: a null key
        key blob not null,
        events integer not null,
        sum real,
        min real,
        max real,
        primary key (consumer_group, type, minute, has_key, key)
    ) strict, without rowid",
    postgres: "create table event_statistics (
        consumer_group text not null,
        type text not null,
        minute bigint not null, -- its first second, counted from 1970
        has_key bigint not null, -- 0: a null key
        key bytea not null,
        events bigint not null,
        sum double precision,
        min double precision,
        max double precision
    );
    create unique index event_statistics_identity
        on event_statistics (consumer_group, type, minute, has_key, sha256(key))",
}];

/// Adds an event to its row. Nothing is read before: whatever the order, and whoever else counts, the row holds the
/// same. Null is no number: it leaves sum, min and max as they are.
static COUNT: Statement = Statement {
    name: "event_statistics_count",
    sqlite: "insert into event_statistics as s
            (consumer_group, type, minute, has_key, key, events, sum, min, max)
        values (?1, ?2, ?3, ?4, ?5, 1, ?6, ?6, ?6)
        on conflict (consumer_group, type, minute, has_key, key) do update set
            events = s.events + 1,
            sum = coalesce(s.sum + excluded.sum, s.sum, excluded.sum),
            min = coalesce(min(s.min, excluded.min), s.min, excluded.min),
            max = coalesce(max(s.max, excluded.max), s.max, excluded.max)",
    postgres: "insert into event_statistics as s
            (consumer_group, type, minute, has_key, key, events, sum, min, max)
        values ($1, $2, $3, $4, $5, 1, $6, $6, $6)
        on conflict (consumer_group, type, minute, has_key, sha256(key)) do update set
            events = s.events + 1,
            sum = coalesce(s.sum + excluded.sum, s.sum, excluded.sum),
            min = least(s.min, excluded.min),
            max = greatest(s.max, excluded.max)",
};

/// What a group has counted.
static FORGET: Statement = Statement {
    name: "event_statistics_forget",
    sqlite: "delete from event_statistics where consumer_group = ?1",
    postgres: "delete from event_statistics where consumer_group = $1",
};

/// What one has counted becomes another's.
static RENAME: Statement = Statement {
    name: "event_statistics_rename",
    sqlite: "update event_statistics set consumer_group = ?2 where consumer_group = ?1",
    postgres: "update event_statistics set consumer_group = $2 where consumer_group = $1",
};

static STATEMENTS: [&Statement; 3] = [&COUNT, &FORGET, &RENAME];

/// The largest number that is summed up: PostgreSQL refuses a sum that overflows, and that must not be the end of an
/// event that says no more than a silly number.
const LARGEST: f64 = 1e300;

impl Statistics {
    /// Counts for that group; `field` names the number to sum up.
    pub fn new(group: &str, field: Option<&str>) -> Self {
        Self { group: group.to_owned(), field: field.map(str::to_owned) }
    }

    /// Removes what that group has counted.
    pub fn forget(group: &str) -> Effects {
        Effects::none().write(&FORGET, [group.into()])
    }

    /// Gives what one group has counted to another that has counted nothing.
    pub fn rename(from: &str, to: &str) -> Effects {
        Effects::none().write(&RENAME, [from.into(), to.into()])
    }

    fn number(&self, event: &Event) -> Option<f64> {
        let field = self.field.as_deref()?;
        // Whatever its media type says: most clients say none.
        let data: Json = event.json().ok()?;
        let found = data.get(field).or_else(|| field.split('.').try_fold(&data, |at, name| at.get(name)))?;
        found.as_f64().filter(|number| number.abs() <= LARGEST)
    }
}

impl Handler for Statistics {
    type Data = ();

    const PURE: bool = true;

    fn schema(&self) -> Schema {
        Schema { migrations: &MIGRATIONS, statements: &STATEMENTS }
    }

    async fn handle(&self, event: &Event, (): ()) -> Result<Effects, HandleError> {
        let parameters = [
            Value::from(self.group.as_str()),
            Value::from(event.ty()),
            Value::from(minute(event)),
            Value::from(i64::from(event.key().is_some())),
            Value::from(event.key().unwrap_or_default()),
            Value::from(self.number(event)),
        ];
        Ok(Effects::none().write(&COUNT, parameters))
    }
}

/// The first second of the minute in which the event happened.
fn minute(event: &Event) -> i64 {
    let second = event.time().map_or(0, |time| time.as_millisecond().div_euclid(1000));
    second.div_euclid(60) * 60
}

#[cfg(test)]
mod tests;

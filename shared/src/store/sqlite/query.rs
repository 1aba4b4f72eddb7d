//! Questions to a file that is there.

use std::collections::hash_map::Entry as Place;
use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Result, Row};
use uuid::Uuid;

use super::PATIENCE;
use super::file::{File, Role};
use super::names::{Name, Names};
use super::outbox;
use super::read::look_up;
use super::target::Id;
use super::worker::Worker;
use crate::store::{
    Answer, Bisection, Entry, Filter, Identity, Known, Look, OperationRow, OutboxRow, Query, Question,
    Recorded, Remaining, SourcePosition, Status, StoreError, Window,
};

/// A file that is asked, and not written.
#[derive(Debug)]
pub(in crate::store) struct SqliteQuery(Worker);

impl SqliteQuery {
    /// Opens a file that is there and that has this version's tables.
    pub(in crate::store) async fn open(path: &Path) -> std::result::Result<Self, StoreError> {
        if !path.exists() {
            return Err(StoreError::Unusable(format!(
                "there is no store {}: name the file that the service works with, sqlite:FILE (service-b: --store, service-a: --outbox)",
                path.display()
            )));
        }
        let place = super::Place { path: path.to_owned(), schemas: Vec::new(), patience: PATIENCE };
        let worker = Worker::start("store questions", File::new(Arc::new(place), Role::Reader, None))?;
        worker.ask(File::id).await?;
        Ok(Self(worker))
    }

    /// One transaction.
    fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection, &mut Names) -> Result<T> + Send + 'static,
    ) -> Answer<'_, T> {
        self.0.ask(move |file| file.ask(|connection, names| Ok(work(connection, names)?)))
    }
}

impl Query for SqliteQuery {
    fn groups(&self) -> Answer<'_, Vec<(i64, String)>> {
        self.ask(|connection, _| {
            let mut groups = connection.prepare_cached("select number, name from groups order by name")?;
            groups.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        })
    }

    fn range(&self, window: Window) -> Answer<'_, Range<i64>> {
        self.ask(move |connection, _| range(connection, window))
    }

    fn outbox_above(&self, row: i64, most: usize, bytes: usize) -> Answer<'_, Vec<OutboxRow>> {
        self.ask(move |connection, _| outbox::above(connection, row, most, bytes))
    }

    fn remaining(&self) -> Answer<'_, Remaining> {
        self.ask(|connection, _| outbox::remaining(connection))
    }

    fn sources(&self, most: usize) -> Answer<'_, Vec<SourcePosition>> {
        self.ask(move |connection, _| outbox::positions(connection, most))
    }

    fn look(&self, question: Question) -> Answer<'_, Look> {
        self.ask(move |connection, names| look(connection, names, &question))
    }

    fn find(&self, group: i64, id: &str, source: Option<&str>) -> Answer<'_, Vec<Entry>> {
        let (id, source) = (id.to_owned(), source.map(str::to_owned));
        self.ask(move |connection, names| find(connection, names, group, &id, source.as_deref()))
    }

    fn operations(&self, row: i64) -> Answer<'_, Vec<OperationRow>> {
        self.ask(move |connection, _| operations(connection, row))
    }

    fn known(&self, group: &str, events: Arc<[Identity<'static>]>) -> Answer<'_, Vec<Option<Known>>> {
        let group = group.to_owned();
        self.ask(move |connection, names| look_up(connection, names, &group, &events))
    }

    fn topics(&self, group: i64) -> Answer<'_, Vec<String>> {
        self.ask(move |connection, _| {
            connection
                .prepare_cached(
                    "select distinct topic from partitions where group_number = ?1 and partition >= 0 order by topic",
                )?
                .query_map([group], |row| row.get(0))?
                .collect()
        })
    }

    fn recorded(&self, group: i64, topic: &str) -> Answer<'_, Recorded> {
        let topic = topic.to_owned();
        self.ask(move |connection, _| recorded(connection, group, &topic))
    }
}

fn range(connection: &Connection, window: Window) -> Result<Range<i64>> {
    let window = window.widened();
    let ends =
        "select coalesce((select min(row) from ledger), 0), coalesce((select max(row) + 1 from ledger), 0)";
    let mut rows: Range<i64> = connection.query_row(ends, [], |row| Ok(row.get(0)?..row.get(1)?))?;
    let mut next =
        connection.prepare_cached("select row, seen from ledger where row >= ?1 order by row limit 1")?;
    let mut boundary = |rows: Range<i64>, moment| {
        let mut bisection = Bisection::new(rows, moment);
        while let Some(asked) = bisection.asks() {
            let found = next.query_row([asked], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
            bisection.answer(asked, found);
        }
        Ok::<_, rusqlite::Error>(bisection.found())
    };
    if let Some(until) = window.until {
        rows.end = boundary(rows.clone(), until)?;
    }
    if let Some(since) = window.since {
        rows.start = boundary(rows.clone(), since)?;
    }
    Ok(rows)
}

/// The numbers of the columns that follow.
mod column {
    pub(super) const ROW: usize = 0;
    pub(super) const PARTITION: usize = 1;
    pub(super) const STATUS: usize = 2;
    pub(super) const SEEN: usize = 3;
    pub(super) const TYPE: usize = 4;
    pub(super) const SCOPE: usize = 5;
    pub(super) const KEY: usize = 6;
    pub(super) const REASON: usize = 7;
}

const COLUMNS: &str = "row, partition, status, seen, type, scope, key, reason, offset, id, wait, attempts, redrives, time, due, settled";

fn look(connection: &Connection, names: &mut Names, question: &Question) -> Result<Look> {
    let Question { group, filter, rows, limit, look_at, with_records } = question;
    let mut asking = Asking::new(connection, names, *group, filter)?;
    let mut look = Look { entries: Vec::new(), below: None };
    if *limit == 0 || rows.is_empty() {
        return Ok(look);
    }
    let bounds = [rows.start, rows.end];
    let packed = if *with_records { "packed" } else { "null" };
    let mut visit = |row: &Row<'_>, looked_at: usize| {
        if asking.matches(row)? {
            look.entries.push(asking.entry(row)?);
        }
        let is_enough = look.entries.len() == *limit || looked_at == *look_at;
        look.below = if is_enough { Some(row.get(column::ROW)?) } else { None };
        Ok::<_, rusqlite::Error>(is_enough)
    };
    if let Some(status) = filter.indexed_status() {
        let mut numbers = connection.prepare_cached(&indexed(status))?;
        let one = format!("select {COLUMNS}, {packed} from ledger where row = ?1");
        let mut one = connection.prepare_cached(&one)?;
        let mut numbers = numbers.query(bounds)?;
        for looked_at in 1.. {
            let Some(number) = numbers.next()? else { break };
            let is_enough = one.query_row([number.get::<_, i64>(0)?], |row| visit(row, looked_at))?;
            if is_enough {
                break;
            }
        }
    } else {
        let all =
            format!("select {COLUMNS}, {packed} from ledger where row >= ?1 and row < ?2 order by row desc");
        let mut all = connection.prepare_cached(&all)?;
        let mut all = all.query(bounds)?;
        for looked_at in 1.. {
            let Some(row) = all.next()? else { break };
            if visit(row, looked_at)? {
                break;
            }
        }
    }
    Ok(look)
}

/// The rows of these statuses, newest first: an arm for each, which SQLite merges. The second condition is the index's
/// own: only who repeats it gets the index.
fn indexed(status: &BTreeSet<Status>) -> String {
    let mut text = String::new();
    for (at, status) in status.iter().enumerate() {
        let all = if at == 0 { "" } else { " union all " };
        let number = *status as i64;
        let _ = write!(
            text,
            "{all}select row from ledger where status = {number} and status <> 2 and row >= ?1 and row < ?2"
        );
    }
    text + " order by row desc"
}

/// What rows say with numbers, as texts, and what the filter asks for, as rows say it.
struct Asking<'a> {
    connection: &'a Connection,
    group: i64,
    filter: &'a Filter,
    window: Window,
    scope: Option<Name<'static>>,
    /// Of the group.
    partitions: HashMap<i64, (String, i32)>,
    names: HashMap<i64, String>,
}

impl<'a> Asking<'a> {
    fn new(connection: &'a Connection, names: &mut Names, group: i64, filter: &'a Filter) -> Result<Self> {
        let scope = filter.source.as_deref().map(|source| names.find_scope(connection, group, source));
        let mut partitions = connection
            .prepare_cached("select number, topic, partition from partitions where group_number = ?1")?;
        let partitions = partitions
            .query_map([group], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?
            .collect::<Result<_>>()?;
        let (window, scope) = (Window::of(filter), scope.transpose()?);
        Ok(Self { connection, group, filter, window, scope, partitions, names: HashMap::new() })
    }

    /// What costs least first: most rows are told apart by a number.
    fn matches(&mut self, row: &Row<'_>) -> Result<bool> {
        let Some((topic, _)) = self.partitions.get(&row.get(column::PARTITION)?) else { return Ok(false) };
        let filter = self.filter;
        let status = &filter.status;
        if filter.topic.as_ref().is_some_and(|wanted| wanted != topic)
            || !(status.is_empty()
                || Status::of(row.get(column::STATUS)?).is_some_and(|it| status.contains(&it)))
            || !self.window.contains(row.get(column::SEEN)?)
        {
            return Ok(false);
        }
        let has_scope = |scope: &Name<'_>| match (scope, row.get_ref(column::SCOPE)?) {
            (Name::Number(wanted), ValueRef::Integer(found)) => Ok(*wanted == found),
            (Name::Text(wanted), ValueRef::Text(found)) => Ok(wanted.as_bytes() == found),
            _ => Ok::<_, rusqlite::Error>(false),
        };
        if let Some(key) = &filter.key
            && row.get_ref(column::KEY)?.as_blob_or_null()? != Some(key.as_bytes())
        {
            return Ok(false);
        }
        if let Some(scope) = &self.scope
            && !has_scope(scope)?
        {
            return Ok(false);
        }
        if let Some(reason) = &filter.reason
            && !row.get_ref(column::REASON)?.as_str_or_null()?.is_some_and(|found| found.contains(reason))
        {
            return Ok(false);
        }
        match &filter.ty {
            Some(pattern) => Ok(pattern.matches(self.named(row.get_ref(column::TYPE)?)?.unwrap_or_default())),
            None => Ok(true),
        }
    }

    fn entry(&mut self, row: &Row<'_>) -> Result<Entry> {
        let (topic, partition) =
            self.partitions.get(&row.get(column::PARTITION)?).cloned().unwrap_or_default();
        let source = self.named(row.get_ref(column::SCOPE)?)?.unwrap_or_default();
        // The scope of a source without a number begins with the group's.
        let is_text = matches!(row.get_ref(column::SCOPE)?, ValueRef::Text(_));
        let source =
            source.split_once(':').filter(|_| is_text).map_or(source, |(_, source)| source).to_owned();
        let id = match row.get_ref(9)? {
            ValueRef::Blob(bytes) => Uuid::from_slice(bytes).unwrap_or_default().to_string(),
            id => id.as_str()?.to_owned(),
        };
        Ok(Entry {
            row: row.get(column::ROW)?,
            topic,
            partition,
            source,
            id,
            status: Status::of(row.get(column::STATUS)?).unwrap_or(Status::Deleted),
            seen: row.get(column::SEEN)?,
            ty: self.named(row.get_ref(column::TYPE)?)?.map(str::to_owned),
            key: row.get(column::KEY)?,
            reason: row.get(column::REASON)?,
            offset: row.get(8)?,
            waits: row.get(10)?,
            attempts: row.get(11)?,
            redrives: row.get::<_, Option<i64>>(12)?.unwrap_or(0),
            time: row.get(13)?,
            due: row.get(14)?,
            settled: row.get(15)?,
            packed: row.get(16)?,
        })
    }

    /// A type or a scope: a name's number, or a text.
    fn named<'s>(&'s mut self, value: ValueRef<'s>) -> Result<Option<&'s str>> {
        let ValueRef::Integer(number) = value else { return Ok(value.as_str_or_null()?) };
        let name = match self.names.entry(number) {
            Place::Occupied(place) => place.into_mut(),
            Place::Vacant(place) => {
                let mut name = self.connection.prepare_cached("select name from names where number = ?1")?;
                place.insert(name.query_row([number], |row| row.get(0)).optional()?.unwrap_or_default())
            }
        };
        Ok(Some(name))
    }

    /// The scopes under which the group has rows: of sources that have a number, and of those that have none.
    fn scopes(&self) -> Result<Vec<Name<'static>>> {
        let mut names = self.connection.prepare_cached("select number from names where space = ?1")?;
        let mut scopes: Vec<Name<'static>> =
            names.query_map([self.group], |row| Ok(Name::Number(row.get(0)?)))?.collect::<Result<_>>()?;
        // From one to the next, by the index: they are as many as there are sources, and not as there are rows.
        let mut next = self.connection.prepare_cached(
            "select scope from ledger where scope > ?1 and scope < ?2 order by scope limit 1",
        )?;
        // ";" follows ":", behind which the source begins.
        let (mut last, end) = (format!("{}:", self.group), format!("{};", self.group));
        loop {
            let found: Option<String> = next.query_row([&last, &end], |row| row.get(0)).optional()?;
            let Some(found) = found else { return Ok(scopes) };
            scopes.push(Name::Text(found.clone().into()));
            last = found;
        }
    }
}

fn find(
    connection: &Connection,
    names: &mut Names,
    group: i64,
    id: &str,
    source: Option<&str>,
) -> Result<Vec<Entry>> {
    let all = Filter::default();
    let mut asking = Asking::new(connection, names, group, &all)?;
    let scopes = match source {
        Some(source) => vec![names.find_scope(connection, group, source)?],
        None => asking.scopes()?,
    };
    let text = format!("select {COLUMNS}, packed from ledger where scope = ?1 and id = ?2");
    let mut statement = connection.prepare_cached(&text)?;
    let mut entries = Vec::new();
    for scope in scopes {
        let mut rows = statement.query((scope, Id::of(id)))?;
        if let Some(row) = rows.next()? {
            entries.push(asking.entry(row)?);
        }
    }
    Ok(entries)
}

fn operations(connection: &Connection, row: i64) -> Result<Vec<OperationRow>> {
    let mut statement = connection.prepare_cached(
        "select at, what, status, attempts, reason from operations where row = ?1 order by number",
    )?;
    let operation = |row: &Row<'_>| {
        Ok(OperationRow {
            at: row.get(0)?,
            what: row.get(1)?,
            status: Status::of(row.get(2)?).unwrap_or(Status::Deleted),
            attempts: row.get(3)?,
            reason: row.get(4)?,
        })
    };
    statement.query_map([row], operation)?.collect()
}

fn recorded(connection: &Connection, group: i64, topic: &str) -> Result<Recorded> {
    let every_event = connection
        .prepare_cached("select every_event from groups where number = ?1")?
        .query_row([group], |row| row.get(0))
        .optional()?
        .flatten();
    let mut partitions = connection.prepare_cached(
        "select partition, pruned_below from partitions where group_number = ?1 and topic = ?2",
    )?;
    let pruned_below =
        partitions.query_map((group, topic), |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_>>()?;
    Ok(Recorded { every_event, pruned_below })
}

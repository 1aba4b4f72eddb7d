//! Questions to a database that is there.

use std::ops::Range;
use std::sync::Arc;

use futures_util::FutureExt as _;
use tokio_postgres::Row;

use super::address::Address;
use super::channel::{Channel, Opening};
use super::error::Trouble;
use super::outbox;
use super::parameter::{Bytes, Column};
use super::read::look_up;
use super::session::{Session, field, string};
use super::status;
use crate::store::{
    Answer, Entry, Filter, Identity, Known, Look, OperationRow, OutboxRow, Query, Question, Recorded,
    Remaining, SourcePosition, Status, StoreError, Window,
};

/// A database that is asked, and not written.
#[derive(Debug)]
pub(in crate::store) struct PostgresQuery(Channel);

impl PostgresQuery {
    /// Connects to a store that is there and that has this version's tables.
    pub(in crate::store) async fn open(url: &str) -> Result<Self, StoreError> {
        let address = Address::parse(url)?;
        let session = Session::connect(&address).await?;
        let id = super::migrate::check(&session, &address).await?;
        let opening = Arc::new(Opening { address, id, statements: Vec::new() });
        Ok(Self(Channel::new(&opening, false, Some(session))))
    }

    /// One transaction, that may not write.
    async fn ask<T, F>(&self, work: impl Fn(Arc<Session>) -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, Trouble>>,
    {
        let asked = |session: Arc<Session>| {
            let answer = work(Arc::clone(&session));
            async move {
                session.batch("set transaction read only").await?;
                answer.await
            }
        };
        Ok(self.0.transaction(asked).await?)
    }
}

impl Query for PostgresQuery {
    fn groups(&self) -> Answer<'_, Vec<(i64, String)>> {
        self.ask(|session| async move { groups(&session).await }).boxed()
    }

    fn range(&self, window: Window) -> Answer<'_, Range<i64>> {
        self.ask(move |session| async move { range(&session, window).await }).boxed()
    }

    fn outbox_above(&self, row: i64, most: usize, bytes: usize) -> Answer<'_, Vec<OutboxRow>> {
        self.ask(move |session| async move { outbox::above(&session, row, most, bytes).await }).boxed()
    }

    fn remaining(&self) -> Answer<'_, Remaining> {
        self.ask(|session| async move { outbox::remaining(&session).await }).boxed()
    }

    fn sources(&self, most: usize) -> Answer<'_, Vec<SourcePosition>> {
        self.ask(move |session| async move { outbox::positions(&session, most).await }).boxed()
    }

    fn look(&self, question: Question) -> Answer<'_, Look> {
        async move {
            let question = &question;
            self.ask(|session| async move { look(&session, question).await }).await
        }
        .boxed()
    }

    fn find(&self, group: i64, id: &str, source: Option<&str>) -> Answer<'_, Vec<Entry>> {
        let (id, source) = (id.to_owned(), source.map(str::to_owned));
        async move {
            let (id, source) = (&id, source.as_deref());
            self.ask(|session| async move { find(&session, group, id, source).await }).await
        }
        .boxed()
    }

    fn operations(&self, row: i64) -> Answer<'_, Vec<OperationRow>> {
        self.ask(move |session| async move { operations(&session, row).await }).boxed()
    }

    fn known(&self, group: &str, events: Arc<[Identity<'static>]>) -> Answer<'_, Vec<Option<Known>>> {
        let group = group.to_owned();
        async move {
            let (group, events) = (&group, &events);
            self.ask(|session| async move { look_up(&session, group, events).await }).await
        }
        .boxed()
    }

    fn topics(&self, group: i64) -> Answer<'_, Vec<String>> {
        let all = "select distinct topic from event_store.partition where group_number = $1 and partition >= 0 order by topic";
        self.ask(move |session| async move {
            session.query(all, &[&(group as i32)]).await?.iter().map(|row| field(row, 0)).collect()
        })
        .boxed()
    }

    fn recorded(&self, group: i64, topic: &str) -> Answer<'_, Recorded> {
        let topic = topic.to_owned();
        async move {
            let topic = &topic;
            self.ask(|session| async move { recorded(&session, group, topic).await }).await
        }
        .boxed()
    }
}

async fn groups(session: &Session) -> Result<Vec<(i64, String)>, Trouble> {
    let all = "select number, name from event_store.consumer_group order by name";
    let rows = session.query(all, &[]).await?;
    rows.iter().map(|row| Ok((i64::from(field::<i32>(row, 0)?), string(row, 1)?))).collect()
}

async fn range(session: &Session, window: Window) -> Result<Range<i64>, Trouble> {
    let window = window.widened();
    let ends = "select coalesce(min(number), 0), coalesce(max(number) + 1, 0) from event_store.ledger";
    let ends = session.query(ends, &[]).await?;
    let end = |at| ends.first().map_or(Ok(0), |row| field(row, at));
    let mut rows: Range<i64> = end(0)?..end(1)?;
    if let Some(until) = window.until {
        rows.end = boundary(session, rows.clone(), until).await?;
    }
    if let Some(since) = window.since {
        rows.start = boundary(session, rows.clone(), since).await?;
    }
    Ok(rows)
}

/// The [`Bisection`](crate::store::Bisection) in one statement: thirty answers over a network would take longer than a page.
async fn boundary(session: &Session, rows: Range<i64>, moment: i64) -> Result<i64, Trouble> {
    let bisected = "with recursive steps (low, high) as (
            values ($1::bigint, $2::bigint)
            union all
            select case when n.seen < $3 then n.number + 1 else s.low end,
                case when n.seen < $3 then s.high else s.middle end
            from (select low, high, low + (high - low) / 2 as middle from steps where low < high) as s
            left join lateral (
                select number, (extract(epoch from first_seen) * 1000)::bigint as seen from event_store.ledger
                where number >= s.middle and number < s.high order by number limit 1) as n on true)
        select low from steps where low >= high";
    let found = session.query(bisected, &[&rows.start, &rows.end, &moment]).await?;
    found.first().map_or(Ok(rows.end), |row| field(row, 0))
}

/// The columns of an [`Entry`], in its order; of `l`, the ledger, and `p`, its partitions.
macro_rules! columns {
    () => {
        "l.number, p.topic, p.partition, l.\"offset\", l.source, l.id, l.key, l.type, l.status, l.wait::bigint,
        l.attempts, l.redrives, l.reason, l.time, l.due, (extract(epoch from l.first_seen) * 1000)::bigint,
        case when l.status not in (1, 3) then (extract(epoch from l.settled) * 1000)::bigint end"
    };
}

/// What a filter leaves of the rows that are looked at, and how far that was. One row at least, so that this is known
/// where nothing was found.
macro_rules! looked_at {
    ($asked:literal) => {
        concat!(
            "with asked as materialized (",
            $asked,
            "), found as (
            select ",
            columns!(),
            ", case when $14 then l.packed end
            from asked as l join event_store.partition as p on p.number = l.partition
            where l.group_number = $1
                and (cardinality($2::smallint[]) = 0 or l.status = any($2::smallint[]))
                and ($6::text is null or p.topic = $6)
                and ($7::bytea is null or l.key = $7)
                and ($8::bytea is null or l.source = $8)
                and ($9::bytea is null or position($9 in l.reason) > 0)
                and ($10::bytea is null or l.type = $10 or
                    ($11 and substring(coalesce(l.type, ''), 1, octet_length($10)) = $10))
                and ($12::bigint is null or (extract(epoch from l.first_seen) * 1000)::bigint >= $12)
                and ($13::bigint is null or (extract(epoch from l.first_seen) * 1000)::bigint < $13)
            order by l.number desc limit $15)
        select found.*, far.looked_at, far.lowest
        from (select count(*) as looked_at, min(number) as lowest from asked) as far
        left join found on true order by found.number desc"
        )
    };
}

/// By number, of all groups: with a condition on more than the number, PostgreSQL would rather sort the whole ledger.
const BY_NUMBER: &str = looked_at!(
    "select * from event_store.ledger where number >= $3 and number < $4 order by number desc limit $5"
);

/// By status, of those that the index holds: it is used because its condition is repeated.
const BY_STATUS: &str = looked_at!(
    "select n.* from unnest($2::smallint[]) as s (status)
        cross join lateral (
            select * from event_store.ledger
            where group_number = $1 and status = s.status and status <> 2 and number >= $3 and number < $4
            order by number desc limit $5) as n
        order by n.number desc limit $5"
);

async fn look(session: &Session, question: &Question) -> Result<Look, Trouble> {
    let Question { group, filter, rows, limit, look_at, with_records } = question;
    if *limit == 0 || rows.is_empty() {
        return Ok(Look { entries: Vec::new(), below: None });
    }
    let text = if filter.indexed_status().is_some() { BY_STATUS } else { BY_NUMBER };
    let Filter { ty, key, source, topic, reason, .. } = &**filter;
    let window = Window::of(filter);
    let status = Column(filter.status.iter().map(|status| *status as i16).collect());
    let (key, source, reason) = (bytes(key.as_ref()), bytes(source.as_ref()), bytes(reason.as_ref()));
    let (ty, is_prefix) = ty.as_ref().map_or((None, false), |pattern| {
        let (text, is_prefix) = pattern.parts();
        (Some(Bytes(text.as_bytes())), is_prefix)
    });
    let found = session
        .query(
            text,
            &[
                &(*group as i32),
                &status,
                &rows.start,
                &rows.end,
                &(*look_at as i64),
                topic,
                &key,
                &source,
                &reason,
                &ty,
                &is_prefix,
                &window.since,
                &window.until,
                with_records,
                &(*limit as i64),
            ],
        )
        .await?;
    let mut look = Look { entries: Vec::with_capacity(found.len()), below: None };
    for row in &found {
        let looked_at: i64 = field(row, LOOKED)?;
        look.below = if looked_at == *look_at as i64 { field(row, LOOKED + 1)? } else { None };
        if field::<Option<i64>>(row, 0)?.is_some() {
            look.entries.push(entry(row)?);
        }
    }
    if look.entries.len() == *limit {
        look.below = look.entries.last().map(|last| last.row);
    }
    Ok(look)
}

/// Where the columns of an entry end.
const LOOKED: usize = 18;

fn entry(row: &Row) -> Result<Entry, Trouble> {
    let text = |at| Ok::<_, Trouble>(field::<Option<&[u8]>>(row, at)?.map(lossy));
    Ok(Entry {
        row: field(row, 0)?,
        topic: field(row, 1)?,
        partition: field(row, 2)?,
        offset: field(row, 3)?,
        source: string(row, 4)?,
        id: string(row, 5)?,
        key: field(row, 6)?,
        ty: text(7)?,
        status: status(row, 8)?,
        waits: field(row, 9)?,
        attempts: field(row, 10)?,
        redrives: field::<Option<i64>>(row, 11)?.unwrap_or(0),
        reason: text(12)?,
        time: field(row, 13)?,
        due: field(row, 14)?,
        seen: field(row, 15)?,
        settled: field(row, 16)?,
        packed: field(row, 17)?,
    })
}

fn bytes(text: Option<&String>) -> Option<Bytes<'_>> {
    text.map(|text| Bytes(text.as_bytes()))
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// From one source to the next, by the index: they are fewer than rows.
const BY_ID: &str = concat!(
    "with recursive sources as (
        (select event_store.indexed(source) as source from event_store.ledger
            where group_number = $1 order by event_store.indexed(source) limit 1)
        union all
        select (select event_store.indexed(source) from event_store.ledger
            where group_number = $1 and event_store.indexed(source) > s.source
            order by event_store.indexed(source) limit 1)
        from sources as s where s.source is not null)
    select ",
    columns!(),
    ", l.packed
    from (select source from sources where $3::bytea is null
        union all select event_store.indexed($3::bytea) where $3::bytea is not null) as s
    cross join lateral (
        select * from event_store.ledger where group_number = $1
            and event_store.indexed(source) = s.source and event_store.indexed(id) = event_store.indexed($2::bytea)
        limit 1) as l
    cross join lateral (select * from event_store.partition where number = l.partition limit 1) as p
    order by l.number"
);

async fn find(session: &Session, group: i64, id: &str, source: Option<&str>) -> Result<Vec<Entry>, Trouble> {
    let source = source.map(|source| Bytes(source.as_bytes()));
    let rows = session.query(BY_ID, &[&(group as i32), &Bytes(id.as_bytes()), &source]).await?;
    rows.iter().map(entry).collect()
}

async fn operations(session: &Session, row: i64) -> Result<Vec<OperationRow>, Trouble> {
    let all = "select (extract(epoch from at) * 1000)::bigint, what::bigint, status, attempts, reason
        from event_store.operation where row = $1 order by number";
    let operation = |row: &Row| {
        let number: i16 = field(row, 2)?;
        Ok(OperationRow {
            at: field(row, 0)?,
            what: field(row, 1)?,
            status: Status::of(i64::from(number)).unwrap_or(Status::Deleted),
            attempts: field(row, 3)?,
            reason: field::<Option<&[u8]>>(row, 4)?.map(lossy),
        })
    };
    session.query(all, &[&row]).await?.iter().map(operation).collect()
}

async fn recorded(session: &Session, group: i64, topic: &str) -> Result<Recorded, Trouble> {
    let every_event = "select every_event from event_store.consumer_group where number = $1";
    let every_event = session.query(every_event, &[&(group as i32)]).await?;
    let every_event = every_event.first().map_or(Ok(None), |row| field(row, 0))?;
    let partitions =
        "select partition, pruned_below from event_store.partition where group_number = $1 and topic = $2";
    let partitions = session.query(partitions, &[&(group as i32), &topic]).await?;
    let of = |row: &Row| Ok((field(row, 0)?, field(row, 1)?));
    Ok(Recorded { every_event, pruned_below: partitions.iter().map(of).collect::<Result<_, Trouble>>()? })
}

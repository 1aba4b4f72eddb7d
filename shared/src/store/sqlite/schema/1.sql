-- The store's own tables. Times are milliseconds since 1970, lengths of time milliseconds.
-- A column without a type takes each value as it is: a text that looks like a number stays one.

create table meta (
    id text not null                        -- of this store: what committed offsets carry
);

-- What handlers brought, executed once.
create table migrations (
    name text primary key
) without rowid;

create table groups (
    number integer primary key,
    name text not null unique
);

create table partitions (
    number integer primary key,
    group_number integer not null,
    topic text not null,
    partition integer not null,
    epoch integer not null,
    pruned_below integer not null default 0,
    unique (group_number, topic, partition)
);

-- Names that come again and again, so that a row holds a number: types (space 0) and each group's sources (space:
-- the group's number). Bounded: a row whose name has no number holds the name itself.
create table names (
    number integer primary key,
    space integer not null,
    name text not null,
    unique (space, name)
);

create table ledger (
    row integer primary key,                -- in the order in which rows were made
    partition integer not null,             -- of partitions
    offset integer not null,
    scope not null,                         -- group and source: of names, or 'group number:source'
    id not null,                            -- 16 bytes for a UUID in its canonical form, else text
    hash integer not null,                  -- of type, key, content type and data
    key blob,
    type,                                   -- of names, or the type itself
    time integer,                           -- when it happened
    status integer not null,                -- see the view "events"
    attempts integer not null,
    seen integer not null,
    settled integer,
    wait integer,                           -- deferred: 1 for its next attempt, 2 behind another, 3 until it is due
    due integer,
    pause integer,                          -- how long the wait for the next attempt was to be
    failing_for integer,
    reason text,
    packed blob                             -- the record, while it is needed
);

create unique index ledger_identity on ledger (scope, id);
create index ledger_waiting on ledger (partition) where status in (3, 4);

create table outbox (
    number integer primary key autoincrement,   -- never used again
    topic text not null,
    packed blob not null,
    refused text                                -- why the broker does not take it
);

create table positions (
    source text primary key,
    at integer not null,
    number integer not null
) without rowid;

create table leases (
    name text primary key,
    holder text not null,
    until integer not null
) without rowid;

-- The ledger for people.
create view events as
select
    ledger.row,
    groups.name as consumer_group,
    partitions.topic,
    partitions.partition,
    ledger.offset,
    case typeof(ledger.scope)
        when 'integer' then (select name from names where number = ledger.scope)
        else substr(ledger.scope, instr(ledger.scope, ':') + 1)
    end as source,
    case typeof(ledger.id)
        when 'blob' then lower(
            substr(hex(ledger.id), 1, 8) || '-' || substr(hex(ledger.id), 9, 4) || '-'
            || substr(hex(ledger.id), 13, 4) || '-' || substr(hex(ledger.id), 17, 4) || '-'
            || substr(hex(ledger.id), 21))
        else ledger.id
    end as id,
    case typeof(ledger.type)
        when 'integer' then (select name from names where number = ledger.type)
        else ledger.type
    end as type,
    cast(ledger.key as text) as key,
    case ledger.status
        when 1 then 'handling' when 2 then 'handled' when 3 then 'deferred' when 4 then 'dead'
        when 5 then 'parked' when 6 then 'cancelled' when 7 then 'expired' when 8 then 'deleted'
    end as status,
    case ledger.wait when 1 then 'retry' when 2 then 'behind' when 3 then 'until' end as waits,
    ledger.attempts,
    ledger.reason,
    strftime('%Y-%m-%dT%H:%M:%fZ', ledger.time / 1000.0, 'unixepoch') as time,
    strftime('%Y-%m-%dT%H:%M:%fZ', ledger.seen / 1000.0, 'unixepoch') as seen,
    strftime('%Y-%m-%dT%H:%M:%fZ', ledger.settled / 1000.0, 'unixepoch') as settled,
    strftime('%Y-%m-%dT%H:%M:%fZ', ledger.due / 1000.0, 'unixepoch') as due
from ledger
join partitions on partitions.number = ledger.partition
join groups on groups.number = partitions.group_number;

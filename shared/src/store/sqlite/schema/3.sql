-- What operators do, and what members look for once a second.
create table operations (
    number integer primary key autoincrement,
    partition integer not null,             -- of partitions
    row integer not null,                   -- of ledger
    at integer not null,
    what integer not null,                  -- 1 cancelled, 2 tried again, 3 redriven, 4 parked, 5 deleted
    status integer not null,                -- of the row before
    attempts integer not null,              -- likewise
    reason text                             -- likewise
);
create index operations_of_row on operations (row);

-- A redrive that has not come to its end: started again it leaves alone what has died since.
create table redrives (
    group_number integer primary key,
    filter text not null,
    started integer not null
);

-- What is to stand still: a topic, or the handler of a pattern.
create table pauses (
    group_number integer not null,
    what text not null,                     -- 'topic', 'handler' or, with group '', 'source'
    name text not null,
    since integer not null,
    primary key (group_number, what, name)
) without rowid;

-- Whether every event of the group has a row: null before its first assignment.
alter table groups add column every_event integer;
-- How often an operator has sent a dead event back to its handler.
alter table ledger add column redrives integer;
-- What was deferred and is being handled.
create index ledger_begun on ledger (partition) where status = 1 and packed is not null;
create index operations_of_partition on operations (partition, number);

-- What is not handled, for who asks: a handled row is in none of it.
create index ledger_asked on ledger (status) where status <> 2;
-- What a command was answered: it gets the same again.
alter table ledger add column reply blob;

-- A member of the version before does not know rows that are being handled: it settles nothing any more.
update partitions set epoch = epoch + 1;

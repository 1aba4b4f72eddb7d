-- What operators do, and what members look for once a second.
create table event_store.operation (
    number    bigint generated always as identity primary key,
    partition bigint not null,
    row       bigint not null,             -- of ledger
    at        timestamptz not null default now(),
    what      smallint not null,           -- 1 cancelled, 2 tried again, 3 redriven, 4 parked, 5 deleted
    status    smallint not null,           -- of the row before
    attempts  bigint not null,             -- likewise
    reason    bytea                        -- likewise
);
create index operation_of_row on event_store.operation (row);
create index operation_of_partition on event_store.operation (partition, number);

-- A redrive that has not come to its end: started again it leaves alone what has died since.
create table event_store.redrive (
    group_number integer primary key,
    filter       bytea not null,
    started      timestamptz not null default now()
);

-- What is to stand still: a topic, or the handler of a pattern.
create table event_store.pause (
    group_number integer not null,
    what         text not null,            -- 'topic', 'handler' or, with group '', 'source'
    name         bytea not null,
    since        timestamptz not null default now(),
    primary key (group_number, what, name)
);

-- Whether every event of the group has a row: null before its first assignment.
alter table event_store.consumer_group add column every_event boolean;
-- How often an operator has sent a dead event back to its handler.
alter table event_store.ledger add column redrives bigint;

-- What is not handled, for who asks: a handled row is in none of it.
create index ledger_asked on event_store.ledger (group_number, status, number) where status <> 2;
-- What a command was answered: it gets the same again.
alter table event_store.ledger add column reply bytea;

-- A member of the version before does not know rows that are being handled: it settles nothing any more.
update event_store.partition set epoch = epoch + 1;

-- What tells whether a row answers for earlier records of its key: the record's own time, in milliseconds since 1970, and
-- whether it was put aside before its turn, because it was not due yet.
alter table event_store.ledger
    add column timestamp bigint,
    add column scheduled boolean not null default false;
update event_store.ledger set scheduled = true where status = 3 and wait = 3;

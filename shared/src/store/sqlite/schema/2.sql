-- What tells whether a row answers for earlier records of its key.
alter table ledger add column timestamp integer;    -- the record's own
alter table ledger add column scheduled integer;    -- 1 for a row that was put aside before its turn: it was not due yet
update ledger set scheduled = 1 where status = 3 and wait = 3;

-- The store's tables, in a schema of their own. Every string that comes from outside is `bytea`: it may hold NUL, which
-- `text` cannot. For people there is the view `events`.

create table event_store.store (
    one boolean primary key default true check (one),
    id  text not null
);
insert into event_store.store (id) values (gen_random_uuid());

create table event_store.handler_migration (
    name text primary key,
    done timestamptz not null default now()
);

-- What an index holds of a string. A row of an index has at most 2,700 bytes, an event's id has no such bound: a long
-- one goes by its beginning and a digest, longer than any that is there as it is. Not `strict`, which would keep
-- PostgreSQL from inlining it.
create function event_store.indexed(string bytea) returns bytea language sql immutable parallel safe as $$
    select case when octet_length(string) <= 600 then string else substring(string, 1, 600) || sha256(string) end
$$;

create function event_store.readable(string bytea) returns text language sql stable parallel safe as $$
    select case when position('\x00'::bytea in string) = 0 then convert_from(string, 'UTF8') else encode(string, 'escape') end
$$;

-- Milliseconds since 1970, when this transaction began.
create function event_store.now_ms() returns bigint language sql stable parallel safe as $$
    select (extract(epoch from now()) * 1000)::bigint
$$;

create table event_store.consumer_group (
    number integer generated always as identity primary key,
    name   bytea not null
);
create unique index on event_store.consumer_group (event_store.indexed(name));

create table event_store.partition (
    number       bigint generated always as identity primary key,
    group_number integer not null references event_store.consumer_group,
    topic        text not null,
    partition    integer not null,
    epoch        bigint not null default 0,
    pruned_below bigint not null default 0,
    unique (group_number, topic, partition)
);

-- Numbers are taken before the insert: they follow the order of a batch, while its rows go in sorted by identity.
create sequence event_store.ledger_number;

create table event_store.ledger (
    number       bigint primary key,
    partition    bigint not null,
    epoch        bigint not null,          -- of the owner who wrote it last
    "offset"     bigint not null,
    hash         bigint not null,
    attempts     bigint not null,
    time         bigint,                   -- milliseconds since 1970
    due          bigint,                   -- likewise
    pause        bigint,                   -- milliseconds
    failing_for  bigint,                   -- milliseconds
    first_seen   timestamptz not null default now(),
    settled      timestamptz not null default now(),
    group_number integer not null,
    status       smallint not null,
    wait         smallint,                 -- 1 retry, 2 behind, 3 until
    source       bytea not null,
    id           bytea not null,
    key          bytea,
    type         bytea,
    reason       bytea,
    packed       bytea
);
create unique index ledger_identity on event_store.ledger
    (group_number, event_store.indexed(source), event_store.indexed(id));
-- What waits, and what is settled for good: each row is in one of the two.
create index ledger_waiting on event_store.ledger (partition, number) where status in (1, 3, 4, 5);
create index ledger_final on event_store.ledger (partition, "offset") where status in (2, 6, 7, 8);

-- Few rows, each for a short time: what is deleted must not pile up in front of the lowest.
create table event_store.outbox (
    number  bigint generated always as identity primary key,
    topic   text not null,
    packed  bytea not null,
    refused bytea
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

create table event_store.position (
    source bytea not null,
    at     bigint not null,
    number bigint not null
);
create unique index on event_store.position (event_store.indexed(source));

create table event_store.lease (
    name    text primary key,
    holder  bytea not null,
    expires timestamptz not null
);

create view event_store.events as
select event_store.readable(g.name) as consumer_group, p.topic, p.partition, l."offset", l.number,
    event_store.readable(l.source) as source, event_store.readable(l.id) as id, event_store.readable(l.type) as type,
    encode(l.key, 'escape') as key, to_timestamp(l.time / 1000.0) as time,
    (array['handling', 'handled', 'deferred', 'dead', 'parked', 'cancelled', 'expired', 'deleted'])[l.status] as status,
    (array['retry', 'behind', 'until'])[l.wait] as wait, l.attempts,
    case when l.due < 253402300800000 then to_timestamp(l.due / 1000.0) else 'infinity' end as due,
    event_store.readable(l.reason) as reason, l.first_seen, l.settled
from event_store.ledger l
join event_store.partition p on p.number = l.partition
join event_store.consumer_group g on g.number = l.group_number;

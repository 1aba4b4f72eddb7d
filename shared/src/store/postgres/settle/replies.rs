//! Replies to commands. Commands are few: one statement each.

use super::super::error::Trouble;
use super::super::outbox;
use super::super::parameter::Bytes;
use super::super::session::Session;
use super::Owner;
use crate::store::{OutboxRecord, Reply, RowId, Settlement, Verdict};

const KEEP: &str = "update event_store.ledger set reply = $2 where number = $1";

const AGAIN: &str = "
    insert into event_store.outbox (topic, packed)
    select $4::text, l.reply from event_store.ledger as l
    where l.group_number = $1 and event_store.indexed(l.source) = event_store.indexed($2)
        and event_store.indexed(l.id) = event_store.indexed($3) and l.reply is not null";

/// Keeps replies with their commands' rows, and publishes them; of commands that are known, what is kept there.
pub(super) async fn answer(
    session: &Session,
    settled: impl Iterator<Item = (&Settlement, &Reply, &Verdict, Owner)>,
) -> Result<(), Trouble> {
    for (settlement, reply, verdict, owner) in settled {
        match verdict {
            Verdict::Settled(row) => keep(session, *row, reply).await?,
            Verdict::Known(_) => again(session, settlement, reply, owner).await?,
            _ => {}
        }
    }
    Ok(())
}

async fn keep(session: &Session, row: RowId, reply: &Reply) -> Result<(), Trouble> {
    if let Some(packed) = &reply.packed {
        session.execute(KEEP, &[&row.0, &Bytes(packed)]).await?;
    }
    let record = reply.record();
    outbox::insert(session, &record.iter().collect::<Vec<&OutboxRecord>>()).await
}

async fn again(
    session: &Session,
    settlement: &Settlement,
    reply: &Reply,
    owner: Owner,
) -> Result<(), Trouble> {
    let Some(topic) = &reply.topic else { return Ok(()) };
    let identity = settlement.identity();
    let (source, id) = (Bytes(identity.source.as_bytes()), Bytes(identity.id.as_bytes()));
    session.execute(AGAIN, &[&owner.group, &source, &id, topic]).await.map(drop)
}

//! What is to stand still.

use std::sync::Arc;

use futures_util::FutureExt as _;

use super::Postgres;
use super::error::Trouble;
use super::parameter::Bytes;
use super::session::{Session, field, string};
use crate::store::{Answer, Pausable, Pause, PauseTable};

impl PauseTable for Postgres {
    fn pauses(&self, group: &str) -> Answer<'_, Vec<Pause>> {
        let group = group.to_owned();
        async move {
            let group = &group;
            let found = |session: Arc<Session>| async move { pauses(&session, group).await };
            Ok(self.reads.transaction(found).await?)
        }
        .boxed()
    }

    fn pause(&self, group: &str, what: Pausable, name: &str) -> Answer<'_, bool> {
        let (group, name) = (group.to_owned(), name.to_owned());
        async move {
            let (group, name) = (&group, &name);
            let paused = |session: Arc<Session>| async move { pause(&session, group, what, name).await };
            Ok(self.outbox.transaction(paused).await?)
        }
        .boxed()
    }

    fn resume(&self, group: &str, what: Pausable, name: &str) -> Answer<'_, bool> {
        let (group, name) = (group.to_owned(), name.to_owned());
        async move {
            let (group, name) = (&group, &name);
            let resumed = |session: Arc<Session>| async move { resume(&session, group, what, name).await };
            Ok(self.outbox.transaction(resumed).await?)
        }
        .boxed()
    }
}

async fn pauses(session: &Session, group: &str) -> Result<Vec<Pause>, Trouble> {
    let pauses = "select p.what, p.name, (extract(epoch from p.since) * 1000)::bigint
        from event_store.pause as p join event_store.consumer_group as g on g.number = p.group_number
        where event_store.indexed(g.name) = event_store.indexed($1) order by p.what desc, p.name";
    let rows = session.query(pauses, &[&Bytes(group.as_bytes())]).await?;
    let pauses = rows.iter().map(|row| Ok(Pause::of(field(row, 0)?, string(row, 1)?, field(row, 2)?)));
    Ok(pauses.collect::<Result<Vec<_>, Trouble>>()?.into_iter().flatten().collect())
}

async fn pause(session: &Session, group: &str, what: Pausable, name: &str) -> Result<bool, Trouble> {
    let group = Bytes(group.as_bytes());
    // Before its first assignment the group has no number yet.
    let made = "insert into event_store.consumer_group (name) values ($1) on conflict do nothing";
    session.execute(made, &[&group]).await?;
    let paused = "insert into event_store.pause (group_number, what, name)
        select number, $2, $3 from event_store.consumer_group
        where event_store.indexed(name) = event_store.indexed($1) on conflict do nothing";
    Ok(session.execute(paused, &[&group, &what.as_str(), &Bytes(name.as_bytes())]).await? == 1)
}

async fn resume(session: &Session, group: &str, what: Pausable, name: &str) -> Result<bool, Trouble> {
    let resumed = "delete from event_store.pause as p using event_store.consumer_group as g
        where g.number = p.group_number and event_store.indexed(g.name) = event_store.indexed($1)
            and p.what = $2 and p.name = $3";
    let (group, name) = (Bytes(group.as_bytes()), Bytes(name.as_bytes()));
    Ok(session.execute(resumed, &[&group, &what.as_str(), &name]).await? == 1)
}

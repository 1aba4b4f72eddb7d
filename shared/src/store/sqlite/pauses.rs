//! What is to stand still.

use jiff::Timestamp;
use rusqlite::{Connection, Result};

use super::SqliteStore;
use crate::store::{Answer, Pausable, Pause, PauseTable};

impl PauseTable for SqliteStore {
    fn pauses(&self, group: &str) -> Answer<'_, Vec<Pause>> {
        let group = group.to_owned();
        self.reader.ask(move |file| file.ask(|connection, _| Ok(pauses(connection, &group)?)))
    }

    fn pause(&self, group: &str, what: Pausable, name: &str) -> Answer<'_, bool> {
        let (group, name) = (group.to_owned(), name.to_owned());
        self.writer.ask(move |file| file.ask(|connection, _| Ok(pause(connection, &group, what, &name)?)))
    }

    fn resume(&self, group: &str, what: Pausable, name: &str) -> Answer<'_, bool> {
        let (group, name) = (group.to_owned(), name.to_owned());
        self.writer.ask(move |file| file.ask(|connection, _| Ok(resume(connection, &group, what, &name)?)))
    }
}

fn pauses(connection: &Connection, group: &str) -> Result<Vec<Pause>> {
    let mut statement = connection.prepare_cached(
        "select pauses.what, pauses.name, pauses.since from pauses
         join groups on groups.number = pauses.group_number
         where groups.name = ?1 order by pauses.what desc, pauses.name",
    )?;
    let rows = statement
        .query_map([group], |row| Ok(Pause::of(&row.get::<_, String>(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(rows.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}

fn pause(connection: &Connection, group: &str, what: Pausable, name: &str) -> Result<bool> {
    // Before its first assignment the group has no number yet.
    connection
        .prepare_cached("insert into groups (name) values (?1) on conflict (name) do nothing")?
        .execute([group])?;
    let paused = connection
        .prepare_cached(
            "insert into pauses (group_number, what, name, since)
             select number, ?2, ?3, ?4 from groups where name = ?1 on conflict do nothing",
        )?
        .execute((group, what.as_str(), name, Timestamp::now().as_millisecond()))?;
    Ok(paused == 1)
}

fn resume(connection: &Connection, group: &str, what: Pausable, name: &str) -> Result<bool> {
    let resumed = connection
        .prepare_cached(
            "delete from pauses where what = ?2 and name = ?3
             and group_number = (select number from groups where name = ?1)",
        )?
        .execute((group, what.as_str(), name))?;
    Ok(resumed == 1)
}

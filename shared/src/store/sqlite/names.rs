//! Names that come again and again, and the numbers that rows hold in their place.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use foldhash::fast::RandomState;
use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, OptionalExtension, Result, ToSql};

/// The space of types; each group's sources have the group's number.
pub(super) const TYPES: i64 = 0;

/// Names that get a number, in each space: who sends a new name with every event fills neither memory nor table.
const MOST: i64 = 1_000;
/// Longer ones get none.
const LONGEST: usize = 200;

/// The numbers of names, as far as they are known here. A number never changes.
#[derive(Debug, Default)]
pub(super) struct Names {
    known: HashMap<i64, HashMap<Box<str>, i64, RandomState>, RandomState>,
    /// Spaces that hold all they may.
    full: HashSet<i64>,
}

/// What a row holds: the number of a name, or the name itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Name<'a> {
    Number(i64),
    Text(Cow<'a, str>),
}

impl ToSql for Name<'_> {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        match self {
            Self::Number(number) => Ok((*number).into()),
            Self::Text(text) => Ok(text.as_ref().into()),
        }
    }
}

impl Names {
    /// What a row is to hold for a type. Must be asked within a transaction that writes.
    pub(super) fn ty<'a>(&mut self, connection: &Connection, ty: &'a str) -> Result<Name<'a>> {
        Ok(self.intern(connection, TYPES, ty)?.map_or(Name::Text(Cow::Borrowed(ty)), Name::Number))
    }

    /// What a row is to hold for a source of a group. Must be asked within a transaction that writes.
    pub(super) fn scope(
        &mut self,
        connection: &Connection,
        group: i64,
        source: &str,
    ) -> Result<Name<'static>> {
        Ok(self.intern(connection, group, source)?.map_or_else(|| unnamed(group, source), Name::Number))
    }

    /// What rows hold for a source of a group, if there are any.
    pub(super) fn find_scope(
        &mut self,
        connection: &Connection,
        group: i64,
        source: &str,
    ) -> Result<Name<'static>> {
        Ok(self.find(connection, group, source)?.map_or_else(|| unnamed(group, source), Name::Number))
    }

    /// Forgets everything: what a transaction added may have been rolled back.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    fn find(&mut self, connection: &Connection, space: i64, name: &str) -> Result<Option<i64>> {
        if name.len() > LONGEST {
            return Ok(None);
        }
        if let Some(number) = self.known.get(&space).and_then(|names| names.get(name)) {
            return Ok(Some(*number));
        }
        let number = connection
            .prepare_cached("select number from names where space = ?1 and name = ?2")?
            .query_row((space, name), |row| row.get(0))
            .optional()?;
        if let Some(number) = number {
            self.known.entry(space).or_default().insert(name.into(), number);
        }
        Ok(number)
    }

    fn intern(&mut self, connection: &Connection, space: i64, name: &str) -> Result<Option<i64>> {
        if let Some(number) = self.find(connection, space, name)? {
            return Ok(Some(number));
        }
        if name.len() > LONGEST || self.full.contains(&space) {
            return Ok(None);
        }
        let there: i64 = connection
            .prepare_cached("select count(*) from names where space = ?1")?
            .query_row([space], |row| row.get(0))?;
        if there >= MOST {
            self.full.insert(space);
            return Ok(None);
        }
        let number = connection
            .prepare_cached("insert into names (space, name) values (?1, ?2)")?
            .insert((space, name))?;
        self.known.entry(space).or_default().insert(name.into(), number);
        Ok(Some(number))
    }
}

/// The scope of a source without a number. Where the group ends is plain: its number has no colon.
fn unnamed(group: i64, source: &str) -> Name<'static> {
    Name::Text(Cow::Owned(format!("{group}:{source}")))
}

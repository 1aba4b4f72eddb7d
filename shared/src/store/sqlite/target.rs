//! Which row a settlement is for, and what a new one holds of its event.

use std::borrow::Cow;

use rusqlite::ToSql;
use rusqlite::types::ToSqlOutput;
use uuid::Uuid;

use crate::store::{Identity, RowId, Settlement};

/// Made by who asks, where the batch comes from: the one thread that writes is what all of them wait for.
#[derive(Debug)]
pub(super) enum Target {
    /// One that is not there yet.
    New(Described),
    /// One that knows of so many attempts.
    Row(RowId, u32),
}

impl Target {
    pub(super) fn of(settlement: &Settlement) -> Self {
        match settlement.row {
            Some((row, attempts)) => Self::Row(row, attempts),
            None => Self::New(Described::of(settlement)),
        }
    }
}

/// An event, as a row holds it.
#[derive(Debug)]
pub(super) struct Described {
    pub(super) id: Id<'static>,
    pub(super) hash: i64,
    pub(super) time: Option<i64>,
}

impl Described {
    pub(super) fn of(settlement: &Settlement) -> Self {
        let Identity { id, hash, .. } = settlement.identity();
        Self { id: Id::of(id).into_owned(), hash, time: settlement.arrived.time() }
    }
}

/// An id as rows hold it: half as long where it is a UUID. Only the canonical form is one, so that no two collide.
#[derive(Debug)]
pub(super) enum Id<'a> {
    Uuid(Uuid),
    Text(Cow<'a, str>),
}

impl<'a> Id<'a> {
    pub(super) fn of(id: impl Into<Cow<'a, str>>) -> Self {
        let id = id.into();
        let is_canonical = id.len() == 36 && !id.bytes().any(|byte| byte.is_ascii_uppercase());
        let uuid = is_canonical.then(|| Uuid::try_parse(&id).ok()).flatten();
        uuid.map_or(Self::Text(id), Self::Uuid)
    }

    fn into_owned(self) -> Id<'static> {
        match self {
            Self::Uuid(uuid) => Id::Uuid(uuid),
            Self::Text(text) => Id::Text(Cow::Owned(text.into_owned())),
        }
    }
}

impl ToSql for Id<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Self::Uuid(uuid) => Ok(uuid.as_bytes().as_slice().into()),
            Self::Text(text) => Ok(text.as_ref().into()),
        }
    }
}

//! What PostgreSQL's errors mean for the store.

use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use crate::store::{Refusal, StoreError};

/// Why a transaction did not commit.
#[derive(Debug, Clone)]
pub(super) enum Trouble {
    Store(StoreError),
    /// PostgreSQL rolled it back in favour of another one: it may succeed the next time.
    Again(String),
    /// The effects of an event in it.
    Refused(Refusal),
}

impl From<Trouble> for StoreError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Store(error) => error,
            Trouble::Again(reason) => Self::Unavailable(reason),
            Trouble::Refused(refusal) => Self::Unusable(refusal.reason),
        }
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Trouble {
    /// Of a statement of the store's own.
    pub(super) fn of_store(error: &Error) -> Self {
        let own = |is_slow| if is_slow { StoreError::Unavailable } else { StoreError::Unusable };
        let is_slow = error.code() == Some(&SqlState::QUERY_CANCELED);
        common(error).unwrap_or_else(|| Self::Store(own(is_slow)(in_words(error))))
    }

    /// Of a handler's statement, or of the commit that makes its deferred constraints speak.
    pub(super) fn of_effect(error: &Error, statement: &str) -> Self {
        common(error).unwrap_or_else(|| {
            let class = error.code().map(|code| &code.code()[..2]);
            let permanent = matches!(class, Some("22" | "23" | "54"));
            Self::Refused(Refusal { reason: format!("{statement}: {}", in_words(error)), permanent })
        })
    }

    /// Of connecting. A wrong password or a database that does not exist does not pass by itself.
    pub(super) fn of_connecting(error: &Error, place: &str) -> StoreError {
        let found = in_words(error);
        match error.code().map(SqlState::code) {
            Some(code) if code.starts_with("28") || code == "3D000" || code == "42501" => {
                StoreError::Unusable(format!(
                    "{place}: {found}: check user, password and database in the store's URL"
                ))
            }
            _ => StoreError::Unavailable(format!(
                "{place} cannot be reached: {found}: is the server running, and are host and port right?"
            )),
        }
    }
}

/// What an error means wherever it appears: the transaction lost against another, or the server is in trouble.
fn common(error: &Error) -> Option<Trouble> {
    let unavailable = || Trouble::Store(StoreError::Unavailable(in_words(error)));
    let Some(code) = error.code().map(SqlState::code) else { return Some(unavailable()) };
    match (code, &code[..2]) {
        ("40001" | "40P01", _) => Some(Trouble::Again(in_words(error))),
        // The time limit that somebody gave to statements: of an effect, it says nothing about the server.
        ("57014", _) => None,
        // 0A000 is what a server that is being recovered says to a transaction that wants to write.
        ("0A000" | "25006" | "25P03" | "25P04" | "55P03", _)
        | (_, "08" | "40" | "53" | "57" | "58" | "XX") => Some(unavailable()),
        _ => None,
    }
}

/// PostgreSQL's own sentence and its code; without the detail, which repeats what is in the row.
pub(super) fn in_words(error: &Error) -> String {
    use std::error::Error as _;
    if let Some(error) = error.as_db_error() {
        return format!("{} ({})", error.message(), error.code().code());
    }
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// The same, with where it was, or what was being done, before it.
pub(super) fn in_place(trouble: impl Into<StoreError>, what: &str) -> StoreError {
    match trouble.into() {
        StoreError::Unavailable(reason) => StoreError::Unavailable(format!("{what}: {reason}")),
        StoreError::Unusable(reason) => StoreError::Unusable(format!("{what}: {reason}")),
    }
}

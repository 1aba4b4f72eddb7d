//! What SQLite's errors mean to the store.

use std::path::Path;

use rusqlite::{Error, ErrorCode};

use crate::store::{Refusal, StoreError};

/// Why a transaction was rolled back.
#[derive(Debug)]
pub(super) enum Failure {
    /// The database does not take the effects of an event.
    Refused(Refusal),
    /// Something is wrong with the database.
    Sqlite(Error),
    /// The same, in words.
    Store(StoreError),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Failure {
    /// In words for who asked for something that cannot be refused.
    pub(super) fn into_store_error(self, path: &Path) -> StoreError {
        match self {
            Self::Store(error) => error,
            Self::Sqlite(error) => unavailable(path, &error),
            Self::Refused(refusal) => StoreError::Unavailable(refusal.reason),
        }
    }
}

/// Whether it is the database, and not the statement, that has a problem.
pub(super) fn is_trouble(error: &Error) -> bool {
    use ErrorCode::{
        CannotOpen, DatabaseBusy, DatabaseCorrupt, DatabaseLocked, DiskFull, FileLockingProtocolFailed,
        NotADatabase, OperationInterrupted, OutOfMemory, PermissionDenied, ReadOnly, SystemIoFailure,
    };
    matches!(
        error.sqlite_error_code(),
        Some(
            CannotOpen
                | DatabaseBusy
                | DatabaseCorrupt
                | DatabaseLocked
                | DiskFull
                | FileLockingProtocolFailed
                | NotADatabase
                | OperationInterrupted
                | OutOfMemory
                | PermissionDenied
                | ReadOnly
                | SystemIoFailure
        )
    )
}

/// Whether the connection is as good as before: it only could not have what it wanted.
pub(super) fn leaves_the_connection(error: &Error) -> bool {
    use ErrorCode::{DatabaseBusy, DatabaseLocked, DiskFull};
    matches!(error.sqlite_error_code(), Some(DatabaseBusy | DatabaseLocked | DiskFull))
}

/// What is wrong with the file, and what to do about it.
pub(super) fn unavailable(path: &Path, error: &Error) -> StoreError {
    let advice = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "the disk is full: make room, and it goes on",
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another process keeps it locked: end that one, and it goes on"
        }
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            "it cannot be written: let this user write the file and its folder"
        }
        Some(ErrorCode::CannotOpen) => {
            "it cannot be opened: check that it and its folder are there and that this user may read and write both"
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            "it is damaged: stop the service and put a backup in its place, or what `sqlite3 FILE .recover` saves"
        }
        Some(ErrorCode::SystemIoFailure) => "reading or writing it fails: check the disk",
        _ => "it does not answer as it should",
    };
    StoreError::Unavailable(format!("the store {}: {advice} ({error})", path.display()))
}

/// Why a handler's statement was refused, where the statement is to blame.
pub(super) fn refusal(statement: &str, error: Error) -> Failure {
    if is_trouble(&error) {
        return Failure::Sqlite(error);
    }
    let permanent = match error.sqlite_error_code() {
        Some(code) => matches!(
            code,
            ErrorCode::ConstraintViolation
                | ErrorCode::TypeMismatch
                | ErrorCode::TooBig
                | ErrorCode::ParameterOutOfRange
        ),
        None => true, // what the binding itself refuses: a wrong number of parameters
    };
    Failure::Refused(Refusal { reason: format!("the statement {statement:?}: {error}"), permanent })
}

//! What handlers write.

use std::collections::HashSet;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Result, ToSql};

use super::trouble::{Failure, refusal};
use crate::store::{Effects, Refusal, Statement, Value};

/// Executes the statements of an event, in order.
pub(super) fn write(
    connection: &Connection,
    registered: &HashSet<&'static str>,
    effects: &Effects,
) -> Result<(), Failure> {
    for (statement, parameters) in effects.writes() {
        let Statement { name, sqlite, .. } = statement;
        if !registered.contains(sqlite) {
            return Err(permanent(name, "nobody has registered it"));
        }
        if parameters.iter().any(|value| matches!(value, Value::Real(number) if number.is_nan())) {
            return Err(permanent(name, "a parameter is not a number, for which SQLite would write null"));
        }
        execute(connection, sqlite, parameters).map_err(|error| refusal(name, error))?;
    }
    Ok(())
}

fn execute(connection: &Connection, text: &str, parameters: &[Value]) -> Result<()> {
    let mut statement = connection.prepare_cached(text)?;
    // Not `execute`: a statement may say `returning`, and nobody reads it.
    let mut rows = statement.query(rusqlite::params_from_iter(parameters))?;
    while rows.next()?.is_some() {}
    Ok(())
}

fn permanent(statement: &str, problem: &str) -> Failure {
    Failure::Refused(Refusal { reason: format!("the statement {statement:?}: {problem}"), permanent: true })
}

impl ToSql for Value {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Real(number) => ValueRef::Real(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

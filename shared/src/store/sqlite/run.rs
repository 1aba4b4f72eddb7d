//! Rows that say the same: events handled at their first attempt, many in one statement.

use std::fmt::Write as _;
use std::sync::LazyLock;

use rusqlite::{CachedStatement, Connection};

use super::ledger::{Ledger, find};
use super::names::Name;
use super::target::Described;
use super::trouble::Failure;
use crate::store::{RowId, Settlement, Status, Step, Verdict};

/// How many rows a statement inserts: what it costs to begin and to end is shared by so many.
pub(super) const ROWS: usize = 40;

/// The bytes of a record: what rows hold of it is copied for the whole statement.
const LARGEST: usize = 16 * 1024;

/// The parameters of a row, behind the first one, which is the same for all.
const PARAMETERS: usize = 9;

/// "Or fail", because a transaction is rolled back as a whole: to undo a statement alone, SQLite would copy each page
/// before it changes it.
static INSERT: LazyLock<String> = LazyLock::new(|| {
    let mut text = "insert or fail into ledger (seen, settled, status, attempts,
        partition, offset, scope, id, hash, key, type, time, timestamp) values "
        .to_owned();
    for row in 0..ROWS {
        let comma = if row == 0 { "" } else { "," };
        let _ = write!(text, "{comma}(?1,?1,{},1,?,?,?,?,?,?,?,?,?)", Status::Handled as i64);
    }
    text + " on conflict (scope, id) do nothing"
});

/// A row still to be inserted.
pub(super) struct NewRow<'a> {
    pub(super) settlement: &'a Settlement,
    pub(super) described: &'a Described,
    pub(super) scope: Name<'static>,
    pub(super) ty: Option<Name<'a>>,
}

/// Whether the settlement's new row says what the statement says.
pub(super) fn fits(settlement: &Settlement) -> bool {
    settlement.attempts == 1
        && settlement.reply.is_none()
        && matches!(settlement.step, Step::Handled { .. })
        && settlement.arrived.record().size() <= LARGEST
}

/// The statement of one transaction, and when it is.
pub(super) struct Insert<'a> {
    connection: &'a Connection,
    statement: CachedStatement<'a>,
}

impl<'a> Insert<'a> {
    pub(super) fn new(connection: &'a Connection, now: i64) -> Result<Self, Failure> {
        let mut statement = connection.prepare_cached(&INSERT)?;
        statement.raw_bind_parameter(1, now)?;
        Ok(Self { connection, statement })
    }

    /// Inserts [`ROWS`] rows, in order. One verdict for each.
    pub(super) fn insert(
        &mut self,
        ledger: &Ledger<'_>,
        rows: &[NewRow<'_>],
        verdicts: &mut Vec<Verdict>,
    ) -> Result<(), Failure> {
        for (number, row) in rows.iter().enumerate() {
            self.bind(2 + number * PARAMETERS, row)?;
        }
        let inserted = self.statement.raw_execute()?;
        // Numbered one after the other: within a transaction nobody else inserts.
        let end = self.connection.last_insert_rowid() + 1;
        let mut new = end - inserted as i64..end;
        if inserted == rows.len() {
            verdicts.extend(new.map(|row| Verdict::Settled(RowId(row))));
            return Ok(());
        }
        for NewRow { scope, described, settlement, .. } in rows {
            let verdict = match find(self.connection, scope, &described.id)? {
                // Of those with one identity the first has the row: the next row is a later one's.
                Some(found) if new.contains(&found.row) => {
                    new.start = found.row + 1;
                    Verdict::Settled(RowId(found.row))
                }
                Some(found) => ledger.found(&found, described.hash, settlement)?,
                None => Verdict::Known(Status::Deleted),
            };
            verdicts.push(verdict);
        }
        Ok(())
    }

    fn bind(&mut self, first: usize, row: &NewRow<'_>) -> rusqlite::Result<()> {
        let NewRow { settlement, described, scope, ty } = row;
        let record = settlement.arrived.record();
        let statement = &mut self.statement;
        statement.raw_bind_parameter(first, settlement.owner.partition)?;
        statement.raw_bind_parameter(first + 1, record.origin().offset)?;
        statement.raw_bind_parameter(first + 2, scope)?;
        statement.raw_bind_parameter(first + 3, &described.id)?;
        statement.raw_bind_parameter(first + 4, described.hash)?;
        statement.raw_bind_parameter(first + 5, record.key())?;
        statement.raw_bind_parameter(first + 6, ty)?;
        statement.raw_bind_parameter(first + 7, described.time)?;
        statement.raw_bind_parameter(first + 8, record.origin().timestamp)
    }
}

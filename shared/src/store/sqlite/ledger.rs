//! One row of the ledger: inserted, or moved on.

use rusqlite::{CachedStatement, Connection, OptionalExtension, Result};

use super::names::Name;
use super::target::{Described, Id};
use super::trouble::Failure;
use crate::store::operate::CLAIM;
use crate::store::{RowId, Settlement, Status, Step, Verdict, Wait};

const INSERT: &str = "
    insert into ledger (partition, offset, scope, id, hash, key, type, time, status, attempts, seen, settled,
        wait, due, pause, failing_for, reason, packed, timestamp, scheduled)
    values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)
    on conflict (scope, id) do nothing";

const FIND: &str = "select status, hash, row from ledger where scope = ?1 and id = ?2";

/// A deferred row keeps what it waited for: a crash gives it back.
const BEGIN: &str =
    "update ledger set status = 1 where row = ?1 and partition = ?2 and status = 3 and attempts = ?3";

/// What a crash left behind in the middle of its handling, or another record of the same event, goes on with who asks last.
const TAKE: &str = "
    update ledger set partition = ?2, offset = ?3, timestamp = ?4, attempts = 0
    where row = ?1 and status = 1 and packed is null and (?5 or (partition = ?2 and offset = ?3))";

const MOVE: &str = "
    update ledger set status = ?4, attempts = ?5, settled = ?6, wait = ?7, due = ?8, pause = ?9,
        failing_for = coalesce(?10, failing_for), scheduled = coalesce(scheduled, nullif(?7 is 3, 0)),
        reason = case when ?4 in (2, 7) then null else coalesce(?11, reason) end,
        packed = case when ?4 in (2, 7) then null else coalesce(packed, ?12) end
    where row = ?1 and partition = ?2 and status in (1, 3) and attempts = ?3";

const STATUS: &str = "select status from ledger where row = ?1 and partition = ?2";

/// What a row holds in "wait" that was put aside until its own time.
const UNTIL: i64 = 3;

/// The statements of one transaction, and when it is.
pub(super) struct Ledger<'a> {
    connection: &'a Connection,
    insert: CachedStatement<'a>,
    now: i64,
}

/// What a step makes of its row.
struct State<'a> {
    status: Status,
    settled: Option<i64>,
    /// wait, due, pause, failing for.
    waiting: [Option<i64>; 4],
    reason: Option<&'a str>,
}

impl<'a> Ledger<'a> {
    pub(super) fn new(connection: &'a Connection, now: i64) -> Result<Self> {
        Ok(Self { connection, insert: connection.prepare_cached(INSERT)?, now })
    }

    pub(super) fn insert(
        &mut self,
        scope: &Name<'_>,
        ty: Option<&Name<'_>>,
        described: &Described,
        settlement: &Settlement,
    ) -> Result<Verdict, Failure> {
        let record = settlement.arrived.record();
        let State { status, settled, waiting: [wait, due, pause, failing_for], reason } =
            self.state(&settlement.step);
        let packed = matches!(status, Status::Deferred | Status::Dead).then(|| record.pack());
        let inserted = self.insert.execute(rusqlite::params![
            settlement.owner.partition,
            record.origin().offset,
            scope,
            described.id,
            described.hash,
            record.key(),
            ty,
            described.time,
            status as i64,
            settlement.attempts,
            self.now,
            settled,
            wait,
            due,
            pause,
            failing_for,
            reason,
            packed,
            record.origin().timestamp,
            (wait == Some(UNTIL)).then_some(1),
        ])?;
        if inserted == 1 {
            return Ok(Verdict::Settled(RowId(self.connection.last_insert_rowid())));
        }
        let found = find(self.connection, scope, &described.id)?;
        found.map_or(Ok(Verdict::Known(Status::Deleted)), |found| {
            self.found(&found, described.hash, settlement)
        })
    }

    /// What to do about an event whose row was there before.
    pub(super) fn found(
        &self,
        found: &Found,
        hash: i64,
        settlement: &Settlement,
    ) -> Result<Verdict, Failure> {
        match found.verdict(hash) {
            Verdict::Known(Status::Handling) => {
                let origin = settlement.arrived.record().origin();
                // Another record of the same event ends nothing that may be under way.
                let goes_on = matches!(settlement.step, Step::Handling | Step::Handled { .. });
                let place = (found.row, settlement.owner.partition, origin.offset, origin.timestamp, goes_on);
                match self.connection.prepare_cached(TAKE)?.execute(place)? {
                    0 => Ok(Verdict::Known(Status::Handling)),
                    _ if matches!(settlement.step, Step::Handling) => Ok(Verdict::Settled(RowId(found.row))),
                    _ => self.move_row(RowId(found.row), 0, settlement),
                }
            }
            verdict => Ok(verdict),
        }
    }

    /// Moves a row on from the attempt that was begun. A row that is gone is answered "deleted".
    pub(super) fn move_row(
        &self,
        row: RowId,
        attempts: u32,
        settlement: &Settlement,
    ) -> Result<Verdict, Failure> {
        let partition = settlement.owner.partition;
        if matches!(settlement.step, Step::Handling) {
            let begun = self.connection.prepare_cached(BEGIN)?.execute((row.0, partition, attempts))?;
            return self.moved(begun, row, partition);
        }
        let State { status, settled, waiting: [wait, due, pause, failing_for], reason } =
            self.state(&settlement.step);
        // One that went straight to its handler has left its record in Kafka so far.
        let is_needed = attempts == 0 && matches!(status, Status::Deferred | Status::Dead);
        let packed = is_needed.then(|| settlement.arrived.record().pack());
        let moved = self.connection.prepare_cached(MOVE)?.execute(rusqlite::params![
            row.0,
            partition,
            attempts,
            status as i64,
            settlement.attempts,
            settled,
            wait,
            due,
            pause,
            failing_for,
            reason,
            packed,
        ])?;
        self.moved(moved, row, partition)
    }

    fn moved(&self, moved: usize, row: RowId, partition: i64) -> Result<Verdict, Failure> {
        if moved == 1 {
            return Ok(Verdict::Settled(row));
        }
        let present: Option<i64> = self
            .connection
            .prepare_cached(STATUS)?
            .query_row((row.0, partition), |row| row.get(0))
            .optional()?;
        Ok(Verdict::Known(present.and_then(Status::of).unwrap_or(Status::Deleted)))
    }

    fn state<'s>(&self, step: &'s Step) -> State<'s> {
        let now = Some(self.now);
        let for_good = |status| State { status, settled: now, waiting: [None; 4], reason: None };
        match step {
            Step::Handling => State { settled: None, ..for_good(Status::Handling) },
            Step::Handled { .. } => for_good(Status::Handled),
            Step::Expired => for_good(Status::Expired),
            Step::Dead { reason, .. } => State { reason: Some(reason), ..for_good(Status::Dead) },
            Step::Deferred { wait, reason } => State {
                status: Status::Deferred,
                settled: None,
                waiting: self.waiting(*wait),
                reason: reason.as_deref(),
            },
        }
    }

    fn waiting(&self, wait: Wait) -> [Option<i64>; 4] {
        match wait {
            Wait::Retry { pause, failing_for } => {
                let pause = pause.as_millis() as i64;
                [Some(1), Some(self.now + pause), Some(pause), Some(failing_for.as_millis() as i64)]
            }
            Wait::Behind => [Some(2), None, None, None],
            Wait::Until(moment) => [Some(UNTIL), Some(moment), None, None],
        }
    }
}

/// The row that an event has.
pub(super) struct Found {
    pub(super) status: Status,
    pub(super) hash: i64,
    pub(super) row: i64,
}

impl Found {
    /// Whether it is that event's. Who cancels an id cancels what comes under it, whatever that holds; also where the row
    /// was deleted since.
    pub(super) fn is_same(&self, hash: i64) -> bool {
        self.hash == hash || self.status == Status::Cancelled || self.hash == CLAIM
    }

    fn verdict(&self, hash: i64) -> Verdict {
        if self.is_same(hash) { Verdict::Known(self.status) } else { Verdict::Conflict }
    }
}

pub(super) fn find(connection: &Connection, scope: &Name<'_>, id: &Id<'_>) -> Result<Option<Found>> {
    connection
        .prepare_cached(FIND)?
        .query_row((scope, id), |row| {
            let status = Status::of(row.get(0)?).unwrap_or(Status::Deleted);
            Ok(Found { status, hash: row.get(1)?, row: row.get(2)? })
        })
        .optional()
}

//! A ledger in memory, which answers at once: with the clock standing still nothing may happen on another thread.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;

use crate::store::{
    Advance, Answer, Assigned, Assignee, Change, DeferredRow, Identity, Known, Loaded, OutboxRecord,
    OutboxRow, Ownership, Refusal, Remaining, RowId, Settlement, SourcePosition, Splitter, Statement, Status,
    Step, Store, StoreError, Verdict, Wait, Waiting,
};

/// A statement that the database refuses.
pub(super) static REFUSED: Statement = Statement { name: "refused", sqlite: "", postgres: "" };
/// One that it refuses the first time, because of something that passes.
pub(super) static REFUSED_ONCE: Statement = Statement { name: "refused once", sqlite: "", postgres: "" };
/// One that it takes.
pub(super) static TAKEN: Statement = Statement { name: "taken", sqlite: "", postgres: "" };

#[derive(Debug, Default)]
pub(super) struct Ledger(pub(super) Mutex<Tables>);

#[derive(Debug, Default)]
pub(super) struct Tables {
    pub(super) rows: Vec<Row>,
    /// Each change of a row, as offset and status.
    pub(super) journal: Vec<(i64, Status)>,
    /// The offsets of events whose effects were applied.
    pub(super) effects: Vec<i64>,
    pub(super) letters: Vec<OutboxRecord>,
    pub(super) epoch: i64,
    pub(super) is_away: bool,
    /// How long each answer takes. An even number of milliseconds: what is asked for is done at once, and the answer late;
    /// an odd one: it is done late, or not at all where nobody waits for it any more.
    pub(super) latency: Duration,
    /// The database takes no effects at all, for a cause that passes.
    pub(super) refuses_all: bool,
    /// How many rows were read.
    pub(super) loaded: usize,
    refused: HashSet<i64>,
}

#[derive(Debug)]
pub(super) struct Row {
    identity: Identity<'static>,
    pub(super) offset: i64,
    pub(super) status: Status,
    attempts: u32,
    failing_for: Duration,
    /// Whether the database holds its record.
    has_record: bool,
    packed: Vec<u8>,
    key: Option<Vec<u8>>,
    waiting: Waiting,
}

impl Tables {
    /// What a member finds that takes the partition over.
    pub(super) fn deferred(&mut self) -> Vec<DeferredRow> {
        for row in self.rows.iter_mut().filter(|row| row.status == Status::Handling && row.has_record) {
            row.status = Status::Deferred;
        }
        let rows = self.rows.iter().enumerate().filter(|(_, row)| row.status == Status::Deferred);
        rows.map(|(id, row)| DeferredRow {
            row: RowId(id as i64),
            key: row.key.clone(),
            offset: row.offset,
            waiting: row.waiting,
        })
        .collect()
    }

    fn refuses(&mut self, settlement: &Settlement) -> Option<Refusal> {
        let Step::Handled { effects, .. } = &settlement.step else { return None };
        let refusal = |permanent| Some(Refusal { reason: "as told".to_owned(), permanent });
        let has = |wanted: &Statement| effects.writes().iter().any(|(statement, _)| *statement == wanted);
        if self.refuses_all && !effects.is_empty() {
            return refusal(false);
        }
        let offset = settlement.arrived.record().origin().offset;
        if has(&REFUSED) {
            return refusal(true);
        }
        (has(&REFUSED_ONCE) && !self.refused.contains(&offset)).then(|| refusal(false)).flatten()
    }

    /// As a database does it: a refused batch is rolled back, then split.
    fn settle_all(&mut self, batch: &[Settlement]) -> Vec<Verdict> {
        let mut splitter = Splitter::new(batch);
        while let Some(tried) = splitter.next() {
            if let Some(refusal) = tried.iter().find_map(|index| self.refuses(&batch[*index])) {
                if let [index] = tried[..] {
                    self.refused.insert(batch[index].arrived.record().origin().offset);
                }
                splitter.refused(&tried, refusal);
                continue;
            }
            let verdicts = tried.iter().map(|index| self.settle(&batch[*index])).collect();
            splitter.committed(&tried, verdicts);
        }
        splitter.finish()
    }

    fn settle(&mut self, settlement: &Settlement) -> Verdict {
        if settlement.owner.epoch != self.epoch {
            return Verdict::Fenced;
        }
        let identity = settlement.identity();
        let record = settlement.arrived.record();
        let row = if let Some((RowId(row), attempts)) = settlement.row {
            let known = &self.rows[row as usize];
            let may_move = match settlement.step {
                Step::Handling => known.status == Status::Deferred,
                _ => matches!(known.status, Status::Handling | Status::Deferred),
            };
            if !may_move || known.attempts != attempts {
                return Verdict::Known(known.status);
            }
            row
        } else {
            let same =
                |row: &&Row| (&row.identity.source, &row.identity.id) == (&identity.source, &identity.id);
            match self.rows.iter().position(|row| same(&row)) {
                Some(at) => {
                    let known = &self.rows[at];
                    if known.identity.hash != identity.hash {
                        return Verdict::Conflict;
                    }
                    if known.status != Status::Handling {
                        return Verdict::Known(known.status);
                    }
                    at as i64
                }
                None => self.rows.len() as i64,
            }
        };
        let (mut failing, mut status, mut waiting) = (Duration::ZERO, Status::Handled, Waiting::Behind);
        match &settlement.step {
            Step::Handling => status = Status::Handling,
            Step::Handled { effects, .. } => {
                self.effects.extend(effects.writes().iter().map(|_| record.origin().offset));
            }
            Step::Deferred { wait, .. } => {
                status = Status::Deferred;
                if let Wait::Retry { failing_for, pause } = wait {
                    failing = *failing_for;
                    waiting = Waiting::Retry(*pause);
                }
            }
            Step::Dead { letter, .. } => {
                status = Status::Dead;
                self.letters.push(letter.clone());
            }
            Step::Expired => status = Status::Expired,
        }
        let offset = record.origin().offset;
        if status != Status::Handling {
            self.journal.push((offset, status));
        }
        let before = self.rows.get(row as usize);
        let has_record = match status {
            Status::Handling => before.is_some_and(|row| row.has_record),
            status => matches!(status, Status::Deferred | Status::Dead),
        };
        if let (Status::Handling, true) = (status, has_record) {
            self.rows[row as usize].status = status;
            return Verdict::Settled(RowId(row));
        }
        let new = Row {
            has_record,
            identity: identity.into_owned(),
            offset,
            status,
            attempts: settlement.attempts,
            failing_for: failing,
            packed: record.pack(),
            key: record.key().map(<[u8]>::to_vec),
            waiting,
        };
        match self.rows.get_mut(row as usize) {
            Some(known) => *known = new,
            None => self.rows.push(new),
        }
        Verdict::Settled(RowId(row))
    }
}

impl Ledger {
    fn answer<'a, T: Send + 'static>(
        &'a self,
        act: impl FnOnce(&mut Tables) -> T + Send + 'a,
    ) -> Answer<'a, T> {
        async move {
            let latency = self.0.lock().expect("tables").latency;
            if latency.as_millis() % 2 == 1 {
                tokio::time::sleep(latency).await;
            }
            let answer = {
                let mut tables = self.0.lock().expect("tables");
                if tables.is_away {
                    return Err(StoreError::Unavailable("as told".to_owned()));
                }
                act(&mut tables)
            };
            if latency.as_millis().is_multiple_of(2) && !latency.is_zero() {
                tokio::time::sleep(latency).await;
            }
            Ok(answer)
        }
        .boxed()
    }

    pub(super) fn is_away(&self, is_away: bool) {
        self.0.lock().expect("tables").is_away = is_away;
    }

    pub(super) fn journal(&self) -> Vec<(i64, Status)> {
        self.0.lock().expect("tables").journal.clone()
    }
}

impl Store for Ledger {
    fn id(&self) -> &'static str {
        "memory"
    }

    fn assign(&self, _: Vec<Assignee>) -> Answer<'_, Vec<Assigned>> {
        self.answer(|_| Vec::new())
    }

    fn look_up(&self, _: &str, events: Arc<[Identity<'static>]>) -> Answer<'_, Vec<Option<Known>>> {
        self.answer(move |tables| {
            let known = |event: &Identity<'_>| {
                let row = tables.rows.iter().find(|row| row.identity.id == event.id)?;
                Some(Known { status: row.status, same: row.identity.hash == event.hash })
            };
            events.iter().map(known).collect()
        })
    }

    fn settle(&self, batch: Arc<[Settlement]>) -> Answer<'_, Vec<Verdict>> {
        self.answer(move |tables| tables.settle_all(&batch))
    }

    fn load(&self, rows: Vec<RowId>) -> Answer<'_, Vec<Loaded>> {
        self.answer(move |tables| {
            let load = |id: RowId| {
                let row = tables.rows.get(id.0 as usize).filter(|row| row.status == Status::Deferred)?;
                let Row { attempts, failing_for, offset, .. } = *row;
                Some(Loaded { row: id, attempts, failing_for, offset, packed: row.packed.clone() })
            };
            let loaded: Vec<Loaded> = rows.into_iter().filter_map(load).collect();
            tables.loaded += loaded.len();
            loaded
        })
    }

    fn changes(&self, _: Vec<(i64, i64)>) -> Answer<'_, Vec<Change>> {
        self.answer(|_| Vec::new())
    }

    fn prune(&self, _: Vec<(Ownership, i64)>, _: Duration) -> Answer<'_, usize> {
        self.answer(|_| 0)
    }

    fn enqueue(&self, _: Vec<OutboxRecord>, _: Option<Advance>, _: usize) -> Answer<'_, bool> {
        self.answer(|_| false)
    }

    fn position(&self, _: &str) -> Answer<'_, Option<SourcePosition>> {
        self.answer(|_| None)
    }

    fn remaining(&self) -> Answer<'_, Remaining> {
        self.answer(|_| Remaining::default())
    }

    fn outbox(&self, _: usize, _: usize, _: Vec<String>) -> Answer<'_, Vec<OutboxRow>> {
        self.answer(|_| Vec::new())
    }

    fn relayed(&self, _: Vec<i64>) -> Answer<'_, ()> {
        self.answer(|_| ())
    }

    fn refused(&self, _: i64, _: String) -> Answer<'_, ()> {
        self.answer(|_| ())
    }

    fn lease(&self, _: &str, _: Duration) -> Answer<'_, bool> {
        self.answer(|_| true)
    }
}

//! What operators change in the store while this member works: asked once in a while, and told to the lanes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::PollThread;
use crate::consumer::SlotId;
use crate::consumer::messages::{Changed, ToLane};
use crate::store::{Change, RowId, StoreError};

/// How often it is asked: an operator waits for less than a second.
const EVERY: Duration = Duration::from_millis(500);

/// A partition of this member's, as the store calls it.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) slot: SlotId,
    pub(super) number: i64,
    pub(super) topic: &'static str,
    pub(super) partition: i32,
    /// The last change that is known here.
    pub(super) seen: i64,
}

/// All of them, and the question that is under way.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) partitions: Vec<Watched>,
    asked_at: Instant,
    asked: Option<JoinHandle<Result<Vec<Change>, StoreError>>>,
}

impl Watch {
    pub(super) fn new() -> Self {
        Self { partitions: Vec::new(), asked_at: Instant::now(), asked: None }
    }
}

impl PollThread {
    /// Tells the lanes what has changed, and asks again, now and then.
    pub(super) fn watch(&mut self) {
        if let Some(asked) = self.watch.asked.take_if(|asked| asked.is_finished()) {
            // A store that does not answer now is asked again; so is one whose answer got lost.
            if let Ok(Ok(changes)) = self.runtime.block_on(asked) {
                self.tell_changes(&changes);
            }
        }
        if self.watch.asked.is_some() || self.watch.asked_at.elapsed() < EVERY {
            return;
        }
        self.watch.asked_at = Instant::now();
        let assignment = &self.assignment;
        self.watch.partitions.retain(|watched| assignment.has(watched.slot));
        let after: Vec<(i64, i64)> =
            self.watch.partitions.iter().map(|watched| (watched.number, watched.seen)).collect();
        if !after.is_empty() {
            let store = Arc::clone(&self.common.store);
            self.watch.asked = Some(self.runtime.spawn(async move { store.changes(after).await }));
        }
    }

    fn tell_changes(&mut self, changes: &[Change]) {
        for run in changes.chunk_by(|one, next| one.partition == next.partition) {
            let of_run = |watched: &&mut Watched| watched.number == run[0].partition;
            // Asked for before the partition was let go: its next owner has seen it.
            let Some(watched) = self.watch.partitions.iter_mut().find(of_run) else { continue };
            let (slot, place) = (watched.slot, (watched.topic, watched.partition));
            // Each says what the row is now: once is enough, and twice would wake it twice.
            let last: HashMap<RowId, i64> = run.iter().map(|change| (change.row, change.number)).collect();
            let mut told: Vec<Vec<Changed>> = vec![Vec::new(); self.intake.lanes().len()];
            for Change { number, row, key, offset, waiting, .. } in run {
                // An answer may be older than the assignment.
                if *number <= watched.seen {
                    continue;
                }
                watched.seen = *number;
                if last.get(row) != Some(number) {
                    continue;
                }
                if key.is_none() && waiting.is_none() {
                    for told in &mut told {
                        told.push(Changed { key: None, row: *row, waiting: None });
                    }
                    continue;
                }
                let (lane, key) = self.intake.lane_of(place, key.as_deref(), *offset);
                told[lane].push(Changed { key: Some(key), row: *row, waiting: *waiting });
            }
            for (lane, told) in self.intake.lanes().iter().zip(told).filter(|(_, told)| !told.is_empty()) {
                let _ = lane.send(ToLane::Changed(slot, told));
            }
        }
    }
}

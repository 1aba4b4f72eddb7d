//! From the client's memory to the lanes: copied once, and handed over in batches.

use std::hash::{BuildHasher, Hash, Hasher as _};

use tokio::sync::mpsc::UnboundedSender;

use crate::consumer::Key;
use crate::consumer::assignment::Assignment;
use crate::consumer::messages::{Incoming, ToLane};
use crate::consumer::recent::Seen;
use crate::consumer::tracker::Received;
use crate::raw::{self, Fetched};
use crate::record::RecordBuilder;

/// A partition of an interned topic.
type Place = (&'static str, i32);

pub(super) struct Intake {
    lanes: Vec<UnboundedSender<ToLane>>,
    /// What was collected for each of them.
    batches: Vec<Vec<Incoming>>,
    builder: RecordBuilder,
    hasher: foldhash::fast::RandomState,
}

impl Intake {
    pub(super) fn new(lanes: Vec<UnboundedSender<ToLane>>) -> Self {
        let batches = lanes.iter().map(|_| Vec::new()).collect();
        Self {
            lanes,
            batches,
            builder: RecordBuilder::default(),
            hasher: foldhash::fast::RandomState::default(),
        }
    }

    /// Collects a record, unless its partition is none of ours any more, or it is under way already.
    ///
    /// # Errors
    /// The partition begins anew in the middle: what it holds now was not settled, though its offsets say so.
    pub(super) fn take(&mut self, fetched: &Fetched<'_>, assignment: &mut Assignment) -> anyhow::Result<()> {
        let (partition, offset) = (fetched.partition(), fetched.offset());
        let Some((topic, slot)) = assignment.slot_of(fetched.topic(), partition) else { return Ok(()) };
        let (record, is_readable) = raw::copy(fetched, topic, &mut self.builder);
        let seen = Seen { offset, timestamp: record.origin().timestamp, size: record.size() };
        match assignment.received(slot, seen) {
            Received::New => {
                let (lane, key) = self.lane_of((topic, partition), record.key(), offset);
                self.batches[lane].push(Incoming { slot, key, record, is_readable });
            }
            Received::Again => {}
            Received::Behind => anyhow::bail!(
                "{topic}/{partition} has gone back to offset {offset}: it was cut off, or made anew. Start service-b again, \
                 and it goes on there as --on-missing-offsets says"
            ),
        }
        Ok(())
    }

    /// Hands over what was collected; `false` where that was nothing.
    pub(super) fn dispatch(&mut self) -> bool {
        let mut any = false;
        for (lane, batch) in self.lanes.iter().zip(&mut self.batches) {
            if !batch.is_empty() {
                any = true;
                let _ = lane.send(ToLane::Batch(std::mem::take(batch)));
            }
        }
        any
    }

    /// The same each time that the partition is assigned: a key stays in its lane, behind what may still be there of it.
    pub(super) fn lane_of(&self, (topic, partition): Place, key: Option<&[u8]>, offset: i64) -> (usize, Key) {
        let mut state = self.hasher.build_hasher();
        // A topic's name is interned: its address is as good as its letters.
        (topic.as_ptr().addr(), partition).hash(&mut state);
        match key {
            Some(key) => key.hash(&mut state),
            // A null key orders nothing: every such record is a key of its own.
            None => offset.hash(&mut state),
        }
        let key = Key(state.finish());
        ((key.0 >> 32) as usize % self.lanes.len(), key)
    }

    pub(super) fn lanes(&self) -> &[UnboundedSender<ToLane>] {
        &self.lanes
    }

    /// The lanes end with their inboxes.
    pub(super) fn close(&mut self) {
        self.lanes.clear();
    }
}

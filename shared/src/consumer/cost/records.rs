//! Records as service-a writes them, and always the same ones.

use std::hash::BuildHasher;

use anyhow::Context as _;
use foldhash::fast::FixedState;
use uuid::Uuid;

use crate::consumer::Key;
use crate::consumer::assignment::Assignment;
use crate::consumer::messages::Incoming;
use crate::consumer::recent::Seen;
use crate::consumer::tracker::Received;
use crate::event::NewEvent;
use crate::record::{Origin, RecordBuilder};

pub(super) const TOPIC: &str = "topic1";
/// How many records go to a lane at once: as many as the poll thread hands over.
pub(super) const BATCH: usize = 512;
/// Each comes twice in a row, so that there is one event that waits behind another.
const KEYS: usize = 1024;
/// The first id. They are of version 7, as service-a makes them, so that they come in their own order.
const FIRST_ID: Uuid = Uuid::from_u128(0x019a_a5f3_7c00_7000_8000_0000_0000_0000);
const TIME: &str = "2026-01-02T03:04:05.678Z";

/// Makes one record after the other.
pub(super) struct Records {
    keys: Vec<String>,
    value: [u8; 100],
    headers: Vec<(String, String)>,
    /// Which of them is the event's id.
    id: usize,
    timestamp: i64,
    /// The poll thread's has a random seed, which would move the keys to other places of the lane's map each time.
    hasher: FixedState,
    builder: RecordBuilder,
    next: usize,
}

impl Records {
    pub(super) fn new() -> anyhow::Result<Self> {
        let mut event = NewEvent::new("/service-a/7f3a", "com.example.counter.event_created.v1");
        event.id = FIRST_ID.to_string();
        event.time = TIME.parse()?;
        event.set_data("text/plain", b"");
        let mut headers = Vec::new();
        event.headers(|name, value| headers.push((name.to_owned(), value.to_owned())));
        Ok(Self {
            keys: (0..KEYS).map(|key| format!("key-{key:04}")).collect(),
            value: [b'x'; 100],
            id: headers.iter().position(|(_, value)| *value == event.id).context("no id")?,
            headers,
            timestamp: event.time.as_millisecond(),
            hasher: FixedState::default(),
            builder: RecordBuilder::default(),
            next: 0,
        })
    }

    /// The next batch, taken in as the poll thread does it.
    pub(super) fn batch(&mut self, assignment: &mut Assignment) -> anyhow::Result<Vec<Incoming>> {
        let mut batch = Vec::new();
        for _ in 0..BATCH {
            batch.push(self.record(assignment)?);
        }
        Ok(batch)
    }

    fn record(&mut self, assignment: &mut Assignment) -> anyhow::Result<Incoming> {
        let number = self.next;
        self.next += 1;
        let key = self.keys[number / 2 % KEYS].as_bytes();
        let id = Uuid::from_u128(FIRST_ID.as_u128() + number as u128);
        let header = &mut self.headers[self.id].1;
        header.clear();
        header.push_str(id.hyphenated().encode_lower(&mut Uuid::encode_buffer()));

        let (topic, slot) = assignment.slot_of(TOPIC, 0).context("not assigned")?;
        self.builder.start(Some(key), Some(&self.value));
        for (name, value) in &self.headers {
            self.builder.header(name.as_bytes(), Some(value.as_bytes()));
        }
        let offset = number as i64;
        let timestamp = Some(self.timestamp);
        let record = self.builder.finish(Origin { topic, partition: 0, offset, timestamp });
        let key = Key(self.hasher.hash_one((0, key)));
        let seen = Seen { offset, timestamp: record.origin().timestamp, size: record.size() };
        let received = assignment.received(slot, seen);
        anyhow::ensure!(received == Received::New, "{record:?} is not new");
        Ok(Incoming { slot, key, record, is_readable: true })
    }
}

//! Events for the scenarios.

use std::sync::Arc;
use std::time::Duration;

use super::TOPIC;
use crate::event::{Arrived, decode};
use crate::record::{Origin, RecordBuilder};
use crate::store::{Effects, OutboxRecord, Ownership, RowId, Settlement, Step, Wait};

/// An event that can be settled in any way.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub(crate) id: String,
    pub(crate) source: String,
    pub(crate) ty: String,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) data: Vec<u8>,
    pub(crate) topic: &'static str,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) row: Option<(RowId, u32)>,
    pub(crate) attempts: u32,
}

/// An event of that id, with the key `k`, at offset 0.
pub(crate) fn event(id: &str) -> Draft {
    Draft {
        id: id.to_owned(),
        source: "/suite".to_owned(),
        ty: "com.example.noted.v1".to_owned(),
        key: Some(b"k".to_vec()),
        data: b"data".to_vec(),
        topic: TOPIC,
        partition: 0,
        offset: 0,
        row: None,
        attempts: 1,
    }
}

impl Draft {
    pub(crate) fn at(mut self, offset: i64) -> Self {
        self.offset = offset;
        self
    }

    pub(crate) fn key(mut self, key: &str) -> Self {
        self.key = Some(key.as_bytes().to_vec());
        self
    }

    /// The row that it has, the attempts that the row knows of, and the present one.
    pub(crate) fn row(mut self, row: RowId, attempts: u32) -> Self {
        (self.row, self.attempts) = (Some((row, attempts)), attempts + 1);
        self
    }

    pub(crate) fn arrived(&self) -> Arrived {
        let mut builder = RecordBuilder::default();
        builder.start(self.key.as_deref(), Some(&self.data));
        for (name, value) in [
            ("ce_specversion", "1.0"),
            ("ce_id", &self.id),
            ("ce_source", &self.source),
            ("ce_type", &self.ty),
        ] {
            builder.header(name.as_bytes(), Some(value.as_bytes()));
        }
        let Self { topic, partition, offset, .. } = *self;
        let record = builder.finish(Origin { topic, partition, offset, timestamp: Some(1_000) });
        match decode(record) {
            Ok(event) => Arrived::Event(Arc::new(event)),
            Err(undecodable) => Arrived::Undecodable(undecodable.into()),
        }
    }

    pub(crate) fn settle(&self, owner: Ownership, step: Step) -> Settlement {
        let Self { row, attempts, .. } = *self;
        Settlement { owner, arrived: self.arrived(), conflicting: false, row, attempts, step, reply: None }
    }

    pub(crate) fn handled(&self, owner: Ownership) -> Settlement {
        self.writing(owner, Effects::none())
    }

    pub(crate) fn writing(&self, owner: Ownership, effects: Effects) -> Settlement {
        self.settle(owner, Step::Handled { effects, events: Vec::new() })
    }

    /// Its attempt failed: the next in a minute, and it has been failing for an hour.
    pub(crate) fn retry(&self, owner: Ownership) -> Settlement {
        let (pause, failing_for) = (MINUTE, 60 * MINUTE);
        let reason = Some("did not work".to_owned());
        self.settle(owner, Step::Deferred { wait: Wait::Retry { pause, failing_for }, reason })
    }

    pub(crate) fn waiting(&self, owner: Ownership, wait: Wait) -> Settlement {
        self.settle(owner, Step::Deferred { wait, reason: None })
    }

    pub(crate) fn dead(&self, owner: Ownership, letter: OutboxRecord) -> Settlement {
        self.settle(owner, Step::Dead { reason: "no use".to_owned(), letter })
    }
}

pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// A record for the outbox.
pub(crate) fn outgoing(topic: &str, packed: &str) -> OutboxRecord {
    OutboxRecord { topic: topic.to_owned(), packed: packed.as_bytes().to_vec() }
}

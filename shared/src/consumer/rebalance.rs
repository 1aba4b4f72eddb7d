//! Assignments and revocations, as librdkafka announces them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;

use crate::client::Context;

/// What the group wants of this member.
#[derive(Debug)]
pub(super) enum Change {
    Assign(TopicPartitionList),
    Revoke(TopicPartitionList),
}

/// Keeps what librdkafka announces until the poll thread, which owns everything else, comes back from `poll`
/// a moment later and acts on it. librdkafka waits for that.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pending: Mutex<VecDeque<Change>>,
    /// What librdkafka's own commits have reached: topic, partition, offset.
    committed: Mutex<Vec<(String, i32, i64)>>,
    closing: AtomicBool,
    context: Context,
}

impl Changes {
    pub(super) fn next(&self) -> Option<Change> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// It could not be acted on yet: it comes first the next time.
    pub(super) fn put_back(&self, change: Change) {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).push_front(change);
    }

    /// Whether anything is still to be acted on.
    pub(super) fn has_next(&self) -> bool {
        !self.pending.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Whether all of these are to be given back again.
    pub(super) fn is_revoked(&self, partitions: &TopicPartitionList) -> bool {
        let pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let revoked = |topic: &str, partition| {
            pending.iter().any(|change| {
                matches!(change, Change::Revoke(list) if list.find_partition(topic, partition).is_some())
            })
        };
        let elements = partitions.elements();
        !elements.is_empty() && elements.iter().all(|element| revoked(element.topic(), element.partition()))
    }

    /// The commits since the last time.
    pub(super) fn take_committed(&self) -> Vec<(String, i32, i64)> {
        std::mem::take(&mut self.committed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Everything is drained and committed: from now on a revocation is granted at once.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Release);
    }
}

impl ConsumerContext for Changes {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        error: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        let assign = matches!(error, RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS);
        if self.closing.load(Ordering::Acquire) {
            let granted = if assign { Ok(()) } else { consumer.incremental_unassign(partitions) };
            if let Err(error) = granted {
                tracing::debug!("closing: {error}");
            }
            return;
        }
        let change = if assign { Change::Assign } else { Change::Revoke }(partitions.clone());
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).push_back(change);
    }

    fn commit_callback(&self, result: KafkaResult<()>, offsets: &TopicPartitionList) {
        match result {
            Ok(()) => {
                let mut committed = self.committed.lock().unwrap_or_else(PoisonError::into_inner);
                for element in offsets.elements() {
                    if let (Ok(()), Offset::Offset(offset)) = (element.error(), element.offset()) {
                        committed.push((element.topic().to_owned(), element.partition(), offset));
                    }
                }
            }
            // The next commit, a second later, covers what this one should have.
            Err(error) => {
                let reason = format!("offsets not committed: {error}");
                self.context.error(error, &reason);
            }
        }
    }
}

impl ClientContext for Changes {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.context.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.context.error(error, reason);
    }
}

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

    /// Everything is drained and committed: from now on the group is answered at once.
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
            // Without an answer librdkafka would wait for one. To whoever leaves it assigns nothing, whatever the answer.
            let answered = if assign {
                consumer.incremental_assign(&TopicPartitionList::new())
            } else {
                consumer.incremental_unassign(partitions)
            };
            if let Err(error) = answered {
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::{Duration, Instant};

    use rdkafka::ClientConfig;

    use super::*;
    use crate::broker::{EmbeddedBroker, Options};
    use crate::raw::BatchConsumer;

    const DEADLINE: Duration = Duration::from_secs(20);

    fn joining(broker: &EmbeddedBroker) -> BatchConsumer<Changes> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", broker.address()).set("group.id", "g");
        config.set("partition.assignment.strategy", "cooperative-sticky");
        config.set("session.timeout.ms", "2000").set("heartbeat.interval.ms", "100");
        let consumer = BatchConsumer::new(&config, Changes::default()).unwrap();
        consumer.subscribe(&["t"]).unwrap();
        consumer
    }

    /// The one partition goes to one member, nothing to the other, which leaves before it has heard so.
    /// Catches: an assignment that nobody answers, behind which the group is never left.
    #[test]
    fn who_gets_nothing_leaves_without_having_asked() {
        let options = Options { topics: vec![("t".to_owned(), 1)], ..Options::default() };
        let broker = EmbeddedBroker::start(options).unwrap();
        let first = joining(&broker);
        let start = Instant::now();
        let serve = || {
            assert!(first.poll(Duration::from_millis(10)).is_none_or(|polled| polled.is_err()));
            let change = first.context().next();
            match &change {
                Some(Change::Assign(list)) => first.take(list).unwrap(),
                Some(Change::Revoke(list)) => first.incremental_unassign(list).unwrap(),
                None => {}
            }
            change.is_some()
        };
        let late = || start.elapsed() > DEADLINE;
        while !serve() && !late() {}
        let second = joining(&broker);
        while !second.has_events() && !late() {
            serve();
        }
        let (closing, closed) = mpsc::channel();
        std::thread::spawn(move || {
            second.context().close();
            second.close();
            let _ = closing.send(());
        });
        let mut has_left = false;
        while !has_left && !late() {
            serve();
            has_left = closed.try_recv().is_ok();
        }
        // Before anything fails: what is dropped in a panic would wait for its answers.
        first.context().close();
        first.close();
        assert!(has_left);
    }
}

//! Records many at a time: rdkafka hands them over one by one, each as an event of its own, which costs twice the CPU.
//!
//! Every partition that is taken is forwarded to one queue, and `rd_kafka_consume_batch_queue` empties that. What else
//! librdkafka has to say (rebalances, commits, errors of brokers) stays on the consumer's own queue and wakes whoever
//! waits for records.
//!
//! It counts an error in the place of a record as one that was taken, and would skip a record after the next pause: who
//! gets a [`FetchError`] that passes has to [`seek`](Consumer::seek) to where it is. (Its sister that calls back for each
//! record does not, but takes the whole queue at once, so that nothing bounds what is fetched meanwhile.)

use std::ffi::{CStr, CString, c_void};
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::{self, NonNull};
use std::slice;
use std::time::Duration;
use std::vec::Drain;

use rdkafka::config::{ClientConfig, FromClientConfigAndContext};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{IsError, KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka_sys as sys;
use tracing::subscriber::NoSubscriber;

type Pointer = NonNull<sys::rd_kafka_message_t>;

/// How long a poll may wait while the consumer is being closed: rdkafka's goes on waiting when that has come to its end.
const CLOSING: Duration = Duration::from_millis(5);

/// A consumer, and the queue of its records. Partitions are assigned by [`take`](Self::take).
pub(crate) struct BatchConsumer<C: ConsumerContext + 'static> {
    /// Declared first, because it has to be gone before the consumer is.
    queues: Queues,
    consumer: BaseConsumer<C>,
    /// Empty between two calls.
    buffer: Vec<Pointer>,
}

struct Queues {
    records: *mut sys::rd_kafka_queue_t,
    events: *mut sys::rd_kafka_queue_t,
}

// SAFETY: librdkafka's queues have locks of their own; nothing in here belongs to a thread.
unsafe impl Send for Queues {}
// SAFETY: the pointers in the buffer are there only while `fetch` has it borrowed.
unsafe impl<C: ConsumerContext> Send for BatchConsumer<C> {}

impl<C: ConsumerContext + 'static> BatchConsumer<C> {
    /// # Errors
    /// A setting that librdkafka refuses.
    pub(crate) fn new(config: &ClientConfig, context: C) -> KafkaResult<Self> {
        let consumer = BaseConsumer::from_config_and_context(config, context)?;
        let client = consumer.client().native_ptr();
        // SAFETY: the client lives; both queues are given back when `Queues` is dropped, before the client.
        let (records, events) =
            unsafe { (sys::rd_kafka_queue_new(client), sys::rd_kafka_queue_get_consumer(client)) };
        if events.is_null() {
            return Err(KafkaError::ClientCreation("a consumer without a group".to_owned()));
        }
        // SAFETY: `wake` is given a queue that outlives it: dropping `Queues` takes it away first.
        unsafe { sys::rd_kafka_queue_cb_event_enable(events, Some(wake), records.cast()) };
        Ok(Self { queues: Queues { records, events }, consumer, buffer: Vec::new() })
    }

    /// Takes these partitions in addition; their records come through [`fetch`](Self::fetch).
    ///
    /// # Errors
    /// They are not this member's to take.
    pub(crate) fn take(&self, partitions: &TopicPartitionList) -> KafkaResult<()> {
        // Before librdkafka starts fetching them. When it stopped the last time, it ended the forwarding, too.
        for element in partitions.elements() {
            self.forward(element.topic(), element.partition())?;
        }
        self.consumer.incremental_assign(partitions)
    }

    fn forward(&self, topic: &str, partition: i32) -> KafkaResult<()> {
        let name = CString::new(topic)?;
        // SAFETY: the client lives, the name is copied, and the partition's queue is given back here; the forwarding stays.
        unsafe {
            let queue =
                sys::rd_kafka_queue_get_partition(self.client().native_ptr(), name.as_ptr(), partition);
            if queue.is_null() {
                return Err(KafkaError::Subscription(format!("{topic}/{partition} is unknown")));
            }
            sys::rd_kafka_queue_forward(queue, self.queues.records);
            sys::rd_kafka_queue_destroy(queue);
        }
        Ok(())
    }

    /// Whether something other than records waits to be [polled](BaseConsumer::poll).
    pub(crate) fn has_events(&self) -> bool {
        // SAFETY: the queue lives as long as `self`.
        unsafe { sys::rd_kafka_queue_length(self.queues.events) > 0 }
    }

    /// Whether the group counts this consumer among its members.
    pub(crate) fn is_member(&self) -> bool {
        // SAFETY: the client lives; what it gives is asked once and given back.
        unsafe {
            let metadata = sys::rd_kafka_consumer_group_metadata(self.client().native_ptr());
            if metadata.is_null() {
                return false;
            }
            let generation = sys::rd_kafka_consumer_group_metadata_generation_id(metadata);
            sys::rd_kafka_consumer_group_metadata_destroy(metadata);
            generation > 0
        }
    }

    /// The records that have arrived, up to `most`. Where there are none waits so long for one, or for an event; one
    /// that was there before does not end the wait. To be called where there is room for none, too: librdkafka takes the
    /// call for a sign of life, without which the member has to leave the group after `max.poll.interval.ms`.
    pub(crate) fn fetch(&mut self, wait: Duration, most: usize) -> Batch<'_> {
        self.fill(Duration::ZERO, most);
        // A batch would be waited for until it is complete: so for one only, and then what came with it.
        if self.buffer.is_empty() && !wait.is_zero() && most > 0 {
            self.fill(wait, 1);
            if !self.buffer.is_empty() {
                self.fill(Duration::ZERO, most - 1);
            }
        }
        Batch(self.buffer.drain(..))
    }

    /// Leaves the group, and waits until that is done. To drop it does the same, and takes up to 100 ms longer: rdkafka
    /// notices only when a poll of that length ends.
    pub(crate) fn close(self) {
        let Self { queues, consumer, .. } = self;
        drop(queues);
        match consumer.close_queue() {
            Ok(()) => {
                while !consumer.closed() {
                    consumer.poll(CLOSING);
                }
            }
            Err(error) => tracing::warn!("cannot leave the group: {error}"),
        }
        // rdkafka would close it once more, and log that as an error, which comes through tracing's bridge for `log`.
        tracing::subscriber::with_default(NoSubscriber::new(), || drop(consumer));
    }

    fn fill(&mut self, wait: Duration, most: usize) {
        self.buffer.reserve(most);
        let millis = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        let room = self.buffer.spare_capacity_mut().as_mut_ptr();
        // SAFETY: there is room for `most` pointers, and librdkafka writes as many as it says, none of them null.
        unsafe {
            let count = sys::rd_kafka_consume_batch_queue(self.queues.records, millis, room.cast(), most);
            let count = usize::try_from(count).unwrap_or(0);
            self.buffer.set_len(self.buffer.len() + count);
        }
    }
}

impl<C: ConsumerContext> Deref for BatchConsumer<C> {
    type Target = BaseConsumer<C>;

    fn deref(&self) -> &BaseConsumer<C> {
        &self.consumer
    }
}

impl Drop for Queues {
    fn drop(&mut self) {
        // SAFETY: given back once, here. Without its callback first: librdkafka calls it under the queue's lock, so that
        // it is not running when this returns. What partitions still forward is thrown away by the disabled queue.
        unsafe {
            sys::rd_kafka_queue_cb_event_enable(self.events, None, ptr::null_mut());
            sys::rd_kafka_queue_destroy(self.events);
            sys::rd_kafka_queue_destroy(self.records);
        }
    }
}

/// Ends the wait for records. Called on a thread of librdkafka's.
unsafe extern "C" fn wake(_: *mut sys::rd_kafka_t, records: *mut c_void) {
    // SAFETY: the queue that was given with this function, alive until the function is taken away.
    unsafe { sys::rd_kafka_queue_yield(records.cast()) };
}

/// What one call has brought. What is not looked at goes with it.
pub(crate) struct Batch<'c>(Drain<'c, Pointer>);

/// In the place of a record: what went wrong with its partition.
#[derive(Debug)]
pub(crate) struct FetchError {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) error: KafkaError,
    /// In librdkafka's words.
    pub(crate) reason: String,
}

impl<'c> Iterator for Batch<'c> {
    type Item = Result<Fetched<'c>, FetchError>;

    fn next(&mut self) -> Option<Self::Item> {
        let fetched = Fetched { message: self.0.next()?, owned: true, client: PhantomData };
        Some(match fetched.error() {
            None => Ok(fetched),
            Some(error) => Err(error),
        })
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        self.for_each(drop);
    }
}

/// A record in the client's memory.
pub(crate) struct Fetched<'c> {
    message: Pointer,
    /// Whether it is given back here.
    owned: bool,
    client: PhantomData<&'c ()>,
}

impl<'c> Fetched<'c> {
    /// One that rdkafka has handed over, and keeps.
    pub(crate) fn of(message: &'c BorrowedMessage<'_>) -> Option<Self> {
        Some(Self { message: NonNull::new(message.ptr())?, owned: false, client: PhantomData })
    }

    fn error(&self) -> Option<FetchError> {
        let code = self.message().err;
        if !code.is_error() {
            return None;
        }
        // SAFETY: the message lives, and the text ends with NUL.
        let reason = unsafe { CStr::from_ptr(sys::rd_kafka_message_errstr(self.message.as_ptr())) };
        Some(FetchError {
            topic: self.topic().to_owned(),
            partition: self.partition(),
            error: KafkaError::MessageConsumption(RDKafkaErrorCode::from(code)),
            reason: reason.to_string_lossy().into_owned(),
        })
    }

    /// Empty for an error that is none of a partition.
    pub(crate) fn topic(&self) -> &str {
        let topic = self.message().rkt;
        if topic.is_null() {
            return "";
        }
        // SAFETY: the topic lives as long as the message, and its name ends with NUL.
        let name = unsafe { CStr::from_ptr(sys::rd_kafka_topic_name(topic)) };
        name.to_str().unwrap_or_default()
    }

    pub(crate) fn partition(&self) -> i32 {
        self.message().partition
    }

    pub(crate) fn offset(&self) -> i64 {
        self.message().offset
    }

    pub(super) fn key(&self) -> Option<&[u8]> {
        let message = self.message();
        // SAFETY: librdkafka's own pointer and length, alive as long as the message.
        unsafe { bytes(message.key, message.key_len) }
    }

    pub(super) fn value(&self) -> Option<&[u8]> {
        let message = self.message();
        // SAFETY: as above.
        unsafe { bytes(message.payload, message.len) }
    }

    /// Milliseconds since 1970.
    pub(super) fn timestamp(&self) -> Option<i64> {
        let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message lives, and the out-pointer is our own.
        let timestamp = unsafe { sys::rd_kafka_message_timestamp(self.message.as_ptr(), &raw mut kind) };
        let is_there = kind != sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        (is_there && timestamp >= 0).then_some(timestamp)
    }

    pub(super) fn as_ptr(&self) -> *mut sys::rd_kafka_message_t {
        self.message.as_ptr()
    }

    fn message(&self) -> &sys::rd_kafka_message_t {
        // SAFETY: alive until `self` is dropped, and nobody writes to it.
        unsafe { self.message.as_ref() }
    }
}

/// Null is a null key or value. What it gives back lives as long as the message, which the caller has to see to.
unsafe fn bytes<'m>(start: *const c_void, length: usize) -> Option<&'m [u8]> {
    // SAFETY: the caller's.
    (!start.is_null()).then(|| unsafe { slice::from_raw_parts(start.cast(), length) })
}

impl Drop for Fetched<'_> {
    fn drop(&mut self) {
        if self.owned {
            // SAFETY: ours, and given back once.
            unsafe { sys::rd_kafka_message_destroy(self.message.as_ptr()) };
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod tests;

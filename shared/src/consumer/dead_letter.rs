//! Dead letters: events that will not be tried again by themselves, in a topic of their own.
//!
//! What was sent is kept byte for byte, key, value, headers and timestamp; six headers say where it came
//! from and why it is here. Their names are those of KIP-1191, so that tools which know them read ours.
//! What breaks it: a header name with a NUL inside arrives cut there, because the client library hands
//! header names over as C strings.

use std::collections::HashMap;

use crate::event::Arrived;
use crate::record::{Origin, RecordBuilder};
use crate::store::OutboxRecord;
use crate::topic::Topic;

const TOPIC: &str = "__dlq.errors.topic";
const PARTITION: &str = "__dlq.errors.partition";
const OFFSET: &str = "__dlq.errors.offset";
const GROUP: &str = "__dlq.errors.group";
const DELIVERY_COUNT: &str = "__dlq.errors.delivery.count";
const MESSAGE: &str = "__dlq.errors.message";

/// The longest reason that is written, in bytes: a reason may quote what was sent.
const LONGEST_REASON: usize = 1000;

/// Writes a group's dead letters.
#[derive(Debug)]
pub(super) struct DeadLetters {
    group: String,
    /// The dead-letter topic of each topic.
    topics: HashMap<String, Topic>,
}

impl DeadLetters {
    /// # Errors
    /// The group's name cannot be part of a topic's name.
    pub(super) fn new(group: &str, topics: &[Topic]) -> anyhow::Result<Self> {
        let of = |topic: &Topic| Ok((topic.to_string(), topic.dead_letters(group)?));
        let topics = topics.iter().map(of).collect::<anyhow::Result<_>>()?;
        Ok(Self { group: group.to_owned(), topics })
    }

    /// The dead letter of a record: `deliveries` is how often its handler was given it.
    pub(super) fn record(&self, arrived: &Arrived, reason: &str, deliveries: u32) -> OutboxRecord {
        let record = arrived.record();
        let mut letter = RecordBuilder::default();
        letter.start(record.key(), record.value());
        for (name, value) in record.headers() {
            letter.header(name, value);
        }
        for (name, value) in self.headers(record.origin(), reason, deliveries) {
            letter.header(name.as_bytes(), Some(value.as_bytes()));
        }
        let topic = self.topics.get(record.origin().topic).map(Topic::to_string).unwrap_or_default();
        OutboxRecord { topic, packed: letter.finish(record.origin()).pack() }
    }

    /// The headers that are added, names and values.
    fn headers(&self, origin: Origin, reason: &str, deliveries: u32) -> [(&'static str, String); 6] {
        let Origin { topic, partition, offset, .. } = origin;
        [
            (TOPIC, topic.to_owned()),
            (PARTITION, partition.to_string()),
            (OFFSET, offset.to_string()),
            (GROUP, self.group.clone()),
            (DELIVERY_COUNT, deliveries.to_string()),
            (MESSAGE, shortened(reason)),
        ]
    }
}

fn shortened(reason: &str) -> String {
    reason[..reason.floor_char_boundary(LONGEST_REASON)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Record;

    #[test]
    fn the_record_is_kept_and_headers_say_where_it_came_from_and_why_it_is_here() {
        let origin = Origin { topic: "topic1", partition: 3, offset: 42, timestamp: Some(5) };
        let mut sent = RecordBuilder::default();
        let sent = sent.start(Some(b"key"), Some(&[0xff, 0])).header(b"a\xff", None).finish(origin);
        let undecodable =
            Arrived::Undecodable(crate::event::decode(sent.clone()).expect_err("not UTF-8").into());
        let letters = DeadLetters::new("service-b", &["topic1".parse().expect("a topic")]).expect("topics");

        let letter = letters.record(&undecodable, &"é".repeat(1000), 2);
        assert_eq!(letter.topic, "dlq.service-b.topic1");
        let letter = Record::unpack(&letter.packed, "topic1", 3, 42).expect("a record");
        assert_eq!(
            (letter.key(), letter.value(), letter.origin()),
            (sent.key(), sent.value(), sent.origin())
        );
        assert_eq!(letter.headers().next(), Some((&b"a\xff"[..], None)));
        let short = "é".repeat(LONGEST_REASON / 2);
        let expected = [
            ("topic", "topic1"),
            ("partition", "3"),
            ("offset", "42"),
            ("group", "service-b"),
            ("delivery.count", "2"),
            ("message", &short),
        ];
        let expected = expected.map(|(name, value)| (format!("__dlq.errors.{name}"), value.to_owned()));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let added: Vec<_> = letter
            .headers()
            .skip(1)
            .map(|(name, value)| (text(name), text(value.unwrap_or_default())))
            .collect();
        assert_eq!(added, expected);
    }
}

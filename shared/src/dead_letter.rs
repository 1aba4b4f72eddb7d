//! A dead letter as a record: what was sent, and headers that say where it came from and why it is here.
//!
//! Key, value, headers and timestamp are kept byte for byte; the names of the added headers are those of KIP-1191, so that
//! tools which know them read ours. What breaks it: a header name with a NUL inside arrives cut there, because the client
//! library hands header names over as C strings; and a record that the dead-letter topic does not take for its size
//! becomes a [`pointer`]: without its value, and without the headers that do not fit. The ledger has it whole.

use jiff::Timestamp;

use crate::event::Arrived;
use crate::record::{Origin, Record, RecordBuilder};
use crate::store::OutboxRecord;
use crate::topic::{DEAD_LETTERS, Topic};

const TOPIC: &str = "__dlq.errors.topic";
const PARTITION: &str = "__dlq.errors.partition";
const OFFSET: &str = "__dlq.errors.offset";
const GROUP: &str = "__dlq.errors.group";
const DELIVERY_COUNT: &str = "__dlq.errors.delivery.count";
const MESSAGE: &str = "__dlq.errors.message";
/// How many headers a dead letter adds.
const ADDED: usize = 6;
/// On a pointer only: how much was left out, and where it is.
const OMITTED: &str = "__dlq.errors.omitted";

/// The longest reason that is written, in bytes: a reason may quote what was sent.
const LONGEST_REASON: usize = 1000;

/// How much of a pointer may be the sender's: less after each refusal, at last nothing.
const POINTER_BYTES: [usize; 3] = [256 * 1024, 8 * 1024, 0];

/// The headers that a dead letter adds, names and values.
pub(crate) fn headers(
    origin: Origin,
    reason: &str,
    deliveries: u32,
    group: &str,
) -> [(&'static str, String); ADDED] {
    let Origin { topic, partition, offset, .. } = origin;
    [
        (TOPIC, topic.to_owned()),
        (PARTITION, partition.to_string()),
        (OFFSET, offset.to_string()),
        (GROUP, group.to_owned()),
        (DELIVERY_COUNT, deliveries.to_string()),
        (MESSAGE, reason[..reason.floor_char_boundary(LONGEST_REASON)].to_owned()),
    ]
}

/// The dead letter of what arrived, for the outbox. `deliveries` is how often its handler was given it.
pub(crate) fn letter(
    arrived: &Arrived,
    reason: &str,
    deliveries: u32,
    group: &str,
    topic: &Topic,
) -> OutboxRecord {
    let record = arrived.record();
    let mut letter = RecordBuilder::default();
    letter.start(record.key(), record.value());
    for (name, value) in record.headers() {
        letter.header(name, value);
    }
    for (name, value) in headers(record.origin(), reason, deliveries, group) {
        letter.header(name.as_bytes(), Some(value.as_bytes()));
    }
    // A broker refuses what claims to come from the future, and this letter must get through.
    let now = Timestamp::now().as_millisecond();
    let origin = Origin { timestamp: record.origin().timestamp.map(|sent| sent.min(now)), ..record.origin() };
    OutboxRecord { topic: topic.to_string(), packed: letter.finish(origin).pack() }
}

/// What goes out in the place of a dead letter that was refused for its size so many times: key and headers as far as they
/// fit, a null value, and how many bytes were left out. `None` for what is no dead letter, and where nothing more can be
/// left out.
pub(crate) fn pointer(topic: &str, record: &Record, refusals: usize) -> Option<Record> {
    // The last ones are ours. A record may have come with headers of these names, of any size.
    let ours = record.headers().count().checked_sub(ADDED)?;
    let is_letter = record.headers().nth(ours).is_some_and(|(name, _)| name == TOPIC.as_bytes());
    if !topic.starts_with(DEAD_LETTERS) || !is_letter {
        return None;
    }
    let mut room = *POINTER_BYTES.get(refusals.checked_sub(1)?)?;
    let mut omitted = record.value().map_or(0, <[u8]>::len);
    // Whether so many bytes still fit; what does not fit is left out.
    let mut fits = |size: usize| {
        let is_fitting = size <= room;
        if is_fitting {
            room -= size;
        } else {
            omitted += size;
        }
        is_fitting
    };
    let mut pointer = RecordBuilder::default();
    pointer.start(record.key().filter(|key| fits(key.len())), None);
    for (index, (name, value)) in record.headers().enumerate() {
        if index >= ours || fits(name.len() + value.map_or(0, <[u8]>::len)) {
            pointer.header(name, value);
        }
    }
    let omitted = format!("{omitted} bytes; the ledger has the whole record");
    pointer.header(OMITTED.as_bytes(), Some(omitted.as_bytes()));
    Some(pointer.finish(record.origin()))
}

/// A dead letter, opened.
#[derive(Debug)]
pub struct Opened {
    /// What was sent, as far as the letter has it, and at no time of its own.
    pub record: Record,
    /// The topic that it was sent to, if a header says so.
    pub topic: Option<String>,
    /// The value was left out, because it was too large for the dead-letter topic.
    pub is_pointer: bool,
}

/// Takes off what `letter` and `pointer` have added, and nothing that was sent: the last headers, each name once. In
/// whatever order: other tools that keep to KIP-1191 write fewer of them.
pub fn open(letter: &Record) -> Opened {
    let headers: Vec<_> = letter.headers().collect();
    let mut sent = headers.as_slice();
    let pointed = sent.split_last().filter(|((name, _), _)| *name == OMITTED.as_bytes());
    let is_pointer = pointed.is_some();
    if let Some((_, rest)) = pointed {
        sent = rest;
    }
    let mut added = vec![TOPIC, PARTITION, OFFSET, GROUP, DELIVERY_COUNT, MESSAGE];
    let mut topic = None;
    while let Some(((name, value), rest)) = sent.split_last()
        && let Some(at) = added.iter().position(|added| added.as_bytes() == *name)
    {
        if added.swap_remove(at) == TOPIC {
            topic = value.map(|topic| String::from_utf8_lossy(topic).into_owned());
        }
        sent = rest;
    }
    let mut record = RecordBuilder::default();
    record.start(letter.key(), letter.value());
    for (name, value) in sent {
        record.header(name, *value);
    }
    let record = record.finish(Origin { timestamp: None, ..letter.origin() });
    Opened { record, topic, is_pointer }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, option, prelude::*};

    use super::*;

    const ORIGIN: Origin = Origin { topic: "topic1", partition: 3, offset: 42, timestamp: Some(5) };

    fn dead_letter(key: &[u8], value: &[u8]) -> Record {
        let mut sent = RecordBuilder::default();
        let sent = sent.start(Some(key), Some(value)).header(b"a\xff", None).finish(ORIGIN);
        let arrived = Arrived::Undecodable(crate::event::decode(sent).expect_err("not UTF-8").into());
        let topic = "dlq.service-b.topic1".parse().expect("a topic");
        let letter = letter(&arrived, &"é".repeat(1000), 2, "service-b", &topic);
        assert_eq!(letter.topic, "dlq.service-b.topic1");
        Record::unpack(&letter.packed, "topic1", 3, 42).expect("a record")
    }

    fn texts(record: &Record) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        record.headers().map(|(name, value)| (text(name), text(value.unwrap_or_default()))).collect()
    }

    #[test]
    fn the_record_is_kept_and_headers_say_where_it_came_from_and_why_it_is_here() {
        let letter = dead_letter(b"key", &[0xff, 0]);
        assert_eq!((letter.key(), letter.value()), (Some(&b"key"[..]), Some(&[0xff, 0][..])));
        assert_eq!((letter.origin(), letter.headers().next()), (ORIGIN, Some((&b"a\xff"[..], None))));
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
        assert_eq!(texts(&letter)[1..], expected);
    }

    /// Catches: a pointer without the key.
    #[test]
    fn a_pointer_keeps_what_fits_and_says_what_is_missing() {
        let letter = dead_letter(&vec![7; 10_000], &vec![0; 500_000]);
        let first = pointer("dlq.g.t", &letter, 1).expect("a pointer");
        assert_eq!((first.key(), first.value()), (letter.key(), None));
        assert_eq!(first.headers().count(), letter.headers().count() + 1);
        let said = texts(&first).pop().expect("a header");
        assert_eq!(said, (OMITTED.to_owned(), "500000 bytes; the ledger has the whole record".to_owned()));

        let second = pointer("dlq.g.t", &letter, 2).expect("a pointer");
        assert_eq!((second.key(), second.headers().count()), (None, first.headers().count()));
        assert!(texts(&second).pop().expect("a header").1.starts_with("510000 bytes"));

        let third = pointer("dlq.g.t", &letter, 3).expect("a pointer");
        assert!(texts(&third).iter().all(|(name, _)| name.starts_with("__dlq.errors.")));
        assert!(third.size() < 2000, "{}", third.size());
        assert_eq!(pointer("dlq.g.t", &letter, 4), None);
    }

    #[test]
    fn only_a_dead_letter_has_a_pointer() {
        let record = RecordBuilder::default().start(None, Some(b"x")).finish(ORIGIN);
        assert_eq!(pointer("dlq.g.t", &record, 1), None);
        assert_eq!(pointer("topic1", &dead_letter(b"k", b"v"), 1), None);
        assert_eq!(pointer("dlq.g.t", &dead_letter(b"k", b"v"), 0), None);
    }

    proptest! {
        /// Also one that came with headers of these names: a dead letter of a dead letter.
        /// Catches: a header of the sender's taken off, one of the letter's left on, a value cut.
        #[test]
        fn what_is_taken_out_of_a_letter_is_what_was_put_into_it(
            key in option::of(vec(any::<u8>(), 0..9)),
            value in option::of(vec(any::<u8>(), 0..9)),
            headers in vec((sent_name(), option::of(vec(any::<u8>(), 0..9))), 0..9),
        ) {
            let mut sent = RecordBuilder::default();
            sent.start(key.as_deref(), value.as_deref());
            for (name, value) in &headers {
                sent.header(name, value.as_deref());
            }
            let sent = sent.finish(ORIGIN);
            let decoded = crate::event::decode(sent.clone());
            let arrived = decoded.map_or_else(
                |undecodable| Arrived::Undecodable(undecodable.into()),
                |event| Arrived::Event(event.into()),
            );
            let topic = "dlq.g.topic1".parse().expect("a topic");
            let packed = letter(&arrived, "why", 1, "g", &topic).packed;
            let letter = Record::unpack(&packed, "dlq.g.topic1", 0, 7).expect("a record");
            let opened = open(&letter);
            prop_assert_eq!((opened.record.key(), opened.record.value()), (sent.key(), sent.value()));
            prop_assert!(opened.record.headers().eq(sent.headers()));
            prop_assert_eq!((opened.topic.as_deref(), opened.is_pointer), (Some("topic1"), false));
            prop_assert_eq!(opened.record.origin().timestamp, None);
            let pointer = open(&pointer("dlq.g.topic1", &letter, 1).expect("a pointer"));
            prop_assert_eq!((pointer.topic.as_deref(), pointer.is_pointer), (Some("topic1"), true));
        }
    }

    fn sent_name() -> impl Strategy<Value = Vec<u8>> {
        let known = [TOPIC, MESSAGE, OMITTED, "__dlq.errors.other", "ce_id"];
        prop_oneof![
            proptest::sample::select(known.to_vec()).prop_map(|name| name.as_bytes().to_vec()),
            vec(1..=u8::MAX, 0..4),
        ]
    }

    #[test]
    fn a_record_that_is_no_letter_is_as_it_is() {
        let record = RecordBuilder::default().start(None, Some(b"x")).header(b"a", None).finish(ORIGIN);
        let opened = open(&record);
        assert_eq!((opened.topic, opened.is_pointer), (None, false));
        assert!(opened.record.headers().eq(record.headers()));
    }
}

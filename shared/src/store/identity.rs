//! What an event is known by, and how to tell that it is the same.

use std::borrow::Cow;
use std::hash::Hasher as _;

use siphasher::sip::SipHasher13;

use crate::event::{Arrived, PLAIN_SOURCE, id_of_place};

/// Source and id, and a hash of the content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity<'a> {
    pub(crate) source: Cow<'a, str>,
    pub(crate) id: Cow<'a, str>,
    /// Of type, key, content type and data. Kept in the database: must not change between versions.
    pub(crate) hash: i64,
}

impl<'a> Identity<'a> {
    /// Of an event by its own source and id; of a record that holds none, by its place.
    pub(crate) fn of(arrived: &'a Arrived) -> Self {
        match arrived {
            Arrived::Event(event) => {
                Self { source: Cow::Borrowed(event.source()), id: event.id(), hash: hash(event.content()) }
            }
            Arrived::Undecodable(_) => Self::of_place(arrived),
        }
    }

    /// By the place in Kafka and nothing that the record says.
    pub(crate) fn of_place(arrived: &Arrived) -> Self {
        let record = arrived.record();
        Self {
            source: Cow::Borrowed(PLAIN_SOURCE),
            id: Cow::Owned(id_of_place(record.origin())),
            hash: hash([None, record.key(), None, record.value()]),
        }
    }

    /// Of an event whose id belongs to another: by its place and its content. In a topic that was made anew a record may lie
    /// at the place, and have the time, of one that was handled.
    pub(crate) fn of_conflict(arrived: &Arrived) -> Self {
        let Self { source, id, hash } = Self::of_place(arrived);
        Self { source, id: Cow::Owned(format!("{id}#{:016x}", hash.cast_unsigned())), hash }
    }

    /// The same, where the event is not at hand.
    pub(crate) fn into_owned(self) -> Identity<'static> {
        let Self { source, id, hash } = self;
        Identity { source: Cow::Owned(source.into_owned()), id: Cow::Owned(id.into_owned()), hash }
    }
}

/// Each part with its length before it, so that no two different lists look alike.
fn hash<const N: usize>(parts: [Option<&[u8]>; N]) -> i64 {
    let mut hasher = SipHasher13::new();
    for part in parts {
        hasher.write_u64(part.map_or(u64::MAX, |bytes| bytes.len() as u64));
        hasher.write(part.unwrap_or_default());
    }
    hasher.finish().cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::decode;
    use crate::record::{Origin, RecordBuilder};
    use crate::store::{Ownership, Settlement};

    #[test]
    fn parts_do_not_flow_into_each_other() {
        let hashes = [
            hash([Some(b"ab"), Some(b"c")]),
            hash([Some(b"a"), Some(b"bc")]),
            hash([Some(b"abc"), Some(b"")]),
            hash([Some(b"abc"), None]),
        ];
        assert!((1..hashes.len()).all(|at| !hashes[..at].contains(&hashes[at])));
    }

    /// Binary with and without a content type, structured, plain.
    /// Catches: a hash of other bytes than those that the event gives as text.
    #[test]
    fn the_content_is_what_the_event_says() {
        let binary: &[(&str, &str)] =
            &[("ce_specversion", "1.0"), ("ce_id", "1"), ("ce_source", "/a"), ("ce_type", "t.v1")];
        let stated = [binary, &[("content-type", "text/plain")]].concat();
        let structured: &[(&str, &str)] = &[("content-type", "application/cloudevents+json")];
        for headers in [binary, &stated, structured, &stated[4..], &[]] {
            let mut builder = RecordBuilder::default();
            let value = r#"{"specversion":"1.0","id":"1","source":"/a","type":"t.v1","data":7}"#;
            builder.start(Some(b"k"), Some(value.as_bytes()));
            for (name, value) in headers {
                builder.header(name.as_bytes(), Some(value.as_bytes()));
            }
            let origin = Origin { topic: "t", partition: 0, offset: 0, timestamp: None };
            let event = decode(builder.finish(origin)).expect("an event");
            let (ty, content_type) = (event.ty().as_bytes(), event.content_type().as_bytes());
            assert_eq!(event.content(), [Some(ty), event.key(), Some(content_type), event.data()]);
        }
    }

    /// An event, a plain record and one that holds none, by their own id and by their place.
    /// Catches: a row under another source than the one that its event is looked up by.
    #[test]
    fn the_source_of_a_row_is_the_identity_s() {
        let binary: &[(&str, &str)] =
            &[("ce_specversion", "1.0"), ("ce_id", "1"), ("ce_source", "/a"), ("ce_type", "t.v1")];
        for headers in [binary, &[], &binary[..2]] {
            let mut builder = RecordBuilder::default();
            builder.start(Some(b"k"), Some(b"v"));
            for (name, value) in headers {
                builder.header(name.as_bytes(), Some(value.as_bytes()));
            }
            let origin = Origin { topic: "t", partition: 0, offset: 0, timestamp: None };
            let arrived = match decode(builder.finish(origin)) {
                Ok(event) => Arrived::Event(event.into()),
                Err(undecodable) => Arrived::Undecodable(undecodable.into()),
            };
            assert_eq!(matches!(arrived, Arrived::Undecodable(_)), headers.len() == 2);
            let mut settlement = Settlement::replayed(Ownership { partition: 1, epoch: 1 }, arrived, 0);
            for conflicting in [false, true] {
                settlement.conflicting = conflicting;
                assert_eq!(settlement.source(), settlement.identity().source);
            }
        }
    }

    #[test]
    fn the_hash_is_the_same_in_every_version() {
        assert_eq!(
            hash([Some(b"type"), None, Some(b"text/plain"), Some(b"event_0")]),
            7_433_303_589_438_786_602
        );
    }
}

//! What an event is known by, and how to tell that it is the same.

use std::hash::Hasher as _;

use siphasher::sip::SipHasher13;

use crate::event::{Arrived, PLAIN_SOURCE, id_of_place};

/// Source and id, and a hash of the content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) source: String,
    pub(crate) id: String,
    /// Of type, key, content type and data. Kept in the database: must not change between versions.
    pub(crate) hash: i64,
}

impl Identity {
    /// Of an event by its own source and id; of a record that holds none, by its place.
    pub(crate) fn of(arrived: &Arrived) -> Self {
        match arrived {
            Arrived::Event(event) => Self {
                source: event.source().to_owned(),
                id: event.id().into_owned(),
                hash: hash([
                    Some(event.ty().as_bytes()),
                    event.key(),
                    Some(event.content_type().as_bytes()),
                    event.data(),
                ]),
            },
            Arrived::Undecodable(_) => Self::of_place(arrived),
        }
    }

    /// By the place in Kafka and nothing that the record says.
    pub(crate) fn of_place(arrived: &Arrived) -> Self {
        let record = arrived.record();
        Self {
            source: PLAIN_SOURCE.to_owned(),
            id: id_of_place(record.origin()),
            hash: hash([None, record.key(), None, record.value()]),
        }
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

    #[test]
    fn the_hash_is_the_same_in_every_version() {
        assert_eq!(
            hash([Some(b"type"), None, Some(b"text/plain"), Some(b"event_0")]),
            7_433_303_589_438_786_602
        );
    }
}

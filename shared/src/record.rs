//! A Kafka record, copied out of the client once: one allocation that holds key, value and headers.

use std::fmt;

/// Where a record stood in Kafka.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The topic's name. Interned by the consumer: a copy of it costs nothing.
    pub topic: &'static str,
    /// The partition's number.
    pub partition: i32,
    /// The offset in the partition.
    pub offset: i64,
    /// Milliseconds since 1970 as the producer or the broker set them; `None` where there are none.
    pub timestamp: Option<i64>,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.topic, self.partition, self.offset)
    }
}

/// A piece of a record's bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// An attribute that is there is never empty, so an empty span says "absent".
    pub(crate) fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// A record as it came: nothing interpreted, nothing lost.
///
/// Null and empty differ for key, value and header values, as they do in Kafka.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// Key, then value, then the header block: see [`RecordBuilder::header`].
    bytes: Box<[u8]>,
    key: Option<u32>,
    value: Option<u32>,
    origin: Origin,
}

impl Record {
    /// The record's key; `None` is a null key, which orders nothing.
    pub fn key(&self) -> Option<&[u8]> {
        self.key.map(|len| &self.bytes[..len as usize])
    }

    /// The record's value; `None` is a null value.
    pub fn value(&self) -> Option<&[u8]> {
        let start = self.key.unwrap_or(0) as usize;
        self.value.map(|len| &self.bytes[start..start + len as usize])
    }

    /// Name and value of each header, in order, repeated names included. Names are bytes: Kafka's
    /// protocol wants UTF-8 there, and nothing enforces it.
    pub fn headers(&self) -> Headers<'_> {
        Headers { bytes: &self.bytes, at: self.header_start() }
    }

    /// Where the record stood.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// How many bytes the record occupies here.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The record in one piece, for a database: three numbers (the lengths of key and value, [`NULL`] for null, and
    /// the timestamp, `i64::MIN` for none), little endian, then key, value and headers.
    pub(crate) fn pack(&self) -> Vec<u8> {
        let mut packed = Vec::with_capacity(PACKED_NUMBERS + self.bytes.len());
        packed.extend_from_slice(&self.key.unwrap_or(NULL).to_le_bytes());
        packed.extend_from_slice(&self.value.unwrap_or(NULL).to_le_bytes());
        packed.extend_from_slice(&self.origin.timestamp.unwrap_or(i64::MIN).to_le_bytes());
        packed.extend_from_slice(&self.bytes);
        packed
    }

    /// What [`pack`](Self::pack) made, from that place. `None` for bytes that it cannot have made.
    pub(crate) fn unpack(packed: &[u8], topic: &'static str, partition: i32, offset: i64) -> Option<Self> {
        let number = |at: usize| Some(u32::from_le_bytes(packed.get(at..at + 4)?.try_into().ok()?));
        let length = |at| Some(number(at)?).map(|length| (length != NULL).then_some(length));
        let (key, value) = (length(0)?, length(4)?);
        let timestamp = i64::from_le_bytes(packed.get(8..PACKED_NUMBERS)?.try_into().ok()?);
        let bytes = packed.get(PACKED_NUMBERS..)?;
        let fits = u64::from(key.unwrap_or(0)) + u64::from(value.unwrap_or(0)) <= bytes.len() as u64;
        let timestamp = (timestamp != i64::MIN).then_some(timestamp);
        fits.then(|| Self {
            bytes: bytes.into(),
            key,
            value,
            origin: Origin { topic, partition, offset, timestamp },
        })
    }

    /// The key of what [`pack`](Self::pack) made, without a copy of the rest.
    pub(crate) fn packed_key(packed: &[u8]) -> Option<&[u8]> {
        let length = u32::from_le_bytes(packed.get(..4)?.try_into().ok()?);
        if length == NULL { None } else { packed.get(PACKED_NUMBERS..)?.get(..length as usize) }
    }

    pub(crate) fn slice(&self, span: Span) -> &[u8] {
        &self.bytes[span.start as usize..span.end as usize]
    }

    fn header_start(&self) -> usize {
        (self.key.unwrap_or(0) + self.value.unwrap_or(0)) as usize
    }
}

impl fmt::Debug for Record {
    /// Names the record and its size, never its content: that may be nobody's business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Record({}, {} bytes)", self.origin, self.bytes.len())
    }
}

/// Iterates over a record's headers; made by [`Record::headers`].
#[derive(Debug, Clone)]
pub struct Headers<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Headers<'a> {
    /// The next header as spans, for who keeps a position instead of a borrow.
    pub(crate) fn next_spans(&mut self) -> Option<(&'a [u8], Option<Span>)> {
        let name_len = self.length()?;
        let value_len = self.length()?;
        let name = self.bytes.get(self.at..self.at + name_len as usize)?;
        let start = (self.at + name.len()) as u32;
        let value = (value_len != NULL).then(|| Span { start, end: start + value_len });
        self.at = value.map_or(start, |span| span.end) as usize;
        Some((name, value))
    }

    fn length(&mut self) -> Option<u32> {
        let bytes = self.bytes.get(self.at..self.at + 4)?;
        self.at += 4;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, value) = self.next_spans()?;
        Some((name, value.map(|span| &self.bytes[span.start as usize..span.end as usize])))
    }
}

/// The length that stands for null.
const NULL: u32 = u32::MAX;
/// How many bytes of a packed record its numbers take.
const PACKED_NUMBERS: usize = 16;

/// Builds records in a buffer that is used again for each.
#[derive(Debug, Default)]
pub struct RecordBuilder {
    buffer: Vec<u8>,
    key: Option<u32>,
    value: Option<u32>,
}

impl RecordBuilder {
    /// Starts a record with its key and value; what was begun before is forgotten.
    pub fn start(&mut self, key: Option<&[u8]>, value: Option<&[u8]>) -> &mut Self {
        self.buffer.clear();
        self.buffer.extend_from_slice(key.unwrap_or_default());
        self.buffer.extend_from_slice(value.unwrap_or_default());
        self.key = key.map(|key| key.len() as u32);
        self.value = value.map(|value| value.len() as u32);
        self
    }

    /// Adds a header: two lengths, little endian, then name and value.
    pub fn header(&mut self, name: &[u8], value: Option<&[u8]>) -> &mut Self {
        let value_len = value.map_or(NULL, |value| value.len() as u32);
        self.buffer.extend_from_slice(&(name.len() as u32).to_le_bytes());
        self.buffer.extend_from_slice(&value_len.to_le_bytes());
        self.buffer.extend_from_slice(name);
        self.buffer.extend_from_slice(value.unwrap_or_default());
        self
    }

    /// The finished record. Kafka bounds a record to 2 GiB, so lengths fit in 32 bits.
    pub fn finish(&self, origin: Origin) -> Record {
        Record { bytes: self.buffer.as_slice().into(), key: self.key, value: self.value, origin }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, option, prelude::*};

    const ORIGIN: Origin = Origin { topic: "t", partition: 0, offset: 0, timestamp: None };

    proptest! {
        #[test]
        fn gives_back_what_was_put_in(
            key in option::of(vec(any::<u8>(), 0..20)),
            value in option::of(vec(any::<u8>(), 0..20)),
            headers in vec((vec(any::<u8>(), 0..9), option::of(vec(any::<u8>(), 0..9))), 0..9),
        ) {
            let mut builder = RecordBuilder::default();
            builder.start(key.as_deref(), value.as_deref());
            for (name, value) in &headers {
                builder.header(name, value.as_deref());
            }
            let record = builder.finish(ORIGIN);
            prop_assert_eq!(record.key(), key.as_deref());
            prop_assert_eq!(record.value(), value.as_deref());
            let read: Vec<_> = record.headers().map(|(n, v)| (n.to_vec(), v.map(<[u8]>::to_vec))).collect();
            prop_assert_eq!(read, headers);
            let packed = record.pack();
            prop_assert_eq!(Record::packed_key(&packed), key.as_deref());
            prop_assert_eq!(Record::unpack(&packed, "t", 0, 0), Some(record));
        }

        #[test]
        fn bytes_from_elsewhere_are_no_record_and_no_panic(bytes in vec(any::<u8>(), 0..40)) {
            let _ = Record::packed_key(&bytes);
            if let Some(record) = Record::unpack(&bytes, "t", 0, 0) {
                let _ = (record.key(), record.value(), record.headers().count());
            }
        }
    }
}

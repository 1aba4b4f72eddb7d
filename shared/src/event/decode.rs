//! Record → event. Input from Kafka is hostile until it has passed here.

use super::headers::{
    CONTENT_TYPE, EXPIRY, ID, NOT_BEFORE, PREFIX, SOURCE, SPECVERSION, TIME, TYPE, VERSION,
};
use super::structured::Structured;
use super::{Event, PLAIN_SOURCE};
use crate::record::{Origin, Record, Span};

/// Where an event's attributes are.
#[derive(Debug)]
pub(super) enum Attributes {
    /// In the record's headers.
    Binary(Spans),
    /// In the value, a JSON object.
    Structured(Box<Structured>),
    /// Nowhere: a record that any Kafka client may have sent, at most with a content type.
    Plain(Span),
}

#[derive(Debug, Default)]
pub(super) struct Spans {
    pub(super) id: Span,
    pub(super) source: Span,
    pub(super) ty: Span,
    pub(super) time: Span,
    pub(super) content_type: Span,
    pub(super) not_before: Span,
    pub(super) expiry: Span,
}

/// A record that holds no event. It becomes a dead letter: the record is intact in it.
#[derive(Debug, thiserror::Error)]
#[error("{origin}: {reason}", origin = record.origin())]
pub struct Undecodable {
    /// The record, as it came.
    pub record: Record,
    /// What is wrong with it, for the dead letter's header and for the log.
    pub reason: String,
}

/// Finds the event in a record: binary mode, structured mode, or a plain record.
///
/// # Errors
/// The record names CloudEvents attributes, but not all that are required, or a version or format that
/// is not spoken here; a header name or an attribute is not UTF-8; a plain record has a null value.
pub fn decode(record: Record) -> Result<Event, Box<Undecodable>> {
    match attributes(&record) {
        Ok(attributes) => Ok(Event { record, attributes }),
        Err(reason) => Err(Box::new(Undecodable { record, reason })),
    }
}

/// The id of a record that brings none of its own.
pub(crate) fn id_of_place(origin: Origin) -> String {
    match origin.timestamp {
        Some(timestamp) => format!("{origin}@{timestamp}"),
        None => origin.to_string(),
    }
}

fn attributes(record: &Record) -> Result<Attributes, String> {
    let found = scan(record)?;
    let media_type = check_utf8(record, found.spans.content_type, CONTENT_TYPE)?;
    if starts_with_ignoring_case(media_type, "application/cloudevents") {
        let value = record.value().ok_or("a structured event with a null value")?;
        let event = Structured::parse(&String::from_utf8_lossy(media_type), value)?;
        refuse_reserved(event.source.as_bytes())?;
        return Ok(Attributes::Structured(Box::new(event)));
    }
    if found.is_event { binary(record, found) } else { plain(record, found.spans.content_type) }
}

fn binary(record: &Record, found: Found) -> Result<Attributes, String> {
    let Found { spans, version, .. } = found;
    for (span, name) in [(version, SPECVERSION), (spans.id, ID), (spans.source, SOURCE), (spans.ty, TYPE)] {
        if span.is_empty() {
            return Err(format!("the required header {name} is missing or empty"));
        }
        check_utf8(record, span, name)?;
    }
    check_utf8(record, spans.time, TIME)?;
    if record.slice(version) != VERSION.as_bytes() {
        return Err(format!("unknown {SPECVERSION}: only {VERSION} is spoken here"));
    }
    refuse_reserved(record.slice(spans.source))?;
    Ok(Attributes::Binary(spans))
}

/// With it an event could take the place of a plain record in the ledger, whose id is known before it is there.
fn refuse_reserved(source: &[u8]) -> Result<(), String> {
    if source == PLAIN_SOURCE.as_bytes() {
        return Err(format!("the source {PLAIN_SOURCE} is reserved for records that are not events"));
    }
    Ok(())
}

fn plain(record: &Record, content_type: Span) -> Result<Attributes, String> {
    if record.value().is_none() {
        return Err("a plain record with a null value holds no event".to_owned());
    }
    Ok(Attributes::Plain(content_type))
}

#[derive(Default)]
struct Found {
    spans: Spans,
    version: Span,
    is_event: bool,
}

impl Found {
    /// Where the value of that header belongs.
    fn place_of(&mut self, name: &[u8]) -> Option<&mut Span> {
        let spans = &mut self.spans;
        let is = |known: &str| name == known.as_bytes();
        // The usual ones first. Most comparisons end with the length.
        let place = if is(ID) {
            &mut spans.id
        } else if is(SOURCE) {
            &mut spans.source
        } else if is(TYPE) {
            &mut spans.ty
        } else if is(TIME) {
            &mut spans.time
        } else if is(SPECVERSION) {
            &mut self.version
        } else if is(CONTENT_TYPE) {
            &mut spans.content_type
        } else if is(NOT_BEFORE) {
            &mut spans.not_before
        } else if is(EXPIRY) {
            &mut spans.expiry
        } else {
            return None;
        };
        Some(place)
    }
}

/// One pass over the headers; of a repeated one the last counts.
fn scan(record: &Record) -> Result<Found, String> {
    let mut found = Found::default();
    let mut headers = record.headers();
    while let Some((name, value)) = headers.next_spans() {
        found.is_event |= name.starts_with(PREFIX.as_bytes());
        if let Some(span) = found.place_of(name) {
            *span = value.unwrap_or_default();
        } else if !is_utf8(name) {
            return Err("a header name is not UTF-8".to_owned());
        }
    }
    Ok(found)
}

/// Nearly every header is ASCII, which is seen at a fraction of the cost.
fn is_utf8(bytes: &[u8]) -> bool {
    bytes.is_ascii() || std::str::from_utf8(bytes).is_ok()
}

fn check_utf8<'a>(record: &'a Record, span: Span, name: &str) -> Result<&'a [u8], String> {
    let bytes = record.slice(span);
    if is_utf8(bytes) { Ok(bytes) } else { Err(format!("the header {name} is not UTF-8")) }
}

fn starts_with_ignoring_case(text: &[u8], prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::RecordBuilder;
    use proptest::{collection::vec, option, prelude::*};

    const ORIGIN: Origin = Origin { topic: "topic1", partition: 2, offset: 7, timestamp: Some(5) };

    fn record(value: Option<&[u8]>, headers: &[(&[u8], Option<&[u8]>)]) -> Record {
        let mut builder = RecordBuilder::default();
        builder.start(None, value);
        for (name, value) in headers {
            builder.header(name, *value);
        }
        builder.finish(ORIGIN)
    }

    const REQUIRED: [(&[u8], Option<&[u8]>); 4] = [
        (b"ce_specversion", Some(b"1.0")),
        (b"ce_id", Some(b"1")),
        (b"ce_source", Some(b"/a")),
        (b"ce_type", Some(b"t.v1")),
    ];

    fn reason(record: Record) -> String {
        decode(record).expect_err("undecodable").reason
    }

    #[test]
    fn a_plain_record_is_named_by_its_place() {
        let event = decode(record(Some(b"event_0"), &[])).expect("plain");
        assert_eq!(
            (event.id().as_ref(), event.source(), event.ty()),
            ("topic1/2/7@5", PLAIN_SOURCE, "plain")
        );
        assert_eq!(event.content_type(), "application/octet-stream");
    }

    #[test]
    fn the_source_of_plain_records_is_nobodys() {
        let mut headers = REQUIRED;
        headers[2].1 = Some(PLAIN_SOURCE.as_bytes());
        assert!(reason(record(Some(b""), &headers)).contains("reserved"));
        let json = br#"{"specversion":"1.0","id":"1","source":"urn:kafka:record","type":"t"}"#;
        let structured: [(&[u8], Option<&[u8]>); 1] =
            [(b"content-type", Some(b"application/cloudevents+json"))];
        assert!(reason(record(Some(json), &structured)).contains("reserved"));
    }

    #[test]
    fn an_event_may_have_no_data_but_a_plain_record_may_not() {
        assert_eq!(decode(record(None, &REQUIRED)).expect("an event").data(), None);
        assert!(reason(record(None, &[])).contains("null value"));
    }

    #[test]
    fn each_required_attribute_is_required() {
        for missing in 0..REQUIRED.len() {
            let mut rest = REQUIRED.to_vec();
            let name = std::str::from_utf8(rest.remove(missing).0).expect("ASCII");
            assert!(reason(record(Some(b""), &rest)).contains(name), "{name}");
        }
    }

    #[test]
    fn another_version_and_a_name_that_is_not_utf8_are_refused() {
        let mut headers = REQUIRED;
        headers[0].1 = Some(b"0.3");
        assert!(reason(record(Some(b""), &headers)).contains("ce_specversion"));
        assert!(reason(record(Some(b"v"), &[(b"\xff\xfe", None)])).contains("not UTF-8"));
    }

    #[test]
    fn of_repeated_headers_the_last_counts() {
        let mut headers = REQUIRED.to_vec();
        headers.push((b"ce_id", Some(b"2")));
        assert_eq!(decode(record(Some(b""), &headers)).expect("an event").id(), "2");
    }

    proptest! {
        /// Whatever a record holds, decoding ends, and an undecodable record comes back as it was.
        #[test]
        fn hostile_headers_never_panic_and_nothing_is_lost(
            value in option::of(vec(any::<u8>(), 0..40)),
            headers in vec((prop_oneof![
                Just(b"ce_id".to_vec()), Just(b"ce_type".to_vec()), Just(b"ce_source".to_vec()),
                Just(b"ce_specversion".to_vec()), Just(b"content-type".to_vec()), vec(any::<u8>(), 0..12),
            ], option::of(prop_oneof![
                Just(b"1.0".to_vec()), Just(b"application/cloudevents+json".to_vec()), vec(any::<u8>(), 0..12),
            ])), 0..9),
        ) {
            let headers: Vec<_> = headers.iter().map(|(n, v)| (n.as_slice(), v.as_deref())).collect();
            let original = record(value.as_deref(), &headers);
            match decode(original.clone()) {
                Ok(event) => {
                    let _ = (event.id(), event.ty().len(), event.time(), event.subject(), event.content_type());
                    prop_assert_eq!(event.record(), &original);
                }
                Err(undecodable) => prop_assert_eq!(&undecodable.record, &original),
            }
        }
    }
}

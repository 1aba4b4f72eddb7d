//! Follow-up events: published by the event that caused them, once, however often it is handled.

use uuid::Uuid;

use super::{Effects, OutboxRecord};
use crate::event::Arrived;
use crate::record::{Origin, RecordBuilder};

/// The events among the effects, as records for the outbox. Their ids are derived from the cause's (UUID version 5 of its
/// source, id and their own number), so that handling it twice publishes the same ids.
///
/// # Errors
/// An event that is none: an empty source or type.
pub(crate) fn follow_ups(effects: &Effects, cause: &Arrived) -> Result<Vec<OutboxRecord>, String> {
    let Arrived::Event(cause) = cause else { return Ok(Vec::new()) };
    let mut records = Vec::with_capacity(effects.events().len());
    for (number, (topic, event)) in effects.events().iter().enumerate() {
        let mut event = event.clone();
        let name = format!("{}\n{}\n{number}", cause.source(), cause.id());
        event.id = Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes()).to_string();
        let correlation =
            cause.attribute("correlationid").map_or_else(|| cause.id().into_owned(), str::to_owned);
        for (name, value) in [("correlationid", correlation), ("causationid", cause.id().into_owned())] {
            if !event.extensions.iter().any(|(stated, _)| stated == name) {
                event.extensions.push((name.to_owned(), value));
            }
        }
        event.arrived().map_err(|error| format!("follow-up event {number}: {}", error.reason))?;
        let mut record = RecordBuilder::default();
        record.start(event.key.as_deref(), event.data.as_deref());
        event.headers(|name, value| {
            record.header(name.as_bytes(), Some(value.as_bytes()));
        });
        let timestamp = Some(event.time.as_millisecond());
        let packed = record.finish(Origin { topic: "", partition: 0, offset: 0, timestamp }).pack();
        records.push(OutboxRecord { topic: topic.to_string(), packed });
    }
    Ok(records)
}

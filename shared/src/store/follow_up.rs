//! Follow-up events: published by the event that caused them, once, however often that one is handled.

use uuid::Uuid;

use super::{Effects, OutboxRecord};
use crate::event::{Arrived, Event, NewEvent};

/// The follow-up events among the effects, as records for the outbox. Their ids are derived from the cause's, so that
/// handling it twice publishes the same ids.
///
/// # Errors
/// An event that is none: an empty source or type.
pub(crate) fn follow_ups(effects: &Effects, cause: &Arrived) -> Result<Vec<OutboxRecord>, String> {
    // Only an event has a handler.
    let Arrived::Event(cause) = cause else { return Ok(Vec::new()) };
    let record = |(number, (topic, event)): (usize, &(_, NewEvent))| {
        let event = caused_by(event.clone(), cause, number);
        event.arrived().map_err(|error| format!("follow-up event {number}: {}", error.reason))?;
        Ok(OutboxRecord::of(&event, topic))
    };
    effects.events().iter().enumerate().map(record).collect()
}

/// The event with the id that follows from its cause and its number, and with `correlationid` and `causationid` where the
/// handler has not set them.
fn caused_by(mut event: NewEvent, cause: &Event, number: usize) -> NewEvent {
    let (source, id) = (cause.source(), cause.id());
    // Each part with its length before it, so that no two different causes look alike.
    let name = format!("{}:{source}{}:{id}{number}", source.len(), id.len());
    event.id = Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes()).to_string();
    let correlation = cause.attribute("correlationid").unwrap_or(&id).to_owned();
    for (name, value) in [("correlationid", correlation), ("causationid", id.clone().into_owned())] {
        if !event.extensions.iter().any(|(stated, _)| stated == name) {
            event.extensions.push((name.to_owned(), value));
        }
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::decode;
    use crate::record::{Origin, Record};

    const ORIGIN: Origin = Origin { topic: "t", partition: 0, offset: 0, timestamp: None };

    fn published(cause: &NewEvent, effects: &Effects) -> Vec<Event> {
        let cause = Arrived::Event(cause.arrived().expect("an event").into());
        let records = follow_ups(effects, &cause).expect("events");
        let record = |record: &OutboxRecord| Record::unpack(&record.packed, "t", 0, 0).expect("a record");
        records.iter().map(|packed| decode(record(packed)).expect("an event")).collect()
    }

    /// Catches: another id each time that the cause is handled.
    #[test]
    fn ids_follow_from_the_cause_and_the_number() {
        let topic = || "t".parse().expect("a topic");
        let effects = || {
            let event = |n| NewEvent::new("/b", "happened.v1").key("k").data("text/plain", vec![n]);
            Effects::none().publish(topic(), event(1)).publish(topic(), event(2))
        };
        let (cause, other) = (NewEvent::new("/a", "cause.v1"), NewEvent::new("/a", "cause.v1"));
        let ids =
            |cause| published(cause, &effects()).iter().map(|e| e.id().into_owned()).collect::<Vec<_>>();
        assert_eq!(ids(&cause), ids(&cause));
        let all = [ids(&cause), ids(&other)].concat();
        assert!((1..4).all(|at| !all[..at].contains(&all[at])), "{all:?}");
        let event = &published(&cause, &effects())[1];
        assert_eq!((event.source(), event.key(), event.data()), ("/b", Some(&b"k"[..]), Some(&[2][..])));
        assert_eq!(event.record().origin(), ORIGIN);
    }

    #[test]
    fn a_chain_keeps_its_correlation_unless_the_handler_says_otherwise() {
        let topic = || "t".parse().expect("a topic");
        let mut cause = NewEvent::new("/a", "cause.v1");
        let plain = Effects::none().publish(topic(), NewEvent::new("/b", "t"));
        let first = &published(&cause, &plain)[0];
        let of = |event: &Event, name: &str| event.attribute(name).map(str::to_owned);
        assert_eq!(of(first, "correlationid"), Some(cause.id.clone()));
        assert_eq!(of(first, "causationid"), Some(cause.id.clone()));

        cause.extensions.push(("correlationid".to_owned(), "c".to_owned()));
        let second = &published(&cause, &plain)[0];
        assert_eq!(of(second, "correlationid").as_deref(), Some("c"));
        assert_eq!(of(second, "causationid"), Some(cause.id.clone()));

        let mut stated = NewEvent::new("/b", "t");
        stated.extensions.push(("causationid".to_owned(), "mine".to_owned()));
        let third = &published(&cause, &Effects::none().publish(topic(), stated))[0];
        assert_eq!(of(third, "causationid").as_deref(), Some("mine"));
    }

    #[test]
    fn an_event_that_is_none_is_refused() {
        let cause = Arrived::Event(NewEvent::new("/a", "t").arrived().expect("an event").into());
        let effects = Effects::none().publish("t".parse().expect("a topic"), NewEvent::new("", "t"));
        assert!(follow_ups(&effects, &cause).expect_err("no source").contains("ce_source"));
    }
}

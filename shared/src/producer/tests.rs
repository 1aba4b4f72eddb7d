//! The publisher without a broker: what waits, what is refused, what is given up.

use std::time::Duration;

use super::{Offer, Publisher};
use crate::client::{Connection, MAX_RECORD_BYTES};
use crate::event::NewEvent;
use crate::record::{Origin, RecordBuilder};
use crate::topic::Topic;

/// Nobody answers at this address, so that every event stays queued.
fn publisher() -> Publisher {
    let properties = "queue.buffering.max.messages=2".parse().into_iter().collect();
    Publisher::new(&Connection { bootstrap_servers: "127.0.0.1:1".to_owned(), properties })
        .expect("a publisher")
}

fn topic() -> Topic {
    "topic1".parse().expect("a topic")
}

/// Catches: an end that does not wait for acknowledgements, and a failure counted as one.
#[tokio::test]
async fn what_finds_no_room_is_not_taken_and_what_is_given_up_is_named() {
    let (publisher, event) = (publisher(), NewEvent::new("/a", "t").data("text/plain", "x"));
    let offers = [1, 2, 3].map(|number| publisher.offer(&event, &topic(), number));
    assert_eq!(offers, [Ok(Offer::Taken), Ok(Offer::Taken), Ok(Offer::Full)]);
    let report = publisher.finish(Duration::from_millis(10)).await;
    assert_eq!((report.published, report.acknowledged, report.failed), (2, 0, 2));
    let named: Vec<_> =
        report.failures.iter().map(|failure| (failure.id.as_deref(), failure.number)).collect();
    assert_eq!(named, [(Some(event.id.as_str()), 1), (Some(event.id.as_str()), 2)]);
}

/// Catches: a panic over header names that are not ours, on the thread that serves the acknowledgements.
#[tokio::test]
async fn a_record_that_is_given_up_is_named_whatever_its_headers_are() {
    let nowhere = Origin { topic: "", partition: 0, offset: 0, timestamp: None };
    let mut record = RecordBuilder::default();
    record.start(None, Some(b"x")).header(b"\xff", None).header(b"ce_id", Some(b"7"));
    let record = record.finish(nowhere);
    let publisher = publisher();
    assert_eq!(publisher.offer_record(&record, &topic(), 1), Ok(Offer::Taken));
    let report = publisher.finish(Duration::from_millis(10)).await;
    let named: Vec<_> = report.failures.iter().map(|failure| failure.id.as_deref()).collect();
    assert_eq!((report.failed, named), (1, vec![Some("7")]));
}

#[tokio::test]
async fn an_event_that_is_too_large_is_refused_and_the_next_is_not() {
    let publisher = publisher();
    let large = NewEvent::new("/a", "t").data("text/plain", vec![0; MAX_RECORD_BYTES]);
    assert_eq!(publisher.publish(&large, &topic(), 1).await, Ok(Offer::Refused));
    assert_eq!(publisher.publish(&NewEvent::new("/a", "t"), &topic(), 2).await, Ok(Offer::Taken));
    let report = publisher.finish(Duration::ZERO).await;
    assert_eq!((report.published, report.refused), (1, 1));
}

/// Catches: later events that go out after one that was lost.
#[tokio::test]
async fn after_an_outage_nothing_later_is_taken() {
    let (publisher, event) = (publisher(), NewEvent::new("/a", "t"));
    publisher.publish(&event, &topic(), 1).await.expect("taken");
    publisher.give_up().await;
    assert!(publisher.offer(&event, &topic(), 2).is_err());
}

//! The bare pair: as little code around rdkafka's producer and consumer as does the same work with the same settings.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use shared::client::{Connection, Group, GroupProtocol};
use shared::topic::Topic;

use super::journal::Journal;
use super::stream::Stream;
use super::{PATIENCE, alone, key};
use crate::measure::Run;
use crate::settings::Bench;
use crate::subject::{headers, is_full, like};

/// Runs both until the last event has arrived.
///
/// # Errors
/// No broker, or not every event arrived once.
pub(crate) fn run(bench: &Bench, topic: &Topic, stream: Stream) -> anyhow::Result<Run> {
    let id = topic.to_string();
    let group =
        Group { id, instance_id: None, protocol: GroupProtocol::Classic, on_missing_offsets: "earliest" };
    let start = Instant::now();
    let mut journal = Journal::new(stream, start)?;
    let (connection, to) = (bench.connection(), topic.clone());
    let publisher = alone(move || publish(connection, to, stream, start));
    let consumer: BaseConsumer = bench.connection().consumer(&group)?.create()?;
    consumer.subscribe(&[topic.as_str()])?;
    while start.elapsed() < stream.takes() + PATIENCE {
        let Some(message) = consumer.poll(Duration::from_millis(100)) else { continue };
        let message = message?;
        let is_last = journal.note(message.payload().unwrap_or_default(), Instant::now());
        consumer.store_offset_from_message(&message)?;
        if is_last {
            break;
        }
    }
    publisher.join()?;
    journal.run()
}

async fn publish(connection: Connection, topic: Topic, stream: Stream, start: Instant) -> anyhow::Result<()> {
    let producer: BaseProducer = connection.producer()?.create()?;
    let headers = headers(&like());
    let work = stream.keep(start, |number, data| {
        let key = key(number);
        let record = BaseRecord::to(topic.as_str()).key(&key).payload(data).headers(headers.clone());
        let sent = producer.send(record);
        producer.poll(Duration::ZERO);
        match sent {
            Ok(()) => Ok(true),
            Err((error, _)) if is_full(&error) => Ok(false),
            Err((error, _)) => Err(error.into()),
        }
    });
    work.await?;
    Ok(producer.flush(Duration::from_secs(30))?)
}

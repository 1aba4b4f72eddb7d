//! The references: as little code as inserts the same rows, with Kafka and without.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::time::Duration;

use anyhow::Context as _;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use uuid::Uuid;

use super::table::{Row, Table, now};
use crate::subject::Subject;

/// The variable of the environment with the store's URL.
pub(crate) const STORE: &str = "BENCH_STORE";

/// Rows in a transaction.
const BATCH: usize = 2_000;

/// The least that an insert takes: no Kafka, the ids from a file.
///
/// # Errors
/// The store fails, or has one of the rows.
pub(crate) fn insert(subject: &Subject) -> anyhow::Result<()> {
    let mut table = open(subject)?;
    let mut file = BufReader::new(File::open(subject.from.as_deref().context("--from")?)?);
    let mut rows = Vec::with_capacity(BATCH);
    for number in 0..subject.events {
        let mut id = [0; 16];
        file.read_exact(&mut id)?;
        rows.push(Row::numbered(number, Uuid::from_bytes(id), now()));
        if rows.len() == BATCH || number + 1 == subject.events {
            table.insert(&rows)?;
            rows.clear();
        }
    }
    Ok(())
}

/// The loop that most services would write: a batch of events, one transaction, then their offsets.
///
/// # Errors
/// No broker, or the store fails or has one of the rows.
pub(crate) fn consume_and_insert(subject: &Subject) -> anyhow::Result<()> {
    let mut table = open(subject)?;
    let consumer: BaseConsumer = subject.consumer()?;
    consumer.subscribe(&[&subject.topic])?;
    let (mut rows, mut offsets) = (Vec::with_capacity(BATCH), HashMap::new());
    let mut seen = 0;
    while seen < subject.events {
        let Some(message) = consumer.poll(Duration::from_millis(100)) else { continue };
        let message = message?;
        offsets.insert(message.partition(), message.offset());
        rows.push(row(&message)?);
        seen += 1;
        if rows.len() == BATCH || seen == subject.events {
            table.insert(&rows)?;
            rows.clear();
            for (partition, offset) in offsets.drain() {
                consumer.store_offset(&subject.topic, partition, offset)?;
            }
        }
    }
    Ok(())
}

fn open(subject: &Subject) -> anyhow::Result<Table> {
    Table::open(subject.store.as_ref().context(STORE)?)
}

fn row(message: &BorrowedMessage<'_>) -> anyhow::Result<Row> {
    let headers = message.headers().context("no headers")?;
    let id = headers.iter().find(|header| header.key == "ce_id").and_then(|header| header.value);
    Ok(Row {
        id: Uuid::try_parse_ascii(id.context("no id")?)?,
        key: message.key().unwrap_or_default().to_owned(),
        offset: message.offset(),
        time: message.timestamp().to_millis().unwrap_or_default(),
    })
}

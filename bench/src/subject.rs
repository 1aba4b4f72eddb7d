//! The bare clients: as little code around rdkafka as does the same work with the same settings.

use std::io::BufRead;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use rdkafka::consumer::{BaseConsumer, Consumer, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, FutureProducer, FutureRecord, Producer};
use shared::client::{Group, GroupProtocol};
use shared::config::CommonArgs;
use shared::event::NewEvent;
use shared::store::StoreUrl;

use crate::ledger::bare::{self, STORE};

/// Which client, over what.
#[derive(Debug, clap::Args)]
pub(crate) struct Subject {
    client: Client,
    #[command(flatten)]
    common: CommonArgs,
    #[arg(long)]
    pub(crate) topic: String,
    #[arg(long)]
    group: Option<String>,
    #[arg(long)]
    pub(crate) events: u64,
    #[arg(long)]
    pub(crate) from: Option<PathBuf>,
    /// In the environment rather than on the command line, which everyone sees: a URL may hold a password.
    #[arg(long, env = STORE, hide_env_values = true)]
    pub(crate) store: Option<StoreUrl>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Client {
    BaseConsumer,
    StreamConsumer,
    /// It looks at every header, as whoever has an event's type in one must.
    HeaderStreamConsumer,
    /// With librdkafka's own settings, but for what at-least-once needs.
    DefaultStreamConsumer,
    BaseProducer,
    FutureProducer,
    /// Inserts a row for each id of a file.
    Insert,
    /// Inserts a row for each event of a topic.
    ConsumeAndInsert,
}

/// How many sends a FutureProducer has under way.
const WINDOW: usize = 10_000;

#[allow(clippy::print_stdout, reason = "the result")]
pub(crate) fn run(subject: &Subject) -> anyhow::Result<()> {
    match subject.client {
        Client::BaseConsumer => base_consumer(subject),
        Client::StreamConsumer => stream_consumer(subject, Subject::consumer, |_| ()),
        Client::HeaderStreamConsumer => stream_consumer(subject, Subject::consumer, look_at_headers),
        Client::DefaultStreamConsumer => stream_consumer(subject, Subject::default_consumer, |_| ()),
        Client::BaseProducer => base_producer(subject),
        Client::FutureProducer => future_producer(subject),
        Client::Insert => bare::insert(subject),
        Client::ConsumeAndInsert => bare::consume_and_insert(subject),
    }?;
    // Each ends with an error before it has got through them all.
    println!("{}", subject.events);
    Ok(())
}

impl Subject {
    /// The settings of service-b.
    pub(crate) fn consumer<C: rdkafka::config::FromClientConfig>(&self) -> anyhow::Result<C> {
        let id = self.group.clone().unwrap_or_default();
        let protocol = GroupProtocol::Classic;
        let group = Group { id, instance_id: None, protocol, on_missing_offsets: "earliest" };
        Ok(self.common.connection().consumer(&group)?.create()?)
    }

    fn default_consumer(&self) -> anyhow::Result<StreamConsumer> {
        let group = self.group.as_deref().unwrap_or_default();
        // Of ours only how the broker is reached, and with what the run was told.
        let mut config = self.common.connection().asking()?;
        config.set("group.id", group);
        config.set("auto.offset.reset", "earliest").set("enable.auto.offset.store", "false");
        Ok(config.create()?)
    }

    fn is_all(&self, sent: u64) -> anyhow::Result<()> {
        anyhow::ensure!(sent == self.events, "{sent} lines instead of {}", self.events);
        Ok(())
    }

    fn lines(&self) -> anyhow::Result<impl Iterator<Item = std::io::Result<Vec<u8>>>> {
        let file = std::fs::File::open(self.from.clone().unwrap_or_default())?;
        Ok(std::io::BufReader::new(file).split(b'\n'))
    }
}

/// The least that a consumer does.
fn base_consumer(subject: &Subject) -> anyhow::Result<()> {
    let consumer: BaseConsumer = subject.consumer()?;
    consumer.subscribe(&[&subject.topic])?;
    let mut seen = 0;
    while seen < subject.events {
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            store(&consumer, &message?)?;
            seen += 1;
        }
    }
    Ok(())
}

/// The loop that most services write.
#[tokio::main]
async fn stream_consumer(
    subject: &Subject,
    make: fn(&Subject) -> anyhow::Result<StreamConsumer>,
    look: fn(&BorrowedMessage<'_>),
) -> anyhow::Result<()> {
    let consumer = make(subject)?;
    consumer.subscribe(&[&subject.topic])?;
    for _ in 0..subject.events {
        let message = consumer.recv().await?;
        look(&message);
        store(&consumer, &message)?;
    }
    Ok(())
}

fn look_at_headers(message: &BorrowedMessage<'_>) {
    for header in message.headers().iter().flat_map(|headers| headers.iter()) {
        std::hint::black_box(header);
    }
}

fn store<C: rdkafka::consumer::ConsumerContext>(
    consumer: &impl Consumer<C>,
    message: &BorrowedMessage<'_>,
) -> anyhow::Result<()> {
    std::hint::black_box(message.payload());
    Ok(consumer.store_offset_from_message(message)?)
}

/// How many bytes those headers take on the wire, names, values and their lengths.
pub(crate) fn header_bytes() -> usize {
    let mut bytes = 0;
    like().headers(|name, value| bytes += name.len() + value.len() + 2);
    bytes
}

/// The same headers as service-a writes, with constant values: their bytes count, their making does not.
pub(crate) fn headers(like: &NewEvent) -> OwnedHeaders {
    let mut headers = OwnedHeaders::new();
    like.headers(|key, value| {
        headers = std::mem::take(&mut headers).insert(Header { key, value: Some(value) });
    });
    headers
}

/// An event without data, as service-a writes it.
pub(crate) fn like() -> NewEvent {
    NewEvent::new("/service-a", "com.example.line.read.v1").data("text/plain", "")
}

fn base_producer(subject: &Subject) -> anyhow::Result<()> {
    let producer: BaseProducer = subject.common.connection().producer()?.create()?;
    let (headers, mut sent) = (headers(&like()), 0);
    for line in subject.lines()? {
        let line = line?;
        sent += 1;
        let mut record: BaseRecord<'_, [u8], [u8]> =
            BaseRecord::to(&subject.topic).payload(line.as_slice()).headers(headers.clone());
        while let Err((error, same)) = producer.send(record) {
            anyhow::ensure!(is_full(&error), error);
            record = same;
            producer.poll(Duration::from_millis(2));
        }
        producer.poll(Duration::ZERO);
    }
    producer.flush(Duration::from_secs(60))?;
    subject.is_all(sent)
}

pub(crate) fn is_full(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull)
}

#[tokio::main]
async fn future_producer(subject: &Subject) -> anyhow::Result<()> {
    let producer: FutureProducer = subject.common.connection().producer()?.create()?;
    let (headers, mut sent) = (headers(&like()), 0);
    let mut under_way = FuturesOrdered::new();
    for line in subject.lines()? {
        let line = line?;
        sent += 1;
        let mut record: FutureRecord<'_, [u8], [u8]> =
            FutureRecord::to(&subject.topic).payload(line.as_slice()).headers(headers.clone());
        loop {
            match producer.send_result(record) {
                Ok(delivery) => break under_way.push_back(delivery),
                Err((error, same)) if is_full(&error) => record = same,
                Err((error, _)) => return Err(error.into()),
            }
            if let Some(delivery) = under_way.next().await {
                delivery?.map_err(|(error, _)| error)?;
            }
        }
        while under_way.len() >= WINDOW {
            if let Some(delivery) = under_way.next().await {
                delivery?.map_err(|(error, _)| error)?;
            }
        }
    }
    while let Some(delivery) = under_way.next().await {
        delivery?.map_err(|(error, _)| error)?;
    }
    subject.is_all(sent)
}

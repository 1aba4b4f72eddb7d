//! Before the work starts: is a broker there, and are the topics?

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Context as _;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, Producer};
use tokio::sync::oneshot;

use super::refusal::Refusals;
use super::{Connection, Context, MAX_RECORD_BYTES};
use crate::topic::Topic;

/// How long a broker may take to answer before it counts as absent.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// For so long nothing more may come of what librdkafka has to say about a failure.
const QUIET: Duration = Duration::from_millis(100);

/// A topic that must be there.
#[derive(Debug, Clone)]
pub struct TopicSpec {
    /// Its name.
    pub topic: Topic,
    /// How many partitions it gets if it has to be made.
    pub partitions: i32,
    /// How long it keeps records then, where that is not the broker's default.
    pub retention: Option<Duration>,
}

impl TopicSpec {
    /// A topic that keeps its records as long as the broker sees fit.
    pub fn new(topic: Topic, partitions: i32) -> Self {
        Self { topic, partitions, retention: None }
    }
}

/// No broker answered, or the one that did refused us.
#[derive(Debug, thiserror::Error)]
pub enum Unreachable {
    /// Nobody is there, or nobody who speaks Kafka.
    #[error(
        "no Kafka broker answers at {address} ({reason})\n\
         Start one with `docker compose up -d --wait`, or without Docker: \
         `cargo run -p service-b -- --embedded-broker`.\n\
         If yours is elsewhere: --bootstrap-servers HOST:PORT or KAFKA_BOOTSTRAP_SERVERS."
    )]
    Absent {
        /// As it was given.
        address: String,
        /// What happened.
        reason: String,
    },
    /// Somebody is there and does not take our user, password or certificate, or has one that we do not take.
    #[error("Kafka at {address} refuses us: {reason}\nCheck --kafka security.protocol, sasl.* and ssl.*")]
    Refused {
        /// As it was given.
        address: String,
        /// librdkafka's words.
        reason: String,
    },
}

/// Asks the broker for its metadata, within five seconds.
///
/// # Errors
/// Nobody answers at that address, or who does refuses us.
pub async fn reach(connection: &Connection) -> anyhow::Result<()> {
    let (config, address) = (connection.asking()?, connection.bootstrap_servers.clone());
    let client = move || BaseConsumer::from_config_and_context(&config, Refusals::default());
    ask(client, |client| Ok(answers(client, address)?)).await
}

fn answers(client: &BaseConsumer<Refusals>, address: String) -> Result<(), Unreachable> {
    let Err(error) = client.fetch_metadata(None, PATIENCE) else { return Ok(()) };
    // What went wrong on the way waits to be polled.
    while client.poll(QUIET).is_some() {}
    Err(match client.context().last() {
        Some(reason) => Unreachable::Refused { address, reason },
        None => Unreachable::Absent { address, reason: reason(&error) },
    })
}

/// Whether an error of [`reach`] or [`ensure_topics`] is one of a broker that is away and may come back.
pub fn may_pass(error: &anyhow::Error) -> bool {
    let code = error.downcast_ref::<KafkaError>().and_then(code);
    let away = matches!(
        code,
        Some(
            RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::Resolve
        )
    );
    away || error.is::<Unreachable>()
}

fn reason(error: &KafkaError) -> String {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::BrokerTransportFailure) => "no connection".to_owned(),
        Some(RDKafkaErrorCode::OperationTimedOut) => format!("no answer within {PATIENCE:?}"),
        Some(RDKafkaErrorCode::Resolve) => "unknown host name".to_owned(),
        _ => error.to_string(),
    }
}

/// Whether there is such a topic. To ask does not make it.
///
/// # Errors
/// No broker answers, or it does not let us know.
pub async fn has_topic(connection: &Connection, topic: &Topic) -> anyhow::Result<bool> {
    let (config, topic) = (connection.asking()?, topic.clone());
    let client = move || BaseConsumer::from_config_and_context(&config, Context::default());
    ask(client, move |client| Ok(partitions(client, &topic)?.is_some())).await
}

/// Makes the topics that are missing. One that exists is left as it is.
///
/// # Errors
/// Those of [`reach`]; the broker refuses to make one: its answer, and for which topic.
pub async fn ensure_topics(connection: &Connection, specs: Vec<TopicSpec>) -> anyhow::Result<()> {
    let (config, address) = (connection.asking()?, connection.bootstrap_servers.clone());
    // A consumer without a group never makes a topic by asking for it.
    let client = move || BaseConsumer::from_config_and_context(&config, Refusals::default());
    // By one client: each takes 50 ms to get from the address that it was given to the broker itself.
    let missing = ask(client, |client| {
        answers(client, address)?;
        let mut missing = Vec::new();
        for spec in specs {
            match partitions(client, &spec.topic)? {
                None => missing.push(spec),
                Some(count) if count != spec.partitions => {
                    tracing::info!("topic {} exists with {count} partitions: left as it is", spec.topic);
                }
                Some(_) => {}
            }
        }
        Ok(missing)
    })
    .await?;
    if missing.is_empty() {
        return Ok(());
    }
    create(connection, &missing).await
}

async fn create(connection: &Connection, specs: &[TopicSpec]) -> anyhow::Result<()> {
    let admin: AdminClient<Context> =
        AdminClient::from_config_and_context(&connection.asking()?, Context::default())?;
    let size = MAX_RECORD_BYTES.to_string();
    let millis = |spec: &TopicSpec| Some((spec.topic.clone(), spec.retention?.as_millis().to_string()));
    let retentions: HashMap<Topic, String> = specs.iter().filter_map(millis).collect();
    let topics: Vec<_> = specs
        .iter()
        .map(|spec| {
            let topic = NewTopic::new(spec.topic.as_str(), spec.partitions, TopicReplication::Fixed(-1))
                .set("max.message.bytes", &size);
            // A dead letter keeps its record's time, which may be long ago: it must not be gone before anybody has seen it.
            if spec.topic.is_dead_letters() {
                return topic.set("retention.ms", "-1");
            }
            let Some(retention) = retentions.get(&spec.topic) else { return topic };
            // Deleted by the segment, which by default is begun anew once a week.
            topic.set("retention.ms", retention).set("segment.ms", retention)
        })
        .collect();
    let options = AdminOptions::new().request_timeout(Some(PATIENCE));
    let results = admin.create_topics(&topics, &options).await;
    close(admin)?;
    let results = match results {
        Ok(results) => results,
        // The embedded broker has no such request, and makes a topic when a producer asks for it.
        Err(error) if is_unanswered(&error) => return create_by_asking(connection, specs, &error).await,
        Err(error) => return Err(error.into()),
    };
    for result in results {
        match result {
            Ok(topic) => tracing::info!("created topic {topic}"),
            // Both services start at once, and either may be first.
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => anyhow::bail!("cannot create topic {topic}: {code}"),
        }
    }
    Ok(())
}

/// rdkafka does not give an administrative error's code away with the others'.
fn code(error: &KafkaError) -> Option<RDKafkaErrorCode> {
    match error {
        KafkaError::AdminOp(code) => Some(*code),
        other => other.rdkafka_error_code(),
    }
}

pub(super) fn is_unanswered(error: &KafkaError) -> bool {
    matches!(code(error), Some(RDKafkaErrorCode::OperationTimedOut | RDKafkaErrorCode::UnsupportedFeature))
}

async fn create_by_asking(
    connection: &Connection,
    specs: &[TopicSpec],
    refusal: &KafkaError,
) -> anyhow::Result<()> {
    let (config, specs, refusal) = (connection.asking()?, specs.to_vec(), refusal.to_string());
    let producer = move || config.create::<BaseProducer>();
    ask(producer, move |producer| {
        for spec in specs {
            let metadata = producer.client().fetch_metadata(Some(spec.topic.as_str()), PATIENCE)?;
            let made = metadata.topics().first().is_some_and(|topic| topic.error().is_none());
            anyhow::ensure!(made, "cannot create topic {}: {refusal}", spec.topic);
            tracing::info!("topic {} made by asking for it", spec.topic);
        }
        Ok(())
    })
    .await
}

/// How many partitions the topic has; `None` where there is no such topic.
fn partitions(client: &BaseConsumer<impl ConsumerContext>, topic: &Topic) -> anyhow::Result<Option<i32>> {
    let metadata = client.fetch_metadata(Some(topic.as_str()), PATIENCE)?;
    let Some(found) = metadata.topics().first() else { return Ok(None) };
    match found.error().map(RDKafkaErrorCode::from) {
        None => Ok(Some(i32::try_from(found.partitions().len())?)),
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => Ok(None),
        Some(code) => anyhow::bail!("topic {topic}: {code}"),
    }
}

/// librdkafka's questions block, and so does dropping a client: neither may happen on the runtime's threads. A thread of
/// its own, so that a process that ends does not wait for the answer, and nobody for the client's end.
pub(super) async fn ask<C, T: Send + 'static>(
    client: impl FnOnce() -> KafkaResult<C> + Send + 'static,
    question: impl FnOnce(&C) -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    let (sender, answer) = oneshot::channel();
    std::thread::Builder::new().name("ask".to_owned()).spawn(move || match client() {
        Ok(client) => {
            // Who no longer waits has shut down.
            let _ = sender.send(question(&client));
        }
        Err(error) => {
            let _ = sender.send(Err(error.into()));
        }
    })?;
    answer.await.context("asking Kafka panicked: a bug")?
}

/// Its thread looks ten times a second whether it is to end.
pub(super) fn close(client: impl Send + 'static) -> std::io::Result<()> {
    std::thread::Builder::new().name("close".to_owned()).spawn(move || drop(client)).map(drop)
}

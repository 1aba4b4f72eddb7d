//! The broker of one test, whatever its kind: the same verbs over all.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaErrorCode;
use shared::broker::{EmbeddedBroker, Options};

use super::container::Container;
use super::own::Node;
use super::records::Records;
use super::wait::eventually;

/// A broker.
#[derive(Debug)]
pub enum Broker {
    /// Somebody's.
    Given {
        /// Where it is.
        address: String,
        /// Takes `kill` and `start`.
        control: Option<PathBuf>,
    },
    /// The run's container.
    Container(Arc<Container>),
    /// This test's own.
    Embedded(EmbeddedBroker),
    /// This test's own, from jars.
    Own {
        /// Where they are, by commas.
        address: String,
        /// One or more.
        nodes: Vec<Node>,
    },
}

impl Broker {
    /// A new embedded broker.
    pub fn embedded() -> Self {
        Self::Embedded(EmbeddedBroker::start(Options::default()).unwrap())
    }

    /// Whether it is Kafka itself, and not what stands in for it.
    pub fn is_kafka(&self) -> bool {
        !matches!(self, Self::Embedded(_))
    }

    /// What clients take as `bootstrap.servers`.
    pub fn address(&self) -> String {
        match self {
            Self::Given { address, .. } | Self::Own { address, .. } => address.clone(),
            Self::Container(container) => container.address.clone(),
            Self::Embedded(broker) => broker.address(),
        }
    }

    /// Makes a topic; the settings only matter where there is an admin API.
    pub fn create_topic(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) {
        match self {
            Self::Embedded(broker) => broker.create_topic(name, partitions).unwrap(),
            _ => self.administrate(async |admin, options| {
                // As many replicas as that broker is set to.
                let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(-1));
                let topic = settings.iter().fold(topic, |topic, (key, value)| topic.set(key, value));
                admin.create_topics([&topic], options).await.unwrap()[0].as_ref().unwrap();
            }),
        }
    }

    /// Whether it knows more than what producers and consumers ask.
    pub fn has_admin(&self) -> bool {
        !matches!(self, Self::Embedded(_))
    }

    /// Removes topics from a broker that is used again; those that are not there are gone already.
    pub fn delete_topics(&self, names: &[String]) {
        if let Self::Given { .. } = self {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            self.administrate(async |admin, options| drop(admin.delete_topics(&names, options).await));
        }
    }

    /// Answers late from now on, where that can be had: what a broker far away does.
    pub fn answer_late(&self, delay: Duration) {
        if let Self::Embedded(broker) = self {
            broker.set_round_trip_time(delay).unwrap();
        }
    }

    /// Answers questions for a topic with an error, until told otherwise.
    pub fn refuse(&self, topic: &str, error: Option<RDKafkaErrorCode>) {
        match self {
            Self::Embedded(broker) => broker.fail_topic(topic, error).unwrap(),
            _ => panic!("checked before the test"),
        }
    }

    /// Gives a topic more partitions.
    pub fn grow(&self, topic: &str, partitions: usize) {
        self.administrate(async |admin, options| {
            let more = NewPartitions::new(topic, partitions);
            admin.create_partitions([&more], options).await.unwrap()[0].as_ref().unwrap();
        });
    }

    /// Deletes the records of a partition below an offset.
    pub fn delete_below(&self, topic: &str, partition: i32, offset: i64) {
        self.administrate(async |admin, options| {
            let mut below = TopicPartitionList::new();
            below.add_partition_offset(topic, partition, Offset::Offset(offset)).unwrap();
            let deleted = admin.delete_records(&below, options).await.unwrap();
            deleted.elements()[0].error().unwrap();
        });
    }

    /// The test's own Kafka.
    pub fn nodes(&self) -> &[Node] {
        match self {
            Self::Own { nodes, .. } => nodes,
            _ => panic!("checked before the test"),
        }
    }

    fn administrate(&self, work: impl AsyncFnOnce(&AdminClient<DefaultClientContext>, &AdminOptions)) {
        let admin: AdminClient<_> =
            ClientConfig::new().set("bootstrap.servers", self.address()).create().unwrap();
        let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(10)));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(work(&admin, &options));
    }

    /// Kills the broker.
    pub fn down(&self) {
        match self {
            Self::Given { control, .. } => run(control.as_ref(), "kill"),
            Self::Container(container) => container.kill(),
            Self::Embedded(broker) => broker.set_down(true).unwrap(),
            Self::Own { nodes, .. } => nodes.iter().for_each(Node::kill),
        }
    }

    /// Starts it again, with its data, and waits until it answers.
    pub fn up(&self) {
        match self {
            Self::Given { control, .. } => run(control.as_ref(), "start"),
            Self::Container(container) => container.restart(),
            Self::Embedded(broker) => broker.set_down(false).unwrap(),
            Self::Own { nodes, .. } => nodes.iter().for_each(Node::start),
        }
        let records = Records::new(self.address());
        eventually(Duration::from_mins(1), "the broker is back", || records.answers().then_some(()));
    }

    /// What members of a group must be told here, besides their defaults: see the embedded broker's text on
    /// how slowly it rebalances otherwise.
    pub fn member_settings(&self) -> &'static [&'static str] {
        match self {
            Self::Embedded(_) => &["session.timeout.ms=3000", "heartbeat.interval.ms=500"],
            _ => &[],
        }
    }
}

fn run(control: Option<&PathBuf>, word: &str) {
    let script = control.expect("checked before the test");
    let status = Command::new(script).arg(word).status().unwrap();
    assert!(status.success(), "{} {word}: {status}", script.display());
}

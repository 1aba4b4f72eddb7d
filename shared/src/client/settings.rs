//! librdkafka's settings, each that is not the default with its reason and its cost.

use rdkafka::client::{Client, DefaultClientContext};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::KafkaError;
use rdkafka::types::{RDKafkaConfRes, RDKafkaType};

use super::{Property, PropertyError};

/// The largest record that is published, headers included: what the topics made here accept.
pub const MAX_RECORD_BYTES: usize = 2 * 1024 * 1024;

/// How many compressed bytes a fetch brings at most, a larger record excepted.
const FETCH_BYTES: usize = 1024 * 1024;

/// How to reach Kafka.
#[derive(Debug, Clone)]
pub struct Connection {
    /// `HOST:PORT`, several by commas.
    pub bootstrap_servers: String,
    /// Settings passed through to librdkafka.
    pub properties: Vec<Property>,
}

/// Which group a consumer belongs to, and how.
#[derive(Debug, Clone)]
pub struct Group {
    /// The group's name.
    pub id: String,
    /// A name that outlives the process: static membership (KIP-345).
    pub instance_id: Option<String>,
    /// How partitions are handed out.
    pub protocol: GroupProtocol,
    /// What to do where a committed offset is gone: librdkafka's word for it.
    pub on_missing_offsets: &'static str,
}

/// How a group hands out its partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum GroupProtocol {
    /// The members agree (cooperative-sticky): only the partitions that move stand still.
    Classic,
    /// The broker decides (KIP-848, Kafka 4).
    Consumer,
}

impl Connection {
    /// To those servers. A property may hold several, as a variable gives them.
    pub fn new(bootstrap_servers: &str, properties: &[Property]) -> Self {
        let properties = properties.iter().flat_map(Property::all).collect();
        Self { bootstrap_servers: bootstrap_servers.to_owned(), properties }
    }

    /// What every client has.
    fn base(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.bootstrap_servers)
            // A NAT or firewall that forgets idle connections shows as an error now, not at the next event.
            .set("socket.keepalive.enable", "true")
            // Back within a second of the broker's return; the default waits up to 10 s. A try costs little.
            .set("reconnect.backoff.max.ms", "1000")
            // Only what librdkafka itself calls a warning or worse; our context decides what to show.
            .set_log_level(RDKafkaLogLevel::Warning);
        config
    }

    /// A client that only asks: for metadata, watermarks, committed offsets.
    ///
    /// # Errors
    /// A property that librdkafka refuses.
    pub fn asking(&self) -> Result<ClientConfig, PropertyError> {
        self.finish(self.base(), RDKafkaType::RD_KAFKA_CONSUMER)
    }

    /// A consumer that is told its partitions, and commits nothing.
    ///
    /// # Errors
    /// A property that librdkafka refuses.
    pub fn reading(&self) -> Result<ClientConfig, PropertyError> {
        let mut config = self.base();
        config
            // librdkafka gives partitions only to who names a group. Nobody joins it.
            .set("group.id", "replies")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            // The broker may have deleted what lay behind the end that was asked for.
            .set("auto.offset.reset", "earliest")
            // As for the consumer above all others: see there.
            .set("fetch.wait.max.ms", "50")
            .set("check.crcs", "true");
        self.finish(config, RDKafkaType::RD_KAFKA_CONSUMER)
    }

    /// A producer that loses nothing, reorders nothing and fits in memory.
    ///
    /// # Errors
    /// A property that librdkafka refuses.
    pub fn producer(&self) -> Result<ClientConfig, PropertyError> {
        let mut config = self.base();
        config
            // No duplicate and no reordering within a session; brings acks=all and endless retries.
            .set("enable.idempotence", "true")
            // Keys land where Java's clients put them.
            .set("partitioner", "murmur2_random")
            // A third of the network and of the broker's disk for a few per cent of CPU.
            .set("compression.type", "lz4")
            // Batches instead of a request a record: costs at most these 5 ms, halves the CPU an event.
            .set("linger.ms", "5")
            // How long an outage may last before an event counts as not acknowledged.
            .set("delivery.timeout.ms", "60000")
            .set("message.max.bytes", MAX_RECORD_BYTES.to_string())
            // The defaults hold 1 GiB, of values alone: keys, headers and librdkafka's own come on top, about 1 KiB
            // an event, so that the count bounds the memory. The price: over a line with a 50 ms round trip at
            // most 10,000 events each 50 ms.
            .set("queue.buffering.max.messages", "10000")
            .set("queue.buffering.max.kbytes", (16 * 1024).to_string());
        let config = self.finish(config, RDKafkaType::RD_KAFKA_PRODUCER)?;
        let number = |key| config.get(key).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        if number("message.max.bytes") > number("queue.buffering.max.kbytes") * 1024 {
            return Err(PropertyError::Refused(
                "message.max.bytes is more than queue.buffering.max.kbytes holds, so that such an event would wait for room \
                 for ever: raise queue.buffering.max.kbytes, too"
                    .to_owned(),
            ));
        }
        Ok(config)
    }

    /// A consumer whose offsets move only when we say so.
    ///
    /// # Errors
    /// A property that librdkafka refuses.
    pub fn consumer(&self, group: &Group) -> Result<ClientConfig, PropertyError> {
        let mut config = self.base();
        config
            .set("group.id", &group.id)
            // Stored by us when events are settled, committed by librdkafka every second.
            .set("enable.auto.offset.store", "false")
            .set("enable.auto.commit", "true")
            .set("auto.commit.interval.ms", "1000")
            .set("auto.offset.reset", group.on_missing_offsets)
            // A full local queue stops a partition's fetch; the default starts it again after a whole second.
            .set("fetch.queue.backoff.ms", "2")
            // Enough to keep the lanes busy. The defaults hold 64 MiB a consumer, and a small record costs five
            // times its size here, so that the count matters more than the bytes.
            .set("queued.min.messages", "10000")
            .set("queued.max.messages.kbytes", "4096")
            // A fetch is bounded in compressed bytes and may be ten times as large in memory. A larger record
            // still comes, alone (KIP-74).
            .set("fetch.max.bytes", FETCH_BYTES.to_string())
            .set("max.partition.fetch.bytes", (128 * 1024).to_string())
            // New events within 50 ms on brokers that answer an empty fetch only when the wait is over.
            .set("fetch.wait.max.ms", "50")
            // librdkafka's default trusts the disk and the network; costs less than 1 % of a core here.
            .set("check.crcs", "true")
            // The poll thread never runs a handler, so that a minute without a poll is a fault.
            .set("max.poll.interval.ms", "60000");
        if let Some(instance_id) = &group.instance_id {
            config.set("group.instance.id", instance_id);
        }
        match group.protocol {
            GroupProtocol::Classic => config
                .set("partition.assignment.strategy", "cooperative-sticky")
                // A member that died gives up its partitions after this. Longer than most brokers take to restart:
                // a group that lost its sessions with the broker starts over, and repeats what was not committed.
                .set("session.timeout.ms", "20000"),
            // The broker's settings rule here: librdkafka refuses these two with KIP-848.
            GroupProtocol::Consumer => config.set("group.protocol", "consumer"),
        };
        // The producer's bound, which the same properties may raise: librdkafka refuses a fetch that is smaller.
        let largest = self.properties.iter().rev().find(|property| property.key() == "message.max.bytes");
        if let Some(largest) = largest.and_then(|property| property.value().parse::<usize>().ok()) {
            config.set("fetch.max.bytes", largest.max(FETCH_BYTES).to_string());
        }
        self.finish(config, RDKafkaType::RD_KAFKA_CONSUMER)
    }

    /// The user's properties over ours, then librdkafka's own check of the whole.
    fn finish(&self, mut config: ClientConfig, kind: RDKafkaType) -> Result<ClientConfig, PropertyError> {
        for property in &self.properties {
            property.check()?;
            config.set(property.key(), property.value());
        }
        if !self.properties.is_empty() {
            // What contradicts another setting shows only when a client is made. Without an address it stays alone.
            let mut alone = config.clone();
            alone.remove("bootstrap.servers");
            let native = alone.create_native_config().map_err(without_value)?;
            Client::new(&alone, native, kind, DefaultClientContext).map(drop).map_err(without_value)?;
        }
        Ok(config)
    }
}

/// `KafkaError::ClientConfig` prints the rejected value, which may be a mistyped password.
fn without_value(error: KafkaError) -> PropertyError {
    match error {
        KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, _, key, _) => {
            PropertyError::Unknown(key)
        }
        KafkaError::ClientConfig(_, _, key, _) => PropertyError::BadValue(key),
        KafkaError::ClientCreation(reason) => PropertyError::Refused(reason),
        other => PropertyError::Refused(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(property: &str) -> Connection {
        let properties = property.parse().into_iter().collect();
        Connection { bootstrap_servers: "localhost:1".to_owned(), properties }
    }

    #[test]
    fn a_record_larger_than_the_queue_does_not_start() {
        let error = connection("message.max.bytes=20000000").producer().expect_err("no room");
        assert!(error.to_string().contains("queue.buffering.max.kbytes"), "{error}");
    }

    #[test]
    fn settings_that_contradict_each_other_are_found_before_anything_runs() {
        for property in ["delivery.timeout.ms=3", "reconnect.backoff.ms=5000"] {
            let error = connection(property).producer().expect_err(property).to_string();
            assert!(error.contains(".ms"), "{error}");
        }
    }

    #[test]
    fn what_the_producer_may_send_the_consumer_may_fetch() {
        let group = Group {
            id: "g".into(),
            instance_id: None,
            protocol: GroupProtocol::Classic,
            on_missing_offsets: "error",
        };
        let config = connection("message.max.bytes=4000000").consumer(&group).expect("settings");
        assert_eq!(config.get("fetch.max.bytes"), Some("4000000"));
    }

    #[test]
    fn the_users_property_is_over_ours() {
        let config = connection("linger.ms=50").producer().expect("settings");
        assert_eq!(config.get("linger.ms"), Some("50"));
    }

    /// Catches: a reserved setting that reaches librdkafka because nobody has checked it.
    #[test]
    fn what_the_promises_stand_on_is_not_the_users() {
        for (property, says) in [("group.id=x", "--group"), ("acks=0", "all replicas"), ("test.x=1", "test")]
        {
            let error = connection(property).asking().expect_err(property).to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    /// Catches: offsets that librdkafka stores by itself, for what was received and not settled.
    #[test]
    fn offsets_move_when_they_are_stored_here() {
        let group = Group {
            id: "g".into(),
            instance_id: None,
            protocol: GroupProtocol::Classic,
            on_missing_offsets: "error",
        };
        let config = connection("client.id=x").consumer(&group).expect("settings");
        assert_eq!(config.get("enable.auto.offset.store"), Some("false"));
        assert_eq!(config.get("auto.offset.reset"), Some("error"));
    }

    /// Catches: an error in librdkafka's own words, which quote the value.
    #[test]
    fn a_rejected_property_is_named_and_its_value_is_not() {
        for property in ["ssl.key.pasword=canary", "linger.ms=canary", "sasl.mechanism.x=canary"] {
            let error = connection(property).producer().expect_err("rejected");
            let key = property.split('=').next().unwrap_or_default();
            assert!(error.to_string().contains(key), "{error}");
            assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
        }
    }

    #[test]
    fn both_group_protocols_are_taken() {
        for protocol in [GroupProtocol::Classic, GroupProtocol::Consumer] {
            let group = Group {
                id: "g".into(),
                instance_id: Some("i".into()),
                protocol,
                on_missing_offsets: "error",
            };
            connection("client.id=x").consumer(&group).expect("settings");
        }
    }
}

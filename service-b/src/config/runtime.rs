//! What the settings mean to Kafka and to the runtime.

use anyhow::Context as _;
use shared::client::{Connection, Group, GroupProtocol, Property, TopicSpec};
use shared::consumer::{Options, RetryPolicy};
use shared::store::StoreUrl;
use shared::topic::Topic;

use super::{Commands, Config, OnMissingOffsets};

impl Config {
    /// How to reach Kafka. The embedded broker lets a member join or leave only after a session timeout, so
    /// that with it the timeout is short.
    pub fn connection(&self) -> Connection {
        let mut connection = self.common.connection();
        if self.embedded_broker && self.group_protocol == GroupProtocol::Classic {
            let quick = ["session.timeout.ms=2000", "heartbeat.interval.ms=500"];
            let quick = quick.iter().filter_map(|text| text.parse::<Property>().ok());
            connection.properties = quick.chain(connection.properties).collect();
        }
        connection
    }

    /// By which topic commands come, if any do.
    ///
    /// # Errors
    /// The group's name cannot be part of a topic's name.
    pub fn commands_topic(&self) -> anyhow::Result<Option<Topic>> {
        let takes = self.commands == Commands::On && !self.until_caught_up;
        takes.then(|| Topic::commands(&self.group)).transpose().with_context(|| self.bad_group())
    }

    fn bad_group(&self) -> String {
        format!("--group {:?} has to be part of a topic's name", self.group)
    }

    /// The topics that must be there: those subscribed to, and their dead letters'.
    ///
    /// # Errors
    /// The group's name cannot be part of a topic's name.
    pub fn topic_specs(&self) -> anyhow::Result<Vec<TopicSpec>> {
        let partitions = self.common.partitions;
        let mut specs = Vec::new();
        let events = self.topics.iter().map(|topic| (topic, self.group.as_str()));
        let commands = self.commands_topic()?;
        // Their topic's name is their group's.
        let commands = commands.iter().map(|topic| (topic, topic.as_str()));
        for (topic, group) in events.chain(commands) {
            let dead_letters = topic.dead_letters(group).with_context(|| self.bad_group())?;
            specs.push(TopicSpec::new(topic.clone(), partitions));
            specs.push(TopicSpec::new(dead_letters, partitions));
        }
        Ok(specs)
    }

    pub(super) fn group(&self) -> Group {
        Group {
            id: self.group.clone(),
            instance_id: self.instance_id.clone(),
            protocol: self.group_protocol,
            on_missing_offsets: match self.on_missing_offsets {
                OnMissingOffsets::Fail => "error",
                OnMissingOffsets::Earliest => "earliest",
                OnMissingOffsets::Latest => "latest",
            },
        }
    }

    /// What the runtime needs to know, with the ledger in that store.
    ///
    /// # Errors
    /// The group's name cannot be part of a topic's name.
    pub fn options(&self, store: StoreUrl) -> anyhow::Result<Options> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Ok(Options {
            topics: self.topics.clone(),
            commands: self.commands_topic()?,
            group: self.group(),
            lanes: self.lanes.map_or(cores, usize::from),
            concurrency: self.concurrency as usize,
            window: self.window as usize,
            window_bytes: self.window_mib as usize * 1024 * 1024,
            handler_timeout: self.handler_timeout,
            retry: RetryPolicy { first: self.retry_first, max: self.retry_max, total: self.retry_for },
            store,
            adopt_store: self.adopt_store,
            delivery: self.delivery,
            deferred_max: self.deferred_max as usize,
            on_dead: self.on_dead,
            dedupe_for: self.dedupe_for,
            unhandled: self.handling.unhandled,
            until_caught_up: self.until_caught_up,
            shutdown_deadline: self.shutdown_deadline,
        })
    }
}

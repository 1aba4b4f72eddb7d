//! The broker of the run: somebody's, one from jars that may be killed, or the embedded one.

pub(crate) mod embedded;
mod jars;

use anyhow::Context as _;
use clap::ValueEnum;
use shared::topic::Topic;

use self::embedded::Embedded;
pub(crate) use self::jars::{Jars, Serving, script};
use crate::ground::Ground;
use crate::process::Process;

/// A broker that the run starts itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Own {
    /// Apache Kafka from its jars, by `.ci/kafka`.
    Jars,
    /// In memory, in a process of its own: no faults, and little room.
    Embedded,
}

#[derive(Debug)]
pub(crate) enum Broker {
    Given(String),
    Jars(Jars, Serving),
    Embedded(Embedded),
}

impl Broker {
    /// The one of the run; the embedded one is started, and ends with it.
    ///
    /// # Errors
    /// No broker.
    pub(crate) fn of(own: Option<Own>, given: &str, ground: &Ground) -> anyhow::Result<Self> {
        Ok(match own {
            None => Self::Given(given.to_owned()),
            Some(Own::Embedded) => Self::Embedded(Embedded::start().context("the embedded broker")?),
            Some(Own::Jars) => {
                let serving = ground.kafka.clone().context("nobody has started Kafka")?;
                Self::Jars(Jars::new(&ground.name, &ground.folder)?, serving)
            }
        })
    }

    pub(crate) fn address(&self) -> &str {
        match self {
            Self::Given(address) => address,
            Self::Jars(_, serving) => &serving.address,
            Self::Embedded(broker) => &broker.address,
        }
    }

    /// Its process when it was started, where it is the run's.
    pub(crate) fn pid(&self) -> Option<u32> {
        match self {
            Self::Given(_) => None,
            Self::Jars(_, serving) => serving.pid,
            Self::Embedded(broker) => Some(broker.pid()),
        }
    }

    pub(crate) fn may_be_killed(&self) -> bool {
        matches!(self, Self::Jars(..))
    }

    /// Makes a topic where clients cannot, or not with so many partitions; `false` where they can.
    ///
    /// # Errors
    /// There is one of that name.
    pub(crate) fn create_topic(&self, topic: &Topic, partitions: i32) -> anyhow::Result<bool> {
        let Self::Embedded(broker) = self else { return Ok(false) };
        broker.create_topic(topic.as_str(), partitions).map(|()| true)
    }

    /// Whether it answers all requests; the embedded one, for one, deletes no topics.
    pub(crate) fn is_whole(&self) -> bool {
        !matches!(self, Self::Embedded(_))
    }

    /// # Errors
    /// It is the embedded one: a group that somebody has left takes nobody in before a session timeout, and that would be
    /// what is measured.
    pub(crate) fn lets_members_come_and_go(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.is_whole(),
            "members come and go here, and the embedded broker makes them wait for a session timeout: say --broker jars"
        );
        Ok(())
    }

    /// Begins to `kill` or `start`; the process given back ends when that is done.
    ///
    /// # Errors
    /// It is not ours, or the script cannot be run.
    pub(crate) fn begin(&self, word: &str) -> anyhow::Result<Process> {
        let Self::Jars(jars, _) = self else { anyhow::bail!("the broker is not ours") };
        jars.begin(word)
    }
}

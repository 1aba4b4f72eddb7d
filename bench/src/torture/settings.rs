//! What can be asked of a run.

use std::time::Duration;

use clap::{Args, ValueEnum};
use shared::config::duration;
use shared::consumer::Delivery;

use crate::broker::Own;

/// How the report looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    Text,
    Json,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Settings {
    /// How many kill -9; half as many other faults lie between them
    #[arg(long, default_value_t = 30, value_parser = kills)]
    pub(crate) kills: usize,
    /// How long faults are injected and events published
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=604_800))]
    pub(crate) seconds: u64,
    /// Decides the events and the faults: that of an earlier run repeats them [default: by chance]
    #[arg(long, default_value_t = fastrand::u64(..1_000_000_000), hide_default_value = true)]
    pub(crate) seed: u64,
    /// The store of service-b: `sqlite:PATH` or `postgres://…` [default: a file in the folder of the run]
    #[arg(long, value_name = "URL")]
    pub(crate) store: Option<String>,
    /// The outbox of service-a [default: a file in the folder of the run]
    #[arg(long, value_name = "URL")]
    pub(crate) outbox: Option<String>,
    /// A broker that runs; it is not killed
    #[arg(long, value_name = "HOST:PORT", required_unless_present = "broker", conflicts_with = "broker")]
    pub(crate) bootstrap_servers: Option<String>,
    /// A broker of the run's own; the one from jars is killed, too
    #[arg(long, value_enum)]
    pub(crate) broker: Option<Own>,
    /// How many service-bs: a number, or LEAST..MOST, who then leave and join
    #[arg(long, default_value = "1..3", value_parser = members)]
    pub(crate) members: (usize, usize),
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(i32).range(1..=1000))]
    pub(crate) partitions: i32,
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) keys: u32,
    /// Events a second
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) rate: u32,
    #[arg(long, value_enum, default_value_t = Delivery::EffectivelyOnce)]
    pub(crate) delivery: Delivery,
    /// The handler only computes: it may run ahead of the commit
    #[arg(long)]
    pub(crate) pure: bool,
    /// How long nothing may move after the last fault before the rest counts as lost
    #[arg(long, default_value = "2m", value_parser = duration, value_name = "TIME")]
    pub(crate) settle_within: Duration,
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
}

fn kills(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(kills) if kills <= 1_000_000 => Ok(kills),
        _ => Err("write a number up to 1,000,000".to_owned()),
    }
}

fn members(text: &str) -> Result<(usize, usize), String> {
    let (least, most) = text.split_once("..").unwrap_or((text, text));
    match (least.parse(), most.parse()) {
        (Ok(least), Ok(most)) if 1 <= least && least <= most && most <= 20 => Ok((least, most)),
        _ => Err("write a number from 1 to 20, or two as in 1..3".to_owned()),
    }
}

/// What is known of each event stays in memory.
const MOST: usize = 100_000_000;

impl Settings {
    /// # Errors
    /// The memory, or the broker, would not hold the events.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.events() <= MOST,
            "{} events are more than {MOST}: lower --rate or --seconds",
            self.events()
        );
        // It forgets the oldest records of a partition beyond 5 MiB without a word.
        let room = self.partitions as usize * 5 * 1024 * 1024 / 2;
        anyhow::ensure!(
            self.broker != Some(Own::Embedded) || self.events() * 512 < room,
            "{} events do not fit into the embedded broker: lower --rate or --seconds",
            self.events()
        );
        Ok(())
    }

    pub(crate) fn events(&self) -> usize {
        (u64::from(self.rate) * self.seconds) as usize
    }
}

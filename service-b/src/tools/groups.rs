//! `groups`: who shares the work, and how far it is.

use clap::{Args, Subcommand};
use serde::Serialize;
use shared::client::{Members, Membership, watch};
use shared::config::KafkaArgs;
use shared::listing::{self, Row};
use shared::telemetry::Printable;

use super::ToolArgs;
use super::describe::{self, Describe};

/// What can be done with groups.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List the consumer groups that the broker knows
    #[command(after_help = "Example:\n  service-b groups list")]
    List(List),
    /// Show a group's members, partitions, lag and rates
    ///
    /// The same as `streams describe`, of every topic in which the group has committed something or owns a partition.
    #[command(after_help = "Example:\n  service-b groups describe service-b --for 10s")]
    Describe(OfGroup),
}

/// The settings of `groups list`.
#[derive(Debug, Args)]
pub struct List {
    /// How many at most
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,

    /// Go on behind this name: the last one of the page before
    #[arg(long, value_name = "GROUP")]
    after: Option<String>,

    #[command(flatten)]
    kafka: KafkaArgs,

    #[command(flatten)]
    common: ToolArgs,
}

/// The settings of `groups describe`.
#[derive(Debug, Args)]
pub struct OfGroup {
    /// The group, in place of --group
    #[arg(value_name = "GROUP", id = "name")]
    name: Option<String>,

    #[command(flatten)]
    describe: Describe,
}

#[derive(Serialize)]
struct Listed {
    group: String,
    state: Option<String>,
    /// `None` where they cannot be known.
    members: Option<usize>,
}

impl Row for Listed {
    const COLUMNS: &'static [&'static str] = &["group", "state", "members"];

    fn cells(&self) -> Vec<String> {
        let unknown = || "not known".to_owned();
        let state = self.state.as_ref().map_or_else(unknown, |state| Printable(state).to_string());
        let members = self.members.map_or_else(unknown, |members| members.to_string());
        vec![Printable(&self.group).to_string(), state, members]
    }
}

impl Verb {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        match self {
            Self::List(list) => list.run().await,
            Self::Describe(OfGroup { name, mut describe }) => {
                if let Some(name) = name {
                    describe.store.group = name;
                }
                describe::group(describe).await
            }
        }
    }
}

impl List {
    async fn run(self) -> anyhow::Result<()> {
        let Self { limit, after, kafka, common } = self;
        let mut groups = watch(&kafka.connection(), "service-b", |watcher| watcher.groups(None)).await?;
        groups.sort_by(|one, other| one.group.cmp(&other.group));
        groups.retain(|group| after.as_ref().is_none_or(|after| group.group > *after));
        let is_hidden = |group: &Membership| matches!(group.members, Members::Hidden(_));
        if let Some(Membership { members: Members::Hidden(why), .. }) =
            groups.iter().find(|group| is_hidden(group))
        {
            tracing::info!("{why}");
        }
        let rows: Vec<Listed> = groups
            .into_iter()
            .take(limit as usize)
            .map(|Membership { group, state, members }| Listed {
                group,
                state,
                members: if let Members::Known(members) = members { Some(members.len()) } else { None },
            })
            .collect();
        Ok(listing::print(&mut std::io::stdout().lock(), &rows, common.output)?)
    }
}

//! `streams replay`: a stream's events once more, and no offset moves.

mod gaps;
mod range;
mod rebuild;
mod shadow;

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write as _};

use clap::Args;
use shared::client::{Connection, Run, Then, watch};
use shared::config::KafkaArgs;
use shared::record::Record;
use shared::topic::Topic;

use self::range::Range;
use self::rebuild::Projection;
use self::shadow::ShadowArgs;
use super::StoreArgs;
use super::records::From;

/// How many records are looked up at once.
const AT_ONCE: usize = 256;

/// The settings of `streams replay`.
#[derive(Debug, Args)]
pub struct Replay {
    /// The topic
    topic: Topic,

    /// This partition alone
    #[arg(long, value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,

    /// Where to begin in each partition: an offset, `-N` for its last N, a time such as 2026-01-31T12:00:00Z, or how long
    /// ago, such as 1h [default: its beginning]
    #[arg(long, value_name = "OFFSET|-N|TIME", allow_hyphen_values = true)]
    from: Option<From>,

    /// Where to end, likewise: the first that is not replayed [default: its end]
    #[arg(long, value_name = "OFFSET|-N|TIME", allow_hyphen_values = true)]
    to: Option<From>,

    /// Give what has no row to the group; with --rebuild: go on although records are gone
    #[arg(long, conflicts_with = "shadow")]
    yes: bool,

    /// Give also what may have been pruned: most of it was handled, and would take effect again
    #[arg(long, conflicts_with = "shadow")]
    pruned: bool,

    /// How many events are shown at most
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,

    /// Fill a handler's table anew from the stream, which is paused meanwhile, and put it in the place of what stands
    #[arg(long, value_enum, conflicts_with_all = ["shadow", "partition", "from", "to", "pruned"])]
    rebuild: Option<Projection>,

    #[command(flatten)]
    shadow: ShadowArgs,

    #[command(flatten)]
    kafka: KafkaArgs,

    #[command(flatten)]
    store: StoreArgs,
}

impl Replay {
    /// Ctrl-C ends it between two transactions; what was given stays given, and is left alone by the next call.
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let Self { topic, store, .. } = &self;
        let is_of_commands = Topic::commands(&store.group).is_ok_and(|commands| commands == *topic);
        anyhow::ensure!(
            !is_of_commands && !topic.is_replies() && !topic.is_dead_letters(),
            "{topic} holds commands, replies or dead letters: only a topic of events is replayed"
        );
        let signal = shared::shutdown::signalled()?;
        if let Some(Projection::Statistics) = self.rebuild {
            return rebuild::run(&self, signal).await;
        }
        tokio::select! {
            done = async { if self.shadow.shadow { shadow::run(&self).await } else { gaps::run(&self).await } } => done,
            () = signal => anyhow::bail!("stopped before its end"),
        }
    }

    /// What is to be read, and where the group stands in each partition.
    async fn range(&self) -> anyhow::Result<Range> {
        let (topic, partition) = (self.topic.clone(), self.partition);
        let (from, to) = (self.from, self.to);
        watch(&self.kafka.connection(), &self.store.group, move |watcher| {
            range::of(watcher, &topic, partition, from, to)
        })
        .await
    }

    fn records(&self, runs: Vec<Run>) -> Records {
        Records::start(self.kafka.connection(), &self.store.group, &self.topic, runs)
    }
}

/// The records of a range, read by a thread of its own that is never far ahead.
struct Records {
    incoming: tokio::sync::mpsc::Receiver<Record>,
    reading: tokio::task::JoinHandle<anyhow::Result<()>>,
    /// How many there are at most, and how many have come.
    progress: (i64, i64),
    is_watched: bool,
}

impl Records {
    fn start(connection: Connection, group: &str, topic: &Topic, runs: Vec<Run>) -> Self {
        let (sender, incoming) = tokio::sync::mpsc::channel(AT_ONCE);
        let (group, topic) = (group.to_owned(), topic.clone());
        let most = runs.iter().map(|run| run.end - run.first).sum();
        let reading = tokio::spawn(async move {
            if runs.is_empty() {
                return Ok(());
            }
            watch(&connection, &group, move |watcher| {
                watcher.read(topic.as_str(), &runs, |record| match sender.blocking_send(record) {
                    Ok(()) => Then::More,
                    // Nobody waits for it any more.
                    Err(_) => Then::Enough,
                })
            })
            .await
        });
        Self { incoming, reading, progress: (most, 0), is_watched: io::stderr().is_terminal() }
    }

    /// Some more; none at the end.
    async fn next(&mut self) -> anyhow::Result<Vec<Record>> {
        let mut some = Vec::new();
        let count = self.incoming.recv_many(&mut some, AT_ONCE).await;
        self.progress.1 += count as i64;
        let (most, come) = self.progress;
        if self.is_watched && most > 0 {
            let end = if count == 0 { "\n" } else { "" };
            let _ = write!(io::stderr(), "\r{come} of {most}{end}"); // only for who looks
        }
        if count == 0 {
            (&mut self.reading).await??;
        }
        Ok(some)
    }
}

/// Where the group stands in each partition in which it has committed something.
type Committed = BTreeMap<i32, i64>;

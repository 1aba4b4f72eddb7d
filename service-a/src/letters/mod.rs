//! Dead letters back to where they came from, for a group whose ledger is gone: with `--from-topic`.
//!
//! The dead-letter topic is read from its beginning up to where it ended at the start, a partition after the other: those
//! of one key are in one partition, so that they stay in order. Nothing is committed: another run begins at the beginning
//! again, and publishes the same events under the same ids.

mod letter;

use std::pin::Pin;

use anyhow::Context as _;
use shared::client::{Connection, Run, Then, TopicSpec, Watcher, ensure_topics, watch};
use shared::producer::{Offer, Publisher};
use shared::record::Record;
use shared::topic::Topic;
use tokio::sync::mpsc;

use crate::Config;
use crate::report::{Skipped, Summary};

use self::letter::Skip;

/// As whom it reads: nobody joins or commits by this name.
const READER: &str = "service-a";

/// Letters that are read ahead. Few, because one may be large.
const AHEAD: usize = 32;

struct Loop<'a> {
    config: &'a Config,
    from: &'a Topic,
    connection: &'a Connection,
    publisher: &'a Publisher,
    /// They are there.
    topics: Vec<Topic>,
    read: u64,
    published: u64,
    /// The number of the letter published last.
    last: Option<u64>,
    skipped: Skipped,
}

/// Publishes what the topic's letters hold, waits for the acknowledgements, and sums up.
///
/// # Errors
/// Nothing could be published: no broker, no such topic.
pub(crate) async fn publish(
    config: &Config,
    from: &Topic,
    mut shutdown: Pin<&mut impl Future<Output = ()>>,
) -> anyhow::Result<Summary> {
    let connection = config.common.connection();
    let publisher = Publisher::new(&connection)?;
    let mut round = Loop {
        config,
        from,
        connection: &connection,
        publisher: &publisher,
        topics: Vec::new(),
        read: 0,
        published: 0,
        last: None,
        skipped: Skipped::default(),
    };
    let mut interrupted = false;
    let result = tokio::select! {
        biased;
        () = shutdown.as_mut() => { interrupted = true; Ok(()) }
        result = round.until_end() => result,
    };
    let (read, last, skipped) = (round.read, round.last, round.skipped);
    let broken = match result {
        Err(error) if read == 0 => return Err(error),
        result => result.err().map(|error| format!("{error:#}")),
    };
    if !interrupted {
        tokio::select! {
            biased;
            () = shutdown => interrupted = true,
            () = publisher.settled() => {}
        }
    }
    let report = publisher.finish(config.shutdown_deadline).await;
    let skipped = Some(skipped);
    Ok(Summary { report, unit: "letter", last, skipped, interrupted, broken, ..Summary::default() })
}

impl Loop<'_> {
    async fn until_end(&mut self) -> anyhow::Result<()> {
        let (sender, mut letters) = mpsc::channel(AHEAD);
        let (connection, from) = (self.connection.clone(), self.from.clone());
        let reading = tokio::spawn(async move {
            watch(&connection, READER, move |watcher| read(watcher, &from, &sender)).await
        });
        while let Some(letter) = letters.recv().await {
            self.read += 1;
            match letter::sent(&letter, self.from, self.config.to_topic.as_ref()) {
                Ok((record, topic)) => self.publish(&record, &topic).await?,
                Err(skip) => self.skip(&letter, &skip),
            }
            if self.config.limit.is_some_and(|limit| self.published >= limit) {
                // The reader ends when it finds nobody there.
                tracing::info!("--limit is reached: letters may be left in {}", self.from);
                return Ok(());
            }
        }
        reading.await.context("reading panicked: a bug")?
    }

    async fn publish(&mut self, record: &Record, topic: &Topic) -> anyhow::Result<()> {
        if !self.topics.contains(topic) {
            let spec = TopicSpec::new(topic.clone(), self.config.common.partitions);
            ensure_topics(self.connection, vec![spec]).await?;
            self.topics.push(topic.clone());
        }
        let number = self.read;
        let rest = || format!("letter {number} and all after it are not published");
        loop {
            match self.publisher.offer_record(record, topic, number).with_context(rest)? {
                Offer::Taken => break,
                Offer::Refused => return Ok(()),
                Offer::Full => self.publisher.room().await,
            }
        }
        self.published += 1;
        self.last = Some(number);
        Ok(())
    }

    fn skip(&mut self, letter: &Record, skip: &Skip) {
        match skip {
            Skip::Pointer => self.skipped.pointers += 1,
            Skip::Homeless | Skip::Astray(_) => self.skipped.homeless += 1,
        }
        self.skipped.name(|| format!("letter {} ({}): {skip}", self.read, letter.origin()));
    }
}

/// On a thread of its own: waits while nobody takes the letters.
fn read(watcher: &Watcher, from: &Topic, letters: &mpsc::Sender<Record>) -> anyhow::Result<()> {
    let places = watcher.places(from.as_str())?;
    let ends = watcher.ends(&places)?;
    for ((topic, partition), ends) in places.into_iter().zip(ends) {
        let run = Run { partition, first: ends.low, end: ends.high };
        watcher.read(&topic, &[run], |letter| match letters.blocking_send(letter) {
            Ok(()) => Then::More,
            Err(_) => Then::Enough,
        })?;
        if letters.is_closed() {
            break;
        }
    }
    Ok(())
}

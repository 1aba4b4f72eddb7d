//! The loop from the event source to the topic.

use std::pin::Pin;
use std::time::Duration;

use anyhow::Context;
use shared::event::NewEvent;
use shared::producer::{Offer, Publisher};
use shared::topic::Topic;

use crate::Config;
use crate::due::Due;
use crate::pace::Pace;
use crate::progress::Progress;
use crate::report::Summary;
use crate::source::{Source, TOO_LONG, Taken};

/// Events between two looks at the signal and the clock.
const BATCH: u64 = 256;
/// Slower than this a person reads along: a log line an event.
pub(crate) const HUMAN: Duration = Duration::from_millis(100);

/// Why the loop ended.
enum End {
    /// The event source has no more, or as many as asked for are published.
    Exhausted,
    Signalled,
    /// The file broke off, or Kafka.
    Broken(anyhow::Error),
}

/// What one round came to.
enum Round {
    GoOn,
    End,
}

struct Loop<'a> {
    source: Source,
    publisher: &'a Publisher,
    topic: &'a Topic,
    /// One event, written over by each.
    event: NewEvent,
    /// The event found no room: it goes out before anything later.
    held: Option<u64>,
    due: Due,
    published: u64,
    /// The number of the event published last.
    last: Option<u64>,
    is_announced: bool,
}

/// Publishes all that the source gives, waits for the acknowledgements, and sums up.
pub(crate) async fn publish(
    source: Source,
    config: &Config,
    publisher: Publisher,
    mut shutdown: Pin<&mut impl Future<Output = ()>>,
) -> Summary {
    let pace = Pace::of(config, source.is_counter());
    let is_announced = source.is_counter() && pace.interval() >= HUMAN;
    let progress = Progress::start(&source, pace, is_announced);
    let event = source.blank(config);
    let mut round = Loop {
        source,
        publisher: &publisher,
        topic: &config.topic,
        event,
        held: None,
        due: Due::new(pace),
        published: 0,
        last: None,
        is_announced,
    };
    let end = round.until_end(&progress, shutdown.as_mut()).await;
    let (oddities, unit, last) = (round.source.oddities(), round.source.unit(), round.last);
    let mut interrupted = matches!(end, End::Signalled);
    if !interrupted {
        // A signal now does not undo what went wrong before.
        tokio::select! {
            biased;
            () = shutdown => interrupted = true,
            () = publisher.settled() => {}
        }
    }
    let report = publisher.finish(config.shutdown_deadline).await;
    progress.finish();
    let broken = if let End::Broken(error) = end { Some(format!("{error:#}")) } else { None };
    Summary { report, oddities, unit, last, outbox: None, skipped: None, interrupted, broken }
}

impl Loop<'_> {
    async fn until_end(
        &mut self,
        progress: &Progress,
        mut shutdown: Pin<&mut impl Future<Output = ()>>,
    ) -> End {
        loop {
            let due = tokio::select! {
                biased;
                () = shutdown.as_mut() => return End::Signalled,
                due = self.due() => due,
            };
            match due.and_then(|due| self.publish_some(due)) {
                Ok(Round::GoOn) => progress.show(&self.source, self.published),
                Ok(Round::End) => return End::Exhausted,
                Err(error) => return End::Broken(error),
            }
            // At full speed nothing above waits: let others on this thread have their turn.
            tokio::task::yield_now().await;
        }
    }

    /// Waits for room, for the source and for the pace; then so many events are due. Cancel safe.
    async fn due(&mut self) -> anyhow::Result<u64> {
        if self.held.is_some() {
            self.publisher.room().await;
            return Ok(self.due.paced(&self.source, self.published, BATCH).await);
        }
        self.due.events(&mut self.source, self.published, BATCH).await
    }

    fn publish_some(&mut self, due: u64) -> anyhow::Result<Round> {
        for _ in 0..due {
            let number =
                match self.held.take().map_or_else(|| self.source.take(&mut self.event), Taken::Event) {
                    Taken::Event(number) => number,
                    Taken::TooLong(number) => {
                        self.publisher.refuse(number, TOO_LONG);
                        continue;
                    }
                    Taken::Nothing => break,
                    Taken::End => return Ok(Round::End),
                };
            match self.publisher.offer(&self.event, self.topic, number).with_context(|| self.rest(number))? {
                Offer::Taken => self.count(number),
                Offer::Refused => {}
                Offer::Full => {
                    self.held = Some(number);
                    break;
                }
            }
        }
        Ok(Round::GoOn)
    }

    /// Where to go on another time.
    fn rest(&self, number: u64) -> String {
        format!("{} {number} and all after it are not published", self.source.unit())
    }

    fn count(&mut self, number: u64) {
        self.published += 1;
        self.last = Some(number);
        if self.is_announced {
            let data = self.event.data.as_deref().unwrap_or_default();
            tracing::info!("Published {}", String::from_utf8_lossy(data));
        }
    }
}

//! The loop from the event source into the outbox; the relay publishes from there.

use std::pin::{Pin, pin};
use std::time::Duration;

use anyhow::{Context, bail};
use shared::client::TopicSpec;
use shared::event::NewEvent;
use shared::outbox::{Batch, Outbox, Outcome, Position};
use shared::store::StoreUrl;

use crate::Config;
use crate::due::Due;
use crate::pace::Pace;
use crate::progress::Progress;
use crate::publish::HUMAN;
use crate::report::{Stored, Summary};
use crate::source::{Source, TOO_LONG, Taken};
use crate::standstill::Standstill;

/// Events of one transaction: enough that its cost vanishes, few enough that it is over soon.
const BATCH: u64 = 1_000;
/// Bytes of one transaction, and one event more.
const BATCH_BYTES: usize = 1024 * 1024;
/// How long to wait before looking again for room in the outbox.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

struct Loop<'a> {
    source: Source,
    outbox: &'a Outbox,
    config: &'a Config,
    /// What the source is called in the store, if it can be gone on with.
    name: Option<String>,
    /// How far the store knows the source.
    stored_to: Position,
    /// One event, written over by each.
    event: NewEvent,
    batch: Batch,
    /// What the batch holds, as text: only where each event has its log line.
    announced: Vec<String>,
    is_announced: bool,
    due: Due,
    standstill: Standstill,
    stored: u64,
    summary: Summary,
}

/// Stores all that the source gives, relays it, and sums up.
///
/// # Errors
/// Nothing could be stored: the store cannot be opened, or the file is another one than before.
pub(crate) async fn publish(
    source: Source,
    config: &Config,
    url: &StoreUrl,
    mut shutdown: Pin<&mut impl Future<Output = ()>>,
) -> anyhow::Result<Summary> {
    let topic = TopicSpec::new(config.topic.clone(), config.common.partitions);
    let connection = config.common.connection();
    let outbox = tokio::select! {
        biased;
        () = shutdown.as_mut() => return Ok(Summary { interrupted: true, ..Summary::default() }),
        outbox = Outbox::open(url, config.outbox_bound, &connection, topic) => outbox,
    };
    let outbox = outbox.with_context(|| format!("cannot use the outbox {url}"))?;
    let pace = Pace::of(config, source.is_counter());
    let mut round = Loop::new(source, config, &outbox, pace)?;
    let progress = Progress::start(&round.source, pace, round.is_announced);
    let result = round.until_end(&progress, shutdown.as_mut()).await;
    progress.finish();
    let (mut summary, stored) = (round.summary, round.stored);
    summary.oddities = round.source.oddities();
    match result {
        Err(error) if stored == 0 => {
            // Whoever comes next need not wait for this relay.
            outbox.finish(Duration::ZERO).await;
            return Err(error);
        }
        result => summary.broken = result.err().map(|error| format!("{error:#}")),
    }
    Ok(drain(outbox, stored, summary, config.shutdown_deadline, shutdown).await)
}

/// Waits until all is published, after a stop only so long, and sums up.
async fn drain(
    outbox: Outbox,
    stored: u64,
    mut summary: Summary,
    deadline: Duration,
    shutdown: Pin<&mut impl Future<Output = ()>>,
) -> Summary {
    if !summary.interrupted {
        tokio::select! {
            biased;
            () = shutdown => summary.interrupted = true,
            () = outbox.drained() => {}
        }
    }
    let outcome = outbox.finish(deadline).await;
    if !summary.interrupted
        && stored == 0
        && outcome == (Outcome { remaining: Some(0), ..Outcome::default() })
    {
        tracing::info!("everything was published before: nothing is left to do");
    }
    (summary.report.published, summary.report.acknowledged) = (outcome.published, outcome.acknowledged);
    summary.outbox = Some(Stored { stored, remaining: outcome.remaining, refused: outcome.refused });
    summary
}

impl<'a> Loop<'a> {
    fn new(source: Source, config: &'a Config, outbox: &'a Outbox, pace: Pace) -> anyhow::Result<Self> {
        Ok(Self {
            name: source.name(config)?,
            is_announced: source.is_counter() && pace.interval() >= HUMAN,
            outbox,
            config,
            stored_to: Position::default(),
            event: source.blank(config),
            batch: Batch::default(),
            announced: Vec::new(),
            due: Due::new(pace),
            standstill: Standstill::default(),
            stored: 0,
            summary: Summary { unit: source.unit(), ..Summary::default() },
            source,
        })
    }

    async fn until_end(
        &mut self,
        progress: &Progress,
        mut shutdown: Pin<&mut impl Future<Output = ()>>,
    ) -> anyhow::Result<()> {
        let mut is_end = false;
        tokio::select! {
            biased;
            () = shutdown.as_mut() => self.summary.interrupted = true,
            begun = self.go_on() => begun?,
        }
        while !is_end && !self.summary.interrupted {
            let due = tokio::select! {
                biased;
                () = shutdown.as_mut() => { self.summary.interrupted = true; break }
                due = self.due() => due?,
            };
            is_end = self.take(due);
            self.store_until_stopped(shutdown.as_mut()).await?;
            progress.show(&self.source, self.stored);
        }
        Ok(())
    }

    /// Waits until events are due, and says how many. Cancel safe: nothing is taken yet.
    async fn due(&mut self) -> anyhow::Result<u64> {
        // A batch goes in whole, so that it may be no larger than the bound.
        let most = BATCH.min(self.config.outbox_bound as u64);
        loop {
            let due = self.due.events(&mut self.source, self.stored, most).await?;
            if !self.standstill.wait(self.outbox, self.name.as_deref()).await {
                return Ok(due);
            }
            // What was not read meanwhile is not caught up with.
            self.due.begin_anew();
        }
    }

    /// Stores what was taken. Where a stop comes first, a source that can be read again gives it another time; of one that
    /// cannot it still goes into the outbox, so long as the deadline lasts.
    async fn store_until_stopped(
        &mut self,
        shutdown: Pin<&mut impl Future<Output = ()>>,
    ) -> anyhow::Result<()> {
        let (is_read_once, deadline, taken) =
            (self.name.is_none(), self.config.shutdown_deadline, self.batch.len());
        let stored = {
            let mut store = pin!(self.store());
            tokio::select! {
                biased;
                stored = &mut store => return stored,
                () = shutdown => {}
            }
            if is_read_once { tokio::time::timeout(deadline, store).await.ok() } else { None }
        };
        self.summary.interrupted = true;
        match stored {
            Some(stored) => stored,
            None if is_read_once && taken > 0 => bail!(
                "the outbox took nothing within {deadline:?}: {taken} events that were read are neither in it nor published"
            ),
            None => Ok(()),
        }
    }

    /// Goes on where the store says that the source was left.
    async fn go_on(&mut self) -> anyhow::Result<()> {
        let Some(name) = &self.name else {
            tracing::info!("this input cannot be read again: what a restart reads counts as new");
            return Ok(());
        };
        self.stored_to = self.outbox.position(name).await?;
        let Position { at, number } = self.stored_to;
        if !self.source.go_on(self.stored_to).await? {
            bail!(
                "{name} is not the file that was read before: no line {number} ends at its byte {at}. Lines that are new \
                 belong at its end. To publish it as a new file, give it another name, or name another store with --outbox"
            );
        }
        match (at, self.source.unit()) {
            (0, _) => {}
            (_, unit) if self.source.remaining() == Some(0) => {
                tracing::info!("{unit}s up to {number} were stored before, which is all that was asked for");
            }
            (_, unit) => tracing::info!("{unit}s up to {number} were stored before: going on after them"),
        }
        Ok(())
    }

    /// Takes what is there into the batch; `true` at the end.
    fn take(&mut self, due: u64) -> bool {
        for _ in 0..due {
            match self.source.take(&mut self.event) {
                Taken::Event(_) => {
                    self.batch.push(&self.event, &self.config.topic);
                    if self.is_announced {
                        let data = self.event.data.as_deref().unwrap_or_default();
                        self.announced.push(String::from_utf8_lossy(data).into_owned());
                    }
                }
                Taken::TooLong(number) => self.too_long(number),
                Taken::Nothing => break,
                Taken::End => return true,
            }
            if self.batch.bytes() >= BATCH_BYTES {
                break;
            }
        }
        false
    }

    fn too_long(&mut self, number: u64) {
        // The next run will have passed it.
        tracing::error!("line {number} is {TOO_LONG}: it is not published");
        self.summary.report.refuse(number, TOO_LONG);
    }

    /// Stores the batch together with how far the source was read for it. Waits while the outbox is full.
    async fn store(&mut self) -> anyhow::Result<()> {
        let to = self.source.position();
        if self.batch.is_empty() && to == self.stored_to {
            return Ok(());
        }
        let read = self.name.as_deref().map(|name| (name, self.stored_to, to));
        let mut is_said = false;
        while !self.outbox.add(&self.batch, read).await? {
            if !std::mem::replace(&mut is_said, true) {
                let bound = self.config.outbox_bound;
                tracing::warn!("the outbox holds {bound} events: reading waits until Kafka has taken some");
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        self.stored_to = to;
        if !self.batch.is_empty() {
            // A counter's position is its next number.
            self.summary.last = Some(to.number - u64::from(self.source.is_counter()));
        }
        self.stored += self.batch.len() as u64;
        self.batch.clear();
        for data in self.announced.drain(..) {
            tracing::info!("Stored {data}");
        }
        Ok(())
    }
}

//! The loop: lease, answers, deletions, a look at the outbox, and what to send of it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::error::RDKafkaErrorCode;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::Instant;

use super::Progress;
use super::fault::Fault;
use super::lease::Lease;
use super::line::{Answer, Line};
use super::trouble::Trouble;
use super::window::Window;
use crate::dead_letter;
use crate::record::Record;
use crate::store::{OutboxRow, Store, StoreError};

/// How often to look without being woken: another process may have put something into the outbox.
const POLL: Duration = Duration::from_secs(1);
/// How long others in flight may still be answered after a failure, before they are given up and sent again.
const GRACE: Duration = Duration::from_secs(5);

pub(super) struct Pump {
    config: ClientConfig,
    store: Arc<dyn Store>,
    bell: Arc<Notify>,
    progress: watch::Sender<Progress>,
    lease: Lease,
    /// Made when there is something to send.
    line: Option<Line>,
    window: Window,
    /// In Kafka, not yet deleted.
    acknowledged: Vec<i64>,
    /// Came back since nothing new is sent, and since when that is.
    failed: Vec<(i64, RDKafkaErrorCode)>,
    failing_since: Option<Instant>,
    /// To be marked in the store, with the reason.
    refused: Vec<(i64, String)>,
    /// How often a row was refused for its size: a dead letter shrinks.
    oversized: HashMap<i64, usize>,
    /// Topics that take nothing for a while.
    held: HashMap<String, Held>,
    /// Of the rows in flight, or that failed: their topics.
    topics: HashMap<i64, String>,
    /// The broker's trouble lasts until then.
    send_after: Instant,
    /// There is more to do at once.
    is_pressed: bool,
    broker: Trouble,
    database: Trouble,
}

/// A topic that took nothing.
struct Held {
    until: Instant,
    trouble: Trouble,
}

impl Pump {
    pub(super) fn new(
        config: ClientConfig,
        store: Arc<dyn Store>,
        bell: Arc<Notify>,
        progress: watch::Sender<Progress>,
    ) -> Self {
        Self {
            config,
            store,
            bell,
            progress,
            lease: Lease::new(),
            line: None,
            window: Window::default(),
            acknowledged: Vec::new(),
            failed: Vec::new(),
            failing_since: None,
            refused: Vec::new(),
            oversized: HashMap::new(),
            held: HashMap::new(),
            topics: HashMap::new(),
            send_after: Instant::now(),
            is_pressed: false,
            broker: Trouble::default(),
            database: Trouble::default(),
        }
    }

    /// Relays until it is told to stop.
    pub(super) async fn run(mut self, mut stop: oneshot::Receiver<Duration>) {
        let deadline = loop {
            let result = self.round().await;
            tokio::select! {
                biased;
                deadline = &mut stop => break deadline,
                () = self.rest(result) => {}
            }
        };
        self.wind_down(deadline.unwrap_or_default()).await;
    }

    /// One round. What it does not come to, the next one does.
    async fn round(&mut self) -> Result<(), StoreError> {
        self.is_pressed = false;
        let renewed = self.lease.renew(&*self.store).await;
        if !self.lease.is_held() {
            self.let_go().await;
        }
        renewed?;
        self.collect();
        self.judge().await;
        self.delete().await?;
        self.mark().await?;
        if self.failing_since.is_none() && self.window.has_room() {
            self.look().await?;
        }
        Ok(())
    }

    /// Another may relay now: nothing more of ours goes out.
    async fn let_go(&mut self) {
        if self.line.is_some() {
            tracing::warn!("outbox: another process relays now; this one stands by");
            self.give_up_line().await;
            self.failed.clear();
            self.failing_since = None;
            self.topics.clear();
        }
    }

    /// Takes the answers that are there.
    fn collect(&mut self) {
        while let Some(answer) = self.line.as_mut().and_then(Line::answer_now) {
            self.note(answer);
        }
    }

    fn note(&mut self, (number, result): Answer) {
        if !self.window.answered(number, result.is_ok()) {
            return;
        }
        match result {
            Ok(()) => {
                self.acknowledged.push(number);
                let topic = self.topics.remove(&number);
                if let Some(mut held) = topic.and_then(|topic| self.held.remove(&topic)) {
                    held.trouble.is_over();
                }
            }
            Err(code) => {
                self.failed.push((number, code));
                self.failing_since.get_or_insert_with(Instant::now);
            }
        }
    }

    /// Deletes what is in Kafka.
    async fn delete(&mut self) -> Result<(), StoreError> {
        if self.acknowledged.is_empty() {
            return Ok(());
        }
        // Kept until the store has said so: to ask again is safe.
        self.lease.within(self.store.relayed(self.acknowledged.clone())).await?;
        let relayed = self.acknowledged.len() as u64;
        for number in self.acknowledged.drain(..) {
            self.window.forget(number);
            self.oversized.remove(&number);
        }
        self.broker.is_over();
        let in_flight = self.window.len();
        self.progress.send_modify(|progress| {
            progress.relayed += relayed;
            progress.in_flight = in_flight;
        });
        Ok(())
    }

    /// After a failure: once everything in flight has been answered or given up, decides what becomes of what failed.
    async fn judge(&mut self) {
        let fatal = self.line.as_ref().and_then(Line::fatal);
        let Some(since) = self.failing_since.or(fatal.is_some().then(Instant::now)) else { return };
        if fatal.is_some() || since.elapsed() > GRACE {
            self.give_up_line().await;
        }
        if self.window.len() > 0 {
            return;
        }
        self.failing_since = None;
        let failed = std::mem::take(&mut self.failed);
        let own: Vec<_> = failed.iter().filter(|(_, code)| Fault::of(*code).is_own()).copied().collect();
        match own[..] {
            // Alone in its batch, or named by the broker.
            [(number, code)] => self.condemn(number, code),
            // A batch fails as a whole: each of them goes alone, until the guilty one is found.
            _ => self.window.suspect(own.iter().map(|(number, _)| *number)),
        }
        self.blame(&failed, fatal.filter(|_| own.is_empty()));
        self.topics.clear();
    }

    /// The topic's fault, or the broker's: a pause for the one or for all.
    fn blame(&mut self, failed: &[(i64, RDKafkaErrorCode)], fatal: Option<String>) {
        let mut reason = fatal;
        for (number, code) in failed {
            match Fault::of(*code) {
                Fault::Topic => {
                    reason = None;
                    if let Some(topic) = self.topics.get(number).cloned() {
                        self.hold(topic, *code);
                    }
                }
                Fault::Broker => {
                    reason.get_or_insert_with(|| code.to_string());
                }
                Fault::Row | Fault::Size | Fault::Innocent => {}
            }
        }
        if let Some(reason) = reason {
            self.send_after = Instant::now() + self.broker.pause(&format!("Kafka: {reason}"));
        }
    }

    fn hold(&mut self, topic: String, code: RDKafkaErrorCode) {
        let (what, now) = (format!("topic {topic}: {code}"), Instant::now());
        let held = self.held.entry(topic).or_insert_with(|| Held { until: now, trouble: Trouble::default() });
        // Many rows fail for the same cause at once.
        if held.until <= now {
            held.until = now + held.trouble.pause(&what);
        }
    }

    fn is_held(&self, topic: &str) -> bool {
        self.held.get(topic).is_some_and(|held| Instant::now() < held.until)
    }

    /// The row is at fault: a dead letter shrinks, any other is refused.
    fn condemn(&mut self, number: i64, code: RDKafkaErrorCode) {
        if Fault::of(code) == Fault::Size {
            // Decided at the next look, where its bytes are at hand.
            *self.oversized.entry(number).or_default() += 1;
        } else {
            self.refused.push((number, code.to_string()));
        }
        self.window.forget(number);
    }

    /// Marks what is refused.
    async fn mark(&mut self) -> Result<(), StoreError> {
        while let Some((number, reason)) = self.refused.last().cloned() {
            tracing::error!("outbox: row {number} is refused, later rows of its key wait: {reason}");
            self.lease.within(self.store.refused(number, reason)).await?;
            self.oversized.remove(&number);
            self.refused.pop();
        }
        Ok(())
    }

    /// Reads the lowest rows, and sends what may go.
    async fn look(&mut self) -> Result<(), StoreError> {
        let (most, bytes) = self.window.limits();
        let rows = self.lease.within(self.store.outbox(most, bytes)).await?;
        let is_held: HashSet<_> =
            rows.iter().map(|row| row.topic.as_str()).filter(|topic| self.is_held(topic)).collect();
        let chosen = self.window.choose(&rows, |topic| is_held.contains(topic));
        let is_quiet = chosen.is_empty() && self.window.len() == 0;
        // All that was read is stuck, and there may be more above: the next look reads further.
        let is_cut = rows.len() >= most || rows.iter().map(|row| row.packed.len()).sum::<usize>() >= bytes;
        self.is_pressed |= is_quiet && is_cut;
        let is_idle = is_quiet && !is_cut && is_held.is_empty();
        if self.lease.is_held() && Instant::now() >= self.send_after {
            self.send(chosen.into_iter().filter_map(|index| rows.get(index)));
        }
        let (in_flight, stuck) = (self.window.len(), self.window.stuck().rows);
        self.progress.send_modify(|progress| {
            progress.looks += 1;
            (progress.is_idle, progress.in_flight, progress.stuck) = (is_idle, in_flight, stuck);
        });
        Ok(())
    }

    /// Sends rows until one does not go: nothing may go before it.
    fn send<'a>(&mut self, rows: impl Iterator<Item = &'a OutboxRow>) {
        for row in rows {
            let Some(record) = self.record(row) else { return self.is_pressed = true };
            match self.hand_over(row, &record) {
                Ok(()) => {
                    self.window.sent(row);
                    self.topics.insert(row.number, row.topic.clone());
                }
                Err(RDKafkaErrorCode::QueueFull) => return,
                Err(code) => {
                    self.is_pressed = true;
                    if Fault::of(code).is_own() {
                        return self.condemn(row.number, code);
                    }
                    self.topics.insert(row.number, row.topic.clone());
                    self.failed.push((row.number, code));
                    self.failing_since.get_or_insert_with(Instant::now);
                    return;
                }
            }
        }
    }

    /// What to send for a row. `None` if there is nothing: it is refused.
    fn record(&mut self, row: &OutboxRow) -> Option<Record> {
        let record = Record::unpack(&row.packed, "", 0, 0);
        let (record, reason) = match (record, self.oversized.get(&row.number)) {
            (None, _) => (None, "what the outbox holds there is no record".to_owned()),
            (record, None) => (record, String::new()),
            (Some(record), Some(refusals)) => {
                let reason = format!("larger than the topic {} takes", row.topic);
                (dead_letter::pointer(&row.topic, &record, *refusals), reason)
            }
        };
        if record.is_none() {
            self.refused.push((row.number, reason));
        }
        record
    }

    fn hand_over(&mut self, row: &OutboxRow, record: &Record) -> Result<(), RDKafkaErrorCode> {
        let line = match self.line.take() {
            Some(line) => line,
            None => Line::new(&self.config).map_err(|_| RDKafkaErrorCode::Fail)?,
        };
        self.line.insert(line).send(row.number, &row.topic, record)
    }

    /// Ends the producer. What was in flight is in the store, and is sent again.
    async fn give_up_line(&mut self) {
        if let Some(line) = self.line.take() {
            for answer in line.give_up(self.window.len()).await {
                self.note(answer);
            }
        }
        self.window.clear();
    }

    /// Waits for a reason to go on. Cancel safe.
    async fn rest(&mut self, result: Result<(), StoreError>) {
        if let Err(error) = result {
            let pause = self.database.pause(&format!("the store: {error}"));
            // Sending ends with the lease, also when nobody can be asked for it.
            return tokio::time::sleep_until(self.lease.end().min(Instant::now() + pause)).await;
        }
        self.database.is_over();
        if self.is_pressed {
            return;
        }
        let next = self.lease.ask_at().min(Instant::now() + POLL);
        let answer = async {
            match &mut self.line {
                Some(line) => line.answer().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(answer) = answer => self.note(answer),
            () = self.bell.notified() => {}
            () = tokio::time::sleep_until(next) => {}
        }
    }

    /// Nothing new is sent; what is in flight may still be answered.
    async fn wind_down(mut self, deadline: Duration) {
        let until = tokio::time::sleep(deadline);
        tokio::pin!(until);
        while let (Some(line), true) = (self.line.as_mut(), self.window.len() > 0) {
            let answer = tokio::select! {
                () = &mut until => break,
                answer = line.answer() => answer,
            };
            if let Some(answer) = answer {
                self.note(answer);
            }
        }
        self.give_up_line().await;
        if let Err(error) = self.delete().await {
            tracing::warn!("outbox: what has been published may be published again: {error}");
        }
        self.lease.give_up(&*self.store).await;
    }
}

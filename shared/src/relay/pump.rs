//! The loop: lease, answers, deletions, a look at the outbox.

mod look;
mod verdict;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::error::RDKafkaErrorCode;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::Instant;

use self::verdict::Held;
use super::Progress;
use super::lease::Lease;
use super::line::{Answer, Line};
use super::trouble::Trouble;
use super::window::Window;
use crate::store::{Store, StoreError};

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
        // Before it is asked for as well: the store may take its time.
        self.let_go_if_ended().await;
        let renewed = self.lease.renew(&*self.store).await;
        self.let_go_if_ended().await;
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
    async fn let_go_if_ended(&mut self) {
        self.lease.forget_if_ended();
        if !self.lease.is_held() && self.line.is_some() {
            tracing::warn!(
                "outbox: the lease has ended, and another process may relay now; this one stands by"
            );
            self.give_up_line().await;
            self.failed.clear();
            self.failing_since = None;
            self.topics.clear();
            self.progress.send_modify(|progress| progress.in_flight = 0);
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
        let next = self.lease.ask_at().min(self.lease.end()).min(Instant::now() + POLL);
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

    /// Nothing new is sent; what is in flight may still be answered, while nobody else may relay and with time left to
    /// delete it.
    async fn wind_down(mut self, deadline: Duration) {
        let latest = self.lease.end().checked_sub(super::LAST).unwrap_or_else(Instant::now);
        let until = Instant::now().checked_add(deadline).map_or(latest, |end| end.min(latest));
        let until = tokio::time::sleep_until(until);
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
        // To delete what has been published needs no lease: one that has ended bounds it no more.
        self.lease.forget_if_ended();
        if let Err(error) = self.delete().await {
            tracing::warn!("outbox: what has been published may be published again: {error}");
        }
        self.lease.give_up(&*self.store).await;
    }
}

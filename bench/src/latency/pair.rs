//! The pair: service-a's publisher, and service-b's whole runtime.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use shared::client::Connection;
use shared::consumer::{Effects, HandleError, Handler, Handlers};
use shared::event::Event;
use shared::producer::{Offer, Publisher};
use shared::store::TemporaryStore;
use shared::topic::Topic;
use tokio::sync::Notify;

use super::journal::Journal;
use super::stream::Stream;
use super::{PATIENCE, alone, key};
use crate::keys::member;
use crate::measure::Run;
use crate::settings::Bench;
use crate::subject::like;

/// Runs both until the last event is handled.
///
/// # Errors
/// No broker, or not every event was handled once.
#[tokio::main]
pub(crate) async fn run<const PURE: bool>(
    bench: &Bench,
    topic: &Topic,
    stream: Stream,
    delivery: &str,
) -> anyhow::Result<Run> {
    let store = TemporaryStore::new()?;
    let config = member(bench, topic.as_str(), topic.as_str(), &["--delivery", delivery], &store)?;
    let start = Instant::now();
    let watcher =
        Watcher::<PURE> { journal: Arc::new(Mutex::new(Journal::new(stream, start)?)), done: Arc::default() };
    let handlers = Handlers::new().on("*", watcher.clone())?;
    let (connection, to) = (bench.connection(), topic.clone());
    let publisher = alone(move || publish(connection, to, stream, start));
    let done = async { drop(tokio::time::timeout(stream.takes() + PATIENCE, watcher.done.notified()).await) };
    service_b::run(config, handlers, Arc::default(), done).await?;
    publisher.join()?;
    watcher.journal.lock().unwrap_or_else(PoisonError::into_inner).run()
}

/// One event, written over by each, as service-a does it.
async fn publish(connection: Connection, topic: Topic, stream: Stream, start: Instant) -> anyhow::Result<()> {
    let publisher = Publisher::new(&connection)?;
    let mut event = like();
    let work = stream.keep(start, |number, data| {
        event.renew();
        event.set_data("text/plain", data);
        event.key = Some(key(number).into_bytes());
        Ok(publisher.offer(&event, &topic, number)? == Offer::Taken)
    });
    work.await.context("publish")?;
    let acknowledged = publisher.finish(Duration::from_secs(30)).await.acknowledged;
    anyhow::ensure!(acknowledged == stream.events(), "only {acknowledged} events were acknowledged");
    Ok(())
}

/// The handler.
#[derive(Debug, Clone)]
struct Watcher<const PURE: bool> {
    journal: Arc<Mutex<Journal>>,
    done: Arc<Notify>,
}

impl<const PURE: bool> Handler for Watcher<PURE> {
    type Data = ();

    const PURE: bool = PURE;

    async fn handle(&self, event: &Event, (): ()) -> Result<Effects, HandleError> {
        let now = Instant::now();
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        if journal.note(event.data().unwrap_or_default(), now) {
            self.done.notify_one();
        }
        Ok(Effects::none())
    }
}

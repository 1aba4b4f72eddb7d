//! What an event costs from its record's bytes to its settled offset: the way that `.ci/cost` counts the instructions of.
//!
//! All is as in service-b but the broker: where the poll thread would copy records out of librdkafka, this thread makes
//! them itself. It waits for each batch before it sends the next, so that what is settled together is no matter of chance.

mod at_once;
mod options;
mod records;

use std::sync::{Arc, mpsc as std_mpsc};

use anyhow::Context as _;
use rdkafka::topic_partition_list::Offset;
use tokio::runtime::{self, Runtime};
use tokio::sync::mpsc;

use self::at_once::AtOnce;
use self::options::options;
use self::records::{BATCH, Records, TOPIC};
use super::assignment::Assignment;
use super::common::Common;
use super::lane::Lane;
use super::messages::{FromLane, Taken, ToLane};
use super::{Counts, Delivery, Effects, HandleError, Handler, Handlers};
use crate::event::Event;
use crate::store::{self, Assignee, Ownership, Store, TemporaryStore};

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Figure {
    /// No row: decoding, the lane and the tracker, and nothing else.
    AtLeastOnce,
    /// A row an event, in a store that costs nothing.
    EffectivelyOnce,
    /// Looked up before it is handled; the key's next event waits until it is settled. In the same store.
    Reaching,
    /// A row an event, in SQLite.
    Sqlite,
}

/// Drains so many batches through one lane, and says how many events that were.
///
/// # Errors
/// Not each of them was settled, at its first attempt.
pub fn drain(figure: Figure, batches: usize) -> anyhow::Result<usize> {
    match figure {
        Figure::AtLeastOnce => in_memory::<true>(Delivery::AtLeastOnce, batches),
        Figure::EffectivelyOnce => in_memory::<true>(Delivery::EffectivelyOnce, batches),
        Figure::Reaching => in_memory::<false>(Delivery::EffectivelyOnce, batches),
        Figure::Sqlite => {
            let (file, runtime) = (TemporaryStore::new()?, runtime()?);
            let store = runtime.block_on(store::open(&file.url(), &[]))?;
            through_lane::<true>(runtime, store, Delivery::EffectivelyOnce, batches)
        }
    }
}

fn in_memory<const PURE: bool>(delivery: Delivery, batches: usize) -> anyhow::Result<usize> {
    through_lane::<PURE>(runtime()?, Arc::new(AtOnce::default()), delivery, batches)
}

fn runtime() -> std::io::Result<Runtime> {
    runtime::Builder::new_current_thread().enable_all().build()
}

/// service-b's `discard`, and its sister that reaches out.
struct Discard<const PURE: bool>;

impl<const PURE: bool> Handler for Discard<PURE> {
    type Data = ();

    const PURE: bool = PURE;

    async fn handle(&self, _: &Event, (): ()) -> Result<Effects, HandleError> {
        Ok(Effects::none())
    }
}

fn through_lane<const PURE: bool>(
    runtime: Runtime,
    store: Arc<dyn Store>,
    delivery: Delivery,
    batches: usize,
) -> anyhow::Result<usize> {
    let owner = runtime.block_on(take_over(&*store))?;
    let options = options(delivery)?;
    let mut assignment = Assignment::new(options.window, options.window_bytes, store.id());
    let slot = assignment.assign((TOPIC, 0), owner, Some(0), Offset::Offset(0), None);
    let counts = Arc::<Counts>::default();
    let handlers = Handlers::new().on("*", Discard::<PURE>)?;
    let common = Common::new(&options, handlers, store, Arc::default(), Arc::clone(&counts))?;

    let (to_lane, reports, lane) = start_lane(runtime, common);
    let taken = Taken { topic: TOPIC, partition: 0, owner, deferred: Vec::new(), answered: Vec::new() };
    to_lane.send(ToLane::Take(slot, taken)).ok().context(ENDED)?;
    let mut records = Records::new()?;
    for _ in 0..batches {
        let batch = records.batch(&mut assignment)?;
        to_lane.send(ToLane::Batch(batch)).ok().context(ENDED)?;
        while assignment.window().events() > 0 {
            take_settled(&mut assignment, reports.recv().context(ENDED)?)?;
        }
    }
    drop(to_lane);
    anyhow::ensure!(lane.join().is_ok(), ENDED);
    let summary = counts.summary();
    let events = batches * BATCH;
    anyhow::ensure!(summary.handled == events as u64, "not all were handled: {summary:?}");
    Ok(events)
}

const ENDED: &str = "the lane has ended";

type Started = (mpsc::UnboundedSender<ToLane>, std_mpsc::Receiver<FromLane>, std::thread::JoinHandle<()>);

fn start_lane(runtime: Runtime, common: Common) -> Started {
    let (to_lane, inbox) = mpsc::unbounded_channel();
    let (sender, reports) = std_mpsc::channel();
    let lane = Lane::new(Arc::new(common), inbox, sender);
    (to_lane, reports, std::thread::spawn(move || runtime.block_on(lane.run())))
}

async fn take_over(store: &dyn Store) -> anyhow::Result<Ownership> {
    let partition = Assignee {
        group: "service-b".to_owned(),
        topic: TOPIC.to_owned(),
        partition: 0,
        answers_from: None,
        dead_hold: false,
    };
    let taken = store.assign(vec![partition]).await?;
    Ok(taken.first().context("the store gave no partition")?.owner)
}

fn take_settled(assignment: &mut Assignment, report: FromLane) -> anyhow::Result<()> {
    let FromLane::Settled(settled) = report else { anyhow::bail!("not only settled: {report:?}") };
    for (slot, offset) in settled {
        assignment.settled(slot, offset);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum as _;

    /// Catches: a change after which there is nothing left to measure.
    #[test]
    fn each_figure_has_its_way() {
        for figure in Figure::value_variants() {
            assert_eq!(drain(*figure, 3).expect("drained"), 3 * BATCH, "{figure:?}");
        }
    }
}

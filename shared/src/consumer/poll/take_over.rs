//! Taking partitions over: asking the broker where the group stands, and the store for what waits there.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList, TopicPartitionListElem};
use tokio::task::JoinHandle;

use super::PollThread;
use super::handover::names;
use super::refusal::refusal;
use super::watch::Watched;
use crate::consumer::messages::{Taken, ToLane};
use crate::consumer::{Delivery, OnDead};
use crate::store::{Assigned, Assignee, StoreError};

/// How long the broker may take for a question asked between two polls.
pub(super) const ANSWER: Duration = Duration::from_secs(10);
/// How long the store may take to hand partitions over before something else is done meanwhile: longer than a file waits
/// for its lock, so that it can say why. And how long it is left alone before it is asked again.
const STORE_ANSWER: Duration = Duration::from_secs(7);
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// A partition that is to be taken over, and where the group stands in it.
pub(super) struct Start {
    topic: &'static str,
    partition: i32,
    committed: Option<i64>,
    /// Where the partition begins and ends now, for who stops there.
    ends: Option<(i64, i64)>,
}

/// Partitions that the store was asked for, and has not answered yet.
pub(super) type Taking = (Vec<Start>, JoinHandle<Result<Vec<Assigned>, StoreError>>);

impl PollThread {
    /// Takes partitions over in the ledger, then starts each where the group stands; one without a committed offset at
    /// its beginning. `false` where somebody does not answer: to be tried again, after polling.
    pub(super) fn assign(&mut self, partitions: &TopicPartitionList) -> anyhow::Result<bool> {
        if self.asked_at.is_some_and(|at| at.elapsed() < ASK_AGAIN) {
            return Ok(false);
        }
        if self.consumer.assignment_lost() || self.consumer.context().is_revoked(partitions) {
            // The group has given them to another meanwhile: to take them over would shut that one out. librdkafka
            // wants its answer, and takes them away again next; what it fetches until then belongs to no slot.
            if let Some((_, asked)) = self.taking.take() {
                asked.abort();
            }
            let mut list = TopicPartitionList::new();
            for element in partitions.elements() {
                list.add_partition_offset(element.topic(), element.partition(), Offset::End)?;
            }
            self.consumer.take(&list).context("cannot take partitions")?;
            return Ok(true);
        }
        let Some((starts, taken)) = self.take_over(partitions)? else { return Ok(false) };
        let mut list = TopicPartitionList::new();
        for (start, assigned) in starts.iter().zip(taken) {
            let offset = self.first_offset(start, &assigned)?;
            list.add_partition_offset(start.topic, start.partition, offset)?;
            let target = start.ends.and_then(|ends| target(ends, offset));
            self.tell_taken(start, assigned, offset, target);
        }
        tracing::info!("assigned {}", names(&list));
        self.look_for_growth();
        self.assigned = true;
        self.heard_at = Instant::now();
        self.consumer.take(&list).context("cannot take partitions")?;
        // A pause outlives the assignment in which it was asked for.
        self.consumer.resume(&list).context("cannot resume partitions")?;
        Ok(true)
    }

    fn starts(&mut self, partitions: &TopicPartitionList) -> anyhow::Result<Option<Vec<Start>>> {
        // This list holds references that would keep the consumer from closing: it ends here.
        let Some(committed) = self.committed(partitions)? else { return Ok(None) };
        let mut starts = Vec::new();
        for element in committed.elements() {
            let topic = self.assignment.intern(element.topic());
            let committed = element.offset().to_raw().filter(|offset| *offset >= 0);
            // rdkafka panics on metadata that is not UTF-8, and any tool may have written it.
            let metadata = std::panic::catch_unwind(AssertUnwindSafe(|| element.metadata().to_owned()));
            let other = metadata.as_deref().map_or("not one of ours", |id| id);
            if committed.is_some() && !other.is_empty() && other != self.common.store.id() {
                self.refuse_other_store(topic, element.partition(), other)?;
            }
            let partition = element.partition();
            let ends = match self.options.until_caught_up.then(|| self.ends(topic, partition)) {
                None => None,
                Some(Ok(ends)) => Some(ends),
                Some(Err(error)) => return self.ask_again("read where a partition ends", &error),
            };
            starts.push(Start { topic, partition, committed, ends });
        }
        Ok(Some(starts))
    }

    fn refuse_other_store(&self, topic: &str, partition: i32, other: &str) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.options.adopt_store,
            "{topic}/{partition} was worked on with another store (its id {other:?}, this one's {:?}). What waits there, and \
             what has taken effect, is known to that store only. Go on with it; where several machines share the work, give \
             them one PostgreSQL: --store postgres://user@host/database. If it is lost for good, --adopt-store goes on with \
             this one: what it held is lost, and events may take effect twice",
            self.common.store.id()
        );
        tracing::warn!("{topic}/{partition} is taken over from another store");
        Ok(())
    }

    /// `None` where the store, or the broker, does not answer now. What was asked once is waited for, and not asked again.
    fn take_over(
        &mut self,
        partitions: &TopicPartitionList,
    ) -> anyhow::Result<Option<(Vec<Start>, Vec<Assigned>)>> {
        let (starts, mut asked) = match self.taking.take() {
            Some(taking) => taking,
            None => match self.starts(partitions)? {
                Some(starts) => self.ask_for(starts),
                None => return Ok(None),
            },
        };
        let answer = self.runtime.block_on(async { tokio::time::timeout(STORE_ANSWER, &mut asked).await });
        let reason = match answer {
            Ok(Ok(Ok(assigned))) => {
                self.asked_at = None;
                return Ok(Some((starts, assigned)));
            }
            Ok(Ok(Err(StoreError::Unusable(reason)))) => anyhow::bail!(reason),
            Ok(Ok(Err(StoreError::Unavailable(reason)))) => reason,
            Ok(Err(panic)) => return Err(panic).context("taking partitions over: a bug"),
            Err(_) => {
                self.taking = Some((starts, asked));
                format!("no answer within {STORE_ANSWER:?}")
            }
        };
        self.asked_at = Some(Instant::now());
        tracing::warn!("the store cannot hand partitions over, trying again: {reason}");
        Ok(None)
    }

    fn ask_for(&self, starts: Vec<Start>) -> Taking {
        let partitions = starts
            .iter()
            .map(|start| Assignee {
                group: self.options.group.id.clone(),
                topic: start.topic.to_owned(),
                partition: start.partition,
                answers_from: (self.options.delivery == Delivery::AtLeastOnce)
                    .then(|| start.committed.unwrap_or(0)),
                dead_hold: self.options.on_dead == OnDead::HoldKey,
            })
            .collect();
        let store = Arc::clone(&self.common.store);
        (starts, self.runtime.spawn(async move { store.assign(partitions).await }))
    }

    /// Where to begin. Below what was pruned the ledger does not know any more what has taken effect.
    fn first_offset(&self, start: &Start, assigned: &Assigned) -> anyhow::Result<Offset> {
        let offset = start.committed.map_or(Offset::Beginning, Offset::Offset);
        if start.committed.unwrap_or(0) >= assigned.pruned_below {
            return Ok(offset);
        }
        match self.options.group.on_missing_offsets {
            "earliest" => Ok(offset),
            "latest" => Ok(Offset::End),
            _ => anyhow::bail!(
                "{}/{}: the group {} stands before offset {}, and the ledger has forgotten what took effect there. Say \
                 --on-missing-offsets earliest (handle it again) or latest (skip it)",
                start.topic,
                start.partition,
                self.options.group.id,
                assigned.pruned_below
            ),
        }
    }

    /// A topic that gets more partitions sends a key elsewhere: what waits here for its turn does not hold it there.
    fn look_for_growth(&mut self) {
        for topic in &self.options.topics {
            // Without an answer for one topic the others are not asked: the next poll would come too late.
            let Ok(metadata) = self.consumer.fetch_metadata(Some(topic.as_str()), ANSWER) else { return };
            let now = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
            let before = self.partitions.insert(topic.clone(), now);
            if before.is_some_and(|before| before < now) {
                tracing::warn!(
                    "{topic} has {now} partitions now, {} before: keys move, and with events of theirs waiting in the ledger \
                     their order is not kept",
                    before.unwrap_or_default()
                );
            }
        }
    }

    fn tell_taken(&mut self, start: &Start, assigned: Assigned, first: Offset, target: Option<i64>) {
        let Assigned { owner, deferred, answered, changed, .. } = assigned;
        let slot =
            self.assignment.assign((start.topic, start.partition), owner, start.committed, first, target);
        self.watch.partitions.push(Watched {
            slot,
            number: owner.partition,
            topic: start.topic,
            partition: start.partition,
            seen: changed,
        });
        if !deferred.is_empty() {
            tracing::info!(
                "{}/{}: {} events wait in the ledger",
                start.topic,
                start.partition,
                deferred.len()
            );
        }
        let empty = Taken {
            topic: start.topic,
            partition: start.partition,
            owner,
            deferred: Vec::new(),
            answered: Vec::new(),
        };
        let mut taken: Vec<Taken> = vec![empty; self.intake.lanes().len()];
        let place = (start.topic, start.partition);
        for row in deferred {
            let (lane, key) = self.intake.lane_of(place, row.key.as_deref(), row.offset);
            taken[lane].deferred.push((key, row));
        }
        for (key, up_to) in answered {
            let (lane, key) = self.intake.lane_of(place, key.as_deref(), up_to.offset);
            taken[lane].answered.push((key, up_to));
        }
        for (lane, taken) in self.intake.lanes().iter().zip(taken) {
            // Or the end of a backlog would seem to be reached before the lane has looked.
            self.common.counts.waiting_told(taken.deferred.len());
            let _ = lane.send(ToLane::Take(slot, taken));
        }
    }

    /// Where the group stands: to guess would lose or repeat events. `None` where no broker answers now.
    fn committed(&mut self, partitions: &TopicPartitionList) -> anyhow::Result<Option<TopicPartitionList>> {
        let answer = self.consumer.committed_offsets(partitions.clone(), ANSWER).and_then(|committed| {
            // The answer as a whole may be good and that for one partition not.
            committed.elements().iter().try_for_each(TopicPartitionListElem::error)?;
            Ok(committed)
        });
        match answer {
            Ok(committed) => Ok(Some(committed)),
            Err(error) => self.ask_again("read the group's offsets", &error),
        }
    }

    fn ends(&self, topic: &str, partition: i32) -> KafkaResult<(i64, i64)> {
        self.consumer.fetch_watermarks(topic, partition, ANSWER)
    }

    /// After a moment, and after polling: who does not poll is taken for dead.
    fn ask_again<T>(&mut self, what: &str, error: &KafkaError) -> anyhow::Result<Option<T>> {
        self.asked_at = Some(Instant::now());
        refusal(error, &self.options.group.id)?;
        tracing::warn!("cannot {what}, trying again: {error}");
        Ok(None)
    }
}

/// Where to stop; `None` where the group is there already.
fn target((low, high): (i64, i64), first: Offset) -> Option<i64> {
    let first = match first {
        Offset::Offset(offset) => offset,
        Offset::End => high,
        _ => low,
    };
    (first < high).then_some(high)
}

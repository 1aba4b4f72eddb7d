//! Lanes without Kafka, on a clock that stands still unless everybody waits: times are exact.

mod ledger;
mod operators;
mod pausing;
mod random;

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::*;
use crate::consumer::brake::{Settings, SharedBrake};
use crate::consumer::key_queues::Load;
use crate::consumer::messages::{Incoming, Taken};
use crate::consumer::pauses::SharedPauses;
use crate::consumer::{Counts, Effects, HandleError, Handler, Handlers, Key, RetryPolicy, Unhandled};
use crate::event::Event;
use crate::record::{Origin, Record, RecordBuilder};
use crate::store::{DeferredRow, Ownership, RowId, Status, Store, UpTo, Waiting};

use self::ledger::{Ledger, REFUSED, REFUSED_ONCE, TAKEN};

const SLOT: SlotId = SlotId(1);

/// Does what the event's data says, and keeps a journal.
#[derive(Debug, Clone, Default)]
struct Scripted<const PURE: bool>(Arc<Mutex<Journal>>);

#[derive(Debug, Default)]
struct Journal {
    started: Vec<String>,
    ended: Vec<String>,
    first_start: Option<Instant>,
    last_end: Option<Instant>,
    taken: HashMap<Vec<u8>, Duration>,
    attempts: HashMap<String, u32>,
    /// What every handler needs is away.
    is_down: bool,
    /// How long every handler takes.
    takes: Duration,
}

impl<const PURE: bool> Handler for Scripted<PURE> {
    type Data = String;
    const PURE: bool = PURE;

    async fn handle(&self, event: &Event, script: String) -> Result<Effects, HandleError> {
        let start = Instant::now();
        let attempt = {
            let mut journal = self.0.lock().expect("journal");
            journal.first_start.get_or_insert(start);
            journal.started.push(script.clone());
            if journal.is_down {
                return Err(HandleError::transient("down"));
            }
            let attempts = journal.attempts.entry(event.id().into_owned()).or_default();
            *attempts += 1;
            *attempts
        };
        let takes = self.0.lock().expect("journal").takes;
        if !takes.is_zero() {
            tokio::time::sleep(takes).await;
        }
        let (what, argument) = script.split_once(' ').unwrap_or((&script, "0"));
        let number: u64 = argument.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(0);
        match what {
            "sleep" => tokio::time::sleep(Duration::from_micros(number)).await,
            "fail" if u64::from(attempt) <= number => return Err(HandleError::transient("as told")),
            "refuse" => return Err(HandleError::permanent("as told")),
            "panic" => panic!("as told"),
            "hang" if attempt == 1 => std::future::pending().await,
            _ => {}
        }
        let mut journal = self.0.lock().expect("journal");
        journal.last_end = Some(Instant::now());
        *journal.taken.entry(event.key().unwrap_or_default().to_vec()).or_default() += start.elapsed();
        journal.ended.push(script.clone());
        Ok(match what {
            "effect" => Effects::none().write(&TAKEN, []),
            "bad-effect" => Effects::none().write(&REFUSED, []),
            "unlucky-effect" => Effects::none().write(&REFUSED_ONCE, []),
            _ => Effects::none(),
        })
    }
}

struct Rig {
    lanes: Vec<mpsc::UnboundedSender<ToLane>>,
    reports: Receiver<FromLane>,
    ledger: Arc<Ledger>,
    journal: Arc<Mutex<Journal>>,
    counts: Arc<Counts>,
    common: Arc<Common>,
    settled: Vec<i64>,
    others: Vec<FromLane>,
    /// Another one each time that the partition is handed over, as its epoch is.
    slot: SlotId,
    epoch: i64,
}

impl Rig {
    /// Reaching handlers, and a row for every event.
    fn new(lanes: usize, concurrency: usize) -> Self {
        Self::with::<false>(lanes, concurrency, |_| {})
    }

    fn with<const PURE: bool>(lanes: usize, concurrency: usize, change: impl Fn(&mut Common)) -> Self {
        let scripted = Scripted::<PURE>::default();
        let (ledger, counts, journal) = (Arc::<Ledger>::default(), Arc::default(), Arc::clone(&scripted.0));
        let settings = Settings {
            keys: 5,
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(60),
            longest_attempt: Duration::from_secs(31),
            concurrency,
        };
        let mut common = Common {
            brake: SharedBrake::new(settings, 1),
            handlers: Handlers::new().on("*", scripted).expect("a pattern"),
            unhandled: Unhandled::DeadLetter,
            retry: RetryPolicy {
                first: Duration::from_millis(200),
                max: Duration::from_secs(10),
                total: Duration::from_secs(60),
            },
            handler_timeout: Duration::from_secs(30),
            key_bound: Load { events: 8, bytes: usize::MAX },
            deferred_max: 1000,
            on_dead: OnDead::FlowOn,
            every_event_has_a_row: true,
            permits: Arc::new(Semaphore::new(concurrency)),
            concurrency,
            group: "group".to_owned(),
            answers_as: None,
            store: Arc::clone(&ledger) as Arc<dyn Store>,
            dead_letters: HashMap::from([("t".to_owned(), "dlq.group.t".parse().expect("a topic"))]),
            relay: Arc::default(),
            counts: Arc::clone(&counts),
            pauses: SharedPauses::new(vec!["t".to_owned()], vec!["*".to_owned()]),
        };
        change(&mut common);
        let common = Arc::new(common);
        let (sender, reports) = std::sync::mpsc::channel();
        let lanes = (0..lanes)
            .map(|_| {
                let (to_lane, inbox) = mpsc::unbounded_channel();
                tokio::spawn(Lane::new(Arc::clone(&common), inbox, sender.clone()).run());
                to_lane
            })
            .collect();
        let (settled, others) = (Vec::new(), Vec::new());
        let (slot, epoch) = (SLOT, 0);
        let rig = Self { lanes, reports, ledger, journal, counts, common, settled, others, slot, epoch };
        rig.take(&[], &[]);
        rig
    }

    /// Takes the partition over as the ledger has it.
    fn take(&self, deferred: &[(Key, DeferredRow)], answered: &[(Key, UpTo)]) {
        let owner = Ownership { partition: 1, epoch: self.epoch };
        self.tell(|| {
            let taken = Taken {
                topic: "t",
                partition: 0,
                owner,
                deferred: deferred.to_vec(),
                answered: answered.to_vec(),
            };
            ToLane::Take(self.slot, taken)
        });
    }

    /// Sends events as (key, script); offsets count from 0 in that order.
    fn send(&self, events: &[(u64, &str)]) {
        self.send_from(0, events);
    }

    fn send_from(&self, first: i64, events: &[(u64, &str)]) {
        let mut batches: Vec<Vec<Incoming>> = self.lanes.iter().map(|_| Vec::new()).collect();
        for (offset, (key, script)) in (first..).zip(events) {
            let lane = (*key as usize) % self.lanes.len();
            batches[lane].push(Incoming {
                slot: self.slot,
                key: Key(*key),
                record: record(*key, offset, script, &[]),
                is_readable: true,
            });
        }
        for (lane, batch) in self.lanes.iter().zip(batches) {
            lane.send(ToLane::Batch(batch)).expect("a lane");
        }
    }

    /// An event with an id of its own and further attributes.
    fn send_event(&self, offset: i64, key: u64, script: &str, id: &str, more: &[(&str, &str)]) {
        let mut headers =
            vec![("ce_specversion", "1.0"), ("ce_id", id), ("ce_source", "/t"), ("ce_type", "t")];
        headers.extend(more);
        let incoming = Incoming {
            slot: self.slot,
            key: Key(key),
            record: record(key, offset, script, &headers),
            is_readable: true,
        };
        self.lanes[0].send(ToLane::Batch(vec![incoming])).expect("a lane");
    }

    fn tell(&self, message: impl Fn() -> ToLane) {
        self.lanes.iter().for_each(|lane| lane.send(message()).expect("a lane"));
    }

    fn take_reports(&mut self) {
        while let Ok(report) = self.reports.try_recv() {
            match report {
                FromLane::Settled(settled) => self.settled.extend(settled.iter().map(|(_, offset)| *offset)),
                other => self.others.push(other),
            }
        }
    }

    async fn until_settled(&mut self, count: usize) {
        let deadline = Instant::now() + Duration::from_secs(300);
        while self.settled.len() < count {
            assert!(Instant::now() < deadline, "settled only {:?}", self.settled);
            tokio::time::sleep(Duration::from_millis(1)).await;
            self.take_reports();
        }
    }

    async fn until_unblocked(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(300);
        while self.counts.has_blocked_keys() {
            assert!(Instant::now() < deadline, "blocked for ever");
            self.pass(Duration::from_millis(1)).await;
        }
    }

    /// The rows of the ledger, with their offsets.
    fn rows(&self) -> Vec<(i64, RowId)> {
        let tables = self.ledger.0.lock().expect("tables");
        (0..).zip(&tables.rows).map(|(id, row)| (row.offset, RowId(id))).collect()
    }

    /// What an operator does to a row.
    fn change(&self, RowId(row): RowId, status: Status) {
        self.ledger.0.lock().expect("tables").rows[row as usize].status = status;
    }

    async fn pass(&mut self, time: Duration) {
        tokio::time::sleep(time).await;
        self.take_reports();
    }

    fn ended(&self) -> Vec<String> {
        self.journal.lock().expect("journal").ended.clone()
    }

    fn started(&self) -> Vec<String> {
        self.journal.lock().expect("journal").started.clone()
    }

    /// What became of each event, in the order in which the ledger learned of it.
    fn ledger(&self) -> Vec<(i64, Status)> {
        self.ledger.journal()
    }
}

fn record(key: u64, offset: i64, script: &str, headers: &[(&str, &str)]) -> Record {
    let mut builder = RecordBuilder::default();
    builder.start(Some(&key.to_be_bytes()), Some(script.as_bytes()));
    for (name, value) in headers {
        builder.header(name.as_bytes(), Some(value.as_bytes()));
    }
    builder.finish(Origin { topic: "t", partition: 0, offset, timestamp: None })
}

/// Catches: lanes that own their keys' turns (4.6 times the bound), permits that one lane hoards.
#[tokio::test(start_paused = true)]
async fn time_is_close_to_the_bound_at_any_number_of_keys() {
    for keys in [1, 10, 100, 10_000] {
        let mut rig = Rig::new(2, 100);
        let mut random = fastrand::Rng::with_seed(7);
        let scripts: Vec<String> =
            (0..10_000).map(|number| format!("sleep {} {number}", random.u32(0..5000))).collect();
        let events: Vec<(u64, &str)> =
            scripts.iter().enumerate().map(|(i, script)| (i as u64 % keys, script.as_str())).collect();
        rig.send(&events);
        rig.until_settled(10_000).await;

        let journal = rig.journal.lock().expect("journal");
        let sum: Duration = journal.taken.values().sum();
        let slowest = journal.taken.values().max().copied().unwrap_or_default();
        let bound = slowest.max(sum / 100);
        let took = journal.last_end.expect("an end") - journal.first_start.expect("a start");
        let ratio = took.as_secs_f64() / bound.as_secs_f64();
        assert!(ratio < 1.1, "{keys} keys: {took:?} is {ratio:.2} times the bound {bound:?}");

        let mut last = HashMap::new();
        for script in &journal.ended {
            let number: u64 = script.rsplit(' ').next().expect("a number").parse().expect("a number");
            assert!(last.insert(number % keys, number).is_none_or(|before| before < number), "out of order");
        }
    }
}

/// Catches: a retry that lets a later event of its key pass, or holds other keys.
#[tokio::test(start_paused = true)]
async fn a_transient_failure_holds_its_key_and_no_other() {
    let mut rig = Rig::new(2, 10);
    rig.send(&[(1, "fail 3"), (1, "after"), (2, "other"), (3, "other too")]);
    rig.pass(Duration::from_millis(50)).await;
    assert_eq!(rig.ended().len(), 2, "other keys go on");
    rig.until_settled(4).await;
    rig.until_unblocked().await;
    assert_eq!(rig.ended()[2..], ["fail 3", "after"]);
    assert_eq!(rig.counts.summary().retries, 3);
    assert_eq!(rig.counts.summary().handled, 4);
}

/// Catches: a pause that keeps its permit.
#[tokio::test(start_paused = true)]
async fn what_waits_for_its_next_attempt_leaves_the_room_to_others() {
    let mut rig = Rig::new(1, 1);
    rig.send(&[(1, "fail 1"), (2, "sleep 1000"), (3, "other")]);
    rig.pass(Duration::from_millis(50)).await;
    assert_eq!(rig.ended(), ["sleep 1000", "other"]);
    rig.until_settled(3).await;
}

/// Catches: a panic that takes its lane with it.
#[tokio::test(start_paused = true)]
async fn a_permanent_failure_and_a_panic_become_dead_letters_and_the_key_goes_on() {
    let mut rig = Rig::new(1, 10);
    rig.send(&[(1, "refuse"), (1, "panic"), (1, "after")]);
    rig.until_settled(3).await;
    assert_eq!(rig.ledger(), [(0, Status::Dead), (1, Status::Dead), (2, Status::Handled)]);
    let letters = rig.ledger.0.lock().expect("tables").letters.clone();
    let topics: Vec<_> = letters.iter().map(|letter| letter.topic.as_str()).collect();
    assert_eq!(topics, ["dlq.group.t", "dlq.group.t"]);
    assert_eq!((rig.ended(), rig.settled), (vec!["after".to_owned()], vec![0, 1, 2]));
}

/// Catches: a record whose headers cannot be read, and that is handled as if it had none.
#[tokio::test(start_paused = true)]
async fn a_record_that_cannot_be_read_is_a_dead_letter() {
    let mut rig = Rig::new(1, 10);
    let incoming =
        Incoming { slot: rig.slot, key: Key(1), record: record(1, 0, "torn", &[]), is_readable: false };
    rig.lanes[0].send(ToLane::Batch(vec![incoming])).expect("a lane");
    rig.until_settled(1).await;
    assert_eq!((rig.ledger(), rig.started()), (vec![(0, Status::Dead)], Vec::new()));
}

/// Catches: a dead event that lets its key flow on although it should hold it, also after a restart.
#[tokio::test(start_paused = true)]
async fn a_dead_event_holds_its_key_where_that_is_asked_for() {
    let mut rig = Rig::with::<false>(1, 10, |common| common.on_dead = OnDead::HoldKey);
    rig.send(&[(1, "refuse"), (1, "after"), (2, "other")]);
    rig.until_settled(2).await;
    rig.send_from(3, &[(1, "later")]);
    rig.until_settled(3).await;
    rig.pass(Duration::from_secs(1000)).await;
    assert_eq!(rig.ended(), ["other"]);
    assert!(rig.ledger().contains(&(3, Status::Deferred)));
}

/// Catches: events that ran ahead of one that the database refuses for good, although they should wait for an operator.
#[tokio::test(start_paused = true)]
async fn nothing_runs_ahead_of_an_event_that_may_hold_its_key() {
    let mut rig = Rig::with::<true>(1, 10, |common| common.on_dead = OnDead::HoldKey);
    rig.send(&[(1, "effect a"), (1, "bad-effect"), (1, "effect b"), (1, "effect c"), (2, "other")]);
    rig.until_settled(5).await;
    rig.pass(Duration::from_secs(1000)).await;
    let effects = rig.ledger.0.lock().expect("tables").effects.clone();
    assert_eq!(effects, [0]);
    assert!(rig.ledger().contains(&(1, Status::Dead)) && rig.ledger().contains(&(3, Status::Deferred)));
}

/// Catches: an event that dies of an outage, and one whose time begins anew with each attempt.
#[tokio::test(start_paused = true)]
async fn a_failure_that_outlasts_its_time_becomes_a_dead_letter() {
    let mut rig = Rig::new(1, 10);
    rig.send(&[(1, "fail 1000")]);
    rig.pass(Duration::from_secs(59)).await;
    assert!(rig.ledger().iter().all(|(_, status)| *status == Status::Deferred));
    rig.pass(Duration::from_secs(60)).await;
    assert!(rig.ledger().iter().all(|(_, status)| *status == Status::Deferred), "it may be an outage");
    rig.send_from(1, &[(2, "effect")]);
    rig.pass(Duration::from_secs(10)).await;
    assert_eq!(rig.ledger().last(), Some(&(0, Status::Dead)));
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_hangs_is_tried_again_after_its_time() {
    let mut rig = Rig::new(1, 10);
    rig.send(&[(1, "hang"), (2, "other")]);
    rig.pass(Duration::from_secs(29)).await;
    assert_eq!(rig.ended(), ["other"]);
    rig.until_settled(2).await;
    rig.until_unblocked().await;
    assert_eq!(rig.ended(), ["other", "hang"]);
}

/// Catches: an offset that moves although the ledger did not take the outcome.
#[tokio::test(start_paused = true)]
async fn what_the_ledger_does_not_take_is_not_settled() {
    let mut rig = Rig::new(1, 10);
    rig.send(&[(1, "first")]);
    rig.until_settled(1).await;
    rig.send_from(1, &[(1, "sleep 1000"), (2, "other")]);
    rig.pass(Duration::from_micros(500)).await;
    rig.ledger.is_away(true);
    rig.pass(Duration::from_secs(100)).await;
    assert_eq!(rig.settled, [0, 2][..rig.settled.len()]);
    rig.ledger.is_away(false);
    rig.until_settled(3).await;
    assert_eq!(rig.started().len(), 3, "nothing is handled twice for that");
}

/// Catches: a revocation that starts new events, or leaves one undone below the highest started.
#[tokio::test(start_paused = true)]
async fn a_halted_slot_finishes_what_lies_below_the_highest_started() {
    let mut rig = Rig::new(1, 2);
    // Two permits: offsets 0 and 2 start; 1 waits behind 0 for its key, 3 for a permit.
    rig.send(&[(1, "sleep 50000 a"), (1, "below"), (2, "sleep 80000 b"), (3, "above")]);
    rig.pass(Duration::from_millis(10)).await;
    rig.tell(|| ToLane::Halt(SLOT));
    rig.pass(Duration::from_millis(5)).await;
    assert!(matches!(rig.others[..], [FromLane::Halted(SLOT, Some(2))]), "{:?}", rig.others);
    rig.pass(Duration::from_millis(60)).await;
    assert_eq!(rig.ended(), ["sleep 50000 a"], "nothing starts before the limit is known");
    rig.tell(|| ToLane::Finish(SLOT, 2));
    rig.until_settled(3).await;
    rig.pass(Duration::from_secs(1)).await;
    assert_eq!(rig.ended(), ["sleep 50000 a", "below", "sleep 80000 b"]);
    assert!(matches!(rig.others[1..], [FromLane::Finished(SLOT)]), "{:?}", rig.others);
}

/// Catches: the last one started taken for the highest one started.
#[tokio::test(start_paused = true)]
async fn the_highest_started_need_not_be_the_last_started() {
    let mut rig = Rig::new(1, 2);
    rig.send(&[(1, "sleep 10000"), (1, "sleep 50000"), (2, "sleep 80000")]);
    rig.pass(Duration::from_millis(20)).await;
    assert_eq!(rig.started(), ["sleep 10000", "sleep 80000", "sleep 50000"]);
    rig.tell(|| ToLane::Halt(SLOT));
    rig.pass(Duration::from_millis(1)).await;
    assert!(matches!(rig.others[..], [FromLane::Halted(SLOT, Some(2))]), "{:?}", rig.others);
}

/// Catches: a stop that waits for an attempt which is due later, or forgets it.
#[tokio::test(start_paused = true)]
async fn what_goes_on_failing_waits_in_the_ledger_for_the_next_owner() {
    let mut rig = Rig::new(1, 10);
    rig.send(&[(1, "fail 1000"), (1, "behind"), (2, "sleep 3000000"), (3, "hang")]);
    rig.pass(Duration::from_secs(2)).await;
    assert_eq!(rig.settled, [0, 1], "both are in the ledger");
    rig.tell(|| ToLane::Halt(SLOT));
    rig.tell(|| ToLane::Finish(SLOT, 3));
    rig.pass(Duration::from_millis(10)).await;
    assert!(matches!(rig.others[..], [FromLane::Halted(..)]), "{:?}", rig.others);
    rig.pass(Duration::from_secs(40)).await;
    assert!(matches!(rig.others[1..], [FromLane::Finished(SLOT)]), "{:?}", rig.others);
    assert_eq!(rig.settled, [0, 1, 2, 3], "what was being handled is finished, or in the ledger, too");
    assert_eq!(rig.ledger().last(), Some(&(3, Status::Deferred)));
}

/// Catches: a handler that goes on for a partition which has its next owner by now.
#[tokio::test(start_paused = true)]
async fn a_forgotten_slot_is_dropped_where_it_waits() {
    let mut rig = Rig::new(1, 2);
    rig.send(&[(1, "sleep 50000 a"), (2, "sleep 50000 b"), (3, "never")]);
    rig.pass(Duration::from_millis(10)).await;
    rig.tell(|| ToLane::Forget(SLOT));
    rig.pass(Duration::from_secs(1)).await;
    assert!(rig.ended().is_empty() && rig.settled.is_empty());
    rig.take(&[], &[]);
    rig.send(&[(3, "the permits are free again")]);
    rig.until_settled(1).await;
}

#[tokio::test(start_paused = true)]
async fn a_key_with_too_many_waiting_events_says_so() {
    let mut rig = Rig::new(1, 10);
    let events: Vec<(u64, &str)> = (0..12).map(|_| (1, "sleep 10000")).collect();
    rig.send(&events);
    rig.pass(Duration::from_millis(1)).await;
    assert!(matches!(rig.others[..], [FromLane::KeyFull(SLOT)]), "{:?}", rig.others);
    rig.until_settled(12).await;
    assert!(matches!(rig.others[..], [FromLane::KeyFull(SLOT), FromLane::KeyOpen(SLOT)]), "{:?}", rig.others);
}

/// Catches: a refused effect that fails its whole batch, or lets a later event of its key take effect first.
#[tokio::test(start_paused = true)]
async fn what_ran_ahead_of_a_refused_effect_is_handled_again_behind_it() {
    let mut rig = Rig::with::<true>(1, 10, |_| {});
    rig.send(&[(1, "effect a"), (1, "bad-effect"), (1, "effect b"), (2, "effect c"), (1, "effect d")]);
    rig.until_settled(5).await;
    assert_eq!(rig.ledger().len(), 5);
    let of_key: Vec<_> = rig.ledger().into_iter().filter(|(offset, _)| *offset != 3).collect();
    let handled = |offset| (offset, Status::Handled);
    assert_eq!(of_key, [handled(0), (1, Status::Dead), handled(2), handled(4)]);
    let mut effects = rig.ledger.0.lock().expect("tables").effects.clone();
    effects.sort_unstable();
    assert_eq!(effects, [0, 2, 3, 4]);
}

/// Catches: an effect applied again, or a reaching handler run again, for an event that was settled before.
#[tokio::test(start_paused = true)]
async fn an_event_that_arrives_again_takes_no_effect_and_reaches_nobody() {
    for pure in [true, false] {
        let mut rig = if pure { Rig::with::<true>(1, 10, |_| {}) } else { Rig::new(1, 10) };
        rig.send(&[(1, "effect a")]);
        rig.until_settled(1).await;
        rig.send(&[(1, "effect a")]);
        rig.until_settled(2).await;
        assert_eq!(rig.ledger.0.lock().expect("tables").effects, [0]);
        assert_eq!(rig.started().len(), if pure { 2 } else { 1 });
        assert_eq!(rig.counts.summary().duplicates, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_id_with_another_content_is_a_dead_letter() {
    for pure in [true, false] {
        let mut rig = if pure { Rig::with::<true>(1, 10, |_| {}) } else { Rig::new(1, 10) };
        rig.send_event(0, 1, "effect a", "id", &[]);
        rig.until_settled(1).await;
        rig.send_event(1, 1, "effect b", "id", &[]);
        rig.send_event(2, 1, "effect c", "another", &[]);
        rig.until_settled(3).await;
        let mut ledger = rig.ledger();
        ledger.sort_unstable_by_key(|(offset, _)| *offset);
        assert_eq!(ledger, [(0, Status::Handled), (1, Status::Dead), (2, Status::Handled)]);
    }
}

/// Catches: a lane that settles for a partition which another member has taken over.
#[tokio::test(start_paused = true)]
async fn a_fenced_lane_drops_what_it_has_and_still_answers() {
    let mut rig = Rig::new(1, 10);
    rig.send(&[(1, "sleep 1000"), (1, "behind")]);
    rig.pass(Duration::from_micros(500)).await;
    rig.ledger.0.lock().expect("tables").epoch = 1;
    rig.pass(Duration::from_secs(1)).await;
    assert!(rig.settled.is_empty() && rig.ledger().is_empty());
    rig.tell(|| ToLane::Halt(SLOT));
    rig.tell(|| ToLane::Finish(SLOT, 1));
    rig.pass(Duration::from_millis(5)).await;
    assert!(
        matches!(
            rig.others[..],
            [FromLane::Fenced(SLOT), FromLane::Halted(SLOT, None), FromLane::Finished(SLOT)]
        ),
        "{:?}",
        rig.others
    );
}

/// Catches: keys that stand still for ever because a slot that is not there any more holds them. What the poll thread had
/// fetched goes on coming until the group takes the partition away; then the same member gets it back.
#[tokio::test(start_paused = true)]
async fn what_comes_after_a_fence_holds_nothing_for_the_next_owner() {
    for has_rows in [true, false] {
        let mut rig = Rig::with::<false>(1, 1, |common| common.every_event_has_a_row = has_rows);
        rig.send(&[(1, "fail 1")]);
        rig.pass(Duration::from_micros(1)).await;
        rig.ledger.0.lock().expect("tables").epoch = 1;
        rig.pass(Duration::from_secs(1)).await;
        assert!(matches!(rig.others[..], [FromLane::Fenced(SLOT)]), "{:?}", rig.others);
        rig.send_from(1, &[(1, "late"), (1, "later"), (2, "late"), (2, "later")]);
        rig.pass(Duration::from_secs(1)).await;
        assert_eq!(rig.started().iter().filter(|script| script.starts_with("late")).count(), 0);
        for slot in [2, 3] {
            rig.tell(|| ToLane::Forget(rig.slot));
            (rig.slot, rig.epoch) = (SlotId(slot), 1);
            rig.take(&[], &[]);
            rig.settled.clear();
            rig.send_from(1, &[(1, "late"), (1, "later"), (2, "late"), (2, "later")]);
            rig.until_settled(4).await;
        }
    }
}

/// Catches: rows that are handled out of order or before they are due after a restart, or events that pass them.
#[tokio::test(start_paused = true)]
async fn deferred_rows_go_on_after_a_restart_and_what_arrives_waits_behind() {
    let mut rig = Rig::new(1, 10);
    rig.send(&[(1, "fail 3"), (1, "second"), (1, "third"), (2, "other")]);
    rig.until_settled(4).await;
    rig.tell(|| ToLane::Forget(SLOT));
    let rows = rig.ledger.0.lock().expect("tables").deferred();
    assert_eq!(rows.iter().map(|row| row.offset).collect::<Vec<_>>(), [0, 1, 2]);
    let retry = Waiting::Retry(Duration::from_secs(10));
    let waiting = |row: DeferredRow| match row.offset {
        0 => (Key(1), DeferredRow { waiting: retry, ..row }),
        _ => (Key(1), DeferredRow { waiting: Waiting::Behind, ..row }),
    };
    rig.take(&rows.into_iter().map(waiting).collect::<Vec<_>>(), &[]);
    rig.send_from(4, &[(1, "fourth"), (2, "other")]);
    rig.until_settled(6).await;
    let tried = rig.started().len();
    rig.pass(Duration::from_secs(9)).await;
    assert_eq!(rig.started().len(), tried, "it is not due");
    rig.pass(Duration::from_secs(100)).await;
    assert_eq!(rig.ended(), ["other", "other", "fail 3", "second", "third", "fourth"]);
    assert!(!rig.counts.has_blocked_keys());
}

/// Catches: what waits behind a cancelled retry and goes on waiting; a redriven event that nobody handles.
#[tokio::test(start_paused = true)]
async fn what_an_operator_changes_is_acted_on_at_once() {
    let mut rig = Rig::new(1, 10);
    rig.send(&[(1, "fail 1000"), (1, "behind"), (2, "refuse"), (3, "fail 1000")]);
    rig.until_settled(4).await;
    // The pauses have grown to seconds by now.
    rig.pass(Duration::from_secs(15)).await;
    let rows: Vec<(i64, RowId)> = rig.rows();
    let row = |offset: i64| rows.iter().find(|(at, _)| *at == offset).expect("a row").1;
    rig.change(row(0), Status::Cancelled);
    rig.change(row(2), Status::Deferred);
    let tried = |rig: &Rig| rig.started().iter().filter(|script| *script == "fail 1000").count();
    let before = tried(&rig);
    let now = |key, row, waiting| Changed { key: Some(Key(key)), row, waiting };
    rig.tell(|| {
        let changes = vec![
            now(1, row(0), None),
            now(2, row(2), Some(Waiting::Until(0))),
            now(3, row(3), Some(Waiting::Retry(Duration::ZERO))),
        ];
        ToLane::Changed(SLOT, changes)
    });
    rig.pass(Duration::from_millis(2)).await;
    assert_eq!(tried(&rig), before + 1, "only the third, and at once");
    assert!(rig.ended().contains(&"behind".to_owned()));
    assert_eq!(rig.started().iter().filter(|script| *script == "refuse").count(), 2);
    assert_eq!(
        rig.ledger().iter().filter(|(offset, status)| (*offset, *status) == (2, Status::Dead)).count(),
        2
    );
}

/// Catches: a key that stays held, or goes on although another dead event of it holds it.
#[tokio::test(start_paused = true)]
async fn an_operator_lets_a_held_key_go_on() {
    let mut rig = Rig::with::<false>(1, 10, |common| common.on_dead = OnDead::HoldKey);
    rig.send(&[(1, "refuse"), (1, "later"), (2, "refuse"), (2, "later")]);
    rig.until_settled(4).await;
    let rows: Vec<(i64, RowId)> = rig.rows();
    let row = |offset: i64| rows.iter().find(|(at, _)| *at == offset).expect("a row").1;
    rig.pass(Duration::from_secs(60)).await;
    assert!(rig.ended().is_empty());
    rig.change(row(0), Status::Parked);
    rig.tell(|| ToLane::Changed(SLOT, vec![Changed { key: None, row: row(0), waiting: None }]));
    rig.pass(Duration::from_millis(2)).await;
    assert_eq!(rig.ended(), ["later"]);

    rig.change(row(2), Status::Deferred);
    let redriven = || Changed { key: Some(Key(2)), row: row(2), waiting: Some(Waiting::Until(0)) };
    rig.tell(|| ToLane::Changed(SLOT, vec![redriven()]));
    rig.pass(Duration::from_secs(60)).await;
    assert_eq!(rig.started().iter().filter(|script| *script == "refuse").count(), 3);
    assert_eq!(rig.ended(), ["later"], "dead again, it holds its key again");
    assert!(rig.counts.has_blocked_keys());
}

/// Catches: a key that fills the ledger without end.
#[tokio::test(start_paused = true)]
async fn a_key_with_too_many_deferred_events_holds_its_partition() {
    let mut rig = Rig::with::<false>(1, 10, |common| common.deferred_max = 3);
    let mut events = vec![(1, "fail 4")];
    events.extend((0..12).map(|_| (1, "behind")));
    rig.send(&events);
    rig.pass(Duration::from_millis(100)).await;
    assert_eq!(rig.settled, [0, 1, 2], "as many as may be in the ledger");
    assert!(matches!(rig.others[..], [FromLane::KeyFull(SLOT)]), "{:?}", rig.others);
    rig.until_settled(13).await;
    assert!(matches!(rig.others[..], [FromLane::KeyFull(SLOT), FromLane::KeyOpen(SLOT)]), "{:?}", rig.others);
    rig.until_unblocked().await;
    assert_eq!(rig.ended().len(), 13);
}

/// Catches: a scheduled event that is early, or that others wait for; one that is handled after its time.
#[tokio::test(start_paused = true)]
async fn scheduled_events_wait_alone_and_expired_ones_are_not_handled() {
    let mut rig = Rig::new(1, 10);
    let now = jiff::Timestamp::now();
    let later = (now + Duration::from_secs(30)).to_string();
    let before = (now - Duration::from_secs(1)).to_string();
    rig.send_event(0, 1, "scheduled", "a", &[("ce_notbefore", &later)]);
    rig.send_event(1, 1, "now", "b", &[("ce_notbefore", &before), ("ce_expirytime", &later)]);
    rig.send_event(2, 1, "too late", "c", &[("ce_expirytime", &before)]);
    rig.until_settled(3).await;
    assert_eq!(rig.ended(), ["now"]);
    assert!(rig.ledger().contains(&(0, Status::Deferred)) && rig.ledger().contains(&(2, Status::Expired)));
}

/// Catches: a row for every event although at-least-once needs none; a replay that handles what later rows answer for.
#[tokio::test(start_paused = true)]
async fn at_least_once_keeps_rows_only_where_there_is_something_to_keep() {
    let mut rig = Rig::with::<true>(1, 10, |common| common.every_event_has_a_row = false);
    rig.send(&[(1, "plain"), (1, "effect a"), (1, "refuse"), (2, "plain")]);
    rig.until_settled(4).await;
    assert_eq!(rig.ledger(), [(1, Status::Handled), (2, Status::Dead)]);
    rig.tell(|| ToLane::Forget(SLOT));
    rig.take(&[], &[(Key(1), UpTo { offset: 2, timestamp: None })]);
    rig.send(&[(1, "plain"), (1, "effect a"), (1, "refuse"), (2, "plain"), (1, "new")]);
    rig.until_settled(9).await;
    assert_eq!(rig.ended()[3..], ["plain", "new"]);
}

/// Catches: a reaching handler that starts before the one before it of its key is in the ledger.
#[tokio::test(start_paused = true)]
async fn a_reaching_handler_waits_until_the_one_before_it_is_settled() {
    let mut rig = Rig::new(1, 10);
    rig.ledger.0.lock().expect("tables").latency = Duration::from_millis(101);
    rig.send(&[(1, "effect a"), (1, "effect b")]);
    rig.pass(Duration::from_millis(150)).await;
    assert_eq!(rig.started(), ["effect a"], "looked up, handled, not yet settled");
    rig.until_settled(2).await;
    assert_eq!(rig.ended(), ["effect a", "effect b"]);
}

/// Catches: an event that starts after the lane has said which is the highest started.
#[tokio::test(start_paused = true)]
async fn what_has_begun_when_its_slot_is_halted_comes_to_its_end() {
    let mut rig = Rig::new(1, 10);
    rig.ledger.0.lock().expect("tables").latency = Duration::from_millis(101);
    rig.send(&[(1, "effect a"), (2, "effect b")]);
    rig.pass(Duration::from_millis(10)).await;
    rig.tell(|| ToLane::Halt(SLOT));
    rig.pass(Duration::from_millis(200)).await;
    assert!(matches!(rig.others[..], [FromLane::Halted(SLOT, Some(1))]), "{:?}", rig.others);
    rig.tell(|| ToLane::Finish(SLOT, 1));
    rig.pass(Duration::from_secs(1)).await;
    assert_eq!((rig.ended().len(), &rig.settled[..]), (2, &[0, 1][..]));
    assert!(matches!(rig.others[1..], [FromLane::Finished(SLOT)]), "{:?}", rig.others);
}

/// Catches: an event that needs no answer and passes one of its key that waits for the ledger's.
#[tokio::test(start_paused = true)]
async fn what_needs_no_answer_waits_behind_what_is_looked_up() {
    let mut rig = Rig::new(1, 10);
    rig.ledger.0.lock().expect("tables").latency = Duration::from_millis(101);
    rig.send(&[(1, "effect a")]);
    let record = record(1, 1, "undecodable", &[("ce_specversion", "9.9")]);
    let bad = Incoming { slot: rig.slot, key: Key(1), record, is_readable: true };
    rig.lanes[0].send(ToLane::Batch(vec![bad])).expect("a lane");
    rig.until_settled(2).await;
    assert_eq!(rig.ledger(), [(0, Status::Handled), (1, Status::Dead)]);
}

/// Catches: an effect that is refused for a passing cause and becomes a dead letter, or is overtaken meanwhile.
#[tokio::test(start_paused = true)]
async fn an_effect_that_is_refused_for_now_is_tried_again_before_those_behind_it() {
    let mut rig = Rig::with::<true>(1, 10, |_| {});
    rig.send(&[(1, "effect a"), (1, "unlucky-effect"), (1, "effect b"), (1, "effect c")]);
    rig.until_settled(4).await;
    rig.until_unblocked().await;
    let ends: Vec<_> = rig.ledger().into_iter().filter(|(_, status)| *status == Status::Handled).collect();
    assert_eq!(ends, [0, 1, 2, 3].map(|offset| (offset, Status::Handled)));
}

/// Catches: an outage that fills the ledger with retries, kills events, or is never over; a burst after it.
#[tokio::test(start_paused = true)]
async fn an_outage_stops_what_would_fail_and_the_rest_goes_on_after_it() {
    let mut rig = Rig::new(2, 10);
    rig.journal.lock().expect("journal").is_down = true;
    let events: Vec<(u64, &str)> = (0..40).map(|key| (key, "effect")).collect();
    rig.send(&events);
    rig.pass(Duration::from_secs(3600)).await;
    let tried = rig.started().len();
    assert!((20..150).contains(&tried), "{tried} attempts");
    let failed = rig.counts.summary().retries;
    assert!(failed <= 50, "{failed} of them counted");
    rig.journal.lock().expect("journal").is_down = false;
    rig.until_settled(40).await;
    rig.until_unblocked().await;
    let ledger = rig.ledger();
    assert_eq!(ledger.iter().filter(|(_, status)| *status == Status::Handled).count(), 40);
    assert!(ledger.iter().all(|(_, status)| *status != Status::Dead));
}

/// Catches: a stop that waits for an outage to be over, or counts what it did not handle as settled.
#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_the_brake() {
    let mut rig = Rig::new(1, 10);
    rig.journal.lock().expect("journal").is_down = true;
    let events: Vec<(u64, &str)> = (0..40).map(|key| (key, "effect")).collect();
    rig.send(&events);
    rig.pass(Duration::from_secs(30)).await;
    let before = rig.settled.len();
    rig.tell(|| ToLane::Halt(SLOT));
    rig.tell(|| ToLane::Finish(SLOT, 39));
    rig.pass(Duration::from_secs(5)).await;
    assert!(matches!(rig.others[..], [FromLane::Halted(..), FromLane::Finished(SLOT)]), "{:?}", rig.others);
    assert_eq!(rig.settled.len(), before);
}

/// Catches: a handler that counts as sound because it returned, although the database takes nothing of what it writes: the
/// intake would flow on, and events die in an outage.
#[tokio::test(start_paused = true)]
async fn a_database_that_refuses_every_effect_is_an_outage_too() {
    let mut rig = Rig::new(1, 10);
    rig.ledger.0.lock().expect("tables").refuses_all = true;
    let events: Vec<(u64, &str)> = (0..40).map(|key| (key, "effect")).collect();
    rig.send(&events);
    rig.pass(Duration::from_secs(3600)).await;
    let tried = rig.started().len();
    assert!((5..150).contains(&tried), "{tried} attempts");
    rig.ledger.0.lock().expect("tables").refuses_all = false;
    rig.until_settled(40).await;
    rig.until_unblocked().await;
    assert_eq!(rig.ledger().iter().filter(|(_, status)| *status == Status::Handled).count(), 40);
    assert!(rig.ledger().iter().all(|(_, status)| *status != Status::Dead));
}

/// Catches: everything that is due read into memory at once.
#[tokio::test(start_paused = true)]
async fn what_is_due_is_read_as_it_can_start() {
    let mut rig = Rig::new(1, 10);
    // Each second one succeeds, so that the brake stays as it is.
    let events: Vec<(u64, &str)> =
        (0..8_000).map(|key| (key, if key % 2 == 0 { "fail 1" } else { "plain" })).collect();
    rig.send(&events);
    rig.pass(Duration::from_millis(1)).await;
    rig.tell(|| ToLane::Forget(SLOT));
    let rows = rig.ledger.0.lock().expect("tables").deferred();
    assert_eq!(rows.len(), 4_000);
    let row = |row: DeferredRow| {
        (Key(row.offset as u64), DeferredRow { waiting: Waiting::Retry(Duration::ZERO), ..row })
    };
    rig.journal.lock().expect("journal").takes = Duration::from_secs(1);
    rig.take(&rows.into_iter().map(row).collect::<Vec<_>>(), &[]);
    rig.pass(Duration::from_millis(500)).await;
    let loaded = rig.ledger.0.lock().expect("tables").loaded;
    assert!((1..1_500).contains(&loaded), "{loaded}");
    rig.pass(Duration::from_secs(500)).await;
    assert_eq!(rig.ledger.0.lock().expect("tables").loaded, 4_000);
    assert!(!rig.counts.has_blocked_keys());
}

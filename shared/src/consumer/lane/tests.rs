//! Lanes without Kafka, on a clock that stands still unless everybody waits: times are exact.

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::Receiver;

use futures_util::future::BoxFuture;

use super::*;
use crate::consumer::Handler;
use crate::record::{Origin, RecordBuilder};

const SLOT: SlotId = SlotId(1);

/// Dead letters in memory; refuses while told to.
#[derive(Debug, Default)]
struct Letters {
    refuse: AtomicBool,
    taken: Mutex<Vec<(i64, String, u32)>>,
}

impl DeadLetters for Letters {
    fn publish<'a>(&'a self, letter: &'a DeadLetter) -> BoxFuture<'a, Result<(), String>> {
        if self.refuse.load(Ordering::Relaxed) {
            return std::future::ready(Err("refused".to_owned())).boxed();
        }
        let offset = letter.body.record().origin().offset;
        self.taken.lock().expect("letters").push((offset, letter.reason.clone(), letter.deliveries));
        std::future::ready(Ok(())).boxed()
    }
}

/// Does what the event's data says, and keeps a journal.
#[derive(Debug, Clone, Default)]
struct Scripted(Arc<Mutex<Journal>>);

#[derive(Debug, Default)]
struct Journal {
    started: Vec<String>,
    ended: Vec<String>,
    first_start: Option<Instant>,
    last_end: Option<Instant>,
    taken: HashMap<Vec<u8>, Duration>,
    attempts: HashMap<String, u32>,
}

impl Handler for Scripted {
    type Data = String;

    async fn handle(&self, event: &Event, script: String) -> Result<Effects, HandleError> {
        let start = Instant::now();
        let attempt = {
            let mut journal = self.0.lock().expect("journal");
            journal.first_start.get_or_insert(start);
            journal.started.push(script.clone());
            let attempts = journal.attempts.entry(event.id().into_owned()).or_default();
            *attempts += 1;
            *attempts
        };
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
        Ok(Effects::none())
    }
}

struct Rig {
    lanes: Vec<mpsc::UnboundedSender<ToLane>>,
    reports: Receiver<FromLane>,
    letters: Arc<Letters>,
    scripted: Scripted,
    counts: Arc<Counts>,
    settled: Vec<i64>,
    others: Vec<FromLane>,
}

impl Rig {
    fn new(lanes: usize, concurrency: usize) -> Self {
        let (letters, scripted, counts) = (Arc::default(), Scripted::default(), Arc::default());
        let common = Arc::new(Common {
            handlers: Handlers::new().on("*", scripted.clone()).expect("a pattern"),
            unhandled: Unhandled::DeadLetter,
            retry: RetryPolicy {
                first: Duration::from_millis(200),
                max: Duration::from_secs(10),
                total: Duration::from_secs(60),
            },
            handler_timeout: Duration::from_secs(30),
            key_bound: 8,
            permits: Arc::new(Semaphore::new(concurrency)),
            dead_letters: Arc::clone(&letters) as Arc<dyn DeadLetters>,
            counts: Arc::clone(&counts),
        });
        let (sender, reports) = std::sync::mpsc::channel();
        let lanes = (0..lanes)
            .map(|_| {
                let (to_lane, inbox) = mpsc::unbounded_channel();
                tokio::spawn(Lane::new(Arc::clone(&common), inbox, sender.clone()).run());
                to_lane
            })
            .collect();
        Self { lanes, reports, letters, scripted, counts, settled: Vec::new(), others: Vec::new() }
    }

    /// Sends events as (key, script); offsets count from 0 in that order.
    fn send(&self, events: &[(u64, &str)]) {
        let mut batches: Vec<Vec<Incoming>> = self.lanes.iter().map(|_| Vec::new()).collect();
        for (offset, (key, script)) in events.iter().enumerate() {
            let origin = Origin { topic: "t", partition: 0, offset: offset as i64, timestamp: None };
            let mut builder = RecordBuilder::default();
            let record = builder.start(Some(&key.to_be_bytes()), Some(script.as_bytes())).finish(origin);
            let lane = (*key as usize) % self.lanes.len();
            batches[lane].push(Incoming { slot: SLOT, key: Key(*key), record });
        }
        for (lane, batch) in self.lanes.iter().zip(batches) {
            lane.send(ToLane::Batch(batch)).expect("a lane");
        }
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

    async fn pass(&mut self, time: Duration) {
        tokio::time::sleep(time).await;
        self.take_reports();
    }

    fn ended(&self) -> Vec<String> {
        self.scripted.0.lock().expect("journal").ended.clone()
    }
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

        let journal = rig.scripted.0.lock().expect("journal");
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

#[tokio::test(start_paused = true)]
async fn a_permanent_failure_and_a_panic_become_dead_letters_and_the_key_goes_on() {
    let mut rig = Rig::new(1, 10);
    rig.send(&[(1, "refuse"), (1, "panic"), (1, "after")]);
    rig.until_settled(3).await;
    let taken = rig.letters.taken.lock().expect("letters").clone();
    assert_eq!(taken[0], (0, "as told".to_owned(), 1));
    assert_eq!(taken[1], (1, "the handler panicked: as told".to_owned(), 1));
    assert_eq!((rig.ended(), rig.settled), (vec!["after".to_owned()], vec![0, 1, 2]));
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_outlasts_its_time_becomes_a_dead_letter() {
    let mut rig = Rig::new(1, 10);
    rig.send(&[(1, "fail 1000")]);
    rig.until_settled(1).await;
    let taken = rig.letters.taken.lock().expect("letters").clone();
    assert!(taken[0].1.starts_with("failing for 60s, at last: as told"), "{taken:?}");
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_hangs_is_tried_again_after_its_time() {
    let mut rig = Rig::new(1, 10);
    rig.send(&[(1, "hang"), (2, "other")]);
    rig.pass(Duration::from_secs(29)).await;
    assert_eq!(rig.ended(), ["other"]);
    rig.until_settled(2).await;
    assert_eq!(rig.ended(), ["other", "hang"]);
}

/// Catches: an offset that moves although its dead letter is nowhere.
#[tokio::test(start_paused = true)]
async fn a_dead_letter_that_cannot_be_written_is_not_settled() {
    let mut rig = Rig::new(1, 10);
    rig.letters.refuse.store(true, Ordering::Relaxed);
    rig.send(&[(1, "refuse"), (1, "behind"), (2, "other")]);
    rig.pass(Duration::from_secs(100)).await;
    assert_eq!(rig.settled, [2]);
    rig.letters.refuse.store(false, Ordering::Relaxed);
    rig.until_settled(3).await;
    assert_eq!(rig.ended(), ["other", "behind"]);
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
}

/// Catches: a stop that waits out its deadline for an attempt that is due long after it.
#[tokio::test(start_paused = true)]
async fn what_goes_on_failing_is_given_up_at_the_end_with_what_waits_behind_it() {
    let mut rig = Rig::new(1, 10);
    rig.send(&[(1, "fail 1000"), (1, "behind"), (2, "sleep 3000000"), (3, "hang")]);
    rig.pass(Duration::from_secs(2)).await;
    rig.tell(|| ToLane::Halt(SLOT));
    rig.tell(|| ToLane::Finish(SLOT, 3));
    rig.pass(Duration::from_millis(10)).await;
    assert!(matches!(rig.others[..], [FromLane::Halted(..), FromLane::GivenUp(SLOT, 2)]), "{:?}", rig.others);
    rig.until_settled(1).await;
    assert_eq!(rig.settled, [2], "what is being handled is still finished");
    rig.pass(Duration::from_secs(30)).await;
    assert!(matches!(rig.others[2..], [FromLane::GivenUp(SLOT, 1)]), "{:?}", rig.others);
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

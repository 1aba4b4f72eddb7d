//! Streaks, probes and what resumes, step by step and at random.

use std::collections::HashMap;
use std::time::Duration;

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::consumer::brake::LONG_ENOUGH;

const SETTINGS: Settings = Settings {
    keys: 5,
    first_pause: Duration::from_secs(1),
    longest_pause: Duration::from_secs(60),
    longest_attempt: Duration::from_secs(31),
    concurrency: 100,
};
const H: usize = 0;

/// A brake with a clock, and with what each event remembers of its failures, as the lanes have it.
struct Scene {
    brake: Brake,
    now: Instant,
    first: HashMap<u64, Streak>,
    pauses: Vec<Duration>,
}

impl Scene {
    fn new() -> Self {
        Self { brake: Brake::new(SETTINGS, 2), now: Instant::now(), first: HashMap::new(), pauses: vec![] }
    }

    fn wait(&mut self, pause: Duration) {
        self.now += pause;
    }

    fn succeed(&mut self, handler: usize, key: u64) -> Option<Change> {
        self.first.remove(&key);
        self.brake.succeeded(handler, key, self.now)
    }

    fn fail(&mut self, handler: usize, key: u64) -> Failed {
        let first = self.first.get(&key).copied();
        let (failed, change) = self.brake.failed(handler, key, first, self.now, 1.0);
        if let Failed::Counted(streak) = failed {
            self.first.insert(key, streak);
        }
        if let Some(Change::Opened { pause, .. }) = change {
            self.pauses.push(pause);
        }
        failed
    }

    fn fail_all(&mut self, keys: std::ops::Range<u64>) {
        for key in keys {
            self.wait(Duration::from_millis(3));
            self.fail(H, key);
        }
    }

    fn start(&mut self, handler: usize, key: u64) -> bool {
        self.brake.may_start(handler, key, true, self.now) == Permission::Granted
    }

    fn is_open(&self) -> bool {
        matches!(self.brake.state, State::Open { .. })
    }

    /// Opens it: every key fails.
    fn outage(mut self) -> Self {
        self.fail_all(0..20);
        assert!(self.is_open());
        self
    }

    fn until_next_change(&mut self) {
        self.now = self.brake.next_change(self.now).expect("a moment");
    }
}

#[derive(Debug, Clone)]
enum Step {
    Wait(u64),
    Start(usize, u64),
    Succeed(prop::sample::Index),
    Fail(prop::sample::Index),
    End(prop::sample::Index),
    Drop(prop::sample::Index),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let index = any::<prop::sample::Index>;
    let step = prop_oneof![
        3 => (0u64..20_000).prop_map(Step::Wait),
        6 => (0usize..2, 0u64..40).prop_map(|(handler, key)| Step::Start(handler, key)),
        1 => index().prop_map(Step::Succeed),
        4 => index().prop_map(Step::Fail),
        1 => index().prop_map(Step::End),
        1 => index().prop_map(Step::Drop),
    ];
    vec(step, 0..400)
}

proptest! {
    /// Catches: failures counted instead of keys; retries of a few bad keys taken for an outage.
    #[test]
    fn a_few_bad_keys_never_open_it(
        bad in 1u64..5,
        steps in vec((any::<u64>(), any::<bool>(), any::<bool>(), 0u64..600_000), 0..500),
    ) {
        let mut scene = Scene::new();
        for (key, fails, again, pause) in steps {
            if fails {
                if !again {
                    scene.first.remove(&(key % bad)); // another event of the key
                }
                scene.fail(H, key % bad);
            } else {
                scene.succeed(H, key);
            }
            scene.wait(Duration::from_millis(pause));
            prop_assert!(scene.brake.is_closed());
        }
    }

    /// Catches: a window of time that forgets, so that low traffic never opens it; opening too early or too late.
    #[test]
    fn every_key_failing_opens_it(first_key: u64, pauses in vec(0u64..600_000, 20)) {
        let mut scene = Scene::new();
        let began = scene.now;
        for (count, pause) in (1..).zip(pauses) {
            scene.fail(H, first_key.wrapping_add(count));
            let enough = if scene.now - began >= LONG_ENOUGH { 5 } else { 20 };
            prop_assert_eq!(scene.is_open(), count >= enough);
            if scene.is_open() {
                return Ok(());
            }
            scene.wait(Duration::from_millis(pause));
        }
        prop_assert!(false, "twenty keys have failed");
    }

    /// Catches: two probes at a time, a probe that nobody answers for and that holds the rest for ever, and any
    /// state from which events that succeed do not lead back to where everything flows.
    #[test]
    fn one_probe_at_a_time_and_never_stuck(steps in steps()) {
        let mut scene = Scene::new();
        let mut under_way: Vec<(usize, u64)> = Vec::new();
        let mut probe: Option<((usize, u64), Instant)> = None;
        for step in steps {
            let take = |index: prop::sample::Index, from: &mut Vec<_>| {
                (!from.is_empty()).then(|| from.swap_remove(index.index(from.len())))
            };
            let half_open = matches!(scene.brake.state, State::HalfOpen { .. } | State::Open { .. });
            let mut answered = None;
            match step {
                Step::Wait(millis) => scene.wait(Duration::from_millis(millis)),
                Step::Start(handler, key) => {
                    if under_way.iter().all(|(_, other)| *other != key) && scene.start(handler, key) {
                        under_way.push((handler, key));
                        if half_open {
                            let free = probe.is_none_or(|(_, until)| until <= scene.now);
                            prop_assert!(free, "a second probe");
                            probe = Some(((handler, key), scene.now + SETTINGS.longest_attempt));
                        }
                    }
                }
                Step::Succeed(index) => if let Some((handler, key)) = take(index, &mut under_way) {
                    scene.succeed(handler, key);
                    answered = Some((handler, key));
                },
                Step::Fail(index) => if let Some((handler, key)) = take(index, &mut under_way) {
                    let held = scene.fail(handler, key) == Failed::Held;
                    prop_assert_eq!(held, half_open && !scene.brake.is_closed());
                    answered = Some((handler, key));
                },
                Step::End(index) => if let Some((handler, key)) = take(index, &mut under_way) {
                    scene.brake.ended(handler, key);
                    answered = Some((handler, key));
                },
                Step::Drop(index) => {
                    take(index, &mut under_way);
                }
            }
            if answered.is_some() && probe.map(|(event, _)| event) == answered {
                probe = None;
            }
        }
        let longest = SETTINGS.longest_pause + SETTINGS.longest_attempt * 2 + SETTINGS.first_pause * 4;
        let end = scene.now + longest;
        while scene.now < end {
            if scene.start(1, 1000) {
                scene.succeed(1, 1000);
            }
            scene.wait(Duration::from_millis(500));
        }
        prop_assert!(scene.start(1, 1000) && scene.brake.is_closed(), "{:?}", scene.brake);
        prop_assert_eq!(scene.brake.next_change(scene.now), None);
    }

    /// Catches: pauses that do not grow, grow without bound, or leave their bounds by jitter.
    #[test]
    fn pauses_grow_up_to_the_longest(random in vec(-1.0f64..2.0, 1..60)) {
        let mut scene = Scene::new().outage();
        prop_assert_eq!(&scene.pauses, &[SETTINGS.first_pause]);
        let mut longest = SETTINGS.first_pause;
        for (key, random) in (100..).zip(random) {
            scene.until_next_change();
            prop_assert!(scene.start(H, key));
            let (failed, change) = scene.brake.failed(H, key, None, scene.now, random);
            prop_assert_eq!(failed, Failed::Held);
            longest = (longest * 2).min(SETTINGS.longest_pause);
            match change {
                Some(Change::Opened { handler: H, pause }) => {
                    prop_assert!(pause >= longest / 2 && pause <= longest, "{pause:?} of {longest:?}");
                }
                other => prop_assert!(false, "{other:?}"),
            }
        }
    }

    /// Catches: an opening by chance. The traffic is what a service sees: a hundred and more events a second.
    #[test]
    fn random_failures_never_open_it(seed: u64, per_second in 100u32..20_000, percent in 1u32..=5) {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut scene = Scene::new();
        for key in 0..20_000 {
            if random.u32(0..100) < percent {
                scene.fail(H, key);
            } else {
                scene.succeed(H, key);
            }
            scene.wait(Duration::from_secs(1) / per_second);
            prop_assert!(scene.brake.is_closed());
        }
    }
}

/// Catches: an opening once in three million events, which is every few minutes at this rate.
#[test]
fn random_failures_do_not_open_it_in_ten_million_events() {
    let mut random = fastrand::Rng::with_seed(1);
    let (mut brake, mut now) = (Brake::new(SETTINGS, 1), Instant::now());
    for key in 0..10_000_000 {
        if random.u8(0..20) == 0 {
            brake.failed(H, key, None, now, 0.5);
        } else {
            brake.succeeded(H, key, now);
        }
        now += Duration::from_micros(100);
        assert!(brake.is_closed(), "after {key} events");
    }
}

#[test]
fn a_success_in_between_says_that_there_is_no_outage() {
    let mut scene = Scene::new();
    for key in 0..1000 {
        scene.fail(H, key);
        if key % 4 == 3 {
            scene.succeed(H, 10_000);
        }
        scene.fail(H, key / 2); // retries of what failed before
        scene.wait(Duration::from_secs(30));
    }
    assert!(scene.brake.is_closed());
}

#[test]
fn many_bad_keys_open_it_once_at_most() {
    let mut scene = Scene::new();
    scene.fail_all(0..10);
    scene.wait(Duration::from_secs(2));
    scene.fail_all(0..10);
    assert_eq!(scene.pauses.len(), 1);
    scene.until_next_change();
    assert!(!scene.start(H, 3), "a bad key would probe in vain");
    assert!(scene.start(H, 100));
    assert_eq!(scene.succeed(H, 100), Some(Change::Released));
    for _ in 0..1000 {
        scene.fail_all(0..10);
        scene.wait(Duration::from_secs(2));
    }
    assert_eq!(scene.pauses.len(), 1, "the handler has succeeded since: what they fail of is their own");
}

#[test]
fn the_probe_is_a_fresh_key_of_the_handler_at_fault_then_any_of_its_keys_then_any_event() {
    let mut scene = Scene::new().outage();
    scene.until_next_change();
    assert_eq!(scene.brake.may_start(1, 500, true, scene.now), Permission::NotThis);
    assert_eq!(scene.brake.may_start(H, 3, true, scene.now), Permission::NotThis);
    assert!(scene.brake.intake_flows(scene.now), "so that a fresh one can come");
    assert!(scene.start(H, 500));
    scene.brake.ended(H, 500); // says nothing: the next one
    scene.until_next_change();
    assert_eq!(scene.brake.may_start(1, 500, true, scene.now), Permission::NotThis);
    assert!(scene.start(H, 3));
    scene.brake.ended(H, 3);
    scene.until_next_change();
    assert!(scene.start(1, 500));
}

#[test]
fn the_probe_after_a_failed_one_is_another_key() {
    let mut scene = Scene::new().outage();
    scene.until_next_change();
    assert!(scene.start(H, 100));
    scene.fail(H, 100);
    scene.until_next_change();
    assert_eq!(scene.brake.may_start(H, 100, true, scene.now), Permission::NotThis);
    assert!(scene.start(H, 101));
}

#[test]
fn one_key_does_not_suffice_whatever_the_settings_say() {
    let mut scene = Scene::new();
    scene.brake = Brake::new(Settings { keys: 0, ..SETTINGS }, 1);
    for _ in 0..10 {
        scene.fail(H, 1);
        scene.wait(LONG_ENOUGH);
    }
    assert!(scene.brake.is_closed());
    scene.fail(H, 2);
    assert!(scene.is_open());
}

/// Catches: another handler's success taken for a recovery.
#[test]
fn released_by_another_handler_the_next_failure_opens_it_again_for_longer() {
    let mut scene = Scene::new().outage();
    for round in 1..8 {
        scene.until_next_change();
        assert_eq!(scene.brake.may_start(1, 500, true, scene.now), Permission::NotThis);
        scene.wait(SETTINGS.first_pause * 2);
        assert!(scene.start(1, 500));
        assert_eq!(scene.succeed(1, 500), Some(Change::Released));
        assert!(scene.start(H, 600 + round));
        scene.fail(H, 600 + round);
        assert!(scene.is_open());
    }
    let seconds: Vec<u64> = scene.pauses.iter().map(Duration::as_secs).collect();
    assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60]);
}

#[test]
fn a_probe_that_nobody_answers_for_is_replaced() {
    let mut scene = Scene::new().outage();
    scene.until_next_change();
    assert!(scene.start(H, 100) && !scene.start(H, 101));
    scene.until_next_change();
    assert!(scene.start(H, 101));
    assert_eq!(scene.fail(H, 100), Failed::Held, "too late to be the probe");
    assert!(!scene.is_open());
    assert_eq!(scene.succeed(H, 101), Some(Change::Released));
}

/// What promise 5 comes to: an hour without the database leaves as few traces as it took to notice.
#[test]
fn an_outage_of_an_hour_is_twenty_failures_and_a_probe_a_minute() {
    let mut scene = Scene::new();
    let (end, mut counted, mut held) = (scene.now + Duration::from_secs(3600), 0, 0);
    for key in 0.. {
        if scene.now >= end {
            break;
        }
        if scene.start(H, key) {
            match scene.fail(H, key) {
                Failed::Counted(streak) => {
                    assert!(!scene.brake.has_succeeded_since(H, streak));
                    counted += 1;
                }
                Failed::Held => held += 1,
            }
        }
        scene.wait(Duration::from_millis(5));
    }
    assert_eq!((counted, held), (20, 64));
}

/// Catches: everything that waited started at once, on what has only just come back.
#[test]
fn resumes_without_a_burst() {
    let mut scene = Scene::new().outage();
    scene.until_next_change();
    assert!(scene.start(H, 100));
    scene.succeed(H, 100);
    let mut rounds = Vec::new();
    while !scene.brake.is_closed() {
        let started: Vec<u64> = (200..1000).take_while(|key| scene.start(H, *key)).collect();
        rounds.push(started.len());
        for key in started {
            scene.succeed(H, key);
        }
        scene.wait(Duration::from_millis(10));
    }
    assert_eq!(rounds, [2, 4, 8, 16, 32, 64]);
}

#[test]
fn after_a_recovery_the_first_pause_is_short_again() {
    let mut scene = Scene::new().outage();
    for key in [100, 101] {
        scene.until_next_change();
        assert!(scene.start(H, key));
        scene.fail(H, key);
    }
    scene.until_next_change();
    assert!(scene.start(H, 102));
    scene.succeed(H, 102);
    scene.wait(SETTINGS.longest_attempt);
    scene.succeed(H, 103);
    scene.fail_all(1000..1020);
    let seconds: Vec<u64> = scene.pauses.iter().map(Duration::as_secs).collect();
    assert_eq!(seconds, [1, 2, 4, 1]);
}

/// Catches: a burst of retries, all of keys that fail, taken for an outage while other keys succeed.
#[test]
fn a_burst_of_failures_between_successes_opens_nothing() {
    let mut scene = Scene::new();
    for round in 0..100 {
        for key in 0..200 {
            scene.fail(H, round * 200 + key);
        }
        scene.wait(Duration::from_millis(20));
        scene.succeed(H, 1_000_000);
    }
    assert!(scene.pauses.is_empty());
}

/// Catches: a probe that is one of those that have waited in the ledger, of which many may fail while all others would not.
#[test]
fn what_comes_from_the_ledger_does_not_probe_at_first() {
    let mut scene = Scene::new().outage();
    scene.until_next_change();
    assert_eq!(scene.brake.may_start(H, 700, false, scene.now), Permission::NotThis);
    scene.wait(SETTINGS.first_pause);
    assert_eq!(scene.brake.may_start(H, 700, false, scene.now), Permission::Granted);
}

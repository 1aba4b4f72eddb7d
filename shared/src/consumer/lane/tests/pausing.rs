//! What an operator has paused starts nothing, and everything else goes on.

use jiff::Timestamp;

use super::*;
use crate::store::{Pausable, Pause};

impl Rig {
    /// These stand still from now on, and no others.
    fn pause(&self, paused: &[(Pausable, &str)]) {
        let pause = |(what, name): &(Pausable, &str)| Pause {
            what: *what,
            name: (*name).to_owned(),
            since: Timestamp::UNIX_EPOCH,
        };
        self.common.pauses.take(paused.iter().map(pause).collect());
    }
}

/// A handler for the type `t` beside that for all others.
fn two_handlers() -> Rig {
    let scripted = Scripted::<false>::default();
    let mut rig = Rig::with::<false>(1, 10, |common| {
        let both = Handlers::new().on("*", scripted.clone()).and_then(|all| all.on("t", scripted.clone()));
        common.handlers = both.expect("two patterns");
        let settings = Settings {
            keys: 5,
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(60),
            longest_attempt: Duration::from_secs(31),
            concurrency: 10,
        };
        common.brake = SharedBrake::new(settings, 2);
        let patterns = common.handlers.patterns().map(ToString::to_string).collect();
        common.pauses = SharedPauses::new(vec!["t".to_owned()], patterns);
    });
    rig.journal = Arc::clone(&scripted.0);
    rig
}

/// Catches: a pause that lets what has arrived start, one that stops what is under way, one that repeats or reorders.
#[tokio::test(start_paused = true)]
async fn a_paused_topic_starts_nothing_and_finishes_what_is_under_way() {
    let mut rig = Rig::new(2, 2);
    rig.send(&[(1, "sleep 5000 a"), (1, "b"), (2, "sleep 5000 c"), (3, "d"), (3, "e")]);
    rig.pass(Duration::from_millis(1)).await;
    rig.pause(&[(Pausable::Topic, "t")]);
    rig.send_from(5, &[(3, "f"), (4, "g")]);
    rig.pass(Duration::from_secs(1000)).await;
    let mut ended = rig.ended();
    ended.sort();
    assert_eq!(ended, ["d", "sleep 5000 a", "sleep 5000 c"], "of d the ledger says that it is being handled");
    rig.pause(&[]);
    rig.until_settled(7).await;
    let place = |script: &str| rig.ended().iter().position(|ended| ended == script).expect("handled");
    assert!(place("d") < place("e") && place("e") < place("f"));
    assert_eq!(rig.started().len(), 7, "each once");
}

/// Catches: a paused handler that holds the others, a key that goes on past its paused event, a lane that turns in circles.
#[tokio::test(start_paused = true)]
async fn a_paused_handler_holds_its_events_and_their_keys_alone() {
    let mut rig = two_handlers();
    rig.pause(&[(Pausable::Handler, "t")]);
    rig.send_event(0, 1, "held", "1", &[]);
    rig.send_from(1, &[(1, "behind it"), (2, "other"), (3, "fail 1")]);
    rig.send_event(4, 4, "held too", "2", &[]);
    rig.pass(Duration::from_secs(100)).await;
    rig.send_from(5, &[(5, "later")]);
    rig.pass(Duration::from_secs(1)).await;
    assert_eq!(rig.ended(), ["other", "fail 1", "later"]);
    rig.pause(&[(Pausable::Topic, "another")]);
    rig.until_settled(6).await;
    assert_eq!(rig.ended()[3..], ["held", "held too", "behind it"]);
}

/// Catches: what waits in the ledger started although its topic stands still, read again and again, or forgotten.
#[tokio::test(start_paused = true)]
async fn what_is_deferred_waits_for_the_topic_too() {
    let mut rig = Rig::new(1, 10);
    rig.send(&[(1, "fail 1"), (1, "after"), (2, "fail 1 too")]);
    rig.pass(Duration::from_millis(1)).await;
    rig.pause(&[(Pausable::Topic, "t")]);
    rig.pass(Duration::from_secs(1000)).await;
    assert_eq!((rig.started().len(), rig.ledger.0.lock().expect("tables").loaded), (2, 0));
    rig.pause(&[]);
    rig.until_unblocked().await;
    assert_eq!(rig.ended().len(), 3);
    assert_eq!(rig.ledger.0.lock().expect("tables").loaded, 3);
}

/// Catches: a paused handler whose due rows are read again and again.
#[tokio::test(start_paused = true)]
async fn a_paused_handlers_rows_are_read_once_and_left_in_the_ledger() {
    const KEYS: u64 = 3000;
    let mut rig = Rig::new(1, 10_000);
    let events: Vec<_> = (0..KEYS).map(|key| (key, "fail 1")).collect();
    rig.send(&events);
    rig.pass(Duration::from_millis(1)).await;
    rig.pause(&[(Pausable::Handler, "*")]);
    rig.pass(Duration::from_secs(1000)).await;
    let loaded = rig.ledger.0.lock().expect("tables").loaded;
    assert!(loaded as u64 <= KEYS, "{loaded} rows read");
    rig.pause(&[]);
    rig.until_unblocked().await;
    assert_eq!(rig.counts.summary().handled, KEYS);
}

/// Catches: a member that cannot end, or a partition that cannot be let go, before somebody resumes.
#[tokio::test(start_paused = true)]
async fn a_partition_that_stands_still_can_be_let_go() {
    for paused in [(Pausable::Topic, "t"), (Pausable::Handler, "t")] {
        let mut rig = two_handlers();
        rig.send(&[(1, "sleep 5000 a")]);
        rig.pass(Duration::from_millis(1)).await;
        rig.pause(&[paused]);
        rig.send_event(1, 2, "held", "1", &[]);
        rig.send_event(2, 2, "held too", "2", &[]);
        rig.send_from(3, &[(1, "b")]);
        rig.pass(Duration::from_secs(1)).await;
        rig.tell(|| ToLane::Halt(SLOT));
        rig.pass(Duration::from_millis(5)).await;
        rig.tell(|| ToLane::Finish(SLOT, 3));
        rig.pass(Duration::from_secs(1)).await;
        assert!(
            matches!(rig.others[..], [FromLane::Halted(..), FromLane::Finished(SLOT)]),
            "{:?}",
            rig.others
        );
        assert!(!rig.settled.contains(&1) && !rig.ended().contains(&"held".to_owned()));
        rig.tell(|| ToLane::Forget(SLOT));
        rig.pause(&[]);
        rig.pass(Duration::from_secs(1)).await;
        assert!(!rig.ended().contains(&"held".to_owned()), "its next owner has it");
    }
}

/// Catches: due rows of a paused handler that leave no room for those of the others.
#[tokio::test(start_paused = true)]
async fn many_due_rows_of_a_paused_handler_hold_no_other() {
    let mut rig = two_handlers();
    // Each second one succeeds, so that the brake stays as it is.
    let events: Vec<(u64, &str)> =
        (0..6_000).map(|key| (key, if key % 2 == 0 { "fail 1" } else { "plain" })).collect();
    rig.send(&events);
    rig.send_event(6_000, 6_001, "fail 1 other", "other", &[]);
    rig.send_event(6_001, 6_002, "well", "well", &[]);
    rig.until_settled(6_002).await;
    rig.pause(&[(Pausable::Handler, "*")]);
    let before = rig.ended().len();
    rig.pass(Duration::from_secs(100)).await;
    assert_eq!(rig.ended()[before..], ["fail 1 other"]);
    rig.pause(&[]);
    rig.pass(Duration::from_secs(100)).await;
    assert_eq!(rig.ended().len(), 6_002);
    rig.until_unblocked().await;
}

//! What operators pause, members see.

use jiff::Timestamp;

use super::Bench;
use crate::desk::Desk;
use crate::store::{Pausable, Pause, PauseTable, SOURCES, Store};

const GROUP: &str = "service-b";

fn table(store: &dyn Store) -> &dyn PauseTable {
    store.pause_table().expect("a database has one")
}

async fn names(store: &dyn Store, group: &str) -> Vec<String> {
    let pauses = table(store).pauses(group).await.expect("read");
    pauses.iter().map(|pause| format!("{} {}", pause.what.as_str(), pause.name)).collect()
}

/// Catches: a pause that only who asked for it sees, one that is gone after opening again, one before the group's first
/// assignment that is lost.
pub(crate) async fn a_pause_is_there_for_every_member_and_later(bench: &dyn Bench) {
    let (operator, member) = (bench.open().await, bench.open().await);
    assert_eq!(names(&*member, GROUP).await, [""; 0]);
    let before = Timestamp::now();
    for (what, name) in [(Pausable::Handler, "com.*"), (Pausable::Topic, "b"), (Pausable::Topic, "a'\"")] {
        assert_eq!(table(&*operator).pause(GROUP, what, name).await, Ok(true));
    }
    assert_eq!(names(&*member, GROUP).await, ["topic a'\"", "topic b", "handler com.*"]);
    drop((operator, member));
    let later = bench.open().await;
    let Pause { since, .. } = table(&*later).pauses(GROUP).await.expect("read").remove(0);
    let off = since.duration_since(before).abs();
    assert!(off.as_secs() < 60, "{since} beside {before}");
}

/// Catches: a pause that another group's tool ends, a topic and a pattern of the same name taken for one.
pub(crate) async fn each_pause_ends_by_itself(bench: &dyn Bench) {
    let store = bench.open().await;
    let pauses = table(&*store);
    for (group, what) in [(GROUP, Pausable::Topic), (GROUP, Pausable::Handler), ("other", Pausable::Topic)] {
        assert_eq!(pauses.pause(group, what, "x").await, Ok(true));
    }
    assert_eq!(pauses.resume(GROUP, Pausable::Topic, "x").await, Ok(true));
    assert_eq!(pauses.resume(GROUP, Pausable::Topic, "x").await, Ok(false), "it goes on already");
    assert_eq!(pauses.resume(GROUP, Pausable::Handler, "y").await, Ok(false));
    assert_eq!(names(&*store, GROUP).await, ["handler x"]);
    assert_eq!(names(&*store, "other").await, ["topic x"]);
    assert_eq!(names(&*store, "nobody").await, [""; 0]);
}

/// Catches: a second pause that makes it seem to have begun later.
pub(crate) async fn paused_twice_is_paused_since_the_first_time(bench: &dyn Bench) {
    let store = bench.open().await;
    let pauses = table(&*store);
    assert_eq!(pauses.pause(GROUP, Pausable::Topic, "x").await, Ok(true));
    let first = pauses.pauses(GROUP).await.expect("read");
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    assert_eq!(pauses.pause(GROUP, Pausable::Topic, "x").await, Ok(false));
    assert_eq!(pauses.pauses(GROUP).await.expect("read"), first);
}

/// Catches: an event source taken for a topic of its name, a group that stands still for it, a group without a name that
/// is offered to operators.
pub(crate) async fn an_event_source_is_paused_for_no_group(bench: &dyn Bench) {
    let store = bench.open().await;
    let pauses = table(&*store);
    for what in [Pausable::Topic, Pausable::Source] {
        assert_eq!(pauses.pause(SOURCES, what, "/a\u{1b}'.jsonl").await, Ok(true));
    }
    assert_eq!(pauses.resume(SOURCES, Pausable::Topic, "/a\u{1b}'.jsonl").await, Ok(true));
    assert_eq!(names(&*store, SOURCES).await, ["source /a\u{1b}'.jsonl"]);
    assert_eq!(names(&*store, GROUP).await, [""; 0]);
    let error = Desk::open(&bench.url(), GROUP).await.expect_err("unknown").to_string();
    assert!(error.contains("none yet"), "{error}");
    assert_eq!(pauses.resume(SOURCES, Pausable::Source, "/a\u{1b}'.jsonl").await, Ok(true));
}

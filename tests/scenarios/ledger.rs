//! Nothing takes effect twice, and what waits is not forgotten.

use std::time::{Duration, Instant};

use super::work::{assert_none_lost, numbered};
use crate::harness::{
    ASSIGNED, Process, Raw, Scenario, Signal, Test, event_headers, eventually, printed, scenario, soon,
};

/// The scenarios of this file.
pub fn scenarios() -> Vec<Scenario> {
    vec![
        scenario!(effects_are_applied_once_through_kill_9_of_service_b),
        scenario!(an_event_that_was_sent_twice_takes_effect_once),
        scenario!(the_same_id_with_another_content_is_a_dead_letter),
        scenario!(another_store_is_refused_until_it_is_adopted),
        scenario!(an_outage_of_all_keys_kills_no_event),
        scenario!(a_scheduled_event_waits_and_an_expired_one_is_not_handled),
        scenario!(a_store_that_is_locked_is_waited_for),
        scenario!(a_member_shut_out_for_good_ends_and_goes_on_when_started_again),
        scenario!(a_store_that_is_locked_at_an_assignment_is_waited_for),
    ]
}

/// How often the effects of this test's events were applied, and of how many events.
fn applied(test: &Test) -> (i64, i64) {
    let of = |what: &str| {
        test.sql(&format!("select {what} from test_applied where consumer_group = '{}'", test.group))
    };
    (of("count(*)"), of("count(distinct number)"))
}

/// Catches: a member that goes on with a partition that nobody handles any more.
fn a_member_shut_out_for_good_ends_and_goes_on_when_started_again(test: &Test) {
    const COUNT: usize = 60;
    let topic = test.topic(1);
    test.records.send(topic, &numbered("effect 1", 0, COUNT / 2, 7));
    let mut b = test.scripted(&[]);
    b.wait_for_line(ASSIGNED, soon());
    eventually(soon(), "half are handled", || (applied(test).0 == COUNT as i64 / 2).then_some(()));
    test.change_store("update partitions set epoch = epoch + 1", "update partition set epoch = epoch + 1");
    test.records.send(topic, &numbered("effect 1", COUNT / 2, COUNT / 2, 7));
    assert_eq!(b.exit_code(Duration::from_mins(2)), Some(1));
    let said = b.stderr().concat();
    assert!(said.contains("goes on giving it to this one"), "{said}");
    assert_eq!(applied(test).0, COUNT as i64 / 2);
    let mut again = test.scripted(&["--until-caught-up"]);
    assert_eq!(again.exit_code(soon()), Some(0));
    assert_eq!(applied(test), (COUNT as i64, COUNT as i64));
}

fn short_session(test: &Test) -> Vec<&'static str> {
    if test.broker.member_settings().is_empty() {
        vec!["--kafka", "session.timeout.ms=6000"]
    } else {
        Vec::new()
    }
}

/// Catches: an offset that is stored before the effect (lost), an effect without its row, or a row that is not asked
/// (twice).
fn effects_are_applied_once_through_kill_9_of_service_b(test: &Test) {
    const COUNT: usize = 4_000;
    let topic = test.topic(3);
    test.records.send(topic, &numbered("effect 1", 0, COUNT, 60));
    let quick = short_session(test);
    let mut killed = 0;
    for _ in 0..3 {
        let mut b = test.scripted(&quick);
        let before = killed;
        eventually(Duration::from_mins(1), "some are handled", || {
            killed = printed(&b).len();
            (killed > 300).then_some(())
        });
        b.signal(Signal::Kill);
        assert_eq!(b.exit_code(soon()), None);
        killed = killed.max(before);
    }
    let mut last = test.scripted(&[quick.as_slice(), &["--until-caught-up"]].concat());
    assert_eq!(last.exit_code(Duration::from_mins(1)), Some(0));
    assert_eq!(applied(test), (COUNT as i64, COUNT as i64));
}

fn summary(b: &Process) -> serde_json::Value {
    serde_json::from_str(&b.stdout().concat()).unwrap()
}

fn run(test: &Test, arguments: &[&str]) -> Process {
    let mut b = test.scripted(&[arguments, &["--until-caught-up", "--output", "json"]].concat());
    assert_eq!(b.exit_code(Duration::from_mins(1)), Some(0));
    b
}

/// Catches: a ledger that is not asked, within one run and after it; one that forgets who sent the event.
fn an_event_that_was_sent_twice_takes_effect_once(test: &Test) {
    let topic = test.topic(3);
    let twice =
        |id: &str, key: &str| Raw::new(key, "effect 1 twice").with(event_headers(id, "com.example.twice.v1"));
    // The second time with the same key right behind it, with a null key anywhere, and in the next run.
    let mut anywhere = twice("b", "k2");
    anywhere.key = None;
    test.records.send(topic, &[twice("a", "k1"), twice("a", "k1"), anywhere.clone(), anywhere]);
    let first = run(test, &[]);
    assert_eq!(applied(test).0, 2);
    test.records.send(topic, &[twice("a", "k1"), twice("c", "k1")]);
    let second = run(test, &[]);
    assert_eq!(applied(test).0, 3);
    assert_eq!((&summary(&first)["handled"], &summary(&first)["duplicates"]), (&2.into(), &2.into()));
    assert_eq!((&summary(&second)["handled"], &summary(&second)["duplicates"]), (&1.into(), &1.into()));
}

/// Catches: a second event that is taken for the first because a producer used its id again.
fn the_same_id_with_another_content_is_a_dead_letter(test: &Test) {
    let topic = test.topic(1);
    let event = |data: &str| Raw::new("k", data).with(event_headers("a", "com.example.twice.v1"));
    test.records.send(topic, &[event("effect 1 one"), event("effect 1 two"), Raw::new("k", "ok after")]);
    let b = run(test, &[]);
    assert_eq!(applied(test).0, 1);
    assert_eq!(summary(&b)["dead_letters"], 1);
    let letters = test.records.all(&test.dead_letters());
    let reason = letters[0].record.text("__dlq.errors.message").unwrap_or_default();
    assert!(reason.contains("another event"), "{reason}");
    assert_eq!(letters[0].record.value_text(), "effect 1 two");
}

/// Catches: a group that goes on with an empty ledger as if nothing had taken effect yet.
fn another_store_is_refused_until_it_is_adopted(test: &Test) {
    let topic = test.topic(1);
    test.records.send(topic, &numbered("ok", 0, 10, 2));
    run(test, &[]);
    test.records.send(topic, &numbered("ok", 10, 10, 2));
    let folder = tempfile::tempdir().unwrap();
    let other = format!("sqlite:{}", folder.path().join("other.db").display());
    let mut refused = test.scripted(&["--store", &other, "--until-caught-up"]);
    assert_eq!(refused.exit_code(Duration::from_mins(1)), Some(1));
    let said = refused.stderr().concat();
    for needle in ["another store", "--adopt-store", "--store postgres://"] {
        assert!(said.contains(needle), "{needle:?} is not in: {said}");
    }
    let adopted = run(test, &["--store", &other, "--adopt-store"]);
    let numbers: Vec<_> = super::work::handled(printed(&adopted));
    assert_eq!(numbers.len(), 10, "what was committed is not handled again");
}

/// Catches: an outage that makes dead letters, one that fills the ledger with retries, and intake that stays held when
/// it is over.
fn an_outage_of_all_keys_kills_no_event(test: &Test) {
    const COUNT: usize = 400;
    let folder = tempfile::tempdir().unwrap();
    let needed = folder.path().join("up");
    let topic = test.topic(3);
    test.records.send(topic, &numbered(&format!("need {}", needed.display()), 0, COUNT, 40));
    let retry = ["--retry-first", "100ms", "--retry-max", "200ms", "--retry-for", "1s"];
    let mut b = test.scripted(&[retry.as_slice(), &["--until-caught-up", "--output", "json"]].concat());
    b.wait_for_line("the brake holds the whole intake", soon());
    std::thread::sleep(Duration::from_secs(3));
    assert!(b.is_running());
    let tried = b.stderr().iter().filter(|line| line.contains("Trying: ")).count();
    assert!(tried < COUNT, "{tried} attempts while nothing can succeed");
    std::fs::write(&needed, "").unwrap();
    assert_eq!(b.exit_code(Duration::from_mins(1)), Some(0));
    let handled = super::work::handled(printed(&b));
    assert_none_lost(&handled, COUNT);
    super::work::assert_in_order_per_key(&handled);
    assert_eq!((&summary(&b)["handled"], &summary(&b)["dead_letters"]), (&COUNT.into(), &0.into()));
}

/// Catches: attributes that nobody reads.
fn a_scheduled_event_waits_and_an_expired_one_is_not_handled(test: &Test) {
    let topic = test.topic(1);
    let now = jiff::Timestamp::now();
    let event = |id: &str, name: &str, at: i64| {
        let time = (now + jiff::SignedDuration::from_secs(at)).to_string();
        Raw::new("k", format!("ok {id}")).with(event_headers(id, "com.example.timed.v1")).header(name, time)
    };
    test.records.send(
        topic,
        &[
            event("later", "ce_notbefore", 6),
            event("gone", "ce_expirytime", -1),
            event("now", "ce_notbefore", -1),
        ],
    );
    let start = Instant::now();
    let mut b = test.scripted(&[]);
    b.wait_for_line("Received message: ok now", soon());
    b.wait_for_line("Received message: ok later", soon());
    assert!(start.elapsed() > Duration::from_secs(3), "{:?}", start.elapsed());
    assert_eq!(b.stop(soon()), Some(0));
    let data: Vec<_> = printed(&b).into_iter().map(|(_, data, _)| data).collect();
    assert_eq!(data, ["ok now", "ok later"]);
    let status = "select count(*) from events where status = 'expired' and id = 'gone'";
    assert!(test.sql(status) >= 1);
}

/// Catches: an offset that moves although the ledger could not be written, and a member that ends or hangs because of it.
fn a_store_that_is_locked_is_waited_for(test: &Test) {
    let Some(file) = test.store().strip_prefix("sqlite:").map(str::to_owned) else { return };
    let topic = test.topic(1);
    let mut b = test.scripted(&[]);
    b.wait_for_line(ASSIGNED, soon());
    let other = rusqlite::Connection::open(file).unwrap();
    other.execute_batch("begin exclusive").unwrap();
    test.records.send(topic, &numbered("effect 1", 0, 50, 5));
    b.wait_for_line("trying again", Duration::from_secs(30));
    assert_eq!(test.records.committed(&test.group, topic).get(&0), None);
    other.execute_batch("rollback").unwrap();
    eventually(Duration::from_secs(30), "all is committed", || {
        (test.records.committed(&test.group, topic).get(&0) == Some(&50)).then_some(())
    });
    assert_eq!(applied(test), (50, 50));
    assert_eq!(b.stop(soon()), Some(0));
}

/// Catches: a member that ends because the store does not answer when partitions come to it, or goes on without them.
fn a_store_that_is_locked_at_an_assignment_is_waited_for(test: &Test) {
    let Some(file) = test.store().strip_prefix("sqlite:").map(str::to_owned) else { return };
    let topic = test.topic(2);
    let mut one = test.scripted(&[]);
    one.wait_for_line(ASSIGNED, soon());
    let mut two = test.scripted(&[]);
    two.wait_for_line(&format!("assigned {topic}/"), soon());
    let other = rusqlite::Connection::open(file).unwrap();
    other.execute_batch("begin exclusive").unwrap();
    // What the second had goes to the first.
    assert_eq!(two.stop(soon()), Some(0));
    one.wait_for_line("the store cannot hand partitions over", Duration::from_secs(30));
    other.execute_batch("rollback").unwrap();
    test.records.send(topic, &numbered("effect 1", 0, 50, 5));
    eventually(Duration::from_secs(30), "all is applied", || (applied(test) == (50, 50)).then_some(()));
    assert_eq!(one.stop(soon()), Some(0));
}

//! What operators do to events, while services handle them.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use serde_json::Value;
use shared::desk::{Answered, Desk, Operation, Operator, Status};
use shared::store::StoreUrl;

use crate::harness::{
    ASSIGNED, Process, Raw, Scenario, Signal, Test, event_headers, eventually, scenario, soon,
};

/// The scenarios of this file.
pub fn scenarios() -> Vec<Scenario> {
    vec![
        scenario!(a_cancel_races_a_reaching_handler_and_both_tell_the_truth),
        scenario!(a_cancel_races_a_pure_handler_and_both_tell_the_truth),
        scenario!(a_redrive_that_is_killed_goes_on_and_sends_each_back_once),
        scenario!(what_an_operator_changes_is_noticed_within_a_second),
    ]
}

/// The source that [`event_headers`] write.
const SOURCE: &str = "/tests";

/// How many events are sent at once.
const BURST: usize = 50;

/// So many by default; those that take minutes only where that is asked for.
fn many(few: usize) -> usize {
    if std::env::var_os("PAIR_TEST_LONG").is_some() { 10_000 } else { few }
}

fn events(script: &str, count: usize) -> Vec<Raw> {
    let one = |number: usize| {
        let id = format!("e-{number}");
        Raw::new(format!("k{}", number % 97), format!("{script} {number}"))
            .with(event_headers(&id, "com.example.ordered.v1"))
    };
    (0..count).map(one).collect()
}

fn operator(test: &Test, runtime: &tokio::runtime::Runtime) -> Operator {
    let url: StoreUrl = test.store().parse().unwrap();
    runtime.block_on(async { Desk::operator(&url, &test.group).await }).unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Catches: a handler that runs before the ledger says so.
fn a_cancel_races_a_reaching_handler_and_both_tell_the_truth(test: &Test) {
    let (mut b, answers) = race(test, || test.scripted(&[]));
    // Whatever a handler does outside: it has not begun for what is cancelled.
    let begun: HashSet<String> = b
        .stderr()
        .iter()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|line| line["message"].as_str().is_some_and(|said| said.starts_with("Trying")))
        .filter_map(|line| line["id"].as_str().map(str::to_owned))
        .collect();
    for (number, answer) in answers.iter().enumerate() {
        let is_begun = begun.contains(&format!("e-{number}"));
        assert_eq!(is_begun, !answer.is_done(), "e-{number}: {answer}");
    }
    assert_eq!(b.stop(soon()), Some(0));
}

/// Catches: an effect of an event whose row was there before it.
fn a_cancel_races_a_pure_handler_and_both_tell_the_truth(test: &Test) {
    let (mut b, _) = race(test, || test.pure(&[]));
    assert_eq!(b.stop(soon()), Some(0));
}

/// Cancels each event about when it is handled, and compares the answers with what has become of them.
fn race(test: &Test, start: impl FnOnce() -> Process) -> (Process, Vec<Answered>) {
    let count = many(2_000);
    let topic = test.topic(3).to_owned();
    let mut b = start();
    b.wait_for_line(ASSIGNED, soon());
    let runtime = runtime();
    let operator = operator(test, &runtime);
    let mut answers = Vec::with_capacity(count);
    let mut took = Duration::ZERO;
    for (number, burst) in (0..).zip(events("effect 0", count).chunks(BURST)) {
        std::thread::scope(|scope| {
            let sender = scope.spawn(|| {
                let start = Instant::now();
                test.records.send(&topic, burst);
                start.elapsed()
            });
            for _ in burst {
                // Now as many as are sent meanwhile, now slower than they are handled.
                std::thread::sleep(took * (number % 3) / (2 * BURST as u32));
                let id = format!("e-{}", answers.len());
                answers.push(runtime.block_on(operator.act(Operation::Cancel, &id, Some(SOURCE))).unwrap());
            }
            took = sender.join().unwrap();
        });
    }
    let settled = "select count(*) from events where status in ('handled', 'cancelled')";
    eventually(Duration::from_mins(3), "all is settled", || {
        (test.sql(settled) == count as i64).then_some(())
    });
    // An offset behind all: nothing is on its way to a handler any more.
    eventually(soon(), "all is committed", || {
        let committed = test.records.committed(&test.group, &topic);
        (committed.values().sum::<i64>() == count as i64).then_some(())
    });
    for (number, answer) in answers.iter().enumerate() {
        let found = runtime.block_on(async { operator.desk().find(&format!("e-{number}"), None).await });
        let status = found.unwrap()[0].event.status;
        let is_true = match answer {
            Answered::Done { .. } | Answered::Ahead => status == Status::Cancelled,
            Answered::TooLate { status: Status::Handling | Status::Handled, .. } => status == Status::Handled,
            _ => false,
        };
        assert!(is_true, "e-{number} is {status}, and the answer was: {answer}");
    }
    let cancelled = answers.iter().filter(|answer| answer.is_done()).count();
    println!("{cancelled} of {count} cancelled");
    assert!(
        (count / 100..count - count / 100).contains(&cancelled),
        "no race: {cancelled} of {count} cancelled"
    );
    assert_eq!(test.sql("select count(*) from test_applied"), (count - cancelled) as i64);
    let both = "select count(*) from test_applied where number in (select id from events where status = 'cancelled')";
    assert_eq!(test.sql(both), 0);
    (b, answers)
}

/// Catches: a redrive that begins anew after a crash, and sends back what has died again, or that forgets some.
fn a_redrive_that_is_killed_goes_on_and_sends_each_back_once(test: &Test) {
    let count = many(1_000);
    let folder = tempfile::tempdir().unwrap();
    let mended = folder.path().join("mended");
    let topic = test.topic(3);
    test.records.send(topic, &events(&format!("mend {}", mended.display()), count));
    let mut b = test.scripted(&[]);
    let dead = "select count(*) from events where status = 'dead'";
    eventually(Duration::from_mins(3), "all are dead", || {
        // The view comes with the service.
        b.wait_for_line(ASSIGNED, soon());
        (test.sql(dead) == count as i64).then_some(())
    });
    // Half of them die again, while the redrive is under way.
    let rate = (count / 4).to_string();
    let mut tool = test.tool(&["dead-letters", "redrive", "--all", "--rate", &rate]);
    let redriven = if test.store().starts_with("sqlite:") {
        (
            "select count(*) from operations where what = 3",
            "select count(distinct row) from operations where what = 3",
        )
    } else {
        (
            "select count(*) from operation where what = 3",
            "select count(distinct row) from operation where what = 3",
        )
    };
    eventually(soon(), "half of them are sent back", || {
        (test.sql(redriven.0) >= count as i64 / 2).then_some(())
    });
    tool.signal(Signal::Kill);
    assert_eq!(tool.exit_code(soon()), None);
    eventually(soon(), "those are dead again", || (test.sql(dead) == count as i64).then_some(()));
    std::fs::write(&mended, "").unwrap();
    let other = ended(test.tool(&["dead-letters", "redrive", "--type", "com.example.*"]), 1);
    assert!(other.stderr().concat().contains("--unfinished resume"), "{:?}", other.stderr());
    let rest = ended(test.tool(&["dead-letters", "redrive", "--unfinished", "resume"]), 0);
    println!("{:?}", rest.stdout());
    assert_eq!((test.sql(redriven.0), test.sql(redriven.1)), (count as i64, count as i64));

    ended(test.tool(&["dead-letters", "redrive", "--all"]), 0);
    let handled = "select count(*) from events where status = 'handled'";
    eventually(Duration::from_mins(2), "all are handled", || {
        (test.sql(handled) == count as i64).then_some(())
    });
    let applied = ["count(*)", "count(distinct number)"]
        .map(|what| test.sql(&format!("select {what} from test_applied")));
    assert_eq!(applied, [count as i64; 2]);
    assert_eq!(b.stop(soon()), Some(0));
}

/// Catches: a change that waits until a partition changes hands.
fn what_an_operator_changes_is_noticed_within_a_second(test: &Test) {
    let topic = test.topic(1);
    let of = |id: &str, key: &str, data: &str| {
        Raw::new(key, data).with(event_headers(id, "com.example.ordered.v1"))
    };
    let folder = tempfile::tempdir().unwrap();
    let mended = folder.path().join("mended").display().to_string();
    test.records.send(
        topic,
        &[
            of("stuck", "a", "fail 1000000"),
            of("behind", "a", "effect 0 behind"),
            of("broken", "b", &format!("mend {mended}")),
        ],
    );
    // The next attempt comes in minutes.
    let mut b = test.scripted(&["--retry-first", "10m", "--retry-max", "10m"]);
    let status = |id: &str| {
        let mut tool = test.tool(&["events", "get", id, "--output", "json"]);
        tool.exit_code(soon());
        let line = tool.stdout().concat();
        serde_json::from_str::<Value>(&line).ok()?["status"].as_str().map(str::to_owned)
    };
    for (id, expected) in [("stuck", "deferred"), ("behind", "deferred"), ("broken", "dead")] {
        eventually(soon(), id, || (status(id)? == expected).then_some(()));
    }
    let retried = ended(test.tool(&["events", "retry", "behind"]), 1);
    assert!(retried.stderr().concat().contains("waits for its turn"), "{:?}", retried.stderr());
    let cancelled = ended(test.tool(&["events", "cancel", "stuck"]), 0);
    assert_eq!(cancelled.stdout(), ["cancelled (it was deferred)"]);
    std::fs::write(&mended, "").unwrap();
    ended(test.tool(&["dead-letters", "redrive", "broken"]), 0);
    // A second, and what a busy machine takes.
    let within = Duration::from_secs(5);
    eventually(within, "what waited behind it is handled", || (status("behind")? == "handled").then_some(()));
    eventually(within, "the redriven one is handled", || (status("broken")? == "handled").then_some(()));
    assert_eq!(status("stuck").as_deref(), Some("cancelled"));
    let late = ended(test.tool(&["events", "cancel", "behind"]), 1);
    assert!(late.stderr().concat().contains("too late: handled at "), "{:?}", late.stderr());
    ended(test.tool(&["events", "delete", "broken", "--yes"]), 0);
    assert_eq!(status("broken").as_deref(), Some("deleted"));
    let undecided = ended(test.tool(&["events", "delete", "stuck"]), 2);
    assert!(undecided.stderr().concat().contains("--yes"), "{:?}", undecided.stderr());
    assert_eq!(b.stop(soon()), Some(0));
}

fn ended(mut tool: Process, code: i32) -> Process {
    assert_eq!(tool.exit_code(soon()), Some(code), "{:?}", tool.stderr());
    tool
}
